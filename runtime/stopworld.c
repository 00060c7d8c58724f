/* Stopping all threads by SIGURG. See stopworld.h. */
#define _GNU_SOURCE
#include "stopworld.h"

#include "enter.h"
#include "futex.h"
#include "start.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 32768u
#define LOOK_NS 50000          /* how long it is slept for between looks at who has not answered */
#define BLOCKED_AFTER_NS 5000000 /* who has not answered by then may have the signal blocked */
#define SETTLE_ROUNDS 16       /* so often those that are not settled go on alone, before all do */
#define SETTLE_TRIES 2000      /* looks at those that were let go, some 20 ns each */

static struct {
    struct stopped_thread *threads; /* never unmapped: a signal may come late */
    ATOMIC(uint32_t) count;
    ATOMIC(uint32_t) arrivals;
    uint32_t sleepers;
    DIR *tasks;
    ATOMIC(bool) installed;
    struct sigaction before;
    void (*work)(void *arg); /* of those whose state is STOP_WORKS */
    void *work_arg;
} stop;

/* ---- the handler ---- */

static struct stopped_thread *find_thread(uint32_t tid)
{
    uint32_t count = load_acquire(&stop.count);
    for (uint32_t i = 0; i < count; i++)
        if (load_relaxed(&stop.threads[i].tid) == tid)
            return &stop.threads[i];
    return NULL;
}

static uintptr_t sp_of(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
    return (uintptr_t)context->uc_mcontext.sp;
#endif
}

static void say_stopped(struct stopped_thread *thread)
{
    store_release(&thread->state, STOP_STOPPED); /* B5 */
    fetch_add_acq_rel(&stop.arrivals, 1);
    futex_wake(&stop.arrivals, 1);
}

static void stand_still(ucontext_t *context)
{
    struct stopped_thread *thread = find_thread((uint32_t)syscall(SYS_gettid));
    uint32_t state, asked = STOP_ASKED;
    if (!thread || load_acquire(&thread->state) != STOP_ASKED)
        return;
    thread->m = m_self(); /* B1 */
    thread->context = context;
    thread->sp = sp_of(context);
    if (!cas_acq_rel(&thread->state, &asked, STOP_STOPPED)) /* B2 */
        return;
    fetch_add_acq_rel(&stop.arrivals, 1);
    futex_wake(&stop.arrivals, 1);
    while ((state = load_acquire(&thread->state)) != STOP_LEAVING) { /* B3 */
        if (state == STOP_STOPPED) {
            futex_wait(&thread->state, STOP_STOPPED, INT64_MAX);
        } else {
            stop.work(stop.work_arg);
            say_stopped(thread);
        }
    }
    store_release(&thread->state, STOP_RUNS); /* B4 */
}

static PEEK void on_stop(int signal, siginfo_t *info, void *context)
{
    static __thread bool inside __attribute__((tls_model("initial-exec")));
    int errno_before = errno;
    if (inside)
        return; /* a handler that came after this one passes on what this one passes on */
    inside = true;
    stand_still(context);
    /* Signals of one kind that come close together are one: it may have been somebody else's as well. */
    if (stop.before.sa_flags & SA_SIGINFO)
        stop.before.sa_sigaction(signal, info, context);
    else if (stop.before.sa_handler != SIG_DFL && stop.before.sa_handler != SIG_IGN)
        stop.before.sa_handler(signal);
    inside = false;
    errno = errno_before;
}

static bool install(void)
{
    struct sigaction now, action = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    if (sigaction(SIGURG, NULL, &now) < 0)
        return false;
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_stop)
        return true;
    sigemptyset(&action.sa_mask);
    stop.before = now; /* first: the handler reads it */
    return sigaction(SIGURG, &action, NULL) == 0;
}

/* ---- who there is ---- */

/* Adds the threads that are not in the table. Returns how many, or -errno. */
static int find_new(uint32_t own_tid)
{
    uint32_t before = load_relaxed(&stop.count), count = before;
    const struct dirent *entry;
    rewinddir(stop.tasks);
    while ((entry = readdir(stop.tasks))) {
        uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);
        if (tid == 0 || tid == own_tid || find_thread(tid))
            continue;
        if (count == THREADS_MAX)
            return -ENOMEM;
        struct stopped_thread *thread = &stop.threads[count++];
        store_relaxed(&thread->state, STOP_RUNS);
        thread->m = NULL;
        thread->context = NULL;
        thread->asleep = false;
        store_relaxed(&thread->tid, tid);
        store_release(&stop.count, count);
    }
    return (int)(count - before);
}

static void forget(struct stopped_thread *thread)
{
    store_relaxed(&thread->tid, 0);
    store_relaxed(&thread->state, STOP_RUNS);
    thread->m = NULL;
    thread->context = NULL;
}

static void ask(struct stopped_thread *thread)
{
    store_release(&thread->state, STOP_ASKED); /* A1 */
    if (syscall(SYS_tgkill, getpid(), load_relaxed(&thread->tid), SIGURG) < 0)
        forget(thread); /* it has ended */
}

static bool has_ended(const struct stopped_thread *thread)
{
    return syscall(SYS_tgkill, getpid(), load_relaxed(&thread->tid), 0) < 0;
}

/* The kernel's account of a thread; false when it cannot be had. */
static bool read_status(uint32_t tid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%u/status", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static uint64_t status_number(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

/* Both counts: their names end alike, and the first is found in the second. */
static uint64_t switches_of(const char *text)
{
    return status_number(text, "\nvoluntary_ctxt_switches:", 10) +
           status_number(text, "\nnonvoluntary_ctxt_switches:", 10);
}

static bool is_machine(uint32_t tid)
{
    for (const struct m *m = sched.ms; m; m = m->next_made)
        if (m->tid == tid)
            return true;
    return false;
}

/* Whether the thread sleeps, and has blocked the signal; Ms are excepted, whose registers must be known, and who has
 * just answered, since that is how it sleeps in the handler. */
static bool sleeps_deaf(struct stopped_thread *thread)
{
    char text[4096];
    uint32_t tid = load_relaxed(&thread->tid);
    if (load_acquire(&sched.lock.held) || is_machine(tid) || !read_status(tid, text, sizeof text))
        return false;
    const char *state = strstr(text, "\nState:\t");
    if (!state || state[8] != 'S' || !(status_number(text, "\nSigBlk:", 16) & 1u << (SIGURG - 1)))
        return false;
    thread->switches = switches_of(text);
    return load_acquire(&thread->state) == STOP_ASKED;
}

/* ---- stopping ---- */

static PEEK bool is_settled(const struct stopped_thread *thread)
{
    const struct m *m = thread->m;
    if (!m)
        return true;
    if (!load_acquire(&m->in_runtime))
        return m->current != NULL;
    return !m->p && (m->current || !load_acquire(&sched.poll_out));
}

static void let_go(struct stopped_thread *thread)
{
    uint32_t state = STOP_ASKED;
    if (cas_acq_rel(&thread->state, &state, STOP_RUNS)) /* A5 */
        return;
    if (state == STOP_STOPPED) {
        store_release(&thread->state, STOP_LEAVING); /* A3 */
        futex_wake(&thread->state, 1);
    }
}

/* Waits until those that were asked have stopped. */
static int wait_for_all(int64_t began_ns, int64_t deadline_ns)
{
    for (;;) {
        uint32_t arrivals = load_acquire(&stop.arrivals), missing = 0;
        int64_t now = clock_now_ns();
        for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
            struct stopped_thread *thread = &stop.threads[i];
            if (load_acquire(&thread->state) != STOP_ASKED) /* A2 */
                continue;
            if (has_ended(thread)) {
                forget(thread);
            } else if (now - began_ns > BLOCKED_AFTER_NS && sleeps_deaf(thread)) {
                let_go(thread);
                thread->asleep = true;
                stop.sleepers++;
            } else {
                missing++;
            }
        }
        if (missing == 0)
            return 0;
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        futex_wait(&stop.arrivals, arrivals, LOOK_NS);
    }
}

/* Until those that were let go have left the handler, where they would be stopped again before they had gone a step. */
static int wait_until_left(int64_t deadline_ns)
{
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        struct stopped_thread *thread = &stop.threads[i];
        while (load_acquire(&thread->state) == STOP_LEAVING) { /* A4 */
            if (clock_now_ns() >= deadline_ns)
                return -ETIMEDOUT;
            sched_yield();
        }
    }
    return 0;
}

static void ask_those_that_run(void)
{
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        struct stopped_thread *thread = &stop.threads[i];
        if (load_relaxed(&thread->tid) && !thread->asleep && load_acquire(&thread->state) == STOP_RUNS)
            ask(thread);
    }
}

/* Lets those go on that are not settled, or all. */
static void let_unsettled_go(bool all)
{
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        struct stopped_thread *thread = &stop.threads[i];
        if (load_acquire(&thread->state) != STOP_STOPPED)
            continue;
        bool settled = is_settled(thread);
        if (!settled)
            fetch_or_acq_rel(&thread->m->attention, ATTENTION_STAY_OUT);
        if (all || !settled)
            let_go(thread);
    }
}

/* Until those that were let go look settled from here, but not for long: when asked, they tell for certain. */
static PEEK void wait_until_settled(void)
{
    for (unsigned tries = 0; tries < SETTLE_TRIES; tries++) {
        uint32_t inside = 0;
        for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
            const struct stopped_thread *thread = &stop.threads[i];
            const struct m *m = thread->m;
            inside += load_acquire(&thread->state) == STOP_RUNS && m && load_acquire(&m->in_runtime) && m->p;
        }
        if (inside == 0)
            return;
        cpu_relax();
    }
}

static uint32_t count_unsettled(void)
{
    uint32_t unsettled = 0;
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        const struct stopped_thread *thread = &stop.threads[i];
        unsettled += load_acquire(&thread->state) == STOP_STOPPED && !is_settled(thread);
    }
    return unsettled;
}

static int stop_all(int64_t deadline_ns)
{
    uint32_t own_tid = (uint32_t)syscall(SYS_gettid);
    for (uint32_t round = 1;; round++) {
        int found;
        do {
            int64_t now = clock_now_ns();
            found = find_new(own_tid);
            if (found < 0)
                return found;
            ask_those_that_run();
            int error = wait_for_all(now, deadline_ns);
            if (error)
                return error;
        } while (found > 0);
        if (count_unsettled() == 0)
            return 0;
        if (clock_now_ns() >= deadline_ns)
            return -ETIMEDOUT;
        let_unsettled_go(round % SETTLE_ROUNDS == 0);
        int error = wait_until_left(deadline_ns);
        if (error)
            return error;
        wait_until_settled();
    }
}

int stopworld_stop(int64_t budget_ns)
{
#ifdef SWITCH_TSAN
    (void)budget_ns, (void)stop_all; /* it delivers signals late, and elsewhere */
    return -ENOSYS;
#endif
    if (!stop.tasks && !(stop.tasks = opendir("/proc/self/task")))
        return -ENOSYS;
    if (!stop.threads) {
        void *table = mmap(NULL, THREADS_MAX * sizeof *stop.threads, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (table == MAP_FAILED)
            return -ENOMEM;
        stop.threads = table;
    }
    if (!install())
        return -ENOSYS;
    int64_t deadline_ns = clock_now_ns() + budget_ns;
    int error = wait_until_left(deadline_ns);
    if (error)
        return error;
    store_relaxed(&stop.count, 0);
    stop.sleepers = 0;
    error = stop_all(deadline_ns);
    if (error)
        stopworld_go();
    return error;
}

void stopworld_go(void)
{
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        struct stopped_thread *thread = &stop.threads[i];
        struct m *m = thread->m;
        if (m && load_relaxed(&m->attention) & ATTENTION_STAY_OUT) {
            fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_STAY_OUT);
            futex_wake(&m->attention, 1);
        }
        let_go(thread);
    }
}

const struct stopped_thread *stopworld_threads(uint32_t *count)
{
    *count = load_relaxed(&stop.count);
    return stop.threads;
}

bool stopworld_has_sleepers(void) { return stop.sleepers > 0; }

bool stopworld_slept_on(void)
{
    char text[4096];
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        const struct stopped_thread *thread = &stop.threads[i];
        if (thread->asleep && (!read_status(load_relaxed(&thread->tid), text, sizeof text) ||
                               switches_of(text) != thread->switches || !strstr(text, "\nState:\tS")))
            return false;
    }
    return true;
}

/* On its signal stack: it does not disturb what is to be read. */
static bool can_help(const struct stopped_thread *thread)
{
    uintptr_t offset = (uintptr_t)thread->context - (uintptr_t)(thread->m ? thread->m->signal_stack : NULL);
    return load_acquire(&thread->state) == STOP_STOPPED && thread->m && offset < START_SIGNAL_STACK_BYTES;
}

void stopworld_share(void (*work)(void *arg), void *arg, uint32_t helpers)
{
    stop.work = work;
    stop.work_arg = arg;
    for (uint32_t i = 0; i < load_relaxed(&stop.count) && helpers > 0; i++) {
        struct stopped_thread *thread = &stop.threads[i];
        if (!can_help(thread))
            continue;
        store_release(&thread->state, STOP_WORKS); /* A6 */
        futex_wake(&thread->state, 1);
        helpers--;
    }
    work(arg);
    for (uint32_t i = 0; i < load_relaxed(&stop.count); i++) {
        for (;;) {
            uint32_t arrivals = load_acquire(&stop.arrivals);
            if (load_acquire(&stop.threads[i].state) != STOP_WORKS) /* A7 */
                break;
            futex_wait(&stop.arrivals, arrivals, LOOK_NS);
        }
    }
}
