/* Adds intervals (trace/intervals.h) up to the profiles that there are: what counts, where, and how much.
 *
 *     type       which intervals                       values                     where
 *     goroutine  those of one moment                   goroutine                  where it waits or calls
 *     block      waits but for sleep and network       contentions, delay         where it waits
 *     mutex      waits for locks                       contentions, delay         where whoever had it let it go
 *     net        waits for the network                 waits, delay               where it waits
 *     sleep      sleeps                                sleeps, time               where it sleeps
 *     syscall    blocking calls                        calls, time                where it calls
 *     sched      runnable until running                waits, delay               where it waited before, if it did
 *     preempt    being made to give way                preemptions, delay         the G's function
 *     create     Gs that were started                  goroutines                 where they were started
 *     wall       all                                   wall                       as above, below a frame for the state
 *     steal      (events, no intervals)                steals, goroutines         a frame for each of both Ps
 *     cpu        (events, no intervals)                samples, cpu               what was executed
 *     offcpu     (events of the kernel's side)         times, delay               where the thread of a G lost its CPU
 *     runqueue   (the same)                            times, delay               likewise; only while it could run
 *     kernel     (the same)                            times, delay               as offcpu, and where in the kernel
 *
 * block, net and sleep have each wait once, so with sched, syscall and what runs they make up wall. Where no stack is
 * known the G's function stands for it. Times are cut to the window, exactly; an interval counts when any of it is in
 * the window, and what was started or stolen when that moment is.
 *
 * A CPU sample is, for a filter, an interval that ends when it was taken and is as long as the CPU time that it stands
 * for; it is in the window when its end is. Its state is running, preempted or in a call, and its p the one that was
 * held. Those of the scheduler itself have no G. The profile's period is the least that a sample
 * stands for. Samples that the kernel took have the functions of the kernel's that they were in, above the program's.
 *
 * As in Go's profile of that name, mutex shows the wait where the lock was released that ended it, and the label
 * waited_by names the function of the G that waited. A wait that no release ended, since it goes on or its deadline
 * came, is under a frame of its own.
 *
 * Which G a thread had as it lost its CPU is known as kernelgs.h says. What is known to be no G's time is left out, and
 * what may be one's has no place but [unknown].
 *
 * While intervals come in, only numbers are kept: memory is bounded by distinct stacks, label sets and reasons. Names
 * are looked up at the end, once for each. */
#ifndef GMPT_TALLY_H
#define GMPT_TALLY_H

#include "profile.h"

#include "trace/filter.h"
#include "trace/intervals.h"
#include "trace/kernelgs.h"

enum tally_kind {
    TALLY_GOROUTINE,
    TALLY_BLOCK,
    TALLY_MUTEX,
    TALLY_NET,
    TALLY_SLEEP,
    TALLY_SYSCALL,
    TALLY_SCHED,
    TALLY_PREEMPT,
    TALLY_CREATE,
    TALLY_WALL,
    TALLY_STEAL,
    TALLY_CPU,
    TALLY_OFFCPU,
    TALLY_RUNQUEUE,
    TALLY_KERNEL,
    TALLY_KINDS
};

struct tally_type {
    const char *name;
    enum tally_kind kind;
    const char *noun; /* what the first value counts, of one; NULL when it is a time */
    struct profile_type values[PROFILE_TYPES_MAX];
    size_t value_count, shown; /* shown: the one that viewers begin with */
    bool moment;               /* of a moment and not of a window */
    const char *comment;       /* what a reader of the profile must know; NULL = nothing */
};

/* NULL when there is none of this name. */
const struct tally_type *tally_type_find(const char *name);
const struct tally_type *tally_type_at(size_t index); /* NULL after the last */

#define TALLY_AT_END (-1)

struct tally_options {
    const struct tally_type *type;
    int64_t from_ns, to_ns;      /* [from, to) of the trace's time; to_ns INT64_MAX: to the end, and what is there */
    int64_t at_ns;               /* the moment, or TALLY_AT_END */
    const struct filter *filter; /* chooses intervals by their whole length; NULL = all */
    struct filter_names names;
};

struct tally;

/* NULL with errno ENOMEM. What the options point to must outlive it. */
struct tally *tally_open(const struct tally_options *options);
void tally_close(struct tally *tally); /* NULL: nothing */

/* Hears of these intervals from now on, which have each event before the tally. Before the first event. */
void tally_listen(struct tally *tally, struct intervals *intervals);
/* For whoever hands intervals over instead; the first argument is the struct tally. Returns 0 or -ENOMEM. */
int tally_interval(void *tally, const struct interval *interval);
/* The kinds for which an interval can count, at some time: a bit for each. A tally of another kind need not have it. */
uint32_t tally_kinds(const struct interval *interval);

/* Takes what is no interval; to be called for every event, or for those that tally_takes. Returns 0 or -ENOMEM. */
int tally_event(struct tally *tally, const struct gmpt_event *event);
/* Whether events of this type can tell a tally anything: nearly all tell of Gs and Ms only. */
static inline bool tally_takes(enum gmpt_event_type type)
{
    return kernelgs_takes(type) || type >= GMPT_EVENT_cpu_sample;
}

/* The sum of one of the values, after all is added. */
int64_t tally_total(const struct tally *tally, size_t value);

/* How the samples' places are named: as others show them to the user. */
struct tally_texts {
    void *arg;
    /* The stack that stands for all that mean the same. */
    uint32_t (*canonical_stack)(void *arg, uint32_t stack);
    /* "serve gateway.c:120": the call that started a G, NULL = not known; and a G's function. Both valid until the next
     * call. */
    const char *(*created_by)(void *arg, uint32_t create_stack);
    const char *(*function)(void *arg, uint64_t fn);
};

/* Makes samples of all that was added. Returns 0 or -ENOMEM. */
int tally_fill(const struct tally *tally, const struct gmpt_trace *trace, const struct tally_texts *texts,
               struct profile *profile);

#endif
