/* What the runtime writes to its rings when a recorder has passed a memfd: decoded here from another mapping. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "trace/events.h"

#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int recorder_fd;
static struct segment view;

static void pass_memfd(void)
{
    recorder_fd = run_pass_segment();
}

/* Runs fn as a recorded program. */
static void record(int p_count, int (*fn)(void *arg))
{
    const char *why;
    pass_memfd();
    RUN(p_count, fn);
    ck_assert_int_eq(segment_open(&view, recorder_fd, &why), 0);
}

/* ---- decoding ---- */

struct seen {
    uint32_t ring;
    uint64_t g;   /* that it is about */
    uint64_t seq; /* its transition number; 0 = the record is no transition */
    unsigned code;
    uint64_t fields[GMPT_EVENT_FIELDS_MAX];
};

static struct seen *all;
static size_t all_count, all_capacity;

static void keep(const struct seen *seen)
{
    if (all_count == all_capacity) {
        all_capacity = all_capacity ? all_capacity * 2 : 4096;
        all = realloc(all, all_capacity * sizeof *all);
        REQUIRE(all != NULL);
    }
    all[all_count++] = *seen;
}

/* Who runs on the ring's P at this point, and its transition number. */
struct current {
    uint64_t g, seq;
};

static void follow(struct current *current, struct seen *seen)
{
    switch (seen->code) {
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_proc_stop:
        *current = (struct current){ 0, 0 };
        break;
    case GMPT_EVENT_go_create:
        seen->g = seen->fields[0];
        seen->seq = 1;
        break;
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        *current = (struct current){ seen->fields[0], seen->fields[1] };
        seen->g = current->g;
        seen->seq = current->seq;
        break;
    case GMPT_EVENT_go_unblock:
    case GMPT_EVENT_syscall_exit:
    case GMPT_EVENT_go_attach_wait:
        seen->g = seen->fields[0];
        seen->seq = seen->fields[1];
        break;
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
    case GMPT_EVENT_go_detach:
    case GMPT_EVENT_go_block:
    case GMPT_EVENT_go_exit:
    case GMPT_EVENT_syscall_begin:
    case GMPT_EVENT_syscall_end:
        REQUIRE(current->g != 0);
        seen->g = current->g;
        seen->seq = ++current->seq;
        if (seen->code != GMPT_EVENT_syscall_begin && seen->code != GMPT_EVENT_syscall_end)
            *current = (struct current){ 0, 0 };
        break;
    default:
        break;
    }
}

static void decode_ring(uint32_t ring)
{
    struct current current = { 0, 0 };
    uint64_t opened = load_acquire(&view.rings[ring].opened);
    REQUIRE(opened <= view.subbuffers);
    for (uint64_t sequence = 0; sequence < opened; sequence++) {
        const struct subbuffer *head = segment_subbuffer(&view, ring, sequence);
        uint64_t commit = load_acquire(&head->commit), count = 0;
        const uint8_t *p = (const uint8_t *)(head + 1), *end = p + (commit & UINT32_MAX);
        if (ring < view.p_count && head->current_g) {
            REQUIRE(head->current_g == current.g);
            REQUIRE(head->current_seq == current.seq);
        }
        for (; p < end; count++) {
            uint64_t delta;
            struct seen seen = { .ring = ring };
            p = event_decode(p, end, &seen.code, &delta, seen.fields);
            REQUIRE(p != NULL);
            follow(&current, &seen);
            keep(&seen);
        }
        REQUIRE(count == commit >> 32);
    }
}

static void decode(void)
{
    for (uint32_t ring = 0; ring < view.ring_count; ring++) {
        REQUIRE(load_relaxed(&view.rings[ring].lost) == 0);
        decode_ring(ring);
    }
}

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->g != y->g)
        return x->g < y->g ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Every G's transitions are 1, 2, 3, ... each told exactly once. Returns how many Gs there were. */
static uint64_t expect_consecutive(void)
{
    uint64_t gs = 0, g = 0, seq = 0;
    qsort(all, all_count, sizeof *all, compare_seen);
    for (size_t i = 0; i < all_count; i++) {
        if (all[i].seq == 0)
            continue;
        if (all[i].g != g) {
            g = all[i].g;
            seq = 0;
            gs++;
        }
        if (all[i].seq != seq + 1)
            ck_abort_msg("G %llu: transition %llu follows %llu (%s in ring %u)", (unsigned long long)g,
                         (unsigned long long)all[i].seq, (unsigned long long)seq, event_specs[all[i].code].name,
                         all[i].ring);
        seq = all[i].seq;
    }
    return gs;
}

static const struct seen *find(unsigned code, uint64_t g)
{
    for (size_t i = 0; i < all_count; i++)
        if (all[i].code == code && all[i].g == g)
            return &all[i];
    return NULL;
}

/* The stack with this ordinal in the ring's table; its count, pc[0] the leaf. */
static uint64_t find_stack(uint32_t ring, uint64_t ordinal, const uint64_t **pc)
{
    const uint64_t *word = segment_stacks(&view, ring);
    const uint64_t *end = word + load_acquire(&view.rings[ring].stacks_used);
    for (uint64_t i = 1; word < end; i++, word += 1 + word[0]) {
        if (i == ordinal) {
            *pc = word + 1;
            return word[0];
        }
    }
    return 0;
}

/* ---- starting ---- */

static int do_nothing(void *arg) { return arg != NULL; }

TEST(tracepoint, a_recorders_memfd_is_taken)
{
    record(2, do_nothing);
    ck_assert_ptr_null(getenv(SEGMENT_FD_ENV)); /* children are not recorded by mistake */
    ck_assert_uint_eq(load_relaxed(&view.header->tracing), 1);
    ck_assert_uint_eq(load_relaxed(&view.header->at_end), 1);
    ck_assert_uint_eq(load_relaxed(&view.header->maxprocs), 2);
    decode();
    ck_assert_uint_eq(expect_consecutive(), 1);
}

static int many_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        gmpt_sleep(1000);
    return 0;
}

TEST(tracepoint, without_a_recorder_nothing_is_written)
{
    unsetenv(SEGMENT_FD_ENV);
    RUN(2, many_turns);
    for (uint32_t i = 0; i < trace_segment.ring_count; i++) {
        ck_assert_uint_eq(load_relaxed(&trace_segment.rings[i].opened), 0);
        ck_assert_uint_eq(load_relaxed(&trace_segment.rings[i].stacks_used), 0);
    }
}

TEST(tracepoint, a_memfd_that_somebody_has_is_left_alone)
{
    struct segment other;
    pass_memfd();
    ck_assert_int_eq(segment_create(&other, recorder_fd, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    segment_publish(&other);
    RUN(2, do_nothing);
    ck_assert_uint_eq(other.header->p_count, 1);
    ck_assert_int_ne(trace_segment.fd, recorder_fd);
    ck_assert_uint_eq(load_relaxed(&other.rings[0].opened), 0);
}

static void run_nothing(void) { _exit(run_on(1, do_nothing)); }

TEST(tracepoint, a_number_that_is_no_memfd_does_not_stop_the_program)
{
    static const char *const wrong[] = { "999", "x", "-1", "99999999999", "" };
    char err[64];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv(SEGMENT_FD_ENV, wrong[i], 1);
        ck_assert_int_eq(run_child(run_nothing, err, sizeof err), 0);
    }
}

/* ---- order ---- */

static struct gmpt_waitgroup group;
static struct gmpt_chan *chan;
static struct gmpt_mutex mutex;

static void mix(void *p)
{
    uint32_t random_state = *(uint32_t *)p * 2654435761u + 1;
    uint64_t value = 0;
    for (int i = 0; i < 300; i++) {
        switch (random_next(&random_state) % 8) {
        case 0:
            gmpt_yield();
            break;
        case 1:
            gmpt_chan_send_until(chan, &value, gmpt_now() + 20000);
            break;
        case 2:
            gmpt_chan_recv_until(chan, &value, gmpt_now() + 20000);
            break;
        case 3:
            gmpt_mutex_lock(&mutex);
            gmpt_yield();
            gmpt_mutex_unlock(&mutex);
            break;
        case 4:
            gmpt_sleep(random_next(&random_state) % 20000);
            break;
        case 5:
            gmpt_blocking_begin();
            if (random_next(&random_state) % 8 == 0)
                usleep(100);
            gmpt_blocking_end();
            break;
        case 6:
            gmpt_preempt_check();
            break;
        default:
            if (*(uint32_t *)p < 1000) {
                gmpt_waitgroup_add(&group, 1);
                EXPECT(gmpt_go(mix, &(uint32_t){ 1000 + (uint32_t)i }, sizeof(uint32_t)) > 0);
                return gmpt_waitgroup_done(&group);
            }
            break;
        }
    }
    gmpt_waitgroup_done(&group);
}

static int mix_all(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(uint64_t), 0);
    gmpt_waitgroup_add(&group, 40);
    for (uint32_t i = 0; i < 40; i++)
        EXPECT(gmpt_go(mix, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    while (gmpt_count() > 1)
        gmpt_yield();
    gmpt_chan_release(chan);
    return 0;
}

static void expect_order_on(int p_count)
{
    record(p_count, mix_all);
    decode();
    uint64_t gs = expect_consecutive(), ended = 0;
    ck_assert_uint_gt(gs, 40);
    for (size_t i = 0; i < all_count; i++)
        ended += all[i].code == GMPT_EVENT_go_exit;
    ck_assert(ended == gs || ended + 1 == gs); /* the main G may not have told its end yet */
}

TEST(tracepoint, transitions_are_told_once_each_on_one_p) { expect_order_on(1); }
TEST(tracepoint, transitions_are_told_once_each_on_two_ps) { expect_order_on(2); }
TEST(tracepoint, transitions_are_told_once_each_on_many_ps) { expect_order_on(12); }

/* ---- Ps that are taken from Gs that compute ---- */

#define TAKES 10

static void compute_until_taken(void *p)
{
    const struct g_slot *slot = g_self()->slot;
    (void)p;
    for (int i = 0; i < TAKES; i++) {
        while (g_status_state(load_acquire(&slot->status)) != G_PREEMPTED)
            ;
        gmpt_preempt_check();
        EXPECT_EQ(g_status_state(load_acquire(&slot->status)), G_RUNNING);
    }
}

static int take_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        run_go(compute_until_taken);
    while (gmpt_count() > 1) /* a P is taken when somebody waits for it */
        gmpt_yield();
    return 0;
}

static size_t count_seen(unsigned code)
{
    size_t count = 0;
    for (size_t i = 0; i < all_count; i++)
        count += all[i].code == code;
    return count;
}

TEST(tracepoint, a_p_that_is_taken_is_told_on_its_ring)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
        SKIP("this kernel has no membarrier, so nothing can be taken");
    record(1, take_often);
    decode();
    ck_assert_uint_eq(expect_consecutive(), 4);
    size_t detached = count_seen(GMPT_EVENT_go_detach);
    ck_assert_uint_ge(detached, 3 * TAKES); /* the main G computes, too, when the kernel lets it wait in between */
    ck_assert_uint_eq(count_seen(GMPT_EVENT_go_attach) + count_seen(GMPT_EVENT_go_attach_wait), detached);
}

/* ---- stacks ---- */

/* A function in a section of its own has a beginning and an end that a test can ask for. */
#define PLACED(name) static __attribute__((noinline, section(#name))) void
#define BOUNDS(name) extern const char __start_##name[], __stop_##name[]
#define IS_IN(pc, name) ((pc) > (uintptr_t)__start_##name && (pc) <= (uintptr_t)__stop_##name)

BOUNDS(place_inner);
BOUNDS(place_outer);
BOUNDS(place_g);
BOUNDS(place_spawner);
BOUNDS(place_call);
BOUNDS(place_unlock);

static int64_t waiter_id, caller_id;

PLACED(place_inner) inner(void)
{
    gmpt_chan_recv(chan, NULL);
    __asm__ volatile("" ::: "memory"); /* no jump instead of a call */
}

PLACED(place_outer) outer(void)
{
    inner();
    __asm__ volatile("" ::: "memory");
}

PLACED(place_g) wait_deep(void *p)
{
    (void)p;
    outer();
    __asm__ volatile("" ::: "memory");
}

PLACED(place_call) call_once(void *p)
{
    (void)p;
    gmpt_blocking_begin();
    gmpt_blocking_end();
    __asm__ volatile("" ::: "memory");
}

PLACED(place_spawner) spawn(void)
{
    waiter_id = gmpt_go(wait_deep, NULL, 0);
    caller_id = gmpt_go(call_once, NULL, 0);
    __asm__ volatile("" ::: "memory");
}

static int wait_and_call(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(0, 0);
    spawn();
    run_until_waiting(waiter_id);
    while (gmpt_count() > 2)
        gmpt_yield();
    return 0;
}

TEST(tracepoint, a_waits_stack_names_the_functions_from_the_leaf)
{
    const uint64_t *pc;
    record(2, wait_and_call);
    decode();
    const struct seen *block = find(GMPT_EVENT_go_block, (uint64_t)waiter_id);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(block->fields[0], GMPT_WAIT_chan_recv);
    ck_assert_uint_eq(block->fields[1], (uintptr_t)chan);
    ck_assert_uint_eq(block->fields[2], 0);
    ck_assert_uint_eq(find_stack(block->ring, block->fields[3], &pc), 4);
    ck_assert_uint_eq(pc[0], (uintptr_t)gmpt_chan_recv + 1);
    ck_assert(IS_IN(pc[1], place_inner));
    ck_assert(IS_IN(pc[2], place_outer));
    ck_assert(IS_IN(pc[3], place_g));
}

TEST(tracepoint, a_creations_stack_names_the_function_that_started_it)
{
    const uint64_t *pc;
    record(2, wait_and_call);
    decode();
    const struct seen *create = find(GMPT_EVENT_go_create, (uint64_t)waiter_id);
    ck_assert_ptr_nonnull(create);
    ck_assert_uint_eq(create->fields[1], (uintptr_t)wait_deep);
    ck_assert_uint_ge(find_stack(create->ring, create->fields[2], &pc), 2);
    ck_assert_uint_eq(pc[0], (uintptr_t)gmpt_go + 1);
    ck_assert(IS_IN(pc[1], place_spawner));
}

TEST(tracepoint, a_blocking_calls_stack_names_its_function)
{
    const uint64_t *pc;
    record(2, wait_and_call);
    decode();
    const struct seen *begin = find(GMPT_EVENT_syscall_begin, (uint64_t)caller_id);
    ck_assert_ptr_nonnull(begin);
    ck_assert_uint_eq(find_stack(begin->ring, begin->fields[0], &pc), 2);
    ck_assert_uint_eq(pc[0], (uintptr_t)gmpt_blocking_begin + 1);
    ck_assert(IS_IN(pc[1], place_call));
}

static struct gmpt_mutex mutex;
static int64_t sleeper_id, locker_id, main_id;

static void sleep_once(void *arg)
{
    (void)arg;
    gmpt_sleep(1);
}

static void lock_once(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_mutex_unlock(&mutex);
}

PLACED(place_unlock) unlock(void)
{
    gmpt_mutex_unlock(&mutex);
    __asm__ volatile("" ::: "memory");
}

static int wake_both(void *arg)
{
    (void)arg;
    main_id = gmpt_self();
    gmpt_mutex_lock(&mutex);
    sleeper_id = gmpt_go(sleep_once, NULL, 0);
    locker_id = gmpt_go(lock_once, NULL, 0);
    run_until_waiting(locker_id);
    unlock();
    while (gmpt_count() > 1)
        gmpt_yield();
    return 0;
}

TEST(tracepoint, a_wait_for_a_lock_names_its_owner_and_the_unlocks_place)
{
    const uint64_t *pc;
    record(1, wake_both);
    decode();
    const struct seen *block = find(GMPT_EVENT_go_block, (uint64_t)locker_id);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(block->fields[4], (uint64_t)main_id);
    const struct seen *unblock = find(GMPT_EVENT_go_unblock, (uint64_t)locker_id);
    ck_assert_ptr_nonnull(unblock);
    ck_assert_uint_eq(unblock->fields[2], GMPT_WAKER_G);
    ck_assert_uint_ge(find_stack(unblock->ring, unblock->fields[3], &pc), 2);
    ck_assert_msg(pc[0] - (uintptr_t)gmpt_mutex_unlock < 4096, "%lx", (unsigned long)pc[0]);
    ck_assert(IS_IN(pc[1], place_unlock));
}

TEST(tracepoint, who_sleeps_is_woken_by_a_timer_without_a_stack)
{
    record(1, wake_both);
    decode();
    const struct seen *block = find(GMPT_EVENT_go_block, (uint64_t)sleeper_id);
    const struct seen *unblock = find(GMPT_EVENT_go_unblock, (uint64_t)sleeper_id);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(block->fields[4], 0);
    ck_assert_ptr_nonnull(unblock);
    ck_assert_uint_eq(unblock->fields[2], GMPT_WAKER_TIMER);
    ck_assert_uint_eq(unblock->fields[3], 0);
}

static int64_t waits_id;

static void wait_until_deadlines(void *arg)
{
    struct gmpt_chan *silent = *(struct gmpt_chan **)arg;
    struct gmpt_select_case cases[] = { { .chan = silent, .op = GMPT_RECV } };
    EXPECT_EQ(gmpt_chan_recv_until(silent, NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_select_until(cases, 1, gmpt_now() + 1000000), -ETIMEDOUT);
}

static int meet_deadlines(void *arg)
{
    struct gmpt_chan *silent = gmpt_chan_new(0, 0);
    (void)arg;
    waits_id = gmpt_go(wait_until_deadlines, &silent, sizeof silent);
    while (gmpt_count() > 1)
        gmpt_sleep(1000000);
    gmpt_chan_release(silent);
    return 0;
}

TEST(tracepoint, who_waits_until_a_deadline_is_woken_by_a_timer)
{
    size_t count = 0;
    record(1, meet_deadlines);
    decode();
    for (size_t i = 0; i < all_count; i++)
        if (all[i].code == GMPT_EVENT_go_unblock && all[i].fields[0] == (uint64_t)waits_id) {
            ck_assert_uint_eq(all[i].fields[2], GMPT_WAKER_TIMER);
            count++;
        }
    ck_assert_uint_eq(count, 2);
}

static __attribute__((noinline)) int block_at(int depth)
{
    int below = depth > 0 ? block_at(depth - 1) : gmpt_sleep(1);
    __asm__ volatile("" ::: "memory");
    return below + 1;
}

static int block_deep(void *arg)
{
    (void)arg;
    EXPECT_EQ(block_at(100), 101);
    return 0;
}

TEST(tracepoint, a_deep_stack_is_cut_to_its_leaf_end)
{
    const uint64_t *pc;
    record(1, block_deep);
    decode();
    const struct seen *block = NULL;
    for (size_t i = 0; i < all_count; i++)
        if (all[i].code == GMPT_EVENT_go_block)
            block = &all[i];
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(find_stack(block->ring, block->fields[3], &pc), STACK_DEPTH_MAX);
    ck_assert_uint_eq(pc[0], (uintptr_t)gmpt_sleep + 1);
}

TEST(tracepoint, a_wish_for_more_than_there_is_to_leave_out_leaves_out_all_of_it)
{
    setenv(SEGMENT_LEFT_OUT_ENV, "4294967295 ffffffff", 1);
    record(1, block_deep);
    ck_assert_ptr_null(getenv(SEGMENT_LEFT_OUT_ENV));
    decode();
    size_t blocks = 0;
    for (size_t i = 0; i < all_count; i++) {
        if (all[i].code != GMPT_EVENT_go_block)
            continue;
        blocks++;
        ck_assert_uint_eq(all[i].fields[3], 0);
    }
    ck_assert_uint_gt(blocks, 0);
    ck_assert_uint_eq(expect_consecutive(), 1);
}

/* ---- losses ---- */

static ATOMIC(int64_t) yields;

static void yield_often(void *p)
{
    int64_t yielded = 0; /* who is alone does not */
    for (int i = 0; i < *(int *)p; i++)
        yielded += gmpt_yield_if();
    fetch_add_relaxed(&yields, yielded);
    gmpt_waitgroup_done(&group);
}

#define YIELDS 3000000

static int outrun_the_recorder(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    for (int i = 0; i < 2; i++)
        EXPECT(gmpt_go(yield_often, &(int){ YIELDS }, sizeof(int)) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

/* Decodes the P's ring, whose newest records are lost, and of the ring without a P what came before. */
static void decode_until_full(void)
{
    decode_ring(0);
    size_t kept = all_count;
    decode_ring(view.p_count);
    for (size_t i = kept; i < all_count; i++) {
        uint64_t last = 0;
        for (size_t of_p = 0; of_p < kept; of_p++)
            if (all[of_p].g == all[i].g && all[of_p].seq > last)
                last = all[of_p].seq;
        if (all[i].seq > last)
            all[i].seq = 0;
    }
}

TEST(tracepoint, a_recorder_that_does_not_read_costs_events_and_no_more)
{
    if (UNDER_SANITIZER)
        SKIP("it takes too long");
    record(1, outrun_the_recorder);
    uint64_t kept = 0, lost = load_relaxed(&view.rings[0].lost);
    for (uint64_t i = 0; i < view.subbuffers; i++)
        kept += load_acquire(&segment_subbuffer(&view, 0, i)->commit) >> 32;
    ck_assert_uint_gt(lost, 0);
    /* A yield and a start each. */
    ck_assert_int_gt(load_relaxed(&yields), YIELDS);
    ck_assert_uint_ge(kept + lost, 2 * (uint64_t)load_relaxed(&yields));
    ck_assert_uint_le(kept + lost, 2ull * 2 * YIELDS + 10000);
    decode_until_full();
    expect_consecutive();
}
