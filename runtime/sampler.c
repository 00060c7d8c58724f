/* Timers on the CPU clocks of Ms, the handler of their signal, and what becomes of the samples. See sampler.h. */
#define _GNU_SOURCE
#include "sampler.h"

#include "modules.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define FIND_NS 1000000 /* how often it is looked for new threads */
#define FOUND_MAX 64    /* of them at a time */
#define INTERVALS_MAX 1000000
#define THREAD_STACK_BYTES (256u * 1024) /* no deeper than this does the scheduler go on a thread's own stack */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct {
    uint32_t hz; /* 0: no samples are taken */
    int64_t found_ns;
    uint32_t random_state;
    ATOMIC(uint64_t) interval_ns;
    struct sigaction before;
} sampling;

static ATOMIC(struct sampler *) samplers;

/* ---- the handler ---- */

static bool is_sampler(const void *pointer)
{
    for (const struct sampler *s = load_acquire(&samplers); s; s = s->next) /* C */
        if (s == pointer)
            return true;
    return false;
}

/* What was interrupted. */
struct place {
    uintptr_t pc, sp, frame;
    uintptr_t top; /* of the stack that sp lies in; 0 = it is not known */
    uint64_t g;
    int32_t p;
};

/* Reads what its M may have been writing as it was interrupted, and sysmon may be writing now. Apart from the rest:
 * ThreadSanitizer must see what orders the samples. */
static PEEK struct place place_find(const struct m *m, uint32_t inside, const ucontext_t *context)
{
    struct place place = { .p = m->p ? (int32_t)m->p->index : -1 };
#if defined(__x86_64__)
    const greg_t *registers = context->uc_mcontext.gregs;
    place.pc = (uintptr_t)registers[REG_RIP];
    place.sp = (uintptr_t)registers[REG_RSP];
    place.frame = (uintptr_t)registers[REG_RBP];
#else
    place.pc = context->uc_mcontext.pc;
    place.sp = context->uc_mcontext.sp;
    place.frame = context->uc_mcontext.regs[29];
#endif
    const struct g *g = m->current;
    bool on_g = g && place.sp >= g->slot->stack_lo && place.sp < (uintptr_t)g;
    if (g && (on_g || !inside))
        place.g = g->id;
    if (on_g)
        place.top = (uintptr_t)g;
    else if (place.sp < m->stack_top && m->stack_top - place.sp < THREAD_STACK_BYTES)
        place.top = m->stack_top;
    return place;
}

static void sample_take(struct m *m, struct sampler *sampler, const siginfo_t *info, const ucontext_t *context)
{
    uint32_t written = load_relaxed(&sampler->written);
    if (!trace_is_on())
        return;
    if (written - load_acquire(&sampler->read) >= SAMPLES_ROOM) { /* B */
        fetch_add_relaxed(&sampler->lost, 1);
        return;
    }
    struct sample *sample = &sampler->samples[written % SAMPLES_ROOM];
    struct place place = place_find(m, load_relaxed(&m->in_runtime), context);
    int overrun = info->si_overrun;
    sample->ticks = trace_ticks();
    sample->g = place.g;
    sample->p = place.p;
    sample->intervals = overrun > 0 && overrun < INTERVALS_MAX ? (uint64_t)overrun + 1 : 1;
    sample->interval_ns = load_relaxed(&sampling.interval_ns);
    sample->stack.depth = 1;
    sample->stack.pc[0] = place.pc;
    if (place.top)
        unwind_frames(&sample->stack, place.frame, place.sp, place.top);
    store_release(&sampler->written, written + 1); /* A */
}

/* The program's own SIGPROF. */
static PEEK void pass_on(int signal, siginfo_t *info, void *context)
{
    if (sampling.before.sa_flags & SA_SIGINFO) {
        sampling.before.sa_sigaction(signal, info, context);
    } else if (sampling.before.sa_handler == SIG_DFL) {
        sigaction(signal, &sampling.before, NULL);
        raise(signal); /* blocked until the handler returns; then it ends the program, as it would have */
    } else if (sampling.before.sa_handler != SIG_IGN) {
        sampling.before.sa_handler(signal);
    }
}

static void on_sigprof(int signal, siginfo_t *info, void *context)
{
    int errno_before = errno;
    struct m *m = m_self();
    struct sampler *own = m ? load_acquire(&m->sampler) : NULL; /* C */
    void *of = info->si_code == SI_TIMER ? info->si_value.sival_ptr : NULL;
    if (own && of == own)
        sample_take(m, own, info, context);
    else if (of && is_sampler(of))
        fetch_add_relaxed(&((struct sampler *)of)->lost, 1);
    else
        pass_on(signal, info, context);
    errno = errno_before;
}

/* ---- emptying ---- */

static void empty(struct sampler *sampler, bool tell)
{
    lock_acquire(&sampler->lock);
    uint32_t written = load_acquire(&sampler->written); /* A */
    for (uint32_t read = load_relaxed(&sampler->read); read != written; read++) {
        struct sample *sample = &sampler->samples[read % SAMPLES_ROOM];
        for (uint32_t i = 0; tell && i < sample->stack.depth; i++)
            sample->stack.pc[i]++; /* a trace has return addresses */
        if (tell)
            trace_emit_cpu_sample(sample, sampler->m->tid);
        store_release(&sampler->read, read + 1); /* B */
    }
    uint64_t lost = load_relaxed(&sampler->lost), new = lost - sampler->lost_told;
    sampler->lost_told = lost;
    if (tell && new)
        trace_emit_cpu_sample_lost(sampler->m->tid, new);
    lock_release(&sampler->lock);
}

void sampler_settle_slowly(struct sampler *sampler) { empty(sampler, true); }

/* ---- timers ---- */

/* The CPU clock of another thread: what pthread_getcpuclockid returns for one whose pthread_t is known. */
static clockid_t thread_clock(uint32_t tid) { return (clockid_t)(~tid << 3 | 6); }

/* The first interval has a random length, so that threads that began together are not sampled together. */
static void timer_begin(struct sampler *sampler)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };
    event.sigev_value.sival_ptr = sampler;
    event.sigev_notify_thread_id = (pid_t)sampler->m->tid;
    timer_t timer;
    if (timer_create(thread_clock(sampler->m->tid), &event, &timer) < 0) {
        sampler->refused = true;
        return;
    }
    long interval_ns = (long)load_relaxed(&sampling.interval_ns);
    long first_ns = 1 + (long)(random_next(&sampling.random_state) % (uint32_t)interval_ns);
    struct itimerspec when = {
        .it_value = { first_ns / 1000000000, first_ns % 1000000000 },
        .it_interval = { interval_ns / 1000000000, interval_ns % 1000000000 },
    };
    sampler->timer = timer;
    sampler->runs = timer_settime(timer, 0, &when, NULL) == 0;
    if (!sampler->runs) {
        timer_delete(timer);
        sampler->refused = true;
    }
}

static struct sampler *sampler_make(struct m *m)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return NULL;
    sampler->m = m;
    sampler->next = load_relaxed(&samplers);
    store_release(&samplers, sampler);   /* C */
    store_release(&m->sampler, sampler); /* C */
    return sampler;
}

/* Ms whose threads have begun stay for ever, so they are looked at when the lock is free again. */
static void find_new(void)
{
    struct m *found[FOUND_MAX];
    uint32_t count = 0;
    lock_acquire(&sched.lock);
    for (struct m *m = sched.ms; m && count < FOUND_MAX; m = m->next_made) {
        const struct sampler *sampler = load_relaxed(&m->sampler);
        if ((!sampler || (!sampler->runs && !sampler->refused)) && load_acquire(&m->thread_made)) /* D */
            found[count++] = m;
    }
    lock_release(&sched.lock);
    for (uint32_t i = 0; i < count; i++) {
        struct sampler *sampler = load_relaxed(&found[i]->sampler);
        if (!sampler)
            sampler = sampler_make(found[i]);
        if (sampler)
            timer_begin(sampler);
    }
}

static bool handler_is_ours(void)
{
    struct sigaction now;
    return sigaction(SIGPROF, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_sigprof;
}

static void end(void)
{
    for (struct sampler *s = load_relaxed(&samplers); s; s = s->next) {
        if (s->runs)
            timer_delete(s->timer);
        s->runs = s->refused = false;
    }
    if (handler_is_ours()) {
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        sigaction(SIGPROF, &ignore, NULL); /* discards what is pending */
        sigaction(SIGPROF, &sampling.before, NULL);
    }
    sampling.hz = 0;
}

static void begin(uint32_t hz)
{
    struct sigaction action = { .sa_sigaction = on_sigprof, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGURG);
    sampling.hz = hz;
    sampling.found_ns = 0;
    sampling.random_state = (uint32_t)trace_ticks() | 1;
    store_relaxed(&sampling.interval_ns, 1000000000 / hz);
    if (!handler_is_ours()) /* it is when a handler that replaced ours has put it back since */
        sigaction(SIGPROF, NULL, &sampling.before); /* first: the handler reads it */
    sigaction(SIGPROF, &action, NULL);
}

static void empty_all(bool tell)
{
    for (struct sampler *s = load_relaxed(&samplers); s; s = s->next)
        empty(s, tell);
}

void sampler_watch(int64_t now_ns)
{
    uint32_t hz = trace_sample_hz();
    if (likely(hz == 0 && sampling.hz == 0))
        return;
    if (sampling.hz)
        empty_all(hz != 0);
    if (hz != sampling.hz) {
        if (sampling.hz)
            end();
        empty_all(false); /* from the timers' last moments */
        if (hz == 0)
            return;
        begin(hz);
    }
    if (now_ns - sampling.found_ns >= FIND_NS) {
        sampling.found_ns = now_ns;
        find_new();
        modules_note_wanted();
    }
}

void sampler_stop(void)
{
    if (sampling.hz == 0)
        return;
    end();
    empty_all(true);
}
