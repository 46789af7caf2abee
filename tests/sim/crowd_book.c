/* The book: what must be true of each message, ask and monitor. */

#include "tests/sim/crowd.h"

#include "actors/core/core.h"

struct book book;

struct trp_cell *crowd_cell(troupe_ref ref)
{
    uint32_t worker = troupe_ref_worker(ref);
    if (worker >= book.pool->worker_count) {
        return NULL;
    }
    struct trp_cell *cell = trp_cells_find(&book.pool->workers[worker].cells, ref);
    return cell != NULL && cell->status != TRP_CELL_ZOMBIE ? cell : NULL;
}

static bool is_member(const struct trp_cell *cell)
{
    return cell->state != NULL && cell->type >= member_types &&
           cell->type < member_types + MEMBER_TYPES;
}

uint32_t crowd_life_of(troupe_ref ref, uint8_t status)
{
    const struct trp_cell *cell = crowd_cell(ref);
    return cell != NULL && cell->status == status && is_member(cell)
               ? ((const struct member *)cell->state)->life
               : 0;
}

uint32_t crowd_place_of(troupe_ref ref)
{
    uint32_t place = 0;
    while (place < book.places && book.refs[place] != ref) {
        place++;
    }
    return place;
}

/* --- messages --- */

uint32_t crowd_record(troupe_ref to, struct line *line, uint64_t deadline_ns)
{
    if (book.record_count == RECORDS_MAX) {
        return 0;
    }
    uint32_t id = book.record_count++;
    struct record *record = &book.records[id];
    *record = (struct record){to, deadline_ns, 0, 0, FATE_ACCEPTED}; /* until the send says no */
    if (line != NULL) {
        record->shut_life = crowd_life_of(to, TRP_CELL_DRAINING);
        if (line->to != to) {
            *line = (struct line){to, 0};
        }
        record->previous = line->last;
        line->last = id;
    }
    return id;
}

void crowd_refused(enum troupe_status status)
{
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_EBUSY || status == TROUPE_EDEAD ||
                  status == TROUPE_ECLOSED || status == TROUPE_ENOMEM);
    book.refused += status == TROUPE_EBUSY ? 1 : 0;
    book.no_memory += status == TROUPE_ENOMEM ? 1 : 0;
}

void crowd_sent(uint32_t id, enum troupe_status status)
{
    struct record *record = &book.records[id];
    if (status == TROUPE_OK) {
        return;
    }
    TROUPE_ASSERT(record->fate == FATE_ACCEPTED); /* refused, so nobody has seen it */
    record->fate = FATE_UNSENT;
    crowd_refused(status);
}

static bool is_open(const struct record *record)
{
    return record->fate == FATE_ACCEPTED || record->fate == FATE_MAYBE;
}

static uint32_t find_record(const struct troupe_msg *msg)
{
    const struct troupe_buf *buf = troupe_msg_buf(msg);
    struct tag tag;
    TROUPE_ASSERT(buf != NULL || msg->size >= sizeof(tag));
    memcpy(&tag, buf != NULL ? (const void *)buf->data : troupe_msg_data(msg), sizeof(tag));
    TROUPE_ASSERT(tag.id != 0);
    if (msg->type != MSG_SHARED) {
        return tag.id;
    }
    for (uint32_t i = 0; i < tag.count; i++) {
        const struct record *record = &book.records[tag.id + i];
        if (record->to == msg->to && is_open(record)) {
            return tag.id + i;
        }
    }
    TROUPE_ASSERT(!"this receiver was not meant, or has it already");
    return 0;
}

/* Whatever was sent before it on the same way has been handled or reported. */
static void check_order(const struct record *record)
{
    for (uint32_t id = record->previous; id != 0; id = book.records[id].previous) {
        TROUPE_ASSERT(book.records[id].fate != FATE_ACCEPTED);
        if (book.records[id].fate == FATE_HANDLED) {
            break;
        }
    }
}

uint32_t crowd_received(struct troupe_ctx *ctx, const struct troupe_msg *msg)
{
    uint32_t id = find_record(msg);
    const struct record *record = &book.records[id];
    TROUPE_ASSERT(record->to == troupe_self(ctx));
    TROUPE_ASSERT(is_open(record)); /* once */
    TROUPE_ASSERT(record->deadline_ns == 0 || troupe_now(ctx) < record->deadline_ns);
    check_order(record);
    /* what arrives while it drains is not for this life */
    TROUPE_ASSERT(record->shut_life == 0 ||
                  record->shut_life != crowd_life_of(record->to, TRP_CELL_DRAINING));
    return id;
}

void crowd_handled(uint32_t id)
{
    TROUPE_ASSERT(is_open(&book.records[id]));
    book.records[id].fate = FATE_HANDLED;
}

void crowd_dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    book.letters++;
    if (msg->type >= MSG_TRACKED_END || (msg->flags & TROUPE_MSG_REPLY) != 0) {
        return;
    }
    struct record *record = &book.records[find_record(msg)];
    TROUPE_ASSERT(is_open(record)); /* neither handled nor reported before */
    TROUPE_ASSERT(record->to == msg->to);
    record->fate = FATE_REPORTED;
    bool is_shut = record->shut_life != 0 && reason == TROUPE_DROP_STOPPED;
    book.shut_out += is_shut && crowd_life_of(msg->to, TRP_CELL_DRAINING) != 0 ? 1 : 0;
    if (reason == TROUPE_DROP_EXPIRED) {
        TROUPE_ASSERT(record->deadline_ns != 0);
        TROUPE_ASSERT(trp_sim_now(book.sim) >= record->deadline_ns);
        book.expired++;
    }
}

/* --- lives --- */

uint32_t crowd_life_begins(troupe_ref ref)
{
    if (book.life_count == LIVES_MAX) {
        return 0;
    }
    book.lives[book.life_count] = (struct life){ref, false};
    return book.life_count++;
}

void crowd_life_ends(uint32_t life)
{
    TROUPE_ASSERT(!book.lives[life].is_over);
    book.lives[life].is_over = true;
}

bool crowd_is_current(uint32_t life)
{
    const struct trp_cell *cell = crowd_cell(book.lives[life].ref);
    return cell != NULL && cell->state != NULL && !book.lives[life].is_over &&
           (cell->status == TRP_CELL_ALIVE || cell->status == TRP_CELL_DRAINING) &&
           ((const struct member *)cell->state)->life == life;
}

/* --- asks --- */

uint32_t crowd_ask_new(uint32_t life, uint64_t timeout_ns)
{
    if (book.ask_count == ASKS_MAX) {
        return 0;
    }
    uint64_t due_ns = timeout_ns == UINT64_MAX ? UINT64_MAX : trp_sim_now(book.sim) + timeout_ns;
    book.asks[book.ask_count] = (struct ask){life, 0, due_ns, OPEN_YES};
    return book.ask_count++;
}

void crowd_ask_ended(uint32_t id, uint32_t life, const struct troupe_answer *answer)
{
    struct ask *ask = &book.asks[id];
    TROUPE_ASSERT(ask->state == OPEN_YES); /* once, and only if it was sent */
    TROUPE_ASSERT(ask->life == life);
    TROUPE_ASSERT(!book.lives[life].is_over);
    TROUPE_ASSERT((answer->msg != NULL) == (answer->status == TROUPE_OK));
    if (answer->status == TROUPE_EEXPIRED) {
        TROUPE_ASSERT(trp_sim_now(book.sim) >= ask->due_ns);
    }
    if (answer->msg != NULL && ask->request != 0) {
        uint32_t request;
        TROUPE_ASSERT(answer->msg->type == MSG_QUESTION);
        TROUPE_ASSERT(answer->msg->size >= sizeof(request));
        memcpy(&request, troupe_msg_data(answer->msg), sizeof(request));
        TROUPE_ASSERT(request == ask->request);
        TROUPE_ASSERT(book.records[request].fate == FATE_HANDLED);
    }
    book.answered += answer->status == TROUPE_OK ? 1 : 0;
    ask->state = OPEN_ENDED;
}

/* --- monitors --- */

uint32_t crowd_watch_new(uint32_t life, troupe_ref target)
{
    if (book.watch_count == WATCHES_MAX) {
        return 0;
    }
    book.watches[book.watch_count] = (struct watch){life, target, 0, OPEN_YES};
    return book.watch_count++;
}

void crowd_down(uint32_t life, const struct troupe_msg *msg)
{
    struct troupe_down down;
    TROUPE_ASSERT(msg->size >= sizeof(down));
    memcpy(&down, troupe_msg_data(msg), sizeof(down));
    TROUPE_ASSERT(down.cookie < book.watch_count);
    struct watch *watch = &book.watches[down.cookie];
    TROUPE_ASSERT(watch->state == OPEN_YES); /* once, and not after it was taken away */
    TROUPE_ASSERT(watch->life == life);
    TROUPE_ASSERT(watch->target == down.ref);
    TROUPE_ASSERT(crowd_cell(down.ref) == NULL);
    watch->state = OPEN_ENDED;
    book.downs++;
}

/* --- links --- */

/* What core keeps at the other end of a link, as far as it matters here. */
struct link_record {
    struct troupe_down down;
    troupe_ref asker;
};

/* What this actor has of a link with the other one, whoever asked for it. */
static bool is_tied(const struct trp_cell *cell, troupe_ref other)
{
    struct trp_worker *worker = &book.pool->workers[troupe_ref_worker(cell->ref)];
    for (uint32_t slot = cell->relations; slot != 0;) {
        const struct trp_relation *relation = trp_relation_at(worker, slot);
        if (relation->kind == TRP_RELATION_LINK && relation->link.target == other) {
            return true;
        }
        slot = relation->next;
    }
    for (const struct troupe_msg *msg = cell->extra.watchers; msg != NULL; msg = msg->next) {
        struct link_record record;
        memcpy(&record, troupe_msg_data(msg), sizeof(record));
        if (msg->type == TRP_MSG_CORE_LINK && record.asker == other) {
            return true;
        }
    }
    return false;
}

/* The life that an actor of the crowd lives at the moment; 0 = none. */
static uint32_t life_of(troupe_ref ref)
{
    for (uint32_t i = book.life_count; i-- > 1;) {
        if (book.lives[i].ref == ref) {
            return crowd_is_current(i) ? i : 0;
        }
    }
    return 0;
}

static bool is_between(const struct bond *bond, uint32_t one, uint32_t other)
{
    return (bond->life == one && bond->other_life == other) ||
           (bond->life == other && bond->other_life == one);
}

static void add_bond(uint32_t life, uint32_t other_life, bool is_void)
{
    if (other_life != 0 && other_life != life && book.bond_count < BONDS_MAX) {
        book.bonds[book.bond_count++] = (struct bond){life, other_life, is_void};
    }
}

/*
 * A link asked for while the other end takes one away may be gone at both ends: the two that took
 * one away once are not looked at any more.
 */
void crowd_linked(uint32_t life, troupe_ref other)
{
    uint32_t other_life = life_of(other);
    bool is_void = false;
    for (uint32_t i = 0; i < book.bond_count; i++) {
        is_void =
            is_void || (book.bonds[i].is_void && is_between(&book.bonds[i], life, other_life));
    }
    add_bond(life, other_life, is_void);
}

void crowd_unlinked(uint32_t life, troupe_ref other)
{
    uint32_t other_life = life_of(other);
    for (uint32_t i = 0; i < book.bond_count; i++) {
        struct bond *bond = &book.bonds[i];
        bond->is_void = bond->is_void || is_between(bond, life, other_life);
    }
    add_bond(life, other_life, true);
    TROUPE_ASSERT(!is_tied(crowd_cell(book.lives[life].ref), other));
}

/* Who was linked and lives on still is, at both ends. */
static void check_bonds(void)
{
    for (uint32_t i = 0; i < book.bond_count; i++) {
        const struct bond *bond = &book.bonds[i];
        if (!bond->is_void && crowd_is_current(bond->life) && crowd_is_current(bond->other_life)) {
            troupe_ref one = book.lives[bond->life].ref;
            troupe_ref other = book.lives[bond->other_life].ref;
            TROUPE_ASSERT(is_tied(crowd_cell(one), other));
            TROUPE_ASSERT(is_tied(crowd_cell(other), one));
        }
    }
}

/* --- the end --- */

/* Monitors and links that actors have set, and what of them hangs at the other ends. */
struct ties {
    uint32_t monitors;
    uint32_t links;
    uint32_t monitor_records;
    uint32_t link_records;
};

static void count_ties(struct trp_worker *worker, const struct trp_cell *cell, struct ties *ties)
{
    for (uint32_t slot = cell->relations; slot != 0;) {
        const struct trp_relation *relation = trp_relation_at(worker, slot);
        if (relation->kind == TRP_RELATION_LINK) {
            TROUPE_ASSERT(crowd_cell(relation->link.target) != NULL);
            ties->links++;
        } else if (relation->kind == TRP_RELATION_MONITOR) {
            TROUPE_ASSERT(crowd_cell(relation->monitor.target) != NULL);
            ties->monitors++;
        }
        slot = relation->next;
    }
    for (const struct troupe_msg *msg = cell->extra.watchers; msg != NULL; msg = msg->next) {
        ties->monitor_records += msg->type == TRP_MSG_CORE_MONITOR ? 1 : 0;
        ties->link_records += msg->type == TRP_MSG_CORE_LINK ? 1 : 0;
    }
}

static void check_ties(uint32_t watching)
{
    struct ties ties = {0, 0, 0, 0};
    for (uint32_t i = 0; i < book.pool->worker_count; i++) {
        struct trp_worker *worker = &book.pool->workers[i];
        for (uint32_t slot = 1; slot < worker->cells.used; slot++) {
            count_ties(worker, trp_cells_at(&worker->cells, slot), &ties);
        }
    }
    TROUPE_ASSERT(ties.links == ties.link_records);
    TROUPE_ASSERT(ties.monitors == ties.monitor_records);
    TROUPE_ASSERT(ties.monitors == watching);
}

void crowd_check_settled(void)
{
    uint32_t watching = 0;
    for (uint32_t i = 1; i < book.ask_count; i++) {
        TROUPE_ASSERT(book.asks[i].state != OPEN_YES || !crowd_is_current(book.asks[i].life));
    }
    for (uint32_t i = 1; i < book.watch_count; i++) {
        const struct watch *watch = &book.watches[i];
        if (watch->state == OPEN_YES && crowd_is_current(watch->life)) {
            TROUPE_ASSERT(crowd_cell(watch->target) != NULL); /* else it would have heard */
            watching++;
        }
    }
    check_ties(watching);
    check_bonds();
    crowd_check_waits();
    for (uint32_t i = 1; i < book.record_count; i++) {
        const struct record *record = &book.records[i];
        /* one that waits for ever is at an actor that nobody restarts any more */
        const struct trp_cell *cell = record->fate == FATE_ACCEPTED ? crowd_cell(record->to) : NULL;
        TROUPE_ASSERT(record->fate != FATE_ACCEPTED ||
                      (cell != NULL && cell->status == TRP_CELL_SUSPENDED));
    }
}

/* Requests kept by actors that were killed: nobody else can give them back. */
static void free_kept(void)
{
    for (uint32_t i = 0; i < KEPT_MAX; i++) {
        if (book.kept[i].msg != NULL) {
            TROUPE_ASSERT(!book.lives[book.kept[i].life].is_over);
            trp_msg_free(book.kept[i].msg);
            book.kept[i].msg = NULL;
        }
    }
}

void crowd_check_over(void)
{
    struct troupe_pool_report report;
    for (uint32_t i = 1; i < book.record_count; i++) {
        TROUPE_ASSERT(book.records[i].fate != FATE_ACCEPTED);
    }
    for (uint32_t i = 0; i < book.group_count; i++) {
        const struct group *group = &book.groups[i];
        uint32_t arrived = 0;
        for (uint32_t n = 0; n < group->count; n++) {
            arrived += is_open(&book.records[group->first + n]) ? 0 : 1;
        }
        TROUPE_ASSERT(arrived == group->sent);
    }
    troupe_pool_report(book.pool, &report);
    TROUPE_ASSERT(report.accepted == report.processed + report.reported);
    TROUPE_ASSERT(report.reported == book.letters);
    free_kept();
    TROUPE_ASSERT(trp_sim_live_nodes(book.sim, 4352) == 0);
}
