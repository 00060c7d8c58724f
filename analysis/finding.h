/* What is wrong with a program, as a trace shows it: each finding has a kind with a stable name, evidence in numbers,
 * and a place in the source to look at. */
#ifndef GMPT_FINDING_H
#define GMPT_FINDING_H

#include <stddef.h>
#include <stdint.h>

/* Kind, name for machines, what the value is measured in. The order is that in which findings of one severity are
 * told. */
#define FINDING_KINDS(KIND)                                                                                            \
    KIND(SPAWNING, "unbounded_spawning", "goroutines")                                                                 \
    KIND(HOG, "hog", "ns")                                                                                             \
    KIND(CONVOY, "lock_convoy", "waiters")                                                                             \
    KIND(HERD, "thundering_herd", "goroutines")                                                                        \
    KIND(SYSCALLS, "syscall_storm", "calls_per_s")                                                                     \
    KIND(STORM, "scheduling_storm", "switches_per_s")                                                                  \
    KIND(QUOTA, "gomaxprocs_above_quota", "processors")                                                                \
    KIND(BLOCKED, "blocked_processor", "ns")                                                                           \
    KIND(NEIGHBOUR, "noisy_neighbour", "ns")                                                                           \
    KIND(THROTTLED, "quota_throttling", "ns")                                                                          \
    KIND(QUEUED, "kernel_starvation", "ns")                                                                            \
    KIND(CROSS, "needless_cross_cpu_wakes", "wakes_per_s")                                                             \
    KIND(FAULTS, "page_fault_storm", "faults_per_s")                                                                   \
    KIND(STARVATION, "p_starvation", "ns")                                                                             \
    KIND(LATE, "long_scheduling_wait", "ns")

enum finding_kind {
#define KIND(kind, name, unit) FINDING_##kind,
    FINDING_KINDS(KIND)
#undef KIND
        FINDING_KIND_COUNT
};

enum finding_severity { FINDING_NOTE, FINDING_WARNING, FINDING_ERROR };

/* How a hog was stopped, by tier: at a safepoint, by losing its P, by a signal. */
enum finding_tier { FINDING_TIER_NONE, FINDING_TIER_SAFEPOINT, FINDING_TIER_DETACHED, FINDING_TIER_SIGNAL };

struct finding {
    enum finding_kind kind;
    enum finding_severity severity;
    int64_t value, threshold;     /* in the kind's unit; the worst that was seen */
    uint64_t times;               /* how often it was over the threshold */
    int64_t begin_ns, end_ns;     /* the worst time; since the trace's start */
    uint64_t fn;                  /* of the Gs that it is about; 0 = none, or not known */
    uint64_t by_fn;               /* of a herd: who woke them; of a convoy: who let them in; 0 = not known */
    uint32_t create_stack, stack; /* where these Gs were started; where they wait or call; 0 = not known */
    uint32_t reason;              /* of the wait: enum gmpt_wait_reason */
    uint32_t tier;                /* of a hog: enum finding_tier */
    uint64_t g, object;           /* an example: the worst one; 0 = none */
    uint64_t gs;                  /* how many Gs were part of it; 0 = not counted */
    uint64_t back;                /* of a herd: how many of them went back to wait */
    int32_t call;                 /* of a blocked processor: the system call; -1 = none, or not known */
    uint32_t by_pid;              /* of a noisy neighbour; 0 = it was not to be told */
    char by_name[16];
    uint64_t by_processes; /* of that name; by_pid is who took most */
};

/* From where on something is a finding. */
struct finding_limits {
    int64_t hog_ns;          /* runs for so long without a safepoint */
    int64_t late_ns;         /* could run and had to wait for so long */
    int64_t starved_ns;      /* Gs could run while a P idled, for so long at a stretch */
    uint64_t switches_per_s; /* of one G, for a second */
    uint64_t calls_per_s;    /* blocking calls of one place, for a tenth of a second */
    uint64_t herd_gs;        /* woken at once, of which at least half go back at once */
    uint64_t convoy_waiters; /* wait for one lock on average of a tenth of a second, and get it in turn */
    uint64_t spawned_gs;     /* of one place are alive at the end, and ever more were */
    int64_t blocked_ns;      /* a thread blocked with its P, for so long at a time */
    int64_t queued_ns;       /* a thread that ran a G waited for a CPU, for so long at a time */
    int64_t throttled_ns;    /* threads that ran Gs were stopped as a quota was used up, for so long in all */
    int64_t neighbour_ns;    /* another program took so much from Gs that ran, in all, */
    uint64_t neighbour_percent; /* and this part of the time that they ran */
    uint64_t cross_wakes_per_s; /* threads woken on other CPUs by who slept at once, for a tenth of a second */
    uint64_t faults_per_s;      /* page faults of one place, for a second */
    int64_t at_once_ns; /* who runs less than that before it waits again for the same was woken in vain; who runs less
                           after it woke a thread slept at once */
};

#define FINDING_LIMITS_DEFAULT                                                                                         \
    {                                                                                                                  \
        .hog_ns = 20000000, .late_ns = 5000000, .starved_ns = 10000000, .switches_per_s = 2000, .calls_per_s = 10000,  \
        .herd_gs = 8, .convoy_waiters = 4, .spawned_gs = 1000, .at_once_ns = 10000, .blocked_ns = 5000000,             \
        .queued_ns = 20000000, .throttled_ns = 20000000, .neighbour_ns = 20000000, .neighbour_percent = 5,             \
        .cross_wakes_per_s = 2000, .faults_per_s = 20000                                                               \
    }

/* Of a kind the FINDINGS_EACH worst are kept. */
#define FINDINGS_EACH 8

/* Zero-initialised is empty. */
struct findings {
    size_t count;
    struct finding list[FINDING_KIND_COUNT * FINDINGS_EACH];
    uint64_t left_out[FINDING_KIND_COUNT]; /* more that there were */
};

const char *finding_name(enum finding_kind kind);  /* "lock_convoy" */
const char *finding_unit(enum finding_kind kind);  /* "waiters" */
int finding_find(const char *name, size_t length); /* the kind with this name, or -1 */

void findings_add(struct findings *findings, const struct finding *finding);
/* By severity, then kind, then value. */
void findings_sort(struct findings *findings);

#endif
