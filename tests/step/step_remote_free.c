/*
 * Slab nodes that other threads free, under all interleavings: none is lost, none is handed out
 * while somebody has it, and what its user wrote stays until he frees it.
 *
 * The owner's heap has room for one chunk, so it lives from what comes home.
 */

#include "mailbox/slab.h"
#include "tests/step/stepper.h"

#include <string.h>

#define OWNER     2u
#define LARGE     TRP_SLAB_NODE_MAX /* 3 of these in a chunk */
#define MIDDLE    17000u            /* 15 of these */
#define NODES_MAX 16u

static struct trp_heap heaps[3]; /* of the two freeing threads and of the owner */
static bool has_heap[3];
static size_t node_bytes;
static void *nodes[NODES_MAX]; /* given out at the start */
static uint32_t node_count;
static void *held[NODES_MAX]; /* by the owner, allocated during the execution */
static uint32_t held_count;

static void enter(uint32_t thread)
{
    trp_heap_current = thread != STEP_NOBODY && has_heap[thread] ? &heaps[thread] : NULL;
}

static void mark(void *node, char value)
{
    memset(node, value, 64);
}

static bool has_mark(const void *node, char value)
{
    const char *bytes = node;
    for (size_t i = 0; i < 64; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

static void *alloc(void)
{
    return trp_heap_alloc(&heaps[OWNER], node_bytes);
}

/* All nodes of the only chunk are given out. */
static void give_out(size_t bytes, bool have_heaps)
{
    for (uint32_t i = 0; i < 3; i++) {
        trp_heap_init(&heaps[i], TRP_SLAB_CHUNK_BYTES);
        has_heap[i] = i == OWNER || have_heaps;
    }
    node_bytes = bytes;
    node_count = 0;
    held_count = 0;
    void *node;
    while ((node = alloc()) != NULL) {
        STEP_CHECK(node_count < NODES_MAX);
        mark(node, (char)('a' + node_count));
        nodes[node_count++] = node;
    }
}

static void give_out_large(void)
{
    give_out(LARGE, false);
    STEP_CHECK(node_count == 3);
}

static void give_out_large_to_heaps(void)
{
    give_out(LARGE, true);
}

static void give_out_middle_to_heaps(void)
{
    give_out(MIDDLE, true);
    STEP_CHECK(node_count == 15);
}

/* --- the threads --- */

static void free_one(uint32_t i)
{
    STEP_CHECK(has_mark(nodes[i], (char)('a' + i)));
    trp_heap_free(nodes[i]);
}

static void free_first(void)
{
    free_one(0);
}

static void free_second_and_third(void)
{
    free_one(1);
    free_one(2);
}

static void free_first_and_settle(void)
{
    free_one(0);
    trp_heap_settle(&heaps[step_thread()]);
}

static void free_second_and_third_and_settle(void)
{
    free_one(1);
    trp_heap_settle(&heaps[step_thread()]);
    free_one(2);
    trp_heap_settle(&heaps[step_thread()]);
}

static void free_nine(void)
{
    for (uint32_t i = 0; i < 9; i++) {
        free_one(i);
    }
    trp_heap_settle(&heaps[step_thread()]);
}

static void free_six(void)
{
    for (uint32_t i = 9; i < 15; i++) {
        free_one(i);
    }
    trp_heap_settle(&heaps[step_thread()]);
}

static void hold_one(void)
{
    void *node = alloc();
    if (node != NULL) {
        for (uint32_t i = 0; i < held_count; i++) {
            STEP_CHECK(held[i] != node);
        }
        mark(node, (char)('A' + held_count));
        held[held_count++] = node;
    }
}

static void drop_last(void)
{
    if (held_count != 0) {
        held_count--;
        STEP_CHECK(has_mark(held[held_count], (char)('A' + held_count)));
        trp_heap_free(held[held_count]);
    }
}

static void hold_some(void)
{
    hold_one();
    hold_one();
    drop_last();
    hold_one();
}

static void hold_and_settle(void)
{
    hold_one();
    trp_heap_settle(&heaps[OWNER]);
    hold_one();
}

/* --- the end --- */

/* The owner can have each node exactly once, whoever freed it. */
static void all_came_home(void)
{
    trp_heap_current = &heaps[OWNER];
    for (uint32_t i = 0; i < held_count; i++) {
        STEP_CHECK(has_mark(held[i], (char)('A' + i)));
    }
    trp_heap_settle(&heaps[OWNER]);
    while (held_count < node_count) {
        uint32_t before = held_count;
        hold_one();
        STEP_CHECK(held_count == before + 1); /* lost */
    }
    STEP_CHECK(alloc() == NULL);
    for (uint32_t i = 0; i < held_count; i++) {
        STEP_CHECK(has_mark(held[i], (char)('A' + i)));
    }
    trp_heap_current = NULL;
}

static void unmap(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        trp_heap_fini(&heaps[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "without_heaps",
         .thread_count = 3,
         .threads = {free_first, free_second_and_third, hold_some},
         .setup = give_out_large,
         .enter = enter,
         .check = all_came_home,
         .cleanup = unmap},
        {.name = "with_heaps",
         .thread_count = 3,
         .threads = {free_first_and_settle, free_second_and_third_and_settle, hold_some},
         .setup = give_out_large_to_heaps,
         .enter = enter,
         .check = all_came_home,
         .cleanup = unmap},
        {.name = "many_at_once",
         .thread_count = 3,
         .threads = {free_nine, free_six, hold_and_settle},
         .setup = give_out_middle_to_heaps,
         .enter = enter,
         .check = all_came_home,
         .cleanup = unmap},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
