/* The runtime's nouns: G, M, P and the scheduler's shared state. What is done with them is in the file of that name.
 *
 *     G  a goroutine: a function, a stack, and a slot in the segment's registry that shows it to the outside
 *     M  a thread of the kernel's; runs Gs while it holds a P, and its own scheduler context (g0) in between
 *     P  the right to run Gs, GOMAXPROCS of them: a queue of runnable Gs, timers, caches, a trace ring
 *
 * A seat is a stack and a registry slot that belong together, by number. struct g lies at the top of its seat's
 * stack, so that a parked G costs one page and a slot (seat.h has the picture).
 *
 * Who may touch what: a G's fields belong to whoever holds the G: the M that runs it, the queue that it is in (by the
 * queue's rules), or, while it waits, the lock of the object that it waits on. A P's plain fields belong to the
 * M that holds the P, or to whoever took it: by moving its status away from P_SYSCALL, or as preempt.h says. */
#ifndef GMPT_RUNTIME_H
#define GMPT_RUNTIME_H

#include "callers.h"
#include "lock.h"
#include "switch.h"
#include "tracepoint.h"

#include <gmptrace/gmpt.h>
#include <gmptrace/trace.h>

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
/* For functions that look at what its owner may be writing, and know it. */
#define PEEK __attribute__((no_sanitize("address", "thread")))

#define RUNQ_SLOTS 256u
#define NEST_SLOTS 256u
#define PS_MAX SEGMENT_MAX_PS
#define SLICE_NS 10000000 /* how long a G runs before sysmon asks it to yield */

/* Sizes of stacks: see seat.h. */
enum stack_class { STACK_SMALL, STACK_DEFAULT, STACK_256K, STACK_1M, STACK_8M, STACK_CLASSES };

struct g {
    struct context context; /* valid while not running */
    struct g_slot *slot;    /* the public half */
    struct g *next;         /* link in whatever list it is in: the global queue, a batch, a free list */
    uint64_t id;
    uint64_t mutex_who; /* see mutex.h */
    uint32_t seq; /* transition number, as in the slot */
    uint32_t seat;
    int saved_errno;
    int wait_result; /* set by whoever ends the wait */
    uint32_t index;      /* of its stack in its class */
    uint8_t stack_class; /* enum stack_class */
    bool canary;         /* the stack has no guard but a word that must not change */
    uint8_t flags;       /* of struct gmpt_go_options, as are the next two */
    int16_t prefers_p;   /* index + 1, 0 = any */
    uint32_t lock_depth; /* of gmpt_lock_os_thread */
    struct m *locked_m;  /* the only M that may run it, NULL = any */
    const char *name;    /* in the dictionary, for as long as the process lives; NULL = its function's */
    uint64_t ready_ticks; /* when it became runnable, if that is to be counted; see latency.h */
    struct {              /* where the blocking call that it is in began, for a dump */
        void *function, *caller, *caller_frame;
    } call;
    struct { /* the last wait; it still waits just when `seq` is this seq. For proofs of leaks, which see no registry */
        const void *object;
        const void *record; /* see struct wait */
        uint32_t seq;
        uint8_t reason;
        bool bounded;
    } wait;
};

/* Seats that are free: see seat.h. */
struct seat_ref {
    uint32_t index; /* among the stacks of its class */
    uint32_t seat;
};

#define SEAT_CACHE 128u
struct seat_cache {
    uint32_t count;
    struct seat_ref refs[SEAT_CACHE];
};

/* Runs on the next context after a switch, when nothing runs on from's stack any more. */
typedef void after_switch_fn(struct m *m, struct g *from, void *arg);

struct m {
    struct context g0; /* the scheduler's context: the thread's own stack */
    struct g *current; /* the G that runs on this M */
    uint64_t mutex_who; /* and as what it holds a mutex */
    ATOMIC(uint64_t) *word_at; /* where it tells what it does (m_word_make), by itself alone; see mwords.h */
    struct p *p;       /* NULL while parked or in a call whose P may be retaken */
    struct p *call_p;  /* in a blocking call: the P that it had */
    ATOMIC(uint32_t) in_runtime; /* see enter.h */
    ATOMIC(uint32_t) attention;  /* enum attention, bits */

    after_switch_fn *after; /* pending until the next context has called it */
    struct g *after_g;
    void *after_arg;

    struct g *locked_g; /* the only G that it may run, NULL = any */
    struct g *found;    /* taken from a queue by a G that left, and not for it to switch to */
    int pinned;         /* to this CPU + 1 (or its node); see pin.h */
    bool spinning;   /* looks for work and is counted in sched.spinning */
    int64_t found_ns; /* when it found some for the first time since it last found none; 0 = it has not */
    struct p *given; /* the P that it is to go on with when it is woken; set before `wake` */
    ATOMIC(uint32_t) wake;
    struct m *next_idle;
    struct m *next_made; /* link in sched.ms */
    uint32_t random_state;
    uint32_t tid;
    ATOMIC(uint32_t) async_sent; /* sysmon has sent it a signal that it has not met yet; see async.h */
    ATOMIC(struct sampler *) sampler; /* see sampler.h; NULL = never sampled */
    ATOMIC(uint32_t) thread_made;     /* its thread has set up what a signal handler needs */
    uintptr_t stack_top;              /* of the thread's own stack, as far as the scheduler uses it */
    void *signal_stack; /* of its thread, START_SIGNAL_STACK_BYTES */
    int *errno_at; /* this thread's; the value belongs to the G and goes with it */
    ATOMIC(uint64_t) word; /* where word_at points, unless a recorder passed another place */
};

enum p_status {
    P_IDLE,    /* on the idle list, or in the hands of who took it from there */
    P_RUNNING, /* held by p->m */
    P_RETIRED, /* GOMAXPROCS is too low for it; see procs.h */
    P_SYSCALL, /* its M is in a blocking call: whoever changes this by CAS has the P */
};

struct timer_call;
struct timer_entry;
union timer_cell;

struct timers {
    struct lock lock;
    ATOMIC(int64_t) next_ns; /* the earliest, INT64_MAX = none; written under lock, read by anybody */
    ATOMIC(uint32_t) pending; /* count as of then */
    struct timer_entry *heap;
    union timer_cell *cells;
    uint32_t count, capacity; /* of entries; there are as many cells as capacity */
    uint32_t stopped;         /* entries whose timer was stopped */
    uint32_t free_cell;       /* the first of the free ones */
};

/* What timers that fire leave to be done until the heap's lock is free. */
struct fired {
    struct g *gs, *last_g; /* to be made ready */
    struct timer_call *calls, *last_call;
};

/* See nest.h. */
struct nest {
    struct lock lock;
    ATOMIC(uint32_t) count; /* written under lock */
    uint32_t lowest;        /* its slot */
    struct g *slots[NEST_SLOTS];
};

/* What a P counts, by plain stores of whoever holds it; read by anybody. */
struct p_counters {
    ATOMIC(uint64_t) steals, stolen; /* times, and Gs, that it took from another P */
    ATOMIC(uint64_t) handoffs;       /* times that it left an M that was in a call or computed */
    ATOMIC(uint64_t) latency[GMPT_LATENCY_BUCKETS];
};

static inline void counter_add_owner(ATOMIC(uint64_t) *counter, uint64_t count)
{
    store_relaxed(counter, load_relaxed(counter) + count);
}

/* For p->waking: the wait was over as it began. */
#define WAKING_BY_NOBODY UINT8_MAX

struct p {
    /* The run queue: see runq.h for who may do what. */
    _Alignas(64) ATOMIC(uint32_t) runq_head;
    _Alignas(64) ATOMIC(uint32_t) runq_tail;
    ATOMIC(struct g *) runnext;
    uint8_t waking; /* who makes Gs ready now: an enum gmpt_waker, or WAKING_BY_NOBODY; 0 = current, else the poller */
    bool next_is_nested; /* runnext gave way to a child; valid while it is not NULL; only the owner's */
    ATOMIC(uint32_t) tick;        /* slices begun; written by the owner, watched by sysmon */
    ATOMIC(uint32_t) starts;      /* Gs started, those that inherit a slice included; watched by sysmon and thieves */
    ATOMIC(struct m *) m; /* written by the owner, watched by sysmon */
    struct g *current; /* the G that runs on it, or is in a blocking call with it */

    uint32_t quiet_wakes; /* Gs made ready since the last that woke an M; see wake_after */

    uint64_t id_next, id_end; /* ids that this P may give out */

    ATOMIC(uint32_t) status; /* enum p_status */
    ATOMIC(uint32_t) call_tick; /* blocking calls begun */
    uint64_t call_g;            /* the id of the G in the last one */
    uint32_t index;
    struct p *next_idle;
    ATOMIC(int64_t) alive_delta; /* Gs started less Gs ended here; the sum over Ps is what is alive */

    struct timers timers;
    struct fired fired; /* empty outside timers_run */

    _Alignas(64) struct lock inbox_lock; /* of the list; see inbox.h */
    ATOMIC(uint32_t) inbox_size;
    struct g *inbox_head, *inbox_tail;

    struct nest nest;
    struct ring ring;
    _Alignas(64) ATOMIC(struct g *) runq[RUNQ_SLOTS];
    struct seat_cache seats[STACK_CLASSES]; /* of Gs that have ended */
    struct p_counters counters;
    struct callers callers;
};

struct sched {
    struct p *ps; /* see procs.h for these */
    uint32_t p_room;
    ATOMIC(uint32_t) p_count, p_made;

    _Alignas(64) struct lock lock; /* of the next block */
    struct g **queue;                  /* the global run queue: see shared.h */
    uint32_t queue_mask, queue_first;
    struct p *idle_ps;
    struct m *idle_ms;
    struct m *ms; /* all that were ever made; they are never freed */
    uint32_t m_count, m_max;

    _Alignas(64) ATOMIC(uint32_t) queue_size; /* written under lock */
    ATOMIC(uint32_t) idle_p_count;            /* written under lock */
    ATOMIC(uint32_t) spinning;                /* Ms that look for work; see scheduler.c */
    ATOMIC(uint32_t) wake_after;              /* see scheduler.c, "Needless waking" */
    ATOMIC(uint32_t) detached;                /* Gs that run without a P; see preempt.h */
    ATOMIC(uint64_t) preempted_t0;            /* times that a G gave way at a safepoint because it was asked to */
    ATOMIC(uint64_t) preempted_t1;            /* times that a P was taken from a G that computed */
    ATOMIC(uint64_t) preempted_t2;            /* times that a G gave way because of a signal */
    ATOMIC(uint32_t) poll_out;                /* Ms on their way from the poller to a P; see deadlock.c */
    ATOMIC(uint32_t) polling;                 /* an M is asleep in the poller */
    ATOMIC(int64_t) poll_until_ns;            /* and until when, at the latest */
    ATOMIC(uint64_t) next_id;
    ATOMIC(uint32_t) stopping; /* the main G has returned */
    int main_result;
    struct g *main_over;                      /* the main G once it has returned: its stack means nothing any more */
};

extern struct sched sched;

/* The M of this thread. The G that asks may run on another thread after any switch, so the address must never be
 * kept across one: the volatile asm makes the compiler load it anew. NULL on threads that are not Ms. */
extern __thread struct m *m_of_thread __attribute__((tls_model("initial-exec")));
static inline struct m *m_self(void)
{
    struct m *m;
#if defined(__x86_64__)
    uint64_t offset;
    __asm__ volatile("movq m_of_thread@gottpoff(%%rip), %1\n\tmovq %%fs:(%1), %0" : "=r"(m), "=&r"(offset));
#elif defined(__aarch64__)
    uint64_t offset;
    __asm__ volatile("mrs %0, tpidr_el0\n\t"
                     "adrp %1, :gottprel:m_of_thread\n\t"
                     "ldr %1, [%1, :gottprel_lo12:m_of_thread]\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(m), "=&r"(offset));
#endif
    return m;
}

static inline struct g *g_self(void) { return m_self()->current; }

/* Tells the kernel's side what this M does from now on. */
static inline void m_tell(struct m *m, const struct g *g, enum g_state state)
{
    store_relaxed(m->word_at, m_word_make(g->id, state));
}
static inline void m_tell_scheduler(struct m *m) { store_relaxed(m->word_at, 0); }

/* A step of the G's state machine, shown to the outside by one store. */
static inline void g_transition(struct g *g, enum g_state state, enum gmpt_wait_reason reason)
{
    store_release(&g->slot->status, g_status_make(++g->seq, reason, state));
}

/* W4 of unwind.h and T of segment.h: it runs before it writes on its stack or tells of another wait. */
static inline void g_transition_running(struct g *g)
{
    g_transition(g, G_RUNNING, GMPT_WAIT_none);
    store_fence();
}

static inline int64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline uint32_t random_next(uint32_t *state)
{
    uint32_t x = *state; /* xorshift32 (Marsaglia 2003) */
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Says what broke on standard error and aborts: for broken rules of use and broken invariants, never for input. */
void fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
