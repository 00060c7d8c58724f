/* Random mixes of everything that blocks, with what must be conserved checked at the end.
 *
 * STRESS_SEED chooses another mix; STRESS_ROUNDS makes each G do more. A hang ends by the test's timeout. With
 * STRESS_SIGNALS set a thread interrupts all others with SIGUSR1 now and then. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "runtime/sampler.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKERS (UNDER_SANITIZER ? 24 : 60)
#define CHANS 6
#define MUTEXES 3
#define SOCKETS 8

static struct gmpt_chan *chans[CHANS];
static struct gmpt_mutex mutexes[MUTEXES];
static int64_t guarded[MUTEXES]; /* plain: the mutex is what protects it */
static int sockets[SOCKETS][2];
static struct gmpt_waitgroup workers, children;
static int rounds;

static ATOMIC(int64_t) sent, received, locked, spawned, ended, written, read_back;
static ATOMIC(uint32_t) over;

static uint32_t below(uint32_t *state, uint32_t limit) { return random_next(state) % limit; }

/* Near enough to now that the deadline often passes just as the wait begins or ends. */
static int64_t soon(uint32_t *state) { return gmpt_now() + below(state, 1u << below(state, 18)); }

static void end_child(void *p)
{
    if (*(uint32_t *)p % 3 == 0)
        gmpt_yield();
    else if (*(uint32_t *)p % 7 == 0)
        gmpt_sleep(*(uint32_t *)p % 50000);
    fetch_add_relaxed(&ended, 1);
    gmpt_waitgroup_done(&children);
}

static void compute_for(int64_t ns)
{
    int64_t until = gmpt_now() + ns;
    while (gmpt_now() < until)
        ;
}

/* Children of every kind: what they are is drawn from their number. */
static void go_odd_child(uint32_t *state)
{
    uint32_t child = random_next(state);
    static const uint32_t sizes[] = { 0, GMPT_STACK_SMALL, 0, 256 * 1024 };
    struct gmpt_go_options options = { .stack_bytes = sizes[child % 4],
                                       .flags = child & 16 ? GMPT_PURE_COMPUTE : 0,
                                       .p = child & 32 ? (int)(child >> 6) % 8 + 1 : 0 };
    gmpt_waitgroup_add(&children, 1);
    if (EXPECT(gmpt_go_with(&options, end_child, &child, sizeof child) > 0))
        fetch_add_relaxed(&spawned, 1);
}

static void lock_thread(uint32_t *state)
{
    gmpt_lock_os_thread();
    long tid = syscall(SYS_gettid);
    for (uint32_t i = below(state, 4); i > 0; i--)
        below(state, 2) ? gmpt_yield() : (void)gmpt_sleep(below(state, 20000));
    EXPECT_EQ(syscall(SYS_gettid), tid);
    gmpt_unlock_os_thread();
}

static void count_select(const struct gmpt_select_case *cases, int index)
{
    if (index < 0)
        EXPECT_EQ(index, -ETIMEDOUT);
    else if (cases[index].op == GMPT_SEND)
        fetch_add_relaxed(&sent, *(int64_t *)cases[index].value);
    else
        fetch_add_relaxed(&received, *(int64_t *)cases[index].value);
}

static void use_chans(uint32_t *state)
{
    int64_t value = below(state, 1000) + 1;
    struct gmpt_chan *chan = chans[below(state, CHANS)];
    struct gmpt_select_case cases[3];
    int64_t values[3];
    switch (below(state, 4)) {
    case 0:
        if (gmpt_chan_send_until(chan, &value, soon(state)) == 0)
            fetch_add_relaxed(&sent, value);
        break;
    case 1:
        if (gmpt_chan_recv_until(chan, &value, soon(state)) == 0)
            fetch_add_relaxed(&received, value);
        break;
    case 2:
        if (gmpt_chan_try_recv(chan, &value) == 0)
            fetch_add_relaxed(&received, value);
        break;
    default:
        for (int i = 0; i < 3; i++) {
            values[i] = below(state, 1000) + 1;
            cases[i] = (struct gmpt_select_case){ chans[below(state, CHANS)], below(state, 2) ? GMPT_SEND : GMPT_RECV,
                                                  &values[i], 0 };
        }
        count_select(cases, gmpt_select_until(cases, 3, soon(state)));
    }
}

static void use_mutex(uint32_t *state)
{
    uint32_t i = below(state, MUTEXES);
    if (below(state, 2)) {
        if (gmpt_mutex_lock_until(&mutexes[i], soon(state)) != 0)
            return;
    } else {
        gmpt_mutex_lock(&mutexes[i]);
    }
    int64_t before = guarded[i];
    if (below(state, 8) == 0)
        gmpt_yield();
    guarded[i] = before + 1;
    gmpt_mutex_unlock(&mutexes[i]);
    fetch_add_relaxed(&locked, 1);
}

static void use_socket(uint32_t *state)
{
    uint8_t bytes[64] = { 0 };
    int *pair = sockets[below(state, SOCKETS)];
    size_t size = 1 + below(state, sizeof bytes);
    bool writes = below(state, 2);
    ssize_t length = writes ? gmpt_write_until(pair[0], bytes, size, soon(state))
                            : gmpt_read_until(pair[1], bytes, size, soon(state));
    if (length > 0)
        fetch_add_relaxed(writes ? &written : &read_back, length);
    else
        EXPECT(length == -ETIMEDOUT || length == -EBUSY);
}

static void block_in_call(uint32_t *state)
{
    gmpt_blocking_begin();
    if (below(state, 4) == 0)
        usleep(below(state, 200));
    gmpt_blocking_end();
}

static void work(void *p)
{
    uint32_t state = *(uint32_t *)p * 2654435761u | 1, child;
    for (int i = 0; i < rounds; i++) {
        switch (below(&state, 15)) {
        case 0:
        case 1:
        case 2:
        case 3:
            use_chans(&state);
            break;
        case 4:
        case 5:
            use_mutex(&state);
            break;
        case 6:
        case 7:
            use_socket(&state);
            break;
        case 8:
            block_in_call(&state);
            break;
        case 9:
            gmpt_waitgroup_add(&children, 1);
            child = random_next(&state);
            if (EXPECT(gmpt_go(end_child, &child, sizeof child) > 0))
                fetch_add_relaxed(&spawned, 1);
            break;
        case 10:
            gmpt_sleep(below(&state, 30000));
            break;
        case 11:
            go_odd_child(&state);
            break;
        case 12:
            if (below(&state, 64) == 0)
                gmpt_gomaxprocs(1 + (int)below(&state, 8));
            break;
        case 13:
            if (below(&state, 16) == 0)
                lock_thread(&state);
            else if (below(&state, 128) == 0)
                compute_for(below(&state, 15000000)); /* maybe for more than a slice */
            break;
        default:
            gmpt_yield();
        }
    }
    gmpt_waitgroup_done(&workers);
}

/* ---- signals ---- */

static void ignore(int signal) { (void)signal; }

static void *interrupt_all(void *arg)
{
    (void)arg;
    long own = syscall(SYS_gettid);
    while (!load_relaxed(&over)) {
        DIR *tasks = opendir("/proc/self/task");
        for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
            long tid = atol(entry->d_name);
            if (tid > 0 && tid != own)
                syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
        }
        if (tasks)
            closedir(tasks);
        usleep(100);
    }
    return NULL;
}

static void *(*disturb)(void *arg); /* NULL: interrupt_all */

static pthread_t start_interrupts(void)
{
    pthread_t thread;
    /* Without SA_RESTART, so that system calls give EINTR; a frame of a signal does not fit a small stack. */
    struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, NULL);
    EXPECT_EQ(pthread_create(&thread, NULL, disturb ? disturb : interrupt_all, NULL), 0);
    return thread;
}

/* What a timer of sampler.h would send, but as often as can be, to every thread that runs Gs. */
static void *sample_all(void *arg)
{
    (void)arg;
    while (!load_relaxed(&over)) {
        lock_acquire(&sched.lock);
        for (struct m *m = sched.ms; m; m = m->next_made) {
            struct sampler *sampler = load_acquire(&m->sampler);
            siginfo_t info = { .si_signo = SIGPROF, .si_code = SI_TIMER };
            info.si_value.sival_ptr = sampler;
            if (sampler)
                syscall(SYS_rt_tgsigqueueinfo, getpid(), m->tid, SIGPROF, &info);
        }
        lock_release(&sched.lock);
        usleep(50);
    }
    return NULL;
}

/* The next run is recorded, with samples. */
static void sample_the_next_run(void)
{
    run_pass_segment();
    setenv(SEGMENT_LEFT_OUT_ENV, "0 0 5000", 1);
    disturb = sample_all;
}

/* ---- the mix ---- */

static uint32_t seed_of_environment(void)
{
    const char *text = getenv("STRESS_SEED");
    return text ? (uint32_t)atol(text) * 1000003u : 0;
}

static void settle_accounts(void)
{
    int64_t value, total = 0;
    uint8_t bytes[4096];
    ssize_t length;
    for (int i = 0; i < CHANS; i++) {
        while (gmpt_chan_try_recv(chans[i], &value) == 0)
            fetch_add_relaxed(&received, value);
        if (gmpt_chan_cap(chans[i]) == 0)
            EXPECT_EQ(gmpt_chan_try_send(chans[i], &value), -EAGAIN); /* nobody is left in the queue */
        gmpt_chan_release(chans[i]);
    }
    for (int i = 0; i < MUTEXES; i++) {
        EXPECT_EQ(gmpt_mutex_trylock(&mutexes[i]), 0);
        total += guarded[i];
    }
    for (int i = 0; i < SOCKETS; i++) {
        while ((length = gmpt_read_until(sockets[i][1], bytes, sizeof bytes, 0)) > 0)
            fetch_add_relaxed(&read_back, length);
        EXPECT_EQ(gmpt_close(sockets[i][0]), 0);
        EXPECT_EQ(gmpt_close(sockets[i][1]), 0);
    }
    EXPECT_EQ(load_relaxed(&sent), load_relaxed(&received));
    EXPECT_EQ(load_relaxed(&written), load_relaxed(&read_back));
    EXPECT_EQ(total, load_relaxed(&locked));
    EXPECT_EQ(load_relaxed(&spawned), load_relaxed(&ended));
}

static int run_mix(void *arg)
{
    bool interrupted = arg != NULL || getenv("STRESS_SIGNALS");
    pthread_t thread = interrupted ? start_interrupts() : pthread_self();
    const char *text = getenv("STRESS_ROUNDS");
    rounds = text ? atoi(text) : UNDER_SANITIZER ? 200 : 1000;
    for (int i = 0; i < CHANS; i++)
        chans[i] = gmpt_chan_new(sizeof(int64_t), i % 3 == 2 ? 4 : 0);
    for (int i = 0; i < SOCKETS; i++)
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]), 0);
    gmpt_waitgroup_add(&workers, WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++)
        EXPECT(gmpt_go(work, &(uint32_t){ seed_of_environment() + i }, sizeof(uint32_t)) > 0);
    gmpt_waitgroup_wait(&workers);
    gmpt_waitgroup_wait(&children);
    store_relaxed(&over, 1);
    if (interrupted) {
        gmpt_blocking_begin();
        pthread_join(thread, NULL);
        gmpt_blocking_end();
    }
    settle_accounts();
    return 0;
}

static int run_mix_interrupted(void *arg)
{
    (void)arg;
    return run_mix(&rounds);
}

TEST(stress, a_mix_on_one_p_conserves_everything) { RUN(1, run_mix); }
TEST(stress, a_mix_on_two_ps_conserves_everything) { RUN(2, run_mix); }
TEST(stress, a_mix_on_eight_ps_conserves_everything) { RUN(8, run_mix); }
TEST(stress, a_mix_on_sixteen_ps_conserves_everything) { RUN(16, run_mix); }
TEST(stress, a_mix_among_signals_conserves_everything) { RUN(4, run_mix_interrupted); }
TEST(stress, a_mix_among_signals_on_one_p_conserves_everything) { RUN(1, run_mix_interrupted); }

static uint64_t sampled(void)
{
    uint64_t count = 0;
    for (struct m *m = sched.ms; m; m = m->next_made) {
        const struct sampler *sampler = load_acquire(&m->sampler);
        count += sampler ? load_relaxed(&sampler->written) + load_relaxed(&sampler->lost) : 0;
    }
    return count;
}

TEST(stress, a_mix_that_is_sampled_conserves_everything)
{
    sample_the_next_run();
    RUN(4, run_mix_interrupted);
    ck_assert_uint_gt(sampled(), 0);
}

TEST(stress, a_mix_that_is_sampled_on_one_p_conserves_everything)
{
    sample_the_next_run();
    RUN(1, run_mix_interrupted);
    ck_assert_uint_gt(sampled(), 0);
}
