/* CPU samples: what each M's thread was doing whenever it had used so much more CPU time.
 *
 * While a recorder asks for it (sample_hz in the segment's header), sysmon keeps a timer on the CPU clock of every M's
 * thread, which sends that thread, and no other, SIGPROF. CPU clocks stand still while a thread sleeps, so blocked
 * threads are left alone. The handler writes a sample into its M's sampler, a small ring of its own:
 *
 *     the M's thread                                    under sampler->lock: sysmon, or a hook of the same M
 *     handler -> samples[written % ROOM], written + 1   samples[read % ROOM] -> the no-P ring, read + 1
 *
 * It calls nothing, takes no lock and follows frame pointers only inside the stack that it interrupted, between the
 * interrupted stack pointer and the stack's end, whatever code without frame pointers has left in the register. Signals
 * that end in the handler are blocked in it, so a sampler has one writer. What finds it full is counted in `lost`.
 *
 * sysmon empties the samplers at every look. So that a sample reaches the trace before its G can have ended or changed
 * its labels, an M does the same with its own before it emits any record by which its G stops running
 * (sampler_settle). A sample is written into the no-P ring, whose table has its stack, with the G's id, and with how
 * long ago it was: so it does not matter who runs by then on which P, and a reader attributes it by its fields alone.
 *
 * Whose sample it is. With in_runtime 0 the code is the user's and the G is m->current, on whatever stack the signal
 * came. Inside the runtime, where m->current changes a few instructions before or after the stack does, the G is
 * m->current if the stack pointer lies in its stack, and otherwise nobody: the scheduler, on the thread's own stack.
 * Its P is m->p; sysmon may be taking it away just now (preempt_take), and either answer is true at one moment of it.
 * In blocking calls, and for a G that lost its P, there is none.
 *
 * Other signals. SIGURG (async.h) is blocked in the handler and handled when it returns, in the place that was
 * sampled; in the other order the sample shows on_sigurg, or async_stub above the interrupted function's caller.
 * SA_RESTART makes system calls go on; those that it does not, such as poll, may return EINTR, as with any profiler,
 * when the thread has used CPU time just before it went to sleep. What is SIGPROF and not of our timers (setitimer, as
 * gprof has it, or kill) goes to the handler that was there before. A handler that the program installs while samples
 * are taken replaces ours, and gets our signals: no more samples then.
 *
 * The end: timers first, then the signal. A timer that is gone may have left a signal that no thread has met yet, which
 * would end the program if SIGPROF got its default action back. Ignoring a signal discards what is pending, so it is
 * ignored for a moment in between. It ends when tracing does, also when sysmon finds the recorder dead (trace_watch),
 * and with the program's main G. A child of fork() has no timers, and exec ends them.
 *
 * | word           | writer            | reader                 | order   | pairs with                               |
 * |----------------|-------------------|------------------------|---------|------------------------------------------|
 * | written        | the handler       | who empties            | release | A: the sample is there                   |
 * | read           | who empties       | the handler            | release | B: it has been copied out                |
 * | lost           | handlers          | who empties            | relaxed | a sum                                    |
 * | m->sampler     | sysmon, once      | handler, hooks         | release | C: it is laid out; before its timer runs |
 * | samplers, next | sysmon, adds only | the handler            | release | C                                        |
 * | m->thread_made | the M's thread    | sysmon                 | release | D: its tid and stack, and m_of_thread    |
 *
 * The interval. The kernel looks at CPU timers when it ticks, 100 to 1000 times a second; a shorter interval yields no
 * more samples, but each then tells of the several intervals that have passed (si_overrun), and stands for all of them.
 *
 * ThreadSanitizer calls handlers later, where a thread next calls into libc, and may do so on another thread: then
 * stacks mean little, and a sample that comes to another M is counted as lost.
 *
 * Rejected: a flag that the next safepoint looks at (what computes has none, and that is what samples are for);
 * process-wide timers (the kernel signals any thread); writing into the P's ring from the handler (it may interrupt a
 * record being written); perf_event_open (not for everybody, and counts by CPU, not by G). */
#ifndef GMPT_SAMPLER_H
#define GMPT_SAMPLER_H

#include "unwind.h"

#define SAMPLE_HZ_MAX SEGMENT_SAMPLE_HZ_MAX
#define SAMPLES_ROOM 128u

struct sample {
    uint64_t ticks, g;    /* g 0: the scheduler */
    uint64_t intervals;   /* of the timer's, at least 1 */
    uint64_t interval_ns; /* as it was then */
    int32_t p;            /* -1 = none */
    struct unwind stack;  /* the first is the interrupted instruction; the others as unwind.h has them */
};

/* One for each M that has ever been sampled; never freed, as Ms are not. */
struct sampler {
    struct m *m;
    struct sampler *next;
    struct lock lock; /* of reading; before the trace's own */
    ATOMIC(uint32_t) written, read;
    ATOMIC(uint64_t) lost;
    uint64_t lost_told; /* under lock */
    void *timer;        /* sysmon's, as are the next two */
    bool runs;
    bool refused; /* the kernel gave no timer: not asked again before sampling next begins */
    struct sample samples[SAMPLES_ROOM];
};

/* By sysmon at every look: begins and ends sampling as the recorder wishes, and empties the samplers. */
void sampler_watch(int64_t now_ns);
/* By sysmon at its end. */
void sampler_stop(void);

/* Empties this M's sampler. */
void sampler_settle_slowly(struct sampler *sampler);

/* Whether there is anything to empty. */
static inline bool sampler_is_due(const struct m *m)
{
    const struct sampler *sampler = m ? load_acquire(&m->sampler) : NULL; /* C */
    return unlikely(sampler != NULL) && load_relaxed(&sampler->written) != load_relaxed(&sampler->read);
}

/* Before a record that tells that m's G stops running, or of what a sample is attributed to. */
static inline void sampler_settle(struct m *m)
{
    if (unlikely(sampler_is_due(m)))
        sampler_settle_slowly(load_relaxed(&m->sampler));
}

#endif
