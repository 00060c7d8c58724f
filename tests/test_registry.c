/* What a second mapping of the segment shows of the Gs while they run, wait and end. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <string.h>
#include <unistd.h>

static struct segment view;
static struct gmpt_waitgroup group;
static struct gmpt_chan *chan, *other;
static struct gmpt_mutex mutex;
static int fds[2];

static void open_view(void)
{
    const char *why;
    EXPECT_EQ(segment_open(&view, trace_segment.fd, &why), 0);
    EXPECT(view.base != trace_segment.base);
}

static struct g_slot *find_slot(int64_t id)
{
    uint32_t used = load_acquire(&view.header->registry_used);
    for (uint32_t i = 0; i < used; i++)
        if (load_relaxed(&view.registry[i].id) == (uint64_t)id)
            return &view.registry[i];
    return NULL;
}

/* Starts fn, waits until it waits, and expects its slot to say so. */
static void expect_wait(void (*fn)(void *), unsigned reason, const void *object, bool bounded)
{
    int64_t id = gmpt_go(fn, NULL, 0);
    run_until_waiting(id);
    struct g_slot *slot = find_slot(id);
    if (!EXPECT(slot != NULL))
        return;
    uint64_t status = load_acquire(&slot->status);
    EXPECT_EQ(g_status_state(status), G_WAITING);
    EXPECT_EQ(g_status_reason(status), reason);
    EXPECT_EQ(slot->wait_reason, reason);
    EXPECT_EQ(slot->wait_object, (uintptr_t)object);
    EXPECT_EQ(slot->wait_bounded, bounded);
    EXPECT_EQ(slot->fn, (uintptr_t)fn);
    EXPECT_EQ(slot->parent, gmpt_self());
    EXPECT(slot->wait_since_ns > 0 && slot->wait_since_ns <= gmpt_now());
    EXPECT(slot->stack_lo < slot->stack_hi && slot->stack_hi - slot->stack_lo <= STACK_BYTES);
    /* Created, started, blocked. If it got no CPU for a slice it also gave way or lost its P, and came back: two steps
     * each. */
    uint64_t preempted = load_relaxed(&sched.preempted_t0) + load_relaxed(&sched.preempted_t1);
    EXPECT(g_status_seq(status) == 3 || (preempted > 0 && g_status_seq(status) <= 3 + 2 * preempted));
}

static int64_t far(void) { return gmpt_now() + 3600000000000; }

static void wait_recv(void *p)
{
    (void)p;
    gmpt_chan_recv(chan, NULL);
}

static void wait_recv_until(void *p)
{
    (void)p;
    gmpt_chan_recv_until(chan, NULL, far());
}

static void wait_send(void *p)
{
    (void)p;
    gmpt_chan_send(chan, NULL);
}

static void wait_select(void *p)
{
    (void)p;
    struct gmpt_select_case cases[] = { { .chan = chan, .op = GMPT_RECV } };
    gmpt_select(cases, 1);
}

static void wait_select_until(void *p)
{
    (void)p;
    struct gmpt_select_case cases[] = { { .chan = other, .op = GMPT_SEND } };
    gmpt_select_until(cases, 1, far());
}

static void wait_mutex(void *p)
{
    (void)p;
    gmpt_mutex_lock(&mutex);
}

static void wait_mutex_until(void *p)
{
    (void)p;
    gmpt_mutex_lock_until(&mutex, far());
}

static void wait_group(void *p)
{
    (void)p;
    gmpt_waitgroup_wait(&group);
}

static void wait_sleep(void *p)
{
    (void)p;
    gmpt_sleep(3600000000000);
}

static void wait_read(void *p)
{
    char byte;
    (void)p;
    gmpt_read(fds[0], &byte, 1);
}

static void wait_write_until(void *p)
{
    char zeroes[4096] = { 0 };
    (void)p;
    while (gmpt_write_until(fds[1], zeroes, sizeof zeroes, far()) > 0)
        ;
}

static void wait_null(void *p)
{
    (void)p;
    gmpt_chan_send(NULL, NULL);
}

/* ---- waiting ---- */

static int on_receive(void *arg)
{
    (void)arg;
    open_view();
    chan = gmpt_chan_new(0, 0);
    expect_wait(wait_recv, GMPT_WAIT_chan_recv, chan, false);
    expect_wait(wait_recv_until, GMPT_WAIT_chan_recv, chan, true);
    return 0;
}

TEST(registry, shows_a_wait_to_receive) { RUN(2, on_receive); }

static int on_send(void *arg)
{
    (void)arg;
    open_view();
    chan = gmpt_chan_new(0, 0);
    expect_wait(wait_send, GMPT_WAIT_chan_send, chan, false);
    return 0;
}

TEST(registry, shows_a_wait_to_send) { RUN(2, on_send); }

static int on_select(void *arg)
{
    (void)arg;
    open_view();
    chan = gmpt_chan_new(0, 0);
    expect_wait(wait_select, GMPT_WAIT_select, chan, false);
    other = gmpt_chan_new(0, 0);
    expect_wait(wait_select_until, GMPT_WAIT_select, other, true);
    return 0;
}

TEST(registry, shows_a_wait_in_a_select) { RUN(2, on_select); }

static int on_mutex(void *arg)
{
    (void)arg;
    open_view();
    gmpt_mutex_lock(&mutex);
    expect_wait(wait_mutex, GMPT_WAIT_mutex, &mutex, false);
    expect_wait(wait_mutex_until, GMPT_WAIT_mutex, &mutex, true);
    return 0;
}

TEST(registry, shows_a_wait_for_a_mutex) { RUN(2, on_mutex); }

static int on_group(void *arg)
{
    (void)arg;
    open_view();
    gmpt_waitgroup_add(&group, 1);
    expect_wait(wait_group, GMPT_WAIT_wait_group, &group, false);
    return 0;
}

TEST(registry, shows_a_wait_for_a_group) { RUN(2, on_group); }

static int on_sleep(void *arg)
{
    (void)arg;
    open_view();
    expect_wait(wait_sleep, GMPT_WAIT_sleep, NULL, true);
    return 0;
}

TEST(registry, shows_a_sleep) { RUN(2, on_sleep); }

static int on_network(void *arg)
{
    (void)arg;
    open_view();
    EXPECT_EQ(pipe(fds), 0);
    expect_wait(wait_read, GMPT_WAIT_net_read, (void *)(intptr_t)fds[0], false);
    EXPECT_EQ(pipe(fds), 0);
    expect_wait(wait_write_until, GMPT_WAIT_net_write, (void *)(intptr_t)fds[1], true);
    return 0;
}

TEST(registry, shows_a_wait_for_a_descriptor) { RUN(2, on_network); }

static int on_null(void *arg)
{
    (void)arg;
    open_view();
    run_waits_for_ever(wait_null);
    expect_wait(wait_null, GMPT_WAIT_nil_chan, NULL, false);
    return 0;
}

TEST(registry, shows_a_wait_on_no_channel) { RUN(2, on_null); }

/* ---- other states ---- */

static void end_at_once(void *p) { (void)p; }

static int through_life(void *arg)
{
    (void)arg;
    open_view();
    struct g_slot *own = find_slot(gmpt_self());
    EXPECT(own != NULL);
    EXPECT_EQ(g_status_state(load_acquire(&own->status)), G_RUNNING);
    EXPECT_EQ(own->parent, 0);
    int64_t id = gmpt_go(end_at_once, NULL, 0);
    struct g_slot *slot = find_slot(id);
    EXPECT_EQ(load_acquire(&slot->status), g_status_make(1, 0, G_RUNNABLE)); /* on one P it has not run yet */
    gmpt_yield();
    EXPECT_EQ(load_acquire(&slot->status), g_status_make(3, 0, G_DEAD));
    EXPECT_EQ(load_relaxed(&slot->id), id);
    return 0;
}

TEST(registry, shows_a_g_from_its_start_to_its_end) { RUN(1, through_life); }

static int in_a_call(void *arg)
{
    (void)arg;
    open_view();
    struct g_slot *own = find_slot(gmpt_self());
    uint32_t seq = g_status_seq(load_acquire(&own->status));
    gmpt_blocking_begin();
    uint64_t inside = load_acquire(&own->status);
    gmpt_blocking_end();
    EXPECT_EQ(inside, g_status_make(seq + 1, 0, G_SYSCALL));
    EXPECT_EQ(g_status_state(load_acquire(&own->status)), G_RUNNING);
    return 0;
}

TEST(registry, shows_a_blocking_call) { RUN(1, in_a_call); }

static int count_transitions(void *arg)
{
    (void)arg;
    open_view();
    struct g_slot *own = find_slot(gmpt_self());
    uint32_t before = g_status_seq(load_acquire(&own->status));
    for (uint32_t i = 1; i <= 50; i++) {
        gmpt_sleep(1000);
        EXPECT_EQ(g_status_seq(load_acquire(&own->status)), before + 3 * i); /* blocked, unblocked, started */
    }
    return 0;
}

TEST(registry, counts_every_transition) { RUN(2, count_transitions); }

static int use_a_slot_again(void *arg)
{
    (void)arg;
    open_view();
    int64_t first = gmpt_go(end_at_once, NULL, 0);
    struct g_slot *slot = find_slot(first);
    gmpt_yield();
    int64_t second = gmpt_go(end_at_once, NULL, 0);
    EXPECT(second != first);
    EXPECT_EQ((uintptr_t)find_slot(second), (uintptr_t)slot);
    EXPECT(find_slot(first) == NULL);
    EXPECT_EQ(load_acquire(&slot->status), g_status_make(1, 0, G_RUNNABLE));
    return 0;
}

TEST(registry, a_slot_that_is_used_again_has_a_new_id) { RUN(1, use_a_slot_again); }

static int see_header(void *arg)
{
    (void)arg;
    open_view();
    EXPECT_EQ(load_relaxed(&view.header->maxprocs), 3);
    EXPECT_EQ(view.pid, getpid());
    EXPECT_EQ(load_relaxed(&view.header->at_end), 0);
    EXPECT_EQ(load_relaxed(&view.header->tracing), 0);
    uint64_t code = (uint64_t)(uintptr_t)see_header;
    bool covered = false;
    for (uint32_t i = 0; i < load_acquire(&view.header->module_count); i++)
        covered |= code >= view.modules[i].start && code < view.modules[i].end && view.modules[i].path[0] == '/';
    EXPECT(covered);
    return 0;
}

TEST(registry, the_header_tells_of_the_program_and_of_mains_return)
{
    RUN(3, see_header);
    ck_assert_uint_eq(load_relaxed(&view.header->at_end), 1);
}

/* ---- the status word as a sequence lock ---- */

#define CHANGERS 6
static struct gmpt_chan *chans[CHANGERS];
static struct gmpt_mutex mutexes[CHANGERS];
static int64_t changers[CHANGERS];
static ATOMIC(uint32_t) stop;
static ATOMIC(uint64_t) consistent, wrong;

/* Waits by turns for its channel and its mutex: reason and object change together. */
static void change(void *p)
{
    int i = *(int *)p;
    while (!load_relaxed(&stop)) {
        gmpt_chan_recv_until(chans[i], NULL, gmpt_now() + 5000);
        EXPECT_EQ(gmpt_mutex_lock_until(&mutexes[i], gmpt_now() + 5000), -ETIMEDOUT);
        gmpt_sleep(3000);
    }
    gmpt_waitgroup_done(&group);
}

static void look_at(int i)
{
    struct g_slot *slot = find_slot(changers[i]);
    if (!slot)
        return;
    uint64_t before = load_acquire(&slot->status);
    uint64_t object = *(volatile uint64_t *)&slot->wait_object;
    unsigned reason = *(volatile uint8_t *)&slot->wait_reason;
    load_fence();
    if (before != load_relaxed(&slot->status) || g_status_state(before) != G_WAITING)
        return;
    uint64_t expected = reason == GMPT_WAIT_chan_recv ? (uintptr_t)chans[i]
                        : reason == GMPT_WAIT_mutex   ? (uintptr_t)&mutexes[i]
                                                      : 0;
    fetch_add_relaxed(object == expected && reason == g_status_reason(before) ? &consistent : &wrong, 1);
}

static void *look_from_outside(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        for (int i = 0; i < CHANGERS; i++)
            look_at(i);
    return NULL;
}

static int change_and_look(void *arg)
{
    (void)arg;
    pthread_t thread;
    open_view();
    gmpt_waitgroup_add(&group, CHANGERS);
    for (int i = 0; i < CHANGERS; i++) {
        chans[i] = gmpt_chan_new(0, 0);
        gmpt_mutex_lock(&mutexes[i]);
        changers[i] = gmpt_go(change, &i, sizeof i);
    }
    EXPECT_EQ(pthread_create(&thread, NULL, look_from_outside, NULL), 0);
    while (load_relaxed(&consistent) < 20000 && load_relaxed(&wrong) == 0)
        gmpt_sleep(1000000);
    store_relaxed(&stop, 1);
    gmpt_waitgroup_wait(&group);
    pthread_join(thread, NULL);
    return 0;
}

TEST(registry, a_status_that_stood_still_proves_the_slot_consistent)
{
    SKIP_UNDER_TSAN("ThreadSanitizer takes a sequence lock's reads for races");
    RUN(4, change_and_look);
    ck_assert_uint_gt(load_relaxed(&consistent), 0);
    ck_assert_uint_eq(load_relaxed(&wrong), 0);
}
