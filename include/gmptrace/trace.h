/* gmptrace/trace.h - read a trace file, event by event, in one order that respects cause and effect.
 *
 *     struct gmpt_trace_error error;
 *     struct gmpt_trace *trace = gmpt_trace_open("gmptrace.data", &error);
 *     struct gmpt_event event;
 *     while (gmpt_trace_next(trace, &event) > 0)
 *         printf("%lld %s\n", (long long)event.time_ns, gmpt_event_name(event.type));
 *     gmpt_trace_close(trace);
 *
 * A trace is read once, front to back; memory is bounded by the Gs that live and the distinct stacks, never by the
 * trace's length. One thread at a time may use a struct gmpt_trace; different ones are independent. */
#ifndef GMPT_TRACE_H
#define GMPT_TRACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct gmpt_trace;

/* The kinds of event: GMPT_EVENT_go_create, ... See events.def, or trace/FORMAT.md, for each one's meaning. */
enum gmpt_event_type {
#define EVENT(code, name, doc) GMPT_EVENT_##name = code,
#define FIELD(kind, name, doc)
#define END
#include "events.def"
    GMPT_EVENT_CODES = 256
};

#define EVENT(code, name, doc) struct gmpt_event_##name {
#define FIELD(kind, name, doc) uint64_t name;
/* An event may have no fields, which C++ and C count differently, so each struct ends with a filler. */
#define END                                                                                                            \
    uint64_t no_more_fields;                                                                                           \
    }                                                                                                                  \
    ;
#include "events.def"

#define GMPT_EVENT_FIELDS_MAX 8
#define GMPT_LOG_BYTES_MAX 448 /* of a log message's text that a trace keeps */

enum gmpt_wait_reason {
#define REASON(code, name, words, suspect) GMPT_WAIT_##name = code,
#include "reasons.def"
    GMPT_WAIT_REASONS
};

/* A G's state as the trace shows it. */
enum gmpt_g_state {
    GMPT_G_RUNNABLE = 1,
    GMPT_G_RUNNING = 2,
    GMPT_G_WAITING = 3,
    GMPT_G_SYSCALL = 4, /* in a call between gmpt_blocking_begin and gmpt_blocking_end, or a blocking file operation */
    GMPT_G_DEAD = 5,
    GMPT_G_PREEMPTED = 6 /* runs on without a P, which sysmon took */
};
#define GMPT_G_STATES 7

/* Who made a waiting G runnable. */
enum gmpt_waker {
    GMPT_WAKER_UNKNOWN = 0,
    GMPT_WAKER_G = 1,
    GMPT_WAKER_NETPOLL = 2, /* an M that polled the network because it had no G to run, or to look now and then */
    GMPT_WAKER_TIMER = 3,   /* a sleep, a deadline or a timer of the program's was over */
    GMPT_WAKER_SYSMON = 4,  /* sysmon polled the network, since nobody else had for a while */
    GMPT_WAKER_SIGNAL = 5   /* a signal that the program wants to hear of came */
};
#define GMPT_WAKERS 6

/* What a timer is for. */
enum gmpt_timer_use {
    GMPT_TIMER_DEADLINE = 0, /* of a wait, or of a context */
    GMPT_TIMER_SLEEP = 1,
    GMPT_TIMER_CHANNEL = 2,  /* the program's, which sends once */
    GMPT_TIMER_TICKER = 3,   /* and again and again */
    GMPT_TIMER_FUNCTION = 4, /* and which starts a function */
};
#define GMPT_TIMER_USES 5

/* How closely the kernel's side of a program is seen: each tier has what those before it have. */
enum gmpt_kernel_tier {
    GMPT_KERNEL_OFF = 0,
    GMPT_KERNEL_PROC = 1, /* how long each thread ran, and waited for a CPU (kernel_usage) */
    GMPT_KERNEL_PERF = 2, /* and each time that it lost the CPU, and whether it could have run on */
    GMPT_KERNEL_BPF = 3,  /* and its G, the system call, who had the CPU, and who woke it */
};
#define GMPT_KERNEL_TIERS 4

/* What a thread that lost its CPU did just then, by its own word. */
enum gmpt_kernel_doing {
    GMPT_KERNEL_SCHEDULER = 0,  /* it ran no G, or is no M */
    GMPT_KERNEL_RUNNING_G = 2,  /* it ran a G, which nobody else can run meanwhile, and may have a P */
    GMPT_KERNEL_IN_CALL = 4,    /* the G had said that it will block: another M may have the P */
    GMPT_KERNEL_NOT_KNOWN = 15,
};

/* Why a thread lost its CPU. */
enum gmpt_kernel_why {
    GMPT_KERNEL_BLOCKED = 0,   /* it waited: in a system call, or, in none, for a page */
    GMPT_KERNEL_PREEMPTED = 1, /* it could have run on */
    GMPT_KERNEL_STARTED = 2,   /* it had not run before */
    GMPT_KERNEL_THROTTLED = 3, /* it could have run on, but its cgroup's CPU quota was used up */
    GMPT_KERNEL_SUSPENDED = 4, /* a signal, a debugger or the freezer had stopped it; of the tier bpf, else blocked */
};

/* What the kernel's side may lose. */
enum gmpt_kernel_loss {
    GMPT_KERNEL_LOST_INTERVALS = 0, /* kernel_off that found no room */
    GMPT_KERNEL_LOST_STARTS = 1,    /* kernel_thread likewise */
    GMPT_KERNEL_LOST_ENDS = 2,
    GMPT_KERNEL_LOST_NOTES = 3, /* intervals that could not be noted: no memory, or a switch was not told of */
    GMPT_KERNEL_LOST_WORDS = 4, /* times that a thread's word could not be read: doing and G are not known there */
    GMPT_KERNEL_LOST_HALVES = 5, /* of the tier perf: beginnings and ends of intervals, and of threads */
    GMPT_KERNEL_LOST_USAGES = 6, /* threads that ended, or could not be read: what is after their last kernel_usage */
    GMPT_KERNEL_LOST_SLICES = 7, /* times that others had a CPU for which a thread waited: some may not be named */
    GMPT_KERNEL_LOST_SAMPLES = 8, /* cpu_sample of the kernel's */
    GMPT_KERNEL_LOST_FAULTS = 9,  /* kernel_faults, each with all that it counts */
    GMPT_KERNEL_LOST_PLACES = 10, /* stacks of kernel_off that are there without */
};
#define GMPT_KERNEL_LOSSES 11

#define GMPT_KERNEL_FRAME (UINT64_C(1) << 63) /* is set in the addresses of kernel_frames, which are numbers */

#define GMPT_KERNEL_NS_NOT_KNOWN UINT64_MAX /* of queue_ns of kernel_off, which is at most off_ns else */

struct gmpt_event {
    enum gmpt_event_type type;
    int32_t p;       /* the P whose ring it comes from; -1 for the no-P ring */
    int64_t time_ns; /* since the trace's start; may step back by the skew between CPUs, after a gap by up to 1 ms */
    uint64_t g;      /* the G that the event is about: the current one, or the one its fields name; 0 = none, also of
                        a go_was or go_waited that tells nothing new */
    union {          /* the fields in the order of events.def, by number and by name; those that the kind has not got */
        uint64_t field[GMPT_EVENT_FIELDS_MAX + 1]; /* are not set; stacks are indices for gmpt_trace_stack(), valid for
                                                      the whole trace */
#define EVENT(code, name, doc) struct gmpt_event_##name name;
#define FIELD(kind, name, doc)
#define END
#include "events.def"
    };
};

/* What failed, and where in the file. */
struct gmpt_trace_error {
    int64_t offset;    /* byte offset in the file, -1 when no place applies */
    char message[256]; /* one sentence without a final full stop or newline */
};

/* What the file's head and, when it is whole, its end say. Strings live as long as the trace. */
struct gmpt_trace_info {
    uint32_t format_version;
    uint32_t pid;
    uint32_t p_count;  /* the Ps that there could be have indexes below this */
    uint32_t maxprocs; /* GOMAXPROCS as the recording began */
    int attached;      /* 1 when the program was running already as the recording began: what there was then is told
                          by go_was, and by the first record about each G */
    uint32_t stack_frames; /* that a stack has at most, as was asked for; 0 = there are no stacks */
    const char *left_out;  /* the groups of events that the recording was to do without, separated by commas, or "" */
    const char *command; /* the program and its arguments, separated by spaces */
    const char *host;    /* node name and kernel release */
    int64_t start_realtime_ns; /* since 1970-01-01 UTC */
    int64_t start_monotonic_ns; /* by CLOCK_MONOTONIC: sets the trace beside others of the same machine */
    int64_t duration_ns; /* from the first clock snapshot to the last one read so far */
    int whole;     /* 1 when all was read, to the end: nothing was cut off, damaged or skipped, though records may have
                      been lost as they were recorded; valid after gmpt_trace_next returned 0 */
    int exit_kind; /* when whole: 0 the program ran on, 1 it exited with exit_code, 2 signal exit_code ended it, 3 it
                      ended, and whoever had attached to it cannot know how */
    int exit_code;
    int64_t file_bytes;         /* the file's size now */
    int64_t expected_bytes;     /* its size when it was finished; 0 = it never was */
    uint64_t expected_events;   /* records in it when it was finished; 0 = it never was */
    int64_t expected_duration_ns; /* its length when it was finished; 0 = it never was */
    uint32_t quota_cpus; /* CPUs that the cgroup's quota allowed as the program started, rounded up; 0 = none */
};

/* Exact counts, valid after gmpt_trace_next returned 0. emitted == kept + lost in a whole trace. */
struct gmpt_trace_counts {
    uint64_t emitted; /* records that the runtime emitted, by its own count; 0 when the trace's end was not read */
    uint64_t kept;    /* records read from the file */
    uint64_t lost;    /* records that found no room, by the runtime's count */
    uint64_t gaps;    /* places where records are missing */
    uint64_t resynced; /* Gs whose state had to be guessed after a gap */
    uint64_t violations; /* records that contradict the ones before them without a gap to explain it: 0 but for a bug */
    uint64_t unknown;  /* records of a kind that this version does not know, skipped by their schema */
    uint64_t stacks_lost; /* stacks that found no room in their table; their events say stack 0 */
    int64_t skew_ns;   /* the most that a G's clock stepped back as it changed CPUs */
};

struct gmpt_stack {
    uint32_t count;
    const uint64_t *pc; /* return addresses, leaf first; the leaf is an address inside the runtime's own function */
};

struct gmpt_module {
    uint64_t start, end; /* executable addresses in the program */
    uint64_t bias;       /* what was added to the object's own addresses */
    const char *path;
    uint32_t build_id_bytes; /* 0 = it has none */
    uint8_t build_id[20];
};

/* What is known of a G now, that is after the last event that gmpt_trace_next returned. */
struct gmpt_g {
    uint64_t id, parent;
    uint64_t fn;          /* the address of its function */
    enum gmpt_g_state state;
    enum gmpt_wait_reason reason; /* valid while waiting */
    uint64_t wait_object;         /* likewise */
    int bounded;                  /* likewise: a deadline ends the wait */
    uint64_t wait_owner;          /* likewise: the G that had the lock as the wait began; 0 = none, or not known */
    int was_there;                /* it was there before the trace's start */
    uint32_t create_stack;        /* 0 = not known */
    uint32_t wait_stack;          /* of the wait or blocking call; 0 = not known */
    int64_t created_ns;           /* since the trace's start; 0 when it was there before */
    int64_t state_since_ns;       /* when it entered its state; 0 when it was in it before the trace's start */
    int64_t waited_before_ns;     /* and for how long, by a coarse clock, if it waited or was in a call; else 0 */
    int64_t ran_before_ns;        /* running or preempted: computed for so long as its P was last taken or given back */
    uint32_t labels;              /* the number of its label set; 0 = none */
    uint32_t name;                /* the number of its name; 0 = none */
    uint64_t scope;               /* the scope that it works in; 0 = none */
};

struct gmpt_trace_label {
    const char *key, *value;
};

/* Opens a trace file and reads its head. Returns NULL with errno set and *error filled: ENOENT and the like; EPROTO
 * when the file is not a trace, is empty, or has a format version that this library does not read. */
struct gmpt_trace *gmpt_trace_open(const char *path, struct gmpt_trace_error *error);
void gmpt_trace_close(struct gmpt_trace *trace);

/* The next event. Returns 1, or 0 at the end, or -EPROTO when the file is damaged at a place that cannot be skipped
 * (gmpt_trace_error_get says where); a file that is merely cut off ends with 0, and gmpt_trace_info()->whole is 0.
 * -ENOMEM and, when the file cannot be read, other negative errno values are possible. */
int gmpt_trace_next(struct gmpt_trace *trace, struct gmpt_event *event);

/* The last error, or, after a file that is cut off, what is missing. Its message is empty when there was none. */
const struct gmpt_trace_error *gmpt_trace_error_get(const struct gmpt_trace *trace);

/* The first of the violations that the counts tell of, with the offset of its frame, -1 where only an account at the
 * end shows it. Its message is empty when there was none. */
const struct gmpt_trace_error *gmpt_trace_violation(const struct gmpt_trace *trace);

const struct gmpt_trace_info *gmpt_trace_info(const struct gmpt_trace *trace);
const struct gmpt_trace_counts *gmpt_trace_counts(const struct gmpt_trace *trace);

/* The stack with this index; one with count 0 for index 0 and for any that is not known. */
struct gmpt_stack gmpt_trace_stack(const struct gmpt_trace *trace, uint32_t index);
uint32_t gmpt_trace_stack_count(const struct gmpt_trace *trace); /* indices are 1 .. count */

/* What fields of the kinds string and labels mean: the string with this number, "" when there is none; how many labels
 * the set has, and each of them. Strings live as long as the trace. */
const char *gmpt_trace_string(const struct gmpt_trace *trace, uint64_t number);
uint32_t gmpt_trace_label_count(const struct gmpt_trace *trace, uint64_t labels);
struct gmpt_trace_label gmpt_trace_label(const struct gmpt_trace *trace, uint64_t labels, uint32_t index);

/* The text of the user_log that gmpt_trace_next has just returned, ended with a 0; *bytes (may be NULL) is its length,
 * which is less than min(user_log.bytes, GMPT_LOG_BYTES_MAX) where records were lost. Valid until the next
 * gmpt_trace_next. */
const char *gmpt_trace_log_text(const struct gmpt_trace *trace, size_t *bytes);

/* Modules seen so far, ordered by start address. */
size_t gmpt_trace_module_count(const struct gmpt_trace *trace);
const struct gmpt_module *gmpt_trace_module(const struct gmpt_trace *trace, size_t index);

/* The G with this id, or NULL when it is not alive now (a dead G is known until the next call of gmpt_trace_next). The
 * pointer is valid until the next call of gmpt_trace_next. */
const struct gmpt_g *gmpt_trace_g(const struct gmpt_trace *trace, uint64_t id);
uint64_t gmpt_trace_g_count(const struct gmpt_trace *trace); /* alive now */

/* Calls fn for every G that is alive now, in no order; stops when fn returns non-zero and returns that. */
int gmpt_trace_each_g(const struct gmpt_trace *trace, int (*fn)(const struct gmpt_g *g, void *arg), void *arg);

const char *gmpt_event_name(enum gmpt_event_type type);       /* "go_create"; "unknown" for no known type */
const char *gmpt_wait_reason_words(enum gmpt_wait_reason reason); /* "chan send" */
int gmpt_wait_reason_suspect(enum gmpt_wait_reason reason); /* 1 when a wait of this kind without end is suspect */
const char *gmpt_g_state_words(enum gmpt_g_state state);      /* "runnable" */
const char *gmpt_waker_words(enum gmpt_waker waker);          /* "a goroutine" */
const char *gmpt_timer_use_words(enum gmpt_timer_use use);    /* "deadline" */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
