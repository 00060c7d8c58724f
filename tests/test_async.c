/* Tier T2: Gs that only compute are stopped by a signal, and nothing that they compute changes by it. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/async.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct gmpt_waitgroup group;
static ATOMIC(uint32_t) stop;

static bool async_can(void)
{
    struct g pure = { .flags = GMPT_PURE_COMPUTE };
    async_start();
    return async_works_for(&pure);
}

#define NEED_ASYNC()                                                                                                   \
    do {                                                                                                               \
        if (!async_can())                                                                                              \
            SKIP("this build or machine cannot stop a G by a signal");                                                 \
    } while (0)

/* Not started from run_go: they carry the flag. */
static void go_pure(void (*fn)(void *), const void *args, size_t size)
{
    struct gmpt_go_options options = { .flags = GMPT_PURE_COMPUTE };
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go_with(&options, fn, args, size) > 0);
}

static void loop(void *args)
{
    (void)args;
    while (!*(volatile uint32_t *)&stop) /* not by a function that may be in libc */
        ;
    gmpt_waitgroup_done(&group);
}

static ATOMIC(uint32_t) turns;

static void take_turns(void *args)
{
    (void)args;
    /* A signal that comes to a thread without a CPU comes late, and the P is then taken instead: not every time. */
    while (fetch_add_relaxed(&turns, 1) < 10 || load_relaxed(&sched.preempted_t2) == 0)
        gmpt_yield();
    store_relaxed(&stop, 1);
    gmpt_waitgroup_done(&group);
}

static int loops_and_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        go_pure(loop, NULL, 0);
    gmpt_waitgroup_add(&group, 1);
    run_go(take_turns);
    gmpt_waitgroup_wait(&group);
    EXPECT(load_relaxed(&turns) > 10);
    return 0;
}

TEST(async, pure_loops_take_turns_on_one_p)
{
    NEED_ASYNC();
    RUN(1, loops_and_turns);
}

TEST(async, pure_loops_take_turns_on_two_ps)
{
    NEED_ASYNC();
    RUN(2, loops_and_turns);
}

/* ---- registers ---- */

typedef double vector __attribute__((vector_size(32)));

struct sums {
    uint64_t integers;
    double doubles;
    vector vectors;
    long double extended;
};

/* Small and a leaf, so that it keeps its variables in the red zone. */
static __attribute__((noinline)) uint64_t mix(uint64_t x)
{
    volatile uint64_t a = x, b = x * 3, c = x ^ 0x5bd1e995, d = x >> 7;
    for (int i = 0; i < 4; i++) {
        a = a * 6364136223846793005u + b;
        b = b ^ (a >> 13);
        c = c + a * (b & 1 ? 3 : 5);
        d = d < c ? d + 1 : d ^ c;
    }
    return a ^ b ^ c ^ d;
}

static __attribute__((noinline)) void compute(struct sums *sums, uint64_t seed, long rounds)
{
    uint64_t x = seed;
    double y = 1.0 + (double)seed;
    vector v = { 1.0, 2.0, 3.0, (double)seed };
    long double z = 1.0L;
    for (long i = 0; i < rounds; i++) {
        x = mix(x + (uint64_t)i);
        y = y * 1.0000001 + (double)(x & 1023);
        v = v * 1.0000001 + (double)(x & 15);
        z = z * 1.0000001L + (long double)(x & 7);
        if (x & 1)
            y -= 0.5;
    }
    sums->integers = x;
    sums->doubles = y;
    sums->vectors = v;
    sums->extended = z;
}

#define WORKERS 6
#define COMPUTE_ROUNDS (UNDER_SANITIZER ? 200000l : 1000000l)
static struct sums expected[WORKERS];
static ATOMIC(uint32_t) computed; /* workers that are done */
#define ENOUGH 20                  /* times that a G was stopped */

static void compute_and_compare(void *args)
{
    int index = *(int *)args;
    for (int i = 0; i < 4 || load_relaxed(&sched.preempted_t2) <= ENOUGH; i++) {
        struct sums sums = { 0 };
        compute(&sums, (uint64_t)index, COMPUTE_ROUNDS);
        EXPECT_EQ(sums.integers, expected[index].integers);
        EXPECT(sums.doubles == expected[index].doubles && sums.extended == expected[index].extended);
        EXPECT(memcmp(&sums.vectors, &expected[index].vectors, sizeof sums.vectors) == 0);
    }
    fetch_add_relaxed(&computed, 1);
    gmpt_waitgroup_done(&group);
}

static void call_the_runtime(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    int64_t sum = 0, value = 0;
    for (int64_t i = 0; load_relaxed(&computed) < WORKERS; i++) {
        char *block = malloc(100 + (size_t)(i % 1000));
        snprintf(block, 100, "%lld", (long long)i);
        EXPECT_EQ(atoll(block), i);
        free(block);
        EXPECT_EQ(gmpt_chan_send(chan, &i), 0);
        EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
        sum += value - i;
        if (i % 16 == 0)
            gmpt_sleep(10000);
        if (i % 7 == 0)
            gmpt_yield();
    }
    EXPECT_EQ(sum, 0);
    gmpt_waitgroup_done(&group);
}

/* From an ordinary thread: signals for every M, at moments that nobody chose. */
static void *bombard(void *arg)
{
    uint32_t random = 12345;
    while (load_relaxed((ATOMIC(uint32_t) *)arg) == 0) {
        lock_acquire(&sched.lock);
        for (struct m *m = sched.ms; m; m = m->next_made)
            if (m->tid)
                async_send(m);
        lock_release(&sched.lock);
        usleep(random_next(&random) % 200);
    }
    return NULL;
}

static ATOMIC(uint32_t) end_bombardment;

static int compute_under_fire(void *arg)
{
    (void)arg;
    pthread_t thread;
    struct gmpt_chan *chans[3];
    for (int i = 0; i < WORKERS; i++)
        compute(&expected[i], (uint64_t)i, COMPUTE_ROUNDS);
    EXPECT_EQ(pthread_create(&thread, NULL, bombard, &end_bombardment), 0);
    for (int i = 0; i < WORKERS; i++)
        go_pure(compute_and_compare, &i, sizeof i);
    for (int i = 0; i < 3; i++) {
        chans[i] = gmpt_chan_new(sizeof(int64_t), 1);
        gmpt_waitgroup_add(&group, 1);
        gmpt_go(call_the_runtime, &chans[i], sizeof chans[i]);
    }
    gmpt_waitgroup_wait(&group);
    store_relaxed(&end_bombardment, 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        gmpt_chan_release(chans[i]);
    EXPECT(load_relaxed(&sched.preempted_t2) > ENOUGH);
    return 0;
}

TEST(async, signals_at_random_moments_change_no_result_on_one_p)
{
    NEED_ASYNC();
    RUN(1, compute_under_fire);
}

TEST(async, signals_at_random_moments_change_no_result_on_many_ps)
{
    NEED_ASYNC();
    RUN(4, compute_under_fire);
}

/* ---- where it must not ---- */

static int compare_slowly(const void *a, const void *b)
{
    for (volatile int i = 0; i < 2000; i++)
        ;
    return *(const int *)a - *(const int *)b;
}

static void sort_for_long(void *args)
{
    (void)args;
    static int values[20000];
    for (int i = 0; i < 20000; i++)
        values[i] = (i * 7919) % 20000;
    qsort(values, 20000, sizeof values[0], compare_slowly); /* libc is on the stack throughout */
    for (int i = 0; i < 20000; i++)
        EXPECT_EQ(values[i], i);
    store_relaxed(&stop, 1);
    gmpt_waitgroup_done(&group);
}

static void yield_on(void *args)
{
    (void)args;
    while (!load_relaxed(&stop))
        gmpt_yield();
    gmpt_waitgroup_done(&group);
}

static int sort_beside_others(void *arg)
{
    (void)arg;
    go_pure(sort_for_long, NULL, 0);
    gmpt_waitgroup_add(&group, 1);
    run_go(yield_on);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sched.preempted_t2), 0);
    EXPECT(load_relaxed(&sched.preempted_t1) > 0);
    return 0;
}

TEST(async, a_callback_of_libc_is_not_stopped_but_loses_its_p)
{
    NEED_ASYNC();
    RUN(1, sort_beside_others);
}

#if defined(__x86_64__)

/* Sends the calling thread SIGURG by an instruction of the program's own, which is where the signal finds it. */
static inline __attribute__((always_inline)) void stop_here(long pid, long tid)
{
    long result = SYS_tgkill;
    __asm__ volatile("syscall" : "+a"(result) : "D"(pid), "S"(tid), "d"((long)SIGURG) : "rcx", "r11", "memory");
}

struct own_thread {
    long pid;
    bool calls;
};

static void wait_in_queue(void *args) { (void)args; }

static void stop_in_call(void *args)
{
    const struct own_thread *own = args;
    run_go(wait_in_queue); /* to whom this one gives way */
    if (own->calls)
        gmpt_blocking_begin();
    long tid = syscall(SYS_gettid);
    store_release(&m_self()->async_sent, 1); /* as if sysmon had sent it */
    stop_here(own->pid, tid);
    if (own->calls)
        gmpt_blocking_end();
    gmpt_waitgroup_done(&group);
}

static int stop_with_and_without_call(void *arg)
{
    (void)arg;
    for (int calls = 0; calls < 2; calls++) {
        struct own_thread own = { getpid(), calls };
        uint64_t before = load_relaxed(&sched.preempted_t2);
        go_pure(stop_in_call, &own, sizeof own);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(load_relaxed(&sched.preempted_t2) - before, calls ? 0 : 1);
    }
    return 0;
}

TEST(async, a_g_in_a_blocking_call_has_no_p_to_give)
{
    NEED_ASYNC();
    RUN(1, stop_with_and_without_call);
}

#endif

static ATOMIC(uint32_t) urgent;

static void on_urgent(int signal)
{
    (void)signal;
    fetch_add_relaxed(&urgent, 1);
}

static int raise_urgent(void *arg)
{
    (void)arg;
    raise(SIGURG);
    return 0;
}

TEST(async, a_sigurg_of_the_programs_own_reaches_its_handler)
{
    signal(SIGURG, on_urgent);
    RUN(1, raise_urgent);
    ck_assert_uint_eq(load_relaxed(&urgent), 1);
}

#if defined(__x86_64__)

static void raise_in_pure(void *args)
{
    const struct own_thread *own = args;
    run_go(wait_in_queue);
    stop_here(own->pid, syscall(SYS_gettid));
    gmpt_waitgroup_done(&group);
}

static int raise_in_pure_g(void *arg)
{
    (void)arg;
    struct own_thread own = { getpid(), false };
    go_pure(raise_in_pure, &own, sizeof own);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sched.preempted_t2), 0);
    return 0;
}

TEST(async, a_sigurg_of_the_programs_own_reaches_it_from_a_pure_g_as_well)
{
    signal(SIGURG, on_urgent);
    RUN(1, raise_in_pure_g);
    ck_assert_uint_eq(load_relaxed(&urgent), 1);
}

#endif
