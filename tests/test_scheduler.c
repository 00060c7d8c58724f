/* Starting, yielding, ending, preempting and blocking Gs, through the public header. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static ATOMIC(int64_t) counter;
static struct gmpt_waitgroup group;
static int order[64], order_count;

static void note(int what) { order[order_count++] = what; }

/* ---- starting ---- */

static int return_42(void *arg) { return arg ? 1 : 42; }

TEST(scheduler, run_returns_what_main_returned) { ck_assert_int_eq(run_on(2, return_42), 42); }

static int return_arg(void *arg) { return *(int *)arg; }

TEST(scheduler, main_gets_its_argument)
{
    int value = 17;
    ck_assert_int_eq(gmpt_run(return_arg, &value), 17);
}

static void run_twice(void) { _exit(run_on(1, return_42) == 42 && run_on(1, return_42) == -EALREADY ? 7 : 8); }

TEST(scheduler, a_second_run_is_refused_with_a_message)
{
    char err[256];
    ck_assert_int_eq(run_child(run_twice, err, sizeof err), 7);
    ck_assert_ptr_nonnull(strstr(err, "second time"));
}

static void run_with_bad_maxprocs(void)
{
    setenv("GMPT_MAXPROCS", "many", 1);
    _exit(gmpt_run(return_42, NULL) == -EINVAL ? 7 : 8);
}

TEST(scheduler, a_bad_maxprocs_is_refused_with_a_message)
{
    char err[256];
    ck_assert_int_eq(run_child(run_with_bad_maxprocs, err, sizeof err), 7);
    ck_assert_ptr_nonnull(strstr(err, "GMPT_MAXPROCS=many"));
}

static int see_maxprocs(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_maxprocs(), 5);
    return 0;
}

TEST(scheduler, maxprocs_is_what_the_environment_says) { RUN(5, see_maxprocs); }

TEST(scheduler, the_version_is_known_before_the_start) { ck_assert_str_eq(gmpt_version(), GMPT_VERSION); }

/* ---- go ---- */

struct args {
    int value;
    char text[100];
};

static void take_args(void *p)
{
    struct args *args = p;
    EXPECT_EQ((uintptr_t)p % 16, 0);
    EXPECT_EQ(args->value, 7);
    EXPECT(strcmp(args->text, "by value") == 0);
    args->value = 0; /* its own copy */
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&group);
}

static int pass_args(void *arg)
{
    (void)arg;
    struct args args = { 7, "by value" };
    gmpt_waitgroup_add(&group, 3);
    for (int i = 0; i < 3; i++)
        EXPECT(gmpt_go(take_args, &args, sizeof args) > 0);
    args.value = 9; /* after gmpt_go: nobody sees it */
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(args.value, 9);
    return 0;
}

TEST(scheduler, arguments_are_copied_into_the_g)
{
    RUN(2, pass_args);
    ck_assert_int_eq(load_relaxed(&counter), 3);
}

static uint8_t pattern[4097];

static void check_4096(void *p)
{
    EXPECT(memcmp(p, pattern, 4096) == 0);
    EXPECT_EQ((uintptr_t)p % 16, 0);
    fetch_add_relaxed(&counter, 1);
}

static void check_odd(void *p)
{
    EXPECT(memcmp(p, pattern, 13) == 0);
    EXPECT_EQ((uintptr_t)p % 16, 0);
    fetch_add_relaxed(&counter, 1);
}

static void check_none(void *p)
{
    (void)p;
    fetch_add_relaxed(&counter, 1);
}

static int pass_sizes(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + 1);
    EXPECT(gmpt_go(check_4096, pattern, 4096) > 0);
    EXPECT(gmpt_go(check_odd, pattern, 13) > 0);
    EXPECT(gmpt_go(check_none, NULL, 0) > 0);
    EXPECT_EQ(gmpt_go(check_none, pattern, 4097), -E2BIG);
    EXPECT_EQ(gmpt_go(check_none, pattern, SIZE_MAX), -E2BIG);
    while (load_relaxed(&counter) < 3)
        gmpt_yield();
    return 0;
}

TEST(scheduler, arguments_of_up_to_4096_bytes) { RUN(1, pass_sizes); }

#define IDS 1000
static int64_t told[IDS], own[IDS];

static void tell_id(void *p)
{
    own[*(int *)p] = gmpt_self();
    gmpt_yield();
    EXPECT_EQ(own[*(int *)p], gmpt_self());
    gmpt_waitgroup_done(&group);
}

static int collect_ids(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, IDS);
    for (int i = 0; i < IDS; i++)
        told[i] = gmpt_go(tell_id, &i, sizeof i);
    gmpt_waitgroup_wait(&group);
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

TEST(scheduler, ids_are_distinct_and_known_to_both_sides)
{
    RUN(4, collect_ids);
    for (int i = 0; i < IDS; i++) {
        ck_assert_int_gt(told[i], 0);
        ck_assert_int_eq(told[i], own[i]);
    }
    qsort(told, IDS, sizeof told[0], compare_ids);
    for (int i = 1; i < IDS; i++)
        ck_assert_int_ne(told[i - 1], told[i]);
}

static void wait_for_ever(void *p)
{
    (void)p;
    gmpt_chan_recv(NULL, NULL);
}

static void end_at_once(void *p) { (void)p; }

static int count_gs(void *arg)
{
    (void)arg;
    run_waits_for_ever(wait_for_ever);
    EXPECT_EQ(gmpt_count(), 1);
    for (int i = 0; i < 10; i++)
        run_go(wait_for_ever);
    EXPECT_EQ(gmpt_count(), 11);
    for (int i = 0; i < 10; i++)
        run_go(end_at_once);
    while (gmpt_count() != 11)
        gmpt_yield();
    return 0;
}

TEST(scheduler, count_tells_who_is_alive) { RUN(1, count_gs); }
TEST(scheduler, count_sums_over_ps) { RUN(4, count_gs); }

static int abandon(void *arg)
{
    (void)arg;
    run_waits_for_ever(wait_for_ever);
    for (int i = 0; i < 100; i++)
        EXPECT(gmpt_go(i % 2 ? wait_for_ever : check_none, NULL, 0) > 0);
    return 0;
}

TEST(scheduler, main_does_not_wait_for_the_others) { RUN(2, abandon); }

/* ---- yield ---- */

static void note_thrice(void *p)
{
    for (int i = 0; i < 3; i++) {
        note(*(int *)p);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static bool took_turns(void)
{
    for (int i = 2; i < 6; i++)
        if (order[i] != order[i - 2])
            return false;
    return order[0] != order[1];
}

/* Again when a slice has ended meanwhile: it takes who was running out of the turn. */
static int take_turns(void *arg)
{
    (void)arg;
    int tries = 0;
    do {
        order_count = 0;
        gmpt_waitgroup_add(&group, 2);
        for (int i = 1; i <= 2; i++)
            EXPECT(gmpt_go(note_thrice, &i, sizeof i) > 0);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(order_count, 6);
    } while (!took_turns() && ++tries < 100);
    EXPECT(tries < 100);
    return 0;
}

TEST(scheduler, yield_takes_turns) { RUN(1, take_turns); }

static int yield_alone(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        gmpt_yield();
    return 0;
}

TEST(scheduler, yield_with_nobody_else_comes_back) { RUN(1, yield_alone); }

/* The global queue and the timers must get a look however busy the P's own queue is. */
static void sleep_then_count(void *p)
{
    (void)p;
    gmpt_sleep(1000000);
    store_relaxed(&counter, 1);
}

static void yield_until_counted(void *p)
{
    (void)p;
    while (!load_relaxed(&counter))
        gmpt_yield();
    gmpt_waitgroup_done(&group);
}

static int starve_timers(void *arg)
{
    (void)arg;
    run_go(sleep_then_count);
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        run_go(yield_until_counted);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, yielding_gs_do_not_starve_timers) { RUN(1, starve_timers); }

/* ---- errno ---- */

/* The compiler may keep the address of errno across a call, after which it is another thread's: so never inline. */
static __attribute__((noinline)) int errno_now(void) { return errno; }
static __attribute__((noinline)) void errno_put(int value) { errno = value; }

static void keep_errno(void *p)
{
    int mine = *(int *)p;
    errno_put(mine);
    for (int i = 0; i < 200; i++) {
        gmpt_yield();
        if (!EXPECT_EQ(errno_now(), mine))
            break;
        if (i % 50 == 0)
            gmpt_sleep(1000);
        if (i % 60 == 0) {
            gmpt_blocking_begin();
            errno_put(mine);
            gmpt_blocking_end();
        }
    }
    gmpt_waitgroup_done(&group);
}

static int many_errnos(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 50);
    for (int i = 0; i < 50; i++)
        EXPECT(gmpt_go(keep_errno, &(int){ i + 1 }, sizeof(int)) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, every_g_has_an_errno_of_its_own) { RUN(2, many_errnos); }

static int errno_across_calls(void *arg)
{
    (void)arg;
    struct gmpt_chan *chan = gmpt_chan_new(0, 1);
    errno_put(77);
    gmpt_go(end_at_once, NULL, 0);
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_chan_recv_until(chan, NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    gmpt_chan_close(chan);
    EXPECT_EQ(gmpt_chan_send(chan, NULL), -EPIPE);
    EXPECT_EQ(errno_now(), 77);
    gmpt_chan_release(chan);
    return 0;
}

TEST(scheduler, failures_come_as_results_not_in_errno) { RUN(2, errno_across_calls); }

/* ---- preemption ---- */

static ATOMIC(uint32_t) hog_may_end;

static void end_hog(void *p)
{
    (void)p;
    store_relaxed(&hog_may_end, 1);
}

static int hog(void *arg)
{
    (void)arg;
    run_go(end_hog);
    while (!load_relaxed(&hog_may_end))
        gmpt_preempt_check();
    return 0;
}

TEST(scheduler, a_hog_that_checks_is_preempted) { RUN(1, hog); }

static void hog_with_try(void *p)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)p;
    while (gmpt_chan_try_recv(chan, NULL) == -EAGAIN)
        ;
    gmpt_waitgroup_done(&group);
}

static int hog_by_calls(void *arg)
{
    (void)arg;
    struct gmpt_chan *chan = gmpt_chan_new(0, 1);
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go(hog_with_try, &chan, sizeof chan) > 0);
    gmpt_yield(); /* it spins now, until main gets the P back */
    EXPECT_EQ(gmpt_chan_send(chan, NULL), 0);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(chan);
    return 0;
}

TEST(scheduler, calls_that_do_not_block_are_safepoints_too) { RUN(1, hog_by_calls); }

/* Two Gs that hand each other a value for ever inherit one slice: a third must still get its turn. */
static struct gmpt_chan *ping, *pong;

static void play(void *p)
{
    (void)p;
    while (gmpt_chan_recv(ping, NULL) == 0 && gmpt_chan_send(pong, NULL) == 0)
        ;
    gmpt_waitgroup_done(&group);
}

static void serve(void *p)
{
    (void)p;
    while (!load_relaxed(&hog_may_end) && gmpt_chan_send(ping, NULL) == 0 && gmpt_chan_recv(pong, NULL) == 0)
        ;
    gmpt_chan_close(ping);
    gmpt_waitgroup_done(&group);
}

static int players_and_third(void *arg)
{
    (void)arg;
    ping = gmpt_chan_new(0, 0);
    pong = gmpt_chan_new(0, 0);
    gmpt_waitgroup_add(&group, 2);
    run_go(play);
    run_go(serve);
    gmpt_yield();
    run_go(end_hog);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(ping);
    gmpt_chan_release(pong);
    return 0;
}

TEST(scheduler, a_pair_that_runs_each_other_does_not_starve_a_third) { RUN(1, players_and_third); }

/* ---- blocking calls ---- */

static int call_fds[2];

static void write_from_outside(void *p)
{
    (void)p;
    EXPECT_EQ(write(call_fds[1], "x", 1), 1);
}

static int block_in_call(void *arg)
{
    (void)arg;
    char byte;
    EXPECT_EQ(pipe(call_fds), 0);
    run_go(write_from_outside);
    gmpt_blocking_begin();
    EXPECT_EQ(read(call_fds[0], &byte, 1), 1); /* comes only if the other G runs meanwhile */
    gmpt_blocking_end();
    return 0;
}

TEST(scheduler, a_blocking_call_hands_its_only_p_off) { RUN(1, block_in_call); }
TEST(scheduler, a_blocking_call_hands_its_p_off) { RUN(2, block_in_call); }

#define CALLERS 8
static int caller_fds[CALLERS][2];

static void call_chain(void *p)
{
    int i = *(int *)p;
    char byte;
    gmpt_blocking_begin();
    EXPECT_EQ(read(caller_fds[i][0], &byte, 1), 1);
    gmpt_blocking_end();
    if (i + 1 < CALLERS)
        EXPECT_EQ(write(caller_fds[i + 1][1], "x", 1), 1);
    gmpt_waitgroup_done(&group);
}

static int many_calls(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        EXPECT_EQ(pipe(caller_fds[i]), 0);
    for (int i = 0; i < CALLERS; i++)
        EXPECT(gmpt_go(call_chain, &i, sizeof i) > 0);
    for (int i = 0; i < 10; i++)
        gmpt_yield();
    EXPECT_EQ(write(caller_fds[0][1], "x", 1), 1);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, more_calls_block_than_there_are_ps) { RUN(2, many_calls); }

/* The only P lies idle while its G is in a call; a G that becomes ready then must get it. */
static int ready_fds[2], done_fds[2];

static void read_then_end_call(void *p)
{
    char byte;
    (void)p;
    EXPECT_EQ(gmpt_read(ready_fds[0], &byte, 1), 1);
    EXPECT_EQ(write(done_fds[1], "x", 1), 1);
}

static int ready_during_call(void *arg)
{
    (void)arg;
    char byte;
    EXPECT_EQ(pipe(ready_fds), 0);
    EXPECT_EQ(pipe(done_fds), 0);
    run_until_waiting(gmpt_go(read_then_end_call, NULL, 0));
    gmpt_blocking_begin();
    usleep(30000); /* long enough for the P to be taken away; the claim does not depend on it */
    EXPECT_EQ(write(ready_fds[1], "x", 1), 1);
    EXPECT_EQ(read(done_fds[0], &byte, 1), 1);
    gmpt_blocking_end();
    return 0;
}

TEST_TIMEOUT(scheduler, an_fd_that_is_ready_finds_the_idle_p_of_a_call, 10) { RUN(1, ready_during_call); }
TEST_TIMEOUT(scheduler, an_fd_that_is_ready_finds_one_of_several_idle_ps, 10) { RUN(2, ready_during_call); }

static ATOMIC(uint32_t) goes_to_sleep;

static void sleep_then_end_call(void *p)
{
    (void)p;
    store_release(&goes_to_sleep, 1);
    gmpt_sleep(40000000);
    EXPECT_EQ(write(done_fds[1], "x", 1), 1);
}

static int timer_during_call(void *arg)
{
    (void)arg;
    char byte;
    EXPECT_EQ(pipe(done_fds), 0);
    EXPECT(gmpt_go(sleep_then_end_call, NULL, 0) > 0);
    while (!load_acquire(&goes_to_sleep)) /* not until it sleeps: it might have ended by then */
        gmpt_yield();
    gmpt_blocking_begin();
    EXPECT_EQ(read(done_fds[0], &byte, 1), 1);
    gmpt_blocking_end();
    return 0;
}

TEST_TIMEOUT(scheduler, a_timer_fires_while_its_only_p_is_in_a_call, 10) { RUN(1, timer_during_call); }

static void call_and_nap(void *p)
{
    (void)p;
    for (int i = 0; i < 100; i++) {
        gmpt_blocking_begin();
        usleep(50);
        gmpt_blocking_end();
        if (i % 10 == 0)
            gmpt_sleep(20000);
        fetch_add_relaxed(&counter, 1);
    }
    gmpt_waitgroup_done(&group);
}

static int return_from_calls(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 6);
    for (int i = 0; i < 6; i++)
        run_go(call_and_nap);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, gs_that_return_from_calls_find_the_only_p)
{
    RUN(1, return_from_calls);
    ck_assert_int_eq(load_relaxed(&counter), 600);
}

TEST(scheduler, gs_that_return_from_calls_find_a_p)
{
    RUN(3, return_from_calls);
    ck_assert_int_eq(load_relaxed(&counter), 600);
}

static int end_without_begin(void *arg)
{
    (void)arg;
    gmpt_blocking_end();
    return 0;
}

static void child_end_without_begin(void) { run_on(1, end_without_begin); }

TEST(scheduler, an_end_without_a_begin_is_told)
{
    char err[512];
    ck_assert_int_ne(run_child(child_end_without_begin, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "gmpt_blocking_end without gmpt_blocking_begin"));
}

static int nested_begin(void *arg)
{
    (void)arg;
    gmpt_blocking_begin();
    gmpt_blocking_begin();
    return 0;
}

static void child_nested_begin(void) { run_on(1, nested_begin); }

TEST(scheduler, a_begin_inside_a_call_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_nested_begin, err, sizeof err), 0);
}

/* ---- stacks ---- */

static __attribute__((noinline)) int dig(volatile int depth)
{
    volatile char room[512];
    room[0] = (char)depth;
    room[511] = 1;
    return depth <= 0 ? room[0] : dig(depth - 1) + room[511];
}

static void dig_deep(void *p)
{
    (void)p;
    EXPECT_EQ(dig(60), 60);
    gmpt_yield();
    EXPECT_EQ(dig(60), 60);
    gmpt_waitgroup_done(&group);
}

static int use_stacks(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 200);
    for (int i = 0; i < 200; i++)
        run_go(dig_deep);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, most_of_a_stack_can_be_used) { RUN(2, use_stacks); }

/* ---- many ---- */

static struct gmpt_chan *gate;

static void pass_gate(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_chan_recv(gate, NULL), -EPIPE);
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&group);
}

#define CROWD (UNDER_SANITIZER ? 2000 : 100000)

static int crowd(void *arg)
{
    (void)arg;
    gate = gmpt_chan_new(0, 0);
    gmpt_waitgroup_add(&group, CROWD);
    for (int i = 0; i < CROWD; i++)
        run_go(pass_gate);
    EXPECT_EQ(gmpt_count(), CROWD + 1);
    gmpt_chan_close(gate);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(gate);
    return 0;
}

TEST(scheduler, a_hundred_thousand_gs_live_at_once)
{
    RUN(2, crowd);
    ck_assert_int_eq(load_relaxed(&counter), CROWD);
}

static void branch(void *p)
{
    int depth = *(int *)p;
    fetch_add_relaxed(&counter, 1);
    if (depth == 0)
        return;
    depth--;
    EXPECT(gmpt_go(branch, &depth, sizeof depth) > 0);
    EXPECT(gmpt_go(branch, &depth, sizeof depth) > 0);
}

#define TREE_DEPTH (UNDER_SANITIZER ? 10 : 19)

static int tree(void *arg)
{
    (void)arg;
    EXPECT(gmpt_go(branch, &(int){ TREE_DEPTH }, sizeof(int)) > 0);
    while (gmpt_count() > 1)
        gmpt_sleep(1000000);
    return 0;
}

TEST(scheduler, a_tree_of_a_million_gs_is_run_to_its_leaves)
{
    RUN(2, tree);
    ck_assert_int_eq(load_relaxed(&counter), (2 << TREE_DEPTH) - 1);
}

TEST(scheduler, more_ps_than_cores)
{
    RUN(16, return_from_calls);
    ck_assert_int_eq(load_relaxed(&counter), 600);
}

TEST(scheduler, as_many_ps_as_there_can_be) { RUN(256, many_errnos); }

static void use_double(void *p)
{
    double value = *(int *)p, start = value;
    for (int i = 0; i < 200; i++) {
        value = value * 1.5 + 1;
        gmpt_yield();
        value = (value - 1) / 1.5;
    }
    EXPECT(value > start - 0.001 && value < start + 0.001);
    gmpt_waitgroup_done(&group);
}

static int floats(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++)
        EXPECT(gmpt_go(use_double, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(scheduler, floating_point_survives_switches) { RUN(2, floats); }

static int finish_before_start(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20000; round++) {
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go(take_args, &(struct args){ 7, "by value" }, sizeof(struct args)) > 0);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(scheduler, seats_are_used_again_and_again)
{
    RUN(2, finish_before_start);
    ck_assert_int_eq(load_relaxed(&counter), 20000);
    ck_assert_uint_lt(load_relaxed(&trace_segment.header->registry_used), 1000);
}

/* ---- a thread that is not to end ---- */

static void end_thread(void *p)
{
    (void)p;
    pthread_exit(NULL);
}

static int start_end_thread(void *arg)
{
    (void)arg;
    gmpt_go(end_thread, NULL, 0);
    gmpt_chan_recv(NULL, NULL);
    return 0;
}

static void child_end_thread(void) { run_on(2, start_end_thread); }

TEST(scheduler, a_g_that_ends_its_thread_ends_the_program_with_a_message)
{
    char err[1024];
    if (UNDER_SANITIZER)
        SKIP("a sanitizer looks at the stack that the thread ends on, which is not its own");
    ck_assert_int_eq(run_child(child_end_thread, err, sizeof err), 128 + SIGABRT);
    ck_assert_msg(strstr(err, "was ended (pthread_exit") != NULL, "%s", err);
}

static void child_in_little_space(void)
{
    struct rlimit space = { 1u << 30, 1u << 30 };
    setrlimit(RLIMIT_AS, &space);
    _exit(-run_on(2, return_42));
}

TEST(scheduler, a_limit_of_address_space_is_told_when_it_is_what_keeps_the_runtime_from_starting)
{
    char err[512];
    if (UNDER_SANITIZER)
        SKIP("a sanitizer takes more address space than that by itself");
    SKIP_IN_EMULATOR("does not limit the address space");
    ck_assert_int_eq(run_child(child_in_little_space, err, sizeof err), ENOMEM);
    ck_assert_msg(strstr(err, "limited to 1024 MiB (ulimit -v)") != NULL, "%s", err);
}
