#include "actors/core/log.h"

#include "actors/core/log_line.h"
#include "mailbox/atomic.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <troupe/assert.h>
#include <unistd.h>

#define WINDOW_NS 1000000000u

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The plain members are set at startup; the others are shared words. */
static struct {
    enum trp_log_format format;
    int fd;
    uint64_t (*now_ns)(void);
    uint32_t level;
    uint32_t is_torn; /* the last write took a part of its line only */
    uint64_t written;
    uint64_t suppressed;
    uint64_t dropped;
    uint64_t dropped_unreported;
    void *sites; /* list of sites that ever suppressed something; they are static, never leave */
} logger = {TRP_LOG_LOGFMT, STDERR_FILENO, realtime_ns, TRP_LOG_INFO, 0, 0, 0, 0, 0, NULL};

static __thread int thread_worker = -1;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void trp_log_init(const struct trp_log_config *config)
{
    logger.format = config->format;
    logger.fd = config->fd;
    logger.now_ns = config->now_ns != NULL ? config->now_ns : realtime_ns;
    trp_log_set_level(config->level);
}

void trp_log_set_level(enum trp_log_level level)
{
    trp_store_relaxed_u32(&logger.level, (uint32_t)level);
}

bool trp_log_is_enabled(enum trp_log_level level)
{
    return (uint32_t)level >= trp_load_relaxed_u32(&logger.level);
}

void trp_log_set_worker(int worker)
{
    thread_worker = worker;
}

void trp_log_counters(struct trp_log_counters *out)
{
    out->written = trp_load_relaxed_u64(&logger.written);
    out->suppressed = trp_load_relaxed_u64(&logger.suppressed);
    out->dropped = trp_load_relaxed_u64(&logger.dropped);
}

bool trp_log_level_parse(enum trp_log_level *out, const char *text)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(level_names[i], text) == 0) {
            *out = (enum trp_log_level)i;
            return true;
        }
    }
    return false;
}

const char *trp_log_level_name(enum trp_log_level level)
{
    TROUPE_ASSERT((size_t)level < sizeof(level_names) / sizeof(level_names[0]));
    return level_names[level];
}

/*
 * The descriptor is shared with whoever started us, so it keeps its blocking mode; asking poll
 * first keeps a full pipe from stopping a worker (a writable pipe has room for PIPE_BUF bytes), and
 * a reader that went away from raising SIGPIPE.
 */
static bool write_line(const char *text, size_t len)
{
    struct pollfd ready = {.fd = logger.fd, .events = POLLOUT, .revents = 0};
    ssize_t n;

    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0 ||
        (ready.revents & (POLLERR | POLLNVAL)) != 0) {
        return false;
    }
    do {
        n = write(logger.fd, text, len);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && (size_t)n < len) {
        trp_store_relaxed_u32(&logger.is_torn, 1);
    }
    return n >= 0 && (size_t)n == len;
}

static bool emit(enum trp_log_level level,
                 const char *message,
                 const struct trp_log_field *fields,
                 uint64_t now_ns,
                 uint64_t suppressed)
{
    struct trp_log_line line;
    uint64_t dropped = trp_fas_u64(&logger.dropped_unreported, 0);
    struct trp_log_field field = trp_log_str("level", trp_log_level_name(level));

    trp_log_line_begin(&line, logger.format, trp_fas_u32(&logger.is_torn, 0) != 0);
    trp_log_line_time(&line, now_ns);
    trp_log_line_field(&line, &field);
    field = trp_log_str("msg", message);
    trp_log_line_field(&line, &field);
    if (thread_worker >= 0) {
        field = trp_log_i64("worker", thread_worker);
        trp_log_line_field(&line, &field);
    }
    if (suppressed > 0) {
        field = trp_log_u64("suppressed", suppressed);
        trp_log_line_field(&line, &field);
    }
    if (dropped > 0) {
        field = trp_log_u64("dropped", dropped);
        trp_log_line_field(&line, &field);
    }
    for (size_t i = 0; fields[i].kind != TRP_LOG_KIND_END; i++) {
        trp_log_line_field(&line, &fields[i]);
    }
    trp_log_line_end(&line);
    if (write_line(line.text, line.len)) {
        trp_faa_u64(&logger.written, 1);
        return true;
    }
    trp_faa_u64(&logger.dropped, 1);
    trp_faa_u64(&logger.dropped_unreported, dropped + 1);
    return false;
}

/* Writes a line with the site's suppressed count; if it is dropped the count waits for the next. */
static void report(struct trp_log_site *site,
                   enum trp_log_level level,
                   const char *message,
                   const struct trp_log_field *fields,
                   uint64_t now_ns)
{
    uint64_t suppressed = trp_fas_u64(&site->suppressed, 0);

    if (!emit(level, message, fields, now_ns, suppressed) && suppressed > 0) {
        trp_faa_u64(&site->suppressed, suppressed);
    }
}

/* Puts the site into the list that the flush walks, once. */
static void list_site(struct trp_log_site *site, enum trp_log_level level, const char *message)
{
    uint32_t unlisted = 0;
    void *head;

    if (trp_load_relaxed_u32(&site->is_listed) != 0 ||
        !trp_cas_u32(&site->is_listed, &unlisted, 1)) {
        return;
    }
    site->level = (uint32_t)level;
    site->message = message;
    head = trp_load_relaxed_ptr(&logger.sites);
    do {
        site->next = head;
        /* full barrier: the members above are seen by the acquire load in the flush */
    } while (!trp_cas_ptr(&logger.sites, &head, site));
}

/*
 * True when the site may write now. Two threads that meet at the start of a second may let a few
 * lines more or fewer through; each call is still either written or counted as suppressed.
 */
static bool take_turn(struct trp_log_site *site, uint64_t now_ns)
{
    uint64_t start = trp_load_relaxed_u64(&site->window_ns);

    /* A wall clock that was set back gives a huge difference, hence a new window. */
    if (now_ns - start >= WINDOW_NS && trp_cas_u64(&site->window_ns, &start, now_ns)) {
        trp_store_relaxed_u64(&site->count, 0);
    }
    return trp_faa_u64(&site->count, 1) < TRP_LOG_BURST;
}

void trp_log_write(struct trp_log_site *site,
                   enum trp_log_level level,
                   const char *message,
                   const struct trp_log_field *fields)
{
    uint64_t now_ns = logger.now_ns();
    int saved_errno = errno;

    if (take_turn(site, now_ns)) {
        report(site, level, message, fields, now_ns);
    } else {
        trp_faa_u64(&site->suppressed, 1);
        trp_faa_u64(&logger.suppressed, 1);
        list_site(site, level, message);
    }
    errno = saved_errno;
}

void trp_log_flush_suppressed(void)
{
    /* acquire: pairs with the exchange in list_site; a listed site's plain members never change */
    struct trp_log_site *site = trp_load_acquire_ptr(&logger.sites);
    const struct trp_log_field none = trp_log_end();

    while (site != NULL) {
        if (trp_load_relaxed_u64(&site->suppressed) > 0) {
            report(site, (enum trp_log_level)site->level, site->message, &none, logger.now_ns());
        }
        site = site->next;
    }
}

struct trp_log_field trp_log_bytes(const char *key, const void *data, size_t len)
{
    struct trp_log_field field = {.key = key, .kind = TRP_LOG_KIND_TEXT};

    field.value.bytes.data = data;
    field.value.bytes.len = len;
    return field;
}

struct trp_log_field trp_log_str(const char *key, const char *text)
{
    return trp_log_bytes(key, text, text != NULL ? strlen(text) : 0);
}

struct trp_log_field trp_log_u64(const char *key, uint64_t value)
{
    struct trp_log_field field = {.key = key, .kind = TRP_LOG_KIND_U64};

    field.value.u64 = value;
    return field;
}

struct trp_log_field trp_log_i64(const char *key, int64_t value)
{
    struct trp_log_field field = {.key = key, .kind = TRP_LOG_KIND_I64};

    field.value.i64 = value;
    return field;
}

struct trp_log_field trp_log_bool(const char *key, bool value)
{
    struct trp_log_field field = {.key = key, .kind = TRP_LOG_KIND_BOOL};

    field.value.u64 = value ? 1 : 0;
    return field;
}

struct trp_log_field trp_log_hex(const char *key, const void *data, size_t len)
{
    struct trp_log_field field = trp_log_bytes(key, data, len);

    field.kind = TRP_LOG_KIND_HEX;
    field.hex_digits = (uint32_t)(len < TRP_LOG_LINE_MAX ? 2 * len : TRP_LOG_LINE_MAX);
    return field;
}

struct trp_log_field trp_log_client(const uint8_t *key)
{
    return trp_log_hex("client", key, 4);
}

struct trp_log_field trp_log_status(enum troupe_status status)
{
    return trp_log_str("err", troupe_status_text(status));
}

struct trp_log_field trp_log_errno(int error)
{
    const char *text = strerrordesc_np(error < 0 ? -error : error);

    return trp_log_str("err", text != NULL ? text : "unknown error");
}

struct trp_log_field trp_log_end(void)
{
    struct trp_log_field field = {.key = NULL, .kind = TRP_LOG_KIND_END};

    return field;
}
