/* Timers: the heap on its own, then sleeping on the runtime. */
#include "run.h"

#include "runtime/timers.h"

#include <stdlib.h>
#include <string.h>

/* ---- the heap ---- */

#define MANY 5000

struct probe {
    struct timer timer;
    int64_t when_ns;
    int fired;
};

static struct probe probes[MANY];
static int fired_order[MANY], fired_count;

static void note_fired(struct timer *timer, struct p *p)
{
    (void)p;
    struct probe *probe = container_of(timer, struct probe, timer);
    probe->fired++;
    fired_order[fired_count++] = (int)(probe - probes);
}

static struct p *p_make(void)
{
    static struct segment_header untraced;
    trace_segment.header = &untraced;
    struct p *p = aligned_alloc(64, sizeof *p);
    ck_assert_ptr_nonnull(p);
    memset(p, 0, sizeof *p);
    timers_init(&p->timers);
    return p;
}

static void p_free(struct p *p)
{
    free(p->timers.heap);
    free(p->timers.cells);
    free(p);
}

/* All that is due, which timers_run may leave a part of. */
static uint32_t run_all(struct p *p)
{
    uint32_t fired, all = 0;
    while ((fired = timers_run(&p->timers, p)))
        all += fired;
    return all;
}

static void start(struct p *p, int i, int64_t when_ns)
{
    probes[i].when_ns = when_ns;
    REQUIRE(timers_start(p, &probes[i].timer, when_ns, note_fired) == 0);
}

TEST(timers, fire_in_the_order_of_their_times)
{
    struct p *p = p_make();
    uint32_t random_state = 99;
    for (int i = 0; i < MANY; i++)
        start(p, i, 1 + random_next(&random_state) % 3000); /* all long past, with equals */
    ck_assert_uint_eq(run_all(p), MANY);
    ck_assert_int_eq(fired_count, MANY);
    for (int i = 1; i < MANY; i++)
        ck_assert_int_le(probes[fired_order[i - 1]].when_ns, probes[fired_order[i]].when_ns);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(probes[i].fired, 1);
    ck_assert_uint_eq(timers_run(&p->timers, p), 0);
    p_free(p);
}

TEST(timers, only_those_that_are_due_fire)
{
    struct p *p = p_make();
    int64_t far = clock_now_ns() + 3600000000000;
    for (int i = 0; i < 100; i++)
        start(p, i, i % 2 ? far + i : 1 + i);
    ck_assert_uint_eq(run_all(p), 50);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(probes[i].fired, i % 2 == 0);
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), far + 1);
    p_free(p);
}

TEST(timers, the_earliest_is_published)
{
    struct p *p = p_make();
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), INT64_MAX);
    ck_assert(!timers_due_any(&p->timers, INT64_MAX - 1));
    start(p, 0, 500);
    start(p, 1, 300);
    start(p, 2, 400);
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), 300);
    ck_assert(timers_due_any(&p->timers, 300));
    ck_assert(!timers_due_any(&p->timers, 299));
    timers_stop(&probes[1].timer);
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), 400);
    timers_stop(&probes[0].timer);
    timers_stop(&probes[2].timer);
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), INT64_MAX);
    p_free(p);
}

TEST(timers, one_that_was_stopped_does_not_fire)
{
    struct p *p = p_make();
    uint32_t random_state = 7;
    int stopped = 0;
    static bool stop[MANY];
    for (int i = 0; i < MANY; i++)
        start(p, i, 1 + random_next(&random_state) % 100000);
    for (int i = 0; i < MANY; i++) {
        if (random_next(&random_state) % 2) {
            timers_stop(&probes[i].timer);
            stop[i] = true;
            stopped++;
        }
    }
    ck_assert_uint_eq(run_all(p), MANY - stopped);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(probes[i].fired, !stop[i]);
    for (int i = 1; i < fired_count; i++)
        ck_assert_int_le(probes[fired_order[i - 1]].when_ns, probes[fired_order[i]].when_ns);
    p_free(p);
}

TEST(timers, stopping_twice_or_after_it_fired_does_nothing)
{
    struct p *p = p_make();
    start(p, 0, 1);
    start(p, 1, INT64_MAX - 1);
    timers_run(&p->timers, p);
    ck_assert(!timers_stop(&probes[0].timer));
    ck_assert(timers_stop(&probes[1].timer));
    ck_assert(!timers_stop(&probes[1].timer));
    ck_assert_int_eq(probes[0].fired, 1);
    ck_assert_uint_eq(p->timers.count, 0);
    p_free(p);
}

TEST(timers, those_that_were_stopped_take_no_more_room_than_the_others)
{
    struct p *p = p_make();
    start(p, 0, 1); /* stays at the top, so that none below it is ever dropped from there */
    for (int i = 0; i < 100000; i++) {
        start(p, 1, 1000 + i);
        REQUIRE(timers_stop(&probes[1].timer));
    }
    ck_assert_uint_le(p->timers.capacity, 128);
    ck_assert_uint_eq(run_all(p), 1);
    ck_assert_uint_eq(p->timers.count, 0);
    p_free(p);
}

/* Starts, stops and fires by chance, beside the simplest model of what must happen. */
TEST(timers, any_mix_fires_each_once_at_its_time)
{
    struct p *p = p_make();
    uint32_t random_state = 4711;
    static bool started[MANY];
    int64_t now = clock_now_ns();
    int expected[MANY] = { 0 };
    for (int round = 0; round < 100000; round++) {
        int i = (int)(random_next(&random_state) % MANY);
        if (started[i]) {
            REQUIRE(timers_stop(&probes[i].timer));
            started[i] = false;
        } else {
            start(p, i, random_next(&random_state) % 4 ? INT64_MAX - 1 - round : now - round);
            started[i] = true;
        }
        if (round % 1000 == 999) {
            int due = 0;
            for (int j = 0; j < MANY; j++) {
                if (started[j] && probes[j].when_ns <= now) {
                    started[j] = false;
                    expected[j]++;
                    due++;
                }
            }
            fired_count = 0;
            REQUIRE(run_all(p) == (uint32_t)due);
            for (int k = 1; k < fired_count; k++)
                REQUIRE(probes[fired_order[k - 1]].when_ns <= probes[fired_order[k]].when_ns);
        }
    }
    for (int i = 0; i < MANY; i++)
        REQUIRE(probes[i].fired == expected[i]);
    p_free(p);
}

TEST(timers, a_periodic_one_leaves_out_what_it_is_too_late_for)
{
    struct p *p = p_make();
    int64_t now = clock_now_ns(), hour = 3600000000000;
    ck_assert_int_eq(
        timers_start_periodic(p, &probes[0].timer, GMPT_TIMER_TICKER, now - 5 * hour / 2, hour, note_fired), 0);
    ck_assert_uint_eq(run_all(p), 1);
    ck_assert_int_eq(load_relaxed(&p->timers.next_ns), now + hour / 2);
    ck_assert(timers_stop(&probes[0].timer));
    ck_assert_uint_eq(p->timers.count, 0);
    p_free(p);
}

/* ---- what fires leaves to be done ---- */

struct left {
    struct timer timer;
    struct timer_call call;
    struct p *p;
    int64_t order;
};

static int64_t calls_run;

static void run_left(struct timer_call *call, struct p *p)
{
    struct left *left = container_of(call, struct left, call);
    left->order = ++calls_run;
    left->p = lock_try_acquire(&p->timers.lock) ? p : NULL; /* it is free */
    lock_release(&p->timers.lock);
}

static void leave_call(struct timer *timer, struct p *p)
{
    timers_call_after(p, &container_of(timer, struct left, timer)->call);
}

TEST(timers, a_call_that_is_left_runs_without_the_lock)
{
    struct p *p = p_make();
    struct left left[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        left[i].call.run = run_left;
        ck_assert_int_eq(timers_start(p, &left[i].timer, 1 + i, leave_call), 0);
    }
    ck_assert_uint_eq(run_all(p), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(left[i].order, i + 1);
        ck_assert_ptr_eq(left[i].p, p);
    }
    p_free(p);
}

/* ---- sleeping ---- */

static struct gmpt_waitgroup group;
static ATOMIC(int64_t) counter;

static int sleep_times(void *arg)
{
    (void)arg;
    static const int64_t times[] = { 0, -5, INT64_MIN, 1, 1000, 100000, 3000000 };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t before = gmpt_now();
        EXPECT_EQ(gmpt_sleep(times[i]), 0);
        EXPECT(gmpt_now() - before >= times[i]);
        int64_t deadline = gmpt_now() + (times[i] > 0 ? times[i] : 0);
        EXPECT_EQ(gmpt_sleep_until(deadline), 0);
        EXPECT(gmpt_now() >= deadline);
    }
    EXPECT_EQ(gmpt_sleep_until(INT64_MIN), 0);
    return 0;
}

TEST(timers, a_sleep_is_never_too_short) { RUN(2, sleep_times); }
TEST(timers, a_sleep_on_one_p_is_never_too_short) { RUN(1, sleep_times); }

static void sleep_for_ever(void *p)
{
    (void)p;
    gmpt_sleep(INT64_MAX);
    store_relaxed(&counter, 1);
}

static int longest_sleep(void *arg)
{
    (void)arg;
    run_until_waiting(gmpt_go(sleep_for_ever, NULL, 0));
    gmpt_sleep(2000000);
    EXPECT_EQ(load_relaxed(&counter), 0);
    return 0;
}

TEST(timers, the_longest_sleep_does_not_overflow) { RUN(2, longest_sleep); }

#define SLEEPERS (UNDER_SANITIZER ? 1000 : 10000)

static void sleep_a_while(void *p)
{
    int64_t before = gmpt_now(), ns = *(int *)p * 500;
    gmpt_sleep(ns);
    EXPECT(gmpt_now() - before >= ns);
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&group);
}

static int many_sleep(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        EXPECT(gmpt_go(sleep_a_while, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&counter), SLEEPERS);
    return 0;
}

TEST(timers, ten_thousand_sleepers_all_wake) { RUN(2, many_sleep); }
TEST(timers, ten_thousand_sleepers_on_one_p_all_wake) { RUN(1, many_sleep); }

/* The G whose P has the timer runs on without a call; others must wake all the same. */
static int busy_owner(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++)
        EXPECT(gmpt_go(sleep_a_while, &(int){ 2000 + i }, sizeof(int)) > 0);
    gmpt_yield();
    while (load_relaxed(&counter) < 20)
        cpu_relax();
    return 0;
}

TEST(timers, sleepers_of_a_busy_p_are_woken_by_others) { RUN(4, busy_owner); }

static struct gmpt_chan *ticks;

static void tick(void *p)
{
    (void)p;
    for (int i = 0; i < 50; i++) {
        gmpt_sleep(20000);
        EXPECT_EQ(gmpt_chan_send(ticks, NULL), 0);
    }
}

static int wake_an_idle_program(void *arg)
{
    (void)arg;
    ticks = gmpt_chan_new(0, 0);
    run_go(tick);
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(gmpt_chan_recv(ticks, NULL), 0);
    gmpt_chan_release(ticks);
    return 0;
}

TEST(timers, wake_a_program_that_is_otherwise_idle) { RUN(2, wake_an_idle_program); }

/* One sleeps long, so that the poller sleeps for long; then an earlier timer must cut its sleep short. */
static int earlier_timer(void *arg)
{
    (void)arg;
    run_until_waiting(gmpt_go(sleep_for_ever, NULL, 0));
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(gmpt_sleep(100000), 0);
    return 0;
}

TEST(timers, an_earlier_timer_shortens_the_pollers_sleep) { RUN(4, earlier_timer); }
