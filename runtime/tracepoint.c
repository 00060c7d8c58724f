/* The hooks' other half: what the scheduler does becomes records. The only code of the runtime that knows the trace. */
#define _GNU_SOURCE
#include "tracepoint.h"

#include "callers.h"
#include "latency.h"
#include "memcheck.h"
#include "modules.h"
#include "mwords.h"
#include "owncode.h"
#include "room.h"
#include "runtime.h"
#include "sampler.h"
#include "seat.h"
#include "sysmon.h"
#include "unwind.h"

#include "trace/clocksource.h"
#include "trace/savedstack.h"
#include "trace/spares.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_BYTES (16u << 20)
#define RING_BYTES_LEAST (128u << 10)
#define RING_BYTES_MOST (64u << 20)
#define LOCK_LOOK_NS 200000000 /* how often it is looked whether there is still a recorder */

struct segment trace_segment;

static struct {
    enum segment_clock clock;
    struct lock lock; /* of the no-P ring */
    struct ring ring; /* for code without a P */
    struct lock dictionary_lock; /* of adding to it */
    struct dictionary dictionary;
} trace;

/* ---- clock ---- */

static enum segment_clock choose_clock(void)
{
    struct clocksource source;
    clocksource_look(&source);
    return source.tsc ? SEGMENT_CLOCK_TSC : SEGMENT_CLOCK_MONOTONIC;
}

static inline uint64_t ticks(void) { return ring_ticks(trace.clock); }
uint64_t trace_ticks(void) { return ticks(); }

/* ---- stacks ---- */

void trace_note_wait_site(struct p *p, struct g *g, struct api_site site)
{
    g->slot->wait_stack = callers_of_site(p, g, site);
    g->slot->wait_ring = (uint16_t)p->index;
}

/* ---- names ---- */

static uint32_t dictionary_number(enum dictionary_kind kind, const void *content, uint32_t count)
{
    uint32_t number = dictionary_find(&trace.dictionary, kind, content, count);
    if (number)
        return number;
    lock_acquire(&trace.dictionary_lock);
    number = dictionary_add_locked(&trace.dictionary, kind, content, count);
    lock_release(&trace.dictionary_lock);
    return number;
}

uint32_t trace_string(const char *text)
{
    size_t bytes = text ? strnlen(text, DICTIONARY_STRING_MAX) : 0;
    return bytes ? dictionary_number(DICTIONARY_STRING, text, (uint32_t)bytes) : 0;
}

uint32_t trace_labels(const uint64_t *pairs, uint32_t count)
{
    return dictionary_number(DICTIONARY_LABELS, pairs, count);
}

const char *trace_string_text(uint32_t number) { return dictionary_string(&trace.dictionary, number); }

uint32_t trace_labels_get(uint32_t set, uint64_t pairs[DICTIONARY_LABELS_MAX])
{
    return dictionary_labels(&trace.dictionary, set, pairs);
}

/* ---- start ---- */

static void describe(const struct ring *ring, struct subbuffer *head)
{
    const struct p *p = container_of(ring, struct p, ring);
    if (p->current) {
        head->current_g = p->current->id;
        head->current_seq = p->current->seq;
    }
    const struct m *m = load_relaxed(&p->m);
    head->tid = m ? m->tid : 0;
}

/* GMPT_RING_BYTES: a power of two, with or without K or M. 0 = it is something else. */
static size_t ring_bytes(void)
{
    const char *text = getenv("GMPT_RING_BYTES");
    if (!text || !*text)
        return RING_BYTES;
    char *end;
    unsigned long long bytes = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (bytes == 0 || bytes > RING_BYTES_MOST)
        return 0;
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;
    if (end[shift ? 1 : 0])
        return 0;
    bytes <<= shift;
    return bytes >= RING_BYTES_LEAST && bytes <= RING_BYTES_MOST && (bytes & (bytes - 1)) == 0 ? bytes : 0;
}

/* The file that a recorder passed, or -1. The variable is taken away, so that children start afresh. */
static int recorder_fd(void)
{
    const char *text = getenv(SEGMENT_FD_ENV);
    if (!text || !*text)
        return -1;
    char *end;
    long fd = strtol(text, &end, 10);
    unsetenv(SEGMENT_FD_ENV);
    if (*end || fd < 0 || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)fd;
}

/* What the recorder that passed the memfd does without, and whether it wants to see the end; the variables go the same
 * way. */
static void take_wishes(void)
{
    const char *text = getenv(SEGMENT_LEFT_OUT_ENV);
    unsigned frames, events, sample_hz = 0;
    if (text && sscanf(text, "%u %x %u", &frames, &events, &sample_hz) >= 2) {
        segment_leave_out(&trace_segment, frames, events);
        segment_sample(&trace_segment, sample_hz);
    }
    unsetenv(SEGMENT_LEFT_OUT_ENV);
    text = getenv(SEGMENT_HOLD_ENV);
    if (text && strcmp(text, "0") != 0)
        store_relaxed(&trace_segment.header->hold_at_end, 1);
    unsetenv(SEGMENT_HOLD_ENV);
}

/* A child of fork() has the segment in common with its parent: it gets a copy of its own, untraced. Like any child of a
 * program with threads it may do little but exec or exit, but it must not write into its parent's trace. */
static void after_fork_in_child(void)
{
    struct segment *segment = &trace_segment;
    if (segment->fd >= 0 && mmap(segment->base, segment->bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, segment->fd, 0) == MAP_FAILED)
        fatal("fork: the child cannot have a segment of its own: error %d", errno);
    int error = mwords_after_fork();
    if (error)
        fatal("fork: the child cannot have words of its own: error %d", -error);
    segment->fd = -1; /* a child's child copies the copy, whatever has become of the descriptor */
    store_relaxed(&segment->header->tracing, 0);
}

void trace_set_maxprocs(uint32_t count)
{
    store_relaxed(&trace_segment.header->maxprocs, count);
}

static void note_clocks(struct segment_header *header)
{
    struct timespec monotonic, realtime;
    clock_gettime(CLOCK_REALTIME, &realtime);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    header->start_ticks = ticks();
    header->start_monotonic_ns = monotonic.tv_sec * INT64_C(1000000000) + monotonic.tv_nsec;
    header->start_realtime_ns = realtime.tv_sec * INT64_C(1000000000) + realtime.tv_nsec;
    if (trace.clock == SEGMENT_CLOCK_MONOTONIC)
        header->start_ticks = (uint64_t)header->start_monotonic_ns;
}

int trace_start(uint32_t p_room, uint32_t maxprocs, uint32_t quota_cpus, uint32_t seats)
{
    trace.clock = choose_clock();
    size_t bytes = ring_bytes();
    if (bytes == 0) {
        fprintf(stderr, "gmptrace: GMPT_RING_BYTES=%s is not a power of two from 128K to 64M\n",
                getenv("GMPT_RING_BYTES"));
        return -EINVAL;
    }
    int fd = recorder_fd();
    if (fd >= 0 && segment_in_tmpfs(fd))
        room_watch();
    int error = fd < 0 ? spare_claim(&trace_segment, p_room, bytes, seats)
                       : segment_create(&trace_segment, fd, p_room, bytes, seats);
    bool recorded = !error;
    if (fd >= 0 && error && error != -EBUSY)
        fprintf(stderr, "gmptrace: this program cannot be recorded: %s\n", strerror(-error));
    if (error)
        error = segment_create(&trace_segment, -1, p_room, bytes, seats);
    if (error)
        return error;
    memcheck_reserved(trace_segment.registry, seats * sizeof *trace_segment.registry);
    if (!recorded) /* the stack tables and the rings, to the end; a ring that is used tells so in turn() */
        memcheck_reserved(trace_segment.stacks,
                          (size_t)(trace_segment.base + trace_segment.bytes - (uint8_t *)trace_segment.stacks));
    trace_segment.header->clock = trace.clock;
    note_clocks(trace_segment.header);
    trace_set_maxprocs(maxprocs);
    trace_segment.header->quota_cpus = quota_cpus;
    ring_init(&trace.ring, &trace_segment, p_room);
    dictionary_init(&trace.dictionary, &trace_segment);
    modules_note();
    trace_segment.header->saved_sp_offset = offsetof(struct g, context) + offsetof(struct context, sp);
    trace_segment.header->saved_call_offset = offsetof(struct g, call);
    trace_segment.header->thread_m_offset = (char *)&m_of_thread - (char *)__builtin_thread_pointer();
    trace_segment.header->m_word_offset = offsetof(struct m, word_at);
    trace_segment.header->entry_pc = (uint64_t)(uintptr_t)switch_entry;
    trace_segment.header->code_lo = (uint64_t)(uintptr_t)__start_gmpt_text;
    trace_segment.header->code_hi = (uint64_t)(uintptr_t)__stop_gmpt_text;
    if (fd >= 0 && recorded)
        trace_segment.header->words_at = mwords_take();
    else
        mwords_leave();
    if (recorded) {
        take_wishes();
        store_relaxed(&trace_segment.header->tracing, segment_next_epoch(&trace_segment, true));
        ring_prefault(&trace.ring);
    }
    pthread_atfork(NULL, NULL, after_fork_in_child);
    segment_publish(&trace_segment);
    return 0;
}

void trace_start_p(struct p *p)
{
    ring_init(&p->ring, &trace_segment, p->index);
    p->ring.describe = describe;
    if (trace_is_on())
        ring_prefault(&p->ring);
}

bool trace_is_locked(void) { return segment_is_locked(trace_segment.fd); }

void trace_at_end(void)
{
    store_release(&trace_segment.header->at_end, 1);
}

/* ---- epochs ---- */

/* The address of a stack that may be in another ring's table, and have been noted for a recorder that wanted more. */
static uint64_t stack_elsewhere(uint32_t ring, uint32_t ordinal)
{
    return callers_room() ? segment_stack_of(ring, ordinal) : 0;
}

static uint64_t creation_stack(struct ring *ring, const struct g_slot *slot)
{
    if (slot->create_stack || !slot->create_pc || !callers_room())
        return stack_elsewhere(slot->create_ring, slot->create_stack);
    return ring_stack(ring, &slot->create_pc, 1);
}

/* From its saved frames, when nobody noted it as the wait began. */
static uint64_t wait_stack(struct ring *ring, const struct g *g)
{
    const struct g_slot *slot = g->slot;
    struct unwind unwind;
    uint32_t room = callers_room();
    if (slot->wait_stack || room == 0)
        return stack_elsewhere(slot->wait_ring, slot->wait_stack);
    if (!unwind_saved(&unwind, g, slot))
        return 0;
    uint32_t first = savedstack_private(unwind.pc, unwind.depth, (uintptr_t)__start_gmpt_text,
                                        (uintptr_t)__stop_gmpt_text);
    for (uint32_t i = first; i < unwind.depth; i++)
        unwind.pc[i]++; /* a trace has return addresses */
    uint32_t count = unwind.depth - first;
    return ring_stack(ring, unwind.pc + first, count < room ? count : room);
}

/* What the recorder cannot read from the slot any more once the next record about g is there. */
static void tell(struct ring *ring, const struct g *g)
{
    struct g_slot *slot = g->slot;
    uint64_t now = ticks(), status = load_relaxed(&slot->status);
    enum g_state state = g_status_state(status);
    const uint64_t was[] = { g->id, g->seq, state, slot->parent, slot->fn, creation_stack(ring, slot) };
    ring_emit_fields(ring, GMPT_EVENT_go_was, now, was, 6);
    if (state == G_WAITING || state == G_SYSCALL) {
        int64_t waited_ns = load_relaxed(&coarse_now_ns) - slot->wait_since_ns;
        bool waits = state == G_WAITING;
        const uint64_t waited[] = { g->id,
                                    g_status_reason(status),
                                    waits ? slot->wait_object : 0,
                                    waits && slot->wait_bounded,
                                    waited_ns > 0 ? (uint64_t)waited_ns : 0,
                                    waits ? wait_stack(ring, g)
                                          : stack_elsewhere(slot->wait_ring, slot->wait_stack) };
        ring_emit_fields(ring, GMPT_EVENT_go_waited, now, waited, 6);
    }
    store_relaxed(&slot->told, ring->epoch);
    if (load_relaxed(&slot->labels) && trace_wants(EVENT_GROUP_LABELS))
        ring_emit(ring, GMPT_EVENT_go_labels, now, 2, g->id, load_relaxed(&slot->labels), 0, 0);
    if (load_relaxed(&slot->name) && trace_wants(EVENT_GROUP_NAME))
        ring_emit(ring, GMPT_EVENT_go_name, now, 2, g->id, load_relaxed(&slot->name), 0, 0);
    if (load_relaxed(&slot->scope) && trace_wants(EVENT_GROUP_SCOPE))
        ring_emit(ring, GMPT_EVENT_go_scope, now, 2, g->id, load_relaxed(&slot->scope), 0, 0);
}

/* The first record of a ring in an epoch is about to be written, or tracing has ended meanwhile: false. */
static __attribute__((noinline)) bool turn(struct ring *ring, uint32_t epoch)
{
    if (epoch == 0)
        return false;
    load_fence(); /* what the recorder has consumed is seen, as `tracing` is */
    memcheck_used(segment_subbuffer(&trace_segment, ring->index, 0),
                  (size_t)trace_segment.subbuffers * SUBBUFFER_BYTES);
    memcheck_used(ring->stack_words, trace_segment.stacks_words * sizeof(uint64_t));
    uint32_t first = load_relaxed(&trace_segment.header->first_epoch);
    ring_turn(ring, epoch, ring->epoch && (int32_t)(ring->epoch - first) >= 0);
    if (ring == &trace.ring)
        return true;
    const struct g *current = container_of(ring, struct p, ring)->current;
    if (current && load_relaxed(&current->slot->told) != epoch)
        tell(ring, current);
    return true;
}

/* Whether a record may be written now; the ring is in the epoch then. */
static inline __attribute__((always_inline)) bool follow(struct ring *ring)
{
    uint32_t epoch = load_relaxed(&trace_segment.header->tracing);
    return likely(ring->epoch == epoch) || turn(ring, epoch);
}

/* Before a record that names g. False when there must be none: tracing has ended, or g is being made and was not yet
 * told of, so that the first that is told of it will be later. */
static inline __attribute__((always_inline)) bool follow_g(struct ring *ring, const struct g *g)
{
    if (unlikely(!follow(ring)))
        return false;
    if (likely(load_relaxed(&g->slot->told) == ring->epoch))
        return true;
    if (g->seq == 0)
        return false;
    tell(ring, g);
    return true;
}

void trace_watch(int64_t now_ns)
{
    static int64_t looked_ns;
    uint32_t epoch = load_relaxed(&trace_segment.header->tracing);
    latency_count_all(epoch != 0);
    if (likely(epoch == 0) || trace_segment.fd < 0 || now_ns - looked_ns < LOCK_LOOK_NS)
        return;
    looked_ns = now_ns;
    if (!segment_is_locked(trace_segment.fd))
        cas_acq_rel(&trace_segment.header->tracing, &epoch, 0); /* not when the next recorder has begun its own */
}

uint32_t trace_sample_hz(void)
{
    return load_acquire(&trace_segment.header->tracing) ? segment_sample_hz(trace_segment.header) : 0;
}

bool trace_snapshot_ask(void)
{
    if (load_relaxed(&trace_segment.header->tracing) == 0)
        return false;
    fetch_add_relaxed(&trace_segment.header->snapshots_asked, 1);
    return true;
}

void trace_p_held(struct p *p, uint32_t tid) { store_relaxed(&p->ring.control->tid, tid); }

/* ---- records ---- */

/* Of a record; 4 bytes, so that it is a constant in the code. */
struct kind {
    uint8_t code;
    uint8_t fields;
    uint16_t wanted; /* its group, which can be left out, + 1; 0 = it is always written */
};
#define KIND(name, fields) ((struct kind){ GMPT_EVENT_##name, fields, 0 })
#define KIND_WANTED(name, fields, group) ((struct kind){ GMPT_EVENT_##name, fields, EVENT_GROUP_##group + 1 })

/* The epoch comes first: its recorder wrote what it wants before. */
static inline bool is_wanted(struct kind kind) { return kind.wanted == 0 || trace_wants(kind.wanted - 1u); }

/* A record needs nothing but to be written. What is rare stays in functions of its own: the common path then calls
 * none, and saves no registers. */
static inline bool is_plain(const struct ring *ring)
{
    return ring->epoch == load_relaxed(&trace_segment.header->tracing) && ring_is_roomy(ring);
}

/* To read the clock calls nothing, either. */
static inline bool is_plain_with_time(const struct ring *ring)
{
    return is_plain(ring) && trace.clock == SEGMENT_CLOCK_TSC;
}

static __attribute__((noinline)) void emit_slowly(struct ring *ring, const struct g *g, struct kind kind, uint64_t a,
                                                  uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t fields[] = { a, b, c, d };
    if ((g ? follow_g(ring, g) : follow(ring)) && is_wanted(kind))
        ring_emit_fields(ring, kind.code, ticks(), fields, kind.fields);
}

/* g: the G that exists and that the record names, or NULL. */
static inline __attribute__((always_inline)) void emit(struct ring *ring, const struct g *g, struct kind kind,
                                                       uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    bool plain = is_plain_with_time(ring);
    if (likely(plain) && !is_wanted(kind))
        return;
    if (likely(plain && (!g || load_relaxed(&g->slot->told) == ring->epoch)))
        ring_finish(ring, ring_begin_roomy(ring, kind.code, ring_ticks(SEGMENT_CLOCK_TSC)), kind.fields, a, b, c, d);
    else
        emit_slowly(ring, g, kind, a, b, c, d);
}

#define EMIT0(ring, name) emit(ring, NULL, KIND(name, 0), 0, 0, 0, 0)
#define EMIT1(ring, name, a) emit(ring, NULL, KIND(name, 1), a, 0, 0, 0)
#define EMIT2(ring, name, a, b) emit(ring, NULL, KIND(name, 2), a, b, 0, 0)
#define EMIT3(ring, name, a, b, c) emit(ring, NULL, KIND(name, 3), a, b, c, 0)
#define EMIT4(ring, name, a, b, c, d) emit(ring, NULL, KIND(name, 4), a, b, c, d)
#define EMIT_WANTED(ring, group, name, count, a, b, c) emit(ring, NULL, KIND_WANTED(name, count, group), a, b, c, 0)
/* A record that names a G which exists, and one more number. */
#define EMIT_G(ring, name, g, number) emit(ring, g, KIND(name, 2), (g)->id, number, 0, 0)
#define EMIT_G_WANTED(ring, group, name, g, number) emit(ring, g, KIND_WANTED(name, 2, group), (g)->id, number, 0, 0)

void trace_emit_proc_start(struct p *p, uint32_t tid) { EMIT1(&p->ring, proc_start, tid); }

void trace_emit_proc_stop(struct p *p) { EMIT0(&p->ring, proc_stop); }

void trace_emit_proc_steal(struct p *p, uint32_t from, uint32_t count)
{
    EMIT_WANTED(&p->ring, STEAL, proc_steal, 2, from, count, 0);
}

void trace_emit_proc_retake(uint32_t p, uint64_t g)
{
    lock_acquire(&trace.lock);
    EMIT_WANTED(&trace.ring, RETAKE, proc_retake, 2, p, g, 0);
    lock_release(&trace.lock);
}

void trace_emit_proc_preempt(uint32_t p)
{
    lock_acquire(&trace.lock);
    EMIT_WANTED(&trace.ring, PREEMPT, proc_preempt, 1, p, 0, 0);
    lock_release(&trace.lock);
}

void trace_emit_proc_limit(uint32_t count)
{
    lock_acquire(&trace.lock);
    EMIT1(&trace.ring, proc_limit, count);
    lock_release(&trace.lock);
}

void trace_emit_go_create(struct p *p, struct g *g, struct api_site site)
{
    uint32_t stack = p->current ? callers_of_site(p, p->current, site) : 0;
    g->slot->create_stack = stack;
    g->slot->create_ring = (uint16_t)p->index;
    EMIT3(&p->ring, go_create, g->id, g->slot->fn, stack);
    store_relaxed(&g->slot->told, p->ring.epoch);
}

void trace_emit_go_start(struct p *p, struct g *g) { EMIT_G(&p->ring, go_start, g, (uint32_t)(g->seq + 1)); }

/* When the ring is plain, its last record is that of the stop: had it been lost, there would be no room. */
void trace_emit_go_start_at_once(struct p *p, struct g *g)
{
    struct ring *ring = &p->ring;
    if (likely(is_plain(ring) && load_relaxed(&g->slot->told) == ring->epoch)) {
        uint8_t *at = leb_put(ring_begin_roomy(ring, GMPT_EVENT_go_start, ring->last_ticks), g->id);
        ring_commit(ring, leb_put(at, (uint32_t)(g->seq + 1)));
    } else {
        trace_emit_go_start(p, g);
    }
}

static __attribute__((noinline)) void stop_emit_slowly(struct ring *ring, uint8_t code)
{
    sampler_settle(m_self());
    if (follow(ring))
        ring_emit(ring, code, ticks(), 0, 0, 0, 0, 0);
}

static inline __attribute__((always_inline)) void stop_emit(struct ring *ring, uint8_t code)
{
    if (likely(is_plain_with_time(ring) && !sampler_is_due(m_self())))
        ring_commit(ring, ring_begin_roomy(ring, code, ring_ticks(SEGMENT_CLOCK_TSC)));
    else
        stop_emit_slowly(ring, code);
}

void trace_emit_go_yield(struct p *p) { stop_emit(&p->ring, GMPT_EVENT_go_yield); }
void trace_emit_go_preempt(struct p *p) { stop_emit(&p->ring, GMPT_EVENT_go_preempt); }
void trace_emit_go_preempt_async(struct p *p) { stop_emit(&p->ring, GMPT_EVENT_go_preempt_async); }
void trace_emit_go_exit(struct p *p) { stop_emit(&p->ring, GMPT_EVENT_go_exit); }

/* The G that has the lock that is about to be waited for. */
static uint64_t owner_of(const struct g_slot *slot)
{
    void *object = (void *)(uintptr_t)slot->wait_object;
    switch (slot->wait_reason) {
    case GMPT_WAIT_mutex:
        return gmpt_mutex_owner(object);
    case GMPT_WAIT_rwmutex_read:
    case GMPT_WAIT_rwmutex_write:
        return gmpt_rwmutex_owner(object);
    default:
        return 0;
    }
}

void trace_emit_go_block(struct p *p, struct g *g)
{
    const struct g_slot *slot = g->slot;
    sampler_settle(m_self());
    uint8_t *at = follow(&p->ring) ? ring_begin(&p->ring, GMPT_EVENT_go_block, ticks()) : NULL;
    if (unlikely(!at))
        return;
    at = leb_put(at, slot->wait_reason);
    at = leb_put(at, slot->wait_object);
    at = leb_put(at, slot->wait_bounded);
    at = leb_put(at, slot->wait_stack);
    ring_commit(&p->ring, leb_put(at, owner_of(slot)));
}

/* What the poller made ready: sockets, or the channels that hear of signals. */
static uint32_t polled(const struct g *g, enum gmpt_waker poller)
{
    uint8_t reason = g->slot->wait_reason;
    return reason == GMPT_WAIT_net_read || reason == GMPT_WAIT_net_write ? poller : GMPT_WAKER_SIGNAL;
}

#define EMIT_UNBLOCK(ring, g, by, stack)                                                                               \
    emit(ring, g, KIND(go_unblock, 4), (g)->id, (uint32_t)((g)->seq + 1), by, stack)

static uint32_t waker_stack(struct p *p, const struct g *waker, const void *frame)
{
    return follow(&p->ring) && trace_wants(EVENT_GROUP_WAKER) ? callers_of_frame(p, waker, frame) : 0;
}

void trace_emit_go_unblock(struct p *p, struct g *g)
{
    if (p) {
        const struct g *waker = p->current;
        if (p->waking)
            EMIT_UNBLOCK(&p->ring, g, p->waking == WAKING_BY_NOBODY ? GMPT_WAKER_UNKNOWN : p->waking, 0);
        else if (waker)
            EMIT_UNBLOCK(&p->ring, g, GMPT_WAKER_G, waker_stack(p, waker, __builtin_frame_address(0)));
        else
            EMIT_UNBLOCK(&p->ring, g, polled(g, GMPT_WAKER_NETPOLL), 0);
        return;
    }
    enum gmpt_waker poller = m_self() ? GMPT_WAKER_NETPOLL : GMPT_WAKER_SYSMON;
    lock_acquire(&trace.lock);
    EMIT_UNBLOCK(&trace.ring, g, polled(g, poller), 0);
    lock_release(&trace.lock);
}

void trace_emit_syscall_begin(struct p *p, struct g *g, struct api_site site)
{
    trace_note_wait_site(p, g, site);
    sampler_settle(m_self());
    EMIT1(&p->ring, syscall_begin, g->slot->wait_stack);
}

void trace_emit_syscall_end(struct p *p) { EMIT0(&p->ring, syscall_end); }

void trace_emit_syscall_resume(struct p *p, struct g *g)
{
    EMIT_G(&p->ring, syscall_resume, g, (uint32_t)(g->seq + 1));
}

void trace_emit_syscall_exit(struct g *g)
{
    sampler_settle(m_self());
    lock_acquire(&trace.lock);
    EMIT_G(&trace.ring, syscall_exit, g, (uint32_t)(g->seq + 1));
    lock_release(&trace.lock);
}

void trace_emit_go_detach(struct p *p) { EMIT0(&p->ring, go_detach); }

void trace_emit_go_attach(struct p *p, struct g *g) { EMIT_G(&p->ring, go_attach, g, (uint32_t)(g->seq + 1)); }

void trace_emit_go_attach_wait(struct g *g)
{
    sampler_settle(m_self());
    lock_acquire(&trace.lock);
    EMIT_G(&trace.ring, go_attach_wait, g, (uint32_t)(g->seq + 1));
    lock_release(&trace.lock);
}

void trace_emit_m_create(struct p *p, uint32_t tid) { EMIT_WANTED(&p->ring, MACHINE, m_create, 1, tid, 0, 0); }

void trace_emit_m_park(uint32_t tid)
{
    lock_acquire(&trace.lock);
    EMIT_WANTED(&trace.ring, MACHINE, m_park, 1, tid, 0, 0);
    lock_release(&trace.lock);
}

void trace_emit_m_unpark(struct p *p, uint32_t tid, uint32_t given)
{
    if (p) {
        EMIT_WANTED(&p->ring, MACHINE, m_unpark, 2, tid, given, 0);
        return;
    }
    lock_acquire(&trace.lock);
    EMIT_WANTED(&trace.ring, MACHINE, m_unpark, 2, tid, given, 0);
    lock_release(&trace.lock);
}

void trace_emit_m_spin(struct p *p) { EMIT_WANTED(&p->ring, MACHINE, m_spin, 0, 0, 0, 0); }

void trace_emit_netpoll(struct p *p, uint32_t tid, const struct g *list, int64_t slept_since_ns)
{
    uint64_t count = 0, slept_ns = 0;
    for (; list; list = list->next)
        count++;
    if (slept_since_ns) {
        int64_t now_ns = clock_now_ns();
        slept_ns = now_ns > slept_since_ns ? (uint64_t)(now_ns - slept_since_ns) : 1;
    }
    if (count == 0 && slept_ns == 0)
        return;
    if (p) {
        EMIT_WANTED(&p->ring, NETPOLL, netpoll, 3, tid, count, slept_ns);
        return;
    }
    lock_acquire(&trace.lock);
    EMIT_WANTED(&trace.ring, NETPOLL, netpoll, 3, tid, count, slept_ns);
    lock_release(&trace.lock);
}

void trace_emit_timer_fire(struct p *p, enum gmpt_timer_use use, int64_t late_ns, uint32_t home)
{
    EMIT_WANTED(&p->ring, TIMER, timer_fire, 3, use, late_ns > 0 ? (uint64_t)late_ns : 0, home);
}

void trace_emit_go_labels(struct p *p, struct g *g)
{
    sampler_settle(m_self());
    EMIT_G_WANTED(&p->ring, LABELS, go_labels, g, load_relaxed(&g->slot->labels));
}

void trace_emit_go_name(struct p *p, struct g *g)
{
    sampler_settle(m_self());
    EMIT_G_WANTED(&p->ring, NAME, go_name, g, load_relaxed(&g->slot->name));
}

void trace_emit_go_scope(struct p *p, struct g *g)
{
    sampler_settle(m_self());
    EMIT_G_WANTED(&p->ring, SCOPE, go_scope, g, load_relaxed(&g->slot->scope));
}

void trace_emit_user_task_begin(struct p *p, const struct gmpt_task *task, uint32_t name)
{
    EMIT_WANTED(&p->ring, TASK, user_task_begin, 3, task->id, task->parent, name);
}

void trace_emit_user_task_end(struct p *p, uint64_t task)
{
    EMIT_WANTED(&p->ring, TASK, user_task_end, 1, task, 0, 0);
}

void trace_emit_user_region_begin(struct p *p, uint64_t task, uint32_t name)
{
    EMIT_WANTED(&p->ring, REGION, user_region_begin, 2, task, name, 0);
}

void trace_emit_user_region_end(struct p *p, uint32_t name)
{
    EMIT_WANTED(&p->ring, REGION, user_region_end, 1, name, 0, 0);
}

/* Takes up to 7 bytes of the text, which are 8 in LEB128; 8 would be 10. */
static uint64_t text_take(const char **text, size_t *left)
{
    uint64_t word = 0;
    for (unsigned shift = 0; shift < 56 && *left; shift += 8, --*left)
        word |= (uint64_t)(uint8_t)*(*text)++ << shift;
    return word;
}

void trace_emit_user_log(struct p *p, uint64_t task, uint32_t category, const char *text, size_t bytes)
{
    size_t left = bytes < GMPT_LOG_BYTES_MAX ? bytes : GMPT_LOG_BYTES_MAX;
    if (!follow(&p->ring) || !trace_wants(EVENT_GROUP_LOG))
        return;
    while (left) {
        uint64_t word[4];
        for (int i = 0; i < 4; i++)
            word[i] = text_take(&text, &left);
        EMIT4(&p->ring, user_log_text, word[0], word[1], word[2], word[3]);
    }
    EMIT3(&p->ring, user_log, task, category, bytes);
}

/* ---- samples ---- */

/* In the ring's time, whose last record may be later than what another CPU's clock says. */
void trace_emit_cpu_sample(const struct sample *sample, uint32_t tid)
{
    struct ring *ring = &trace.ring;
    lock_acquire(&trace.lock);
    if (follow(ring)) {
        uint64_t now = ticks();
        if (now < ring->last_ticks)
            now = ring->last_ticks;
        uint32_t before = ring->stack_count, room = callers_room();
        uint32_t depth = sample->stack.depth < room ? sample->stack.depth : room;
        const uint64_t fields[] = { sample->g,
                                    (uint64_t)(sample->p + 1),
                                    tid,
                                    now > sample->ticks ? now - sample->ticks : 0,
                                    sample->intervals * sample->interval_ns,
                                    ring_stack(ring, sample->stack.pc, depth) };
        if (ring->stack_count != before && !modules_have(sample->stack.pc, depth))
            modules_note_later();
        ring_emit_fields(ring, GMPT_EVENT_cpu_sample, now, fields, 6);
    }
    lock_release(&trace.lock);
}

void trace_emit_cpu_sample_lost(uint32_t tid, uint64_t count)
{
    lock_acquire(&trace.lock);
    EMIT2(&trace.ring, cpu_sample_lost, tid, count);
    lock_release(&trace.lock);
}

/* ---- proofs of leaks ---- */

void trace_emit_proof(uint32_t number)
{
    const struct segment_header *header = trace_segment.header;
    bool complete = load_relaxed(&header->proof_status) == PROOF_COMPLETE;
    uint32_t used = complete ? load_acquire(&header->registry_used) : 0;
    lock_acquire(&trace.lock);
    for (uint32_t i = 0, left = 4096; i < used && left; i++) {
        const struct g_slot *slot = &trace_segment.registry[i];
        uint64_t id = load_relaxed(&slot->id), owner = slot->verdict_owner;
        enum g_verdict verdict = g_verdict_of(slot, number, id, load_acquire(&slot->status));
        if (verdict != VERDICT_PROVEN && verdict != VERDICT_CYCLE)
            continue;
        owner = owner ? load_relaxed(&trace_segment.registry[owner - 1].id) : 0;
        EMIT4(&trace.ring, go_judged, id, number, (uint64_t)verdict, owner);
        left--;
    }
    const uint64_t fields[] = { number, load_relaxed(&header->proof_status), load_relaxed(&header->proof_assumptions),
                                complete ? load_relaxed(&header->proof_proven) : 0,
                                complete ? load_relaxed(&header->proof_cycles) : 0,
                                complete ? load_relaxed(&header->proof_stop_ns) : 0 };
    if (follow(&trace.ring))
        ring_emit_fields(&trace.ring, GMPT_EVENT_proof, ticks(), fields, 6);
    lock_release(&trace.lock);
}
