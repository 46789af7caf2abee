#include "tests/cmocka.h"

#include "mailbox/slab.h"

#include <pthread.h>
#include <string.h>

static void nodes_are_distinct_aligned_and_reused(void **state)
{
    (void)state;
    static struct trp_heap heap;
    trp_heap_init(&heap, 64u << 20);
    trp_heap_current = &heap;
    for (size_t bytes = 1; bytes <= TRP_SLAB_NODE_MAX; bytes = bytes * 3 + 1) {
        char *nodes[50];
        for (int i = 0; i < 50; i++) {
            nodes[i] = trp_heap_alloc(&heap, bytes);
            assert_non_null(nodes[i]);
            assert_int_equal((uintptr_t)nodes[i] % 16, 0);
            memset(nodes[i], i, bytes);
        }
        for (int i = 0; i < 50; i++) {
            assert_int_equal(nodes[i][bytes - 1], i);
            trp_heap_free(nodes[i]);
        }
        assert_ptr_equal(trp_heap_alloc(&heap, bytes), nodes[49]); /* last freed, first used */
        trp_heap_free(nodes[49]);
    }
    trp_heap_fini(&heap);
    trp_heap_current = NULL;
}

static void the_budget_is_a_refusal(void **state)
{
    (void)state;
    static struct trp_heap heap;
    trp_heap_init(&heap, 2 * TRP_SLAB_CHUNK_BYTES);
    trp_heap_current = &heap;
    void *node;
    void *newest = NULL;
    uint32_t count = 0;
    while ((node = trp_heap_alloc(&heap, 1000)) != NULL) {
        newest = node;
        count++;
    }
    assert_in_range(count, 400, 600);
    assert_null(trp_buf_alloc(&heap, 1u << 20)); /* large ones count as well */
    assert_null(trp_buf_alloc(&heap, TROUPE_BUF_MAX + 1));
    trp_heap_free(newest);
    assert_ptr_equal(trp_heap_alloc(&heap, 1000), newest);
    trp_heap_fini(&heap);
    trp_heap_current = NULL;
}

static void buffers_have_room_and_padding(void **state)
{
    (void)state;
    static struct trp_heap heap;
    trp_heap_init(&heap, 256u << 20);
    trp_heap_current = &heap;
    const uint32_t capacities[] = {0, 1, 100, 4096, 65536, 65600, 70000, 1u << 20};
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        struct troupe_buf *buf = trp_buf_alloc(&heap, capacities[i]);
        assert_non_null(buf);
        assert_int_equal(buf->capacity, capacities[i]);
        memset(buf->data, 1, capacities[i] + TROUPE_BUF_PADDING);
        troupe_buf_retain(buf);
        troupe_buf_release(buf);
        troupe_buf_release(buf);
    }
    assert_int_equal(heap.large_bytes, 0);
    trp_heap_fini(&heap);
    trp_heap_current = NULL;
}

static void messages_release_their_buffer(void **state)
{
    (void)state;
    static struct trp_heap heap;
    trp_heap_init(&heap, 64u << 20);
    trp_heap_current = &heap;
    struct troupe_buf *buf = trp_buf_alloc(&heap, 100000); /* large: the counter tells */
    struct troupe_msg *msg = trp_msg_alloc(&heap, 7, sizeof(buf), true);
    assert_int_equal((char *)troupe_msg_data(msg) - (char *)msg, 48);
    *(struct troupe_buf **)troupe_msg_data(msg) = buf;
    msg->flags |= TROUPE_MSG_OWNS_BUF;
    buf->size = 1000;
    assert_int_equal(trp_msg_weight(msg), 32 + 8 + 1000);
    assert_true(trp_msg_room(msg) >= 8);
    assert_int_not_equal(heap.large_bytes, 0);
    trp_msg_free(msg);
    assert_int_equal(heap.large_bytes, 0);
    trp_heap_fini(&heap);
    trp_heap_current = NULL;
}

#define ROUNDS 200000u
#define LENT   64u

struct mill {
    struct trp_heap mine;
    void *_Atomic lent[LENT];
};

static void *free_remotely(void *arg)
{
    struct mill *mill = arg;
    static struct trp_heap heap;
    trp_heap_init(&heap, 1u << 20);
    trp_heap_current = &heap;
    for (uint32_t done = 0; done < ROUNDS;) {
        void *node = __atomic_exchange_n(&mill->lent[done % LENT], NULL, __ATOMIC_ACQ_REL);
        if (node != NULL) {
            assert_int_equal(*(uint32_t *)((char *)node + 8), done);
            trp_heap_free(node);
            done++;
        } else {
            trp_heap_settle(&heap);
        }
    }
    trp_heap_settle(&heap);
    trp_heap_current = NULL;
    return NULL;
}

/* One thread allocates, another frees: memory comes home, the heap does not grow without end. */
static void remote_frees_come_home(void **state)
{
    (void)state;
    static struct mill mill;
    pthread_t thread;
    trp_heap_init(&mill.mine, 16u << 20);
    trp_heap_current = &mill.mine;
    assert_int_equal(pthread_create(&thread, NULL, free_remotely, &mill), 0);
    for (uint32_t i = 0; i < ROUNDS;) {
        if (__atomic_load_n(&mill.lent[i % LENT], __ATOMIC_ACQUIRE) != NULL) {
            trp_spin_pause();
            continue;
        }
        void *node = trp_heap_alloc(&mill.mine, 100);
        assert_non_null(node);
        *(uint32_t *)((char *)node + 8) = i;
        __atomic_store_n(&mill.lent[i % LENT], node, __ATOMIC_RELEASE);
        i++;
    }
    pthread_join(thread, NULL);
    trp_heap_settle(&mill.mine);
    assert_int_equal(mill.mine.mapped_bytes, TRP_SLAB_CHUNK_BYTES);
    trp_heap_fini(&mill.mine);
    trp_heap_current = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_distinct_aligned_and_reused),
        cmocka_unit_test(the_budget_is_a_refusal),
        cmocka_unit_test(buffers_have_room_and_padding),
        cmocka_unit_test(messages_release_their_buffer),
        cmocka_unit_test(remote_frees_come_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
