/* What gmptrace export tells the writer of a format: a trace in one pass, as things that have a beginning and an end.
 *
 * A writer is a struct export_format: functions that are called in the order in which things are over, so begins are
 * not sorted. All of a G's slices come in their order and without a gap between them, then the G itself, once. The
 * writer may keep something for each G that is alive (struct export_g), for each thread (struct export_thread) and for
 * each stack, and nothing else that grows.
 *
 * Times are nanoseconds since the trace's start. With --from and --to, what lies outside is not told and what crosses a
 * bound is cut there, so the slices of a G still add up to what is told of its life. Only how long a wake-up's wait was
 * and how late it ran is told whole. */
#ifndef GMPT_EXPORT_H
#define GMPT_EXPORT_H

#include "captions.h"

#include "trace/kernelintervals.h"
#include "trace/spans.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

/* A G was in one state. */
struct export_slice {
    uint64_t g;
    enum gmpt_g_state state;      /* 0: records were lost while it ran; nobody knows what it did */
    enum gmpt_wait_reason reason; /* of a wait */
    bool bounded;                 /* likewise */
    uint64_t object;              /* likewise */
    uint64_t owner;               /* of a wait for a lock: the G that had it as the wait began; 0 = not known */
    uint32_t stack;               /* of a wait or a blocking call */
    int32_t p;                    /* where it ran; -1 = on none, or not known */
    bool ended;                   /* false: it went on when what is told ends */
    int64_t begin_ns, end_ns;
};

/* A G that waited became runnable, and has run by now or never did. */
struct export_wakeup {
    uint64_t g, waker;        /* waker: the G that did it, 0 = none: a timer, the network poller, the end of a call */
    struct export_g *waker_g; /* NULL when there is none or it is over */
    uint64_t waker_fn;        /* its function, 0 = not known */
    uint32_t waker_stack;     /* where it did; 0 = not known */
    int64_t time_ns;
    struct export_slice wait; /* what it waited for */
    int64_t latency_ns;       /* from then until it ran */
    bool ran;                 /* false: it was runnable to the end of what is told */
};

/* A G, from when it is first heard of until it is over. */
struct export_g {
    uint64_t id;
    int64_t begin_ns, end_ns; /* of the slices told so far */
    bool told;                /* there were some */
    bool ended;               /* it has exited, in time */
    enum gmpt_g_state state;  /* of the last slice */
    struct export_slice wait; /* its last wait or call */
    /* For the format: */
    bool introduced, held;
    struct export_slice first; /* valid when held */
    uint64_t flow;             /* 0 = none */
    uint64_t lanes;            /* a bit for each of the first lanes of its regions */
};

/* An M had a P. */
struct export_hold {
    uint64_t tid;
    int32_t p;
    int64_t begin_ns, end_ns;
};

/* A thread, from when the kernel first tells of it. */
struct export_thread {
    uint64_t tid;
    bool introduced; /* of the format, and so is */
    uint64_t flow;   /* 0 = none */
};

/* A thread had a CPU. */
struct export_oncpu {
    bool cpu_known;
    uint32_t cpu;
    bool until_known; /* false: at least for a moment, and nothing is told of the rest */
    int64_t begin_ns, end_ns;
};

/* A thread had none: from begin_ns on it was blocked, from able_ns on it could run, but got none. */
struct export_offcpu {
    const struct kernel_interval *told; /* the whole; valid during the call */
    uint64_t g;                         /* that was on the thread; 0 = none, or not known */
    enum gmpt_kernel_doing doing;
    int32_t p; /* that the thread had as this ended; -1 = none, or not known */
    struct export_thread *waker;        /* NULL = not known, or not the program's */
    int64_t begin_ns, able_ns, end_ns;
    bool ended; /* false: it went on when what is told ends */
};

/* What the kernel counts of a thread, of the time up to now: each begins where the one before ended. */
struct export_usage {
    int64_t time_ns, span_ns, ran_ns, queued_ns;
    int64_t slices; /* times that it was given a CPU */
};

/* What a thread executed; it used cpu_ns of CPU time since its last sample. */
struct export_sample {
    int64_t time_ns;
    uint64_t g, tid; /* g 0: the scheduler */
    int32_t p;       /* that it held, -1 = none */
    uint32_t stack;
    int64_t cpu_ns;
};

/* How many Gs are in each state from now on; at most one in each step of --every, the last. */
struct export_counts {
    int64_t time_ns;
    uint64_t gs[GMPT_G_STATES];
};

enum export_table {
    EXPORT_SLICES,
    EXPORT_GOROUTINES,
    EXPORT_WAKEUPS,
    EXPORT_SITES,
    EXPORT_COUNTERS,
    EXPORT_SPANS,
    EXPORT_MESSAGES,
    EXPORT_THREADS,
    EXPORT_SAMPLES,
    EXPORT_OFFCPU,
    EXPORT_ONCPU,
    EXPORT_USAGES,
    EXPORT_TABLES
};

struct export_format;

struct export
{
    struct gmpt_trace *trace;
    struct places *places;
    struct captions *captions;
    const struct export_format *format;
    enum export_table table; /* of csv */
    enum gmpt_kernel_tier kernel_tier; /* of what was told so far */
    const char *path;        /* where the output grows; NULL unless the format wants a path */
    FILE *out;               /* NULL when it does */
    void *state;             /* the format's own */
    char message[256];       /* what the format has to say when it returns an error; may be empty */
};

/* Each returns 0 or a negative errno; NULL: the format does not care. The trace may be asked about the Gs of what is
 * told (gmpt_trace_g), about strings, stacks and modules. What is written to out need not be checked. */
struct export_format {
    const char *name;
    const char *output; /* the file that is written by default, "-" = standard output */
    bool binary;        /* refused by terminals */
    bool wants_path;    /* it writes a file by its path */
    int (*open)(struct export *export);
    int (*slice)(struct export *export, struct export_g *g, const struct export_slice *slice);
    int (*wakeup)(struct export *export, struct export_g *g, const struct export_wakeup *wakeup);
    int (*g_over)(struct export *export, struct export_g *g);
    int (*span)(struct export *export, struct export_g *g, const struct span *span); /* g: NULL when it is over */
    int (*message)(struct export *export, struct export_g *g, const struct gmpt_event *user_log); /* g: as above */
    int (*sample)(struct export *export, const struct export_sample *sample);
    int (*hold)(struct export *export, const struct export_hold *hold);
    /* Of a thread in turn, each without a hole to the one before, but where records were lost. */
    int (*oncpu)(struct export *export, struct export_thread *thread, const struct export_oncpu *on);
    int (*offcpu)(struct export *export, struct export_thread *thread, const struct export_offcpu *off);
    int (*usage)(struct export *export, struct export_thread *thread, const struct export_usage *usage);
    int (*counts)(struct export *export, const struct export_counts *counts);
    int (*finish)(struct export *export);
    void (*close)(struct export *export); /* always, also after open failed */
};

extern const struct export_format export_chrome, export_csv, export_perfetto, export_sqlite;

/* "running", "chan receive", ...: what a slice is called. */
const char *export_slice_name(const struct export_slice *slice);
/* Of a futex that a thread waited for, the address; 0 = of none, or not known. */
static inline uint64_t export_off_object(const struct kernel_interval *told)
{
    return told->why == GMPT_KERNEL_BLOCKED && told->call == SYS_futex ? told->argument : 0;
}
/* "running", "blocking call", "no goroutine"; NULL = not known */
const char *export_doing_name(enum gmpt_kernel_doing doing);
/* "blocked", "preempted", "starting" */
const char *export_why_name(enum gmpt_kernel_why why);
/* "thread", "interrupt", "other program"; NULL = not known, or nobody had to */
const char *export_woken_name(const struct kernel_interval *told);
/* "running", "waiting", ..., "unknown" */
const char *export_state_name(enum gmpt_g_state state);
/* "G12 conn 7 (handle_compute)", without what is not known. NULL when memory is short. Valid until the next call. */
const char *export_g_title(struct export *export, uint64_t g, char buffer[PLACE_TEXT_BYTES]);
/* The function of a G that is told of, "?" when it is not known. NULL when memory is short. */
const char *export_g_function(struct export *export, uint64_t g);

#endif
