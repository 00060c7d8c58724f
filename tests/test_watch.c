/* Gs that are in one state for too long, in a registry that the test writes and at times that it makes up. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/dictionary.h"
#include "trace/watch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS 1000000ll
#define SLOTS 20000u

static struct segment target, outside;
static struct watch *watch;

static void open_with(const struct watch_limit *limits, unsigned count)
{
    const char *why;
    ck_assert_int_eq(segment_create(&target, -1, 1, 2 * SUBBUFFER_BYTES, SLOTS), 0);
    target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&target);
    ck_assert_int_eq(segment_open(&outside, target.fd, &why), 0);
    watch = watch_open(&outside, limits, count);
    ck_assert_ptr_nonnull(watch);
}

static void close_all(void)
{
    int fd = target.fd;
    watch_close(watch);
    segment_close(&outside);
    segment_close(&target);
    close(fd);
}

static struct g_slot *g_is(uint32_t slot, uint64_t id, uint32_t seq, enum g_state state, unsigned reason,
                           int64_t since_ns)
{
    struct g_slot *g = &target.registry[slot];
    g->parent = 1;
    g->fn = 0x1000 + id;
    g->wait_since_ns = since_ns;
    store_relaxed(&g->id, id);
    store_release(&g->status, g_status_make(seq, reason, state));
    if (load_relaxed(&target.header->registry_used) <= slot)
        store_release(&target.header->registry_used, slot + 1);
    return g;
}

/* A step; returns how many it found, the last in *found. */
static unsigned step(int64_t now_ns, struct watch_found *found)
{
    unsigned count = 0;
    struct watch_found one;
    while (watch_next(watch, now_ns, &one)) {
        *found = one;
        count++;
    }
    return count;
}

static struct watch_found found;

TEST(watch, runnable_counts_from_the_first_look)
{
    open_with(&(struct watch_limit){ .state = G_RUNNABLE, .ns = 50 * MS }, 1);
    g_is(3, 7, 1, G_RUNNABLE, 0, 0);
    ck_assert_uint_eq(step(1000 * MS, &found), 0);
    ck_assert_uint_eq(step(1050 * MS, &found), 0);
    ck_assert_uint_eq(step(1060 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 7);
    ck_assert_uint_eq(found.fn, 0x1007);
    ck_assert_int_eq(found.for_ns, 60 * MS);
    ck_assert_uint_eq(step(1160 * MS, &found), 0); /* once */
    close_all();
}

TEST(watch, who_ran_meanwhile_begins_anew)
{
    open_with(&(struct watch_limit){ .state = G_RUNNABLE, .ns = 50 * MS }, 1);
    for (uint32_t i = 0; i < 10; i++) {
        g_is(3, 7, 1 + 2 * i, G_RUNNABLE, 0, 0);
        ck_assert_uint_eq(step((1000 + 40 * i) * MS, &found), 0);
    }
    g_is(3, 8, 19, G_RUNNABLE, 0, 0); /* another G of the slot, with the same number */
    ck_assert_uint_eq(step(1400 * MS, &found), 0);
    ck_assert_uint_eq(step(1440 * MS, &found), 0);
    ck_assert_uint_eq(step(1460 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 8);
    g_is(3, 8, 20, G_RUNNING, 0, 0);
    ck_assert_uint_eq(step(1560 * MS, &found), 0);
    g_is(3, 8, 21, G_RUNNABLE, 0, 0); /* another incident */
    ck_assert_uint_eq(step(1600 * MS, &found), 0);
    ck_assert_uint_eq(step(1700 * MS, &found), 1);
    close_all();
}

TEST(watch, a_wait_began_when_the_slot_says_but_not_before_it_was_seen_otherwise)
{
    open_with(&(struct watch_limit){ .state = G_WAITING, .ns = 50 * MS }, 1);
    g_is(0, 1, 1, G_WAITING, GMPT_WAIT_mutex, 900 * MS); /* before the first look the slot's word counts */
    g_is(1, 2, 1, G_RUNNING, 0, 0);
    g_is(2, 3, 1, G_WAITING, GMPT_WAIT_mutex, 5000 * MS); /* from the future */
    g_is(4, 4, 1, G_WAITING, GMPT_WAIT_mutex, -1);
    ck_assert_uint_eq(step(1000 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 1);
    ck_assert_int_eq(found.for_ns, 100 * MS);
    g_is(1, 2, 2, G_WAITING, GMPT_WAIT_chan_recv, 10 * MS); /* a clock that stood still: it ran at 1000 */
    ck_assert_uint_eq(step(1040 * MS, &found), 0);
    ck_assert_uint_eq(step(1051 * MS, &found), 3);
    close_all();
}

TEST(watch, without_reasons_only_waits_that_a_g_must_end_count)
{
    open_with(&(struct watch_limit){ .state = G_WAITING, .ns = 50 * MS }, 1);
    g_is(0, 1, 1, G_WAITING, GMPT_WAIT_sleep, 1);
    g_is(1, 2, 1, G_WAITING, GMPT_WAIT_net_read, 1);
    g_is(2, 3, 1, G_WAITING, GMPT_WAIT_chan_recv, 1)->wait_bounded = 1;
    g_is(3, 4, 1, G_WAITING, GMPT_WAIT_group, 1)->parent = 0;
    g_is(4, 5, 1, G_SYSCALL, 0, 1);
    ck_assert_uint_eq(step(1000 * MS, &found), 0);
    close_all();
}

TEST(watch, named_reasons_all_count)
{
    const struct watch_limit limits[] = {
        { .state = G_WAITING, .ns = 50 * MS, .reasons = 1ull << GMPT_WAIT_sleep | 1ull << GMPT_WAIT_group },
        { .state = G_SYSCALL, .ns = 70 * MS },
        { .state = G_WAITING, .ns = 500 * MS, .reasons = 1ull << GMPT_WAIT_sleep },
    };
    open_with(limits, 3);
    g_is(0, 1, 1, G_WAITING, GMPT_WAIT_sleep, 900 * MS)->wait_bounded = 1;
    g_is(1, 2, 1, G_WAITING, GMPT_WAIT_net_read, 900 * MS);
    g_is(2, 3, 1, G_WAITING, GMPT_WAIT_group, 960 * MS)->parent = 0;
    g_is(3, 4, 1, G_SYSCALL, 0, 900 * MS);
    ck_assert_uint_eq(step(1000 * MS, &found), 2);
    ck_assert_uint_eq(step(1020 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 3);
    ck_assert_uint_eq(step(1410 * MS, &found), 1); /* beyond another limit */
    ck_assert_uint_eq(found.limit, 2);
    close_all();
}

TEST(watch, who_is_to_be_leaked_is_found_by_the_verdict_of_the_last_proof)
{
    const struct watch_limit limit = { .state = G_WAITING, .ns = 10 * MS, .leaked = true };
    open_with(&limit, 1);
    struct g_slot *lost = g_is(0, 7, 3, G_WAITING, GMPT_WAIT_chan_recv, 1 * MS);
    struct g_slot *ring = g_is(1, 8, 5, G_WAITING, GMPT_WAIT_mutex, 1 * MS);
    struct g_slot *idle = g_is(2, 9, 3, G_WAITING, GMPT_WAIT_chan_recv, 1 * MS);
    ck_assert_uint_eq(step(5 * MS, &found), 0);
    ck_assert(!watch_wants_proof(watch));
    ck_assert_uint_eq(step(20 * MS, &found), 0);
    ck_assert(watch_wants_proof(watch));
    lost->verdict_seq = idle->verdict_seq = 3;
    ring->verdict_seq = 5;
    store_release(&lost->verdict, g_verdict_make(1, 7, VERDICT_PROVEN));
    store_release(&ring->verdict, g_verdict_make(2, 8, VERDICT_CYCLE));
    store_release(&idle->verdict, g_verdict_make(2, 9, VERDICT_LIVE));
    ck_assert_uint_eq(step(30 * MS, &found), 0); /* nobody has said that the proofs are complete */
    watch_give_proof(watch, 2);
    ck_assert(!watch_wants_proof(watch));
    ck_assert_uint_eq(step(40 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 8);
    ck_assert(watch_wants_proof(watch)); /* for the others */
    store_release(&lost->verdict, g_verdict_make(3, 7, VERDICT_PROVEN));
    watch_give_proof(watch, 3);
    ck_assert_uint_eq(step(50 * MS, &found), 1);
    ck_assert_uint_eq(found.id, 7);
    ck_assert_int_eq(found.for_ns, 49 * MS);
    close_all();
}

TEST(watch, a_step_is_bounded_and_steps_reach_all)
{
    open_with(&(struct watch_limit){ .state = G_WAITING, .ns = MS }, 1);
    for (uint32_t i = 0; i < SLOTS; i++)
        g_is(i, i + 1, 1, G_WAITING, GMPT_WAIT_mutex, 1);
    unsigned sum = 0, first = step(1000 * MS, &found);
    ck_assert_uint_gt(first, 0);
    ck_assert_uint_lt(first, SLOTS);
    ck_assert_uint_eq(step(1000 * MS, &found), 0); /* not so soon */
    for (int i = 1; i < 20; i++)
        sum += step((1000 + 10 * i) * MS, &found);
    ck_assert_uint_eq(first + sum, SLOTS);
    close_all();
}

TEST(watch, a_registry_that_lies_is_survived)
{
    open_with(&(struct watch_limit){ .state = G_WAITING, .ns = MS }, 1);
    store_relaxed(&target.header->registry_used, UINT32_MAX);
    memset(target.registry, 0xff, SLOTS * sizeof *target.registry);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(step((1000 + 10 * i) * MS, &found), 0);
    g_is(5, 0, 1, G_WAITING, 255, INT64_MIN);
    for (int i = 10; i < 20; i++)
        ck_assert_uint_eq(step((1000 + 10 * i) * MS, &found), 0);
    close_all();
}

TEST(watch, names_come_from_the_dictionary_as_far_as_it_holds_together)
{
    char buffer[256];
    open_with(NULL, 0);
    struct dictionary *dictionary = calloc(1, sizeof *dictionary);
    dictionary_init(dictionary, &target);
    uint32_t first = dictionary_add_locked(dictionary, DICTIONARY_STRING, "first", 5);
    uint32_t second = dictionary_add_locked(dictionary, DICTIONARY_STRING, "the reader", 10);
    ck_assert_str_eq(watch_name(&outside, first, buffer), "first");
    ck_assert_str_eq(watch_name(&outside, second, buffer), "the reader");
    ck_assert_str_eq(watch_name(&outside, second + 1, buffer), "");
    ck_assert_str_eq(watch_name(&outside, 0, buffer), "");
    target.dictionary[0] = UINT64_MAX;
    ck_assert_str_eq(watch_name(&outside, second, buffer), "");
    store_relaxed(&target.header->dictionary_used, UINT64_MAX);
    ck_assert_str_eq(watch_name(&outside, second, buffer), "");
    free(dictionary);
    close_all();
}
