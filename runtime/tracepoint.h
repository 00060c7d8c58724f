/* The one door from the runtime to the trace: every hook that the scheduler calls, and the registry's types.
 *
 * Off, a hook is one load and a branch. On, it appends a record to the ring of the P that the calling M holds, or, for
 * an M without a P and for sysmon, to the no-P ring under its lock. A hook is called before the state that it tells of
 * is changed (a sub-buffer that begins with it describes the state before it), and before the G can be seen by others,
 * so that the records about a G come in the order of its transition numbers. */
#ifndef GMPT_TRACEPOINT_H
#define GMPT_TRACEPOINT_H

#include "trace/codeaddress.h"
#include "trace/dictionary.h"
#include "trace/eventgroups.h"
#include "trace/ring.h"
#include "trace/segment.h"

#include <gmptrace/trace.h>

struct g;
struct gmpt_task;
struct m;
struct p;
struct sample;

/* Where an API function was called: its own frame and address. Hooks walk the frame pointers from here. */
struct api_site {
    void *frame;
    void *function;
};
#define API_SITE(fn) ((struct api_site){ __builtin_frame_address(0), (void *)(uintptr_t)(fn) })

extern struct segment trace_segment;

static inline bool trace_is_on(void)
{
    return __builtin_expect(load_relaxed(&trace_segment.header->tracing) != 0, 0);
}

/* Whether the recorder wants the events of a group; only those that can be left out ask. */
static inline bool trace_wants(enum event_group group)
{
    return !(load_relaxed(&trace_segment.header->events_left_out) & 1u << group);
}

/* Makes the segment, in the recorder's file if it passed one, for at most p_room Ps and so many Gs. Returns 0 or
 * -errno. */
int trace_start(uint32_t p_room, uint32_t maxprocs, uint32_t quota_cpus, uint32_t seats);
/* GOMAXPROCS is now this. */
void trace_set_maxprocs(uint32_t count);
void trace_start_p(struct p *p); /* makes the P's ring */
/* The trace's clock. Async-signal-safe. */
uint64_t trace_ticks(void);
/* CPU samples that the recorder wants for each second of CPU time, 0 = none; bounded. */
uint32_t trace_sample_hz(void);
/* By sysmon at every look: notices that tracing has begun or ended, and ends it when there is no recorder. */
void trace_watch(int64_t now_ns);
/* Asks the recorder for what it keeps in memory. Returns false when there is none. */
bool trace_snapshot_ask(void);
/* Tells the outside which thread holds the P, 0 = none. */
void trace_p_held(struct p *p, uint32_t tid);
/* Whether a recorder has the lock on the segment. */
bool trace_is_locked(void);
/* Tells the outside that the main G has returned, or never will, as all are asleep. */
void trace_at_end(void);
/* Writes an address as "MODULE+0xOFFSET", which addr2line takes. Async-signal-safe but for snprintf. */
void trace_describe_address(char *text, size_t size, uint64_t address);

/* The dictionary, which is there whether tracing is on or not. The number of a string, cut to DICTIONARY_STRING_MAX
 * bytes, or of a label set; 0 when there is no room, and for NULL and "". Any thread. */
uint32_t trace_string(const char *text);
uint32_t trace_labels(const uint64_t *pairs, uint32_t count);
/* Back again. */
const char *trace_string_text(uint32_t number);
uint32_t trace_labels_get(uint32_t set, uint64_t pairs[DICTIONARY_LABELS_MAX]);

void trace_emit_proc_start(struct p *p, uint32_t tid);
void trace_emit_proc_stop(struct p *p);
void trace_emit_proc_steal(struct p *p, uint32_t from, uint32_t count);
void trace_emit_proc_retake(uint32_t p, uint64_t g);
void trace_emit_proc_preempt(uint32_t p);
void trace_emit_proc_limit(uint32_t count);
void trace_emit_go_create(struct p *p, struct g *g, struct api_site site);
void trace_emit_go_start(struct p *p, struct g *g);
/* In place of the G whose stop is the P's record before: a switch is one moment, and the clock is what costs most. */
void trace_emit_go_start_at_once(struct p *p, struct g *g);
void trace_emit_go_yield(struct p *p);
void trace_emit_go_preempt(struct p *p);
void trace_emit_go_preempt_async(struct p *p);
void trace_emit_go_block(struct p *p, struct g *g);
void trace_emit_go_unblock(struct p *p, struct g *g);
void trace_emit_go_exit(struct p *p);
void trace_emit_syscall_begin(struct p *p, struct g *g, struct api_site site);
void trace_emit_syscall_end(struct p *p);
void trace_emit_syscall_resume(struct p *p, struct g *g);
void trace_emit_syscall_exit(struct g *g);
/* By sysmon, in the ring of the P that it takes: it holds the P, and the G's M is kept out of the runtime. */
void trace_emit_go_detach(struct p *p);
void trace_emit_go_attach(struct p *p, struct g *g);
void trace_emit_go_attach_wait(struct g *g);

/* In the ring of the P that the calling M holds, or, p NULL, in the no-P ring. */
void trace_emit_m_create(struct p *p, uint32_t tid);
void trace_emit_m_park(uint32_t tid);
void trace_emit_m_unpark(struct p *p, uint32_t tid, uint32_t given);
void trace_emit_m_spin(struct p *p);
/* slept_since_ns: when the M began to sleep in the poller; 0 = it only looked. */
void trace_emit_netpoll(struct p *p, uint32_t tid, const struct g *list, int64_t slept_since_ns);
void trace_emit_timer_fire(struct p *p, enum gmpt_timer_use use, int64_t late_ns, uint32_t home);

void trace_emit_go_labels(struct p *p, struct g *g);
void trace_emit_go_scope(struct p *p, struct g *g);
void trace_emit_go_name(struct p *p, struct g *g);
void trace_emit_user_task_begin(struct p *p, const struct gmpt_task *task, uint32_t name);
void trace_emit_user_task_end(struct p *p, uint64_t task);
void trace_emit_user_region_begin(struct p *p, uint64_t task, uint32_t name);
void trace_emit_user_region_end(struct p *p, uint32_t name);
/* text has min(bytes, GMPT_LOG_BYTES_MAX) bytes. */
void trace_emit_user_log(struct p *p, uint64_t task, uint32_t category, const char *text, size_t bytes);

/* Any thread: in the no-P ring. */
void trace_emit_cpu_sample(const struct sample *sample, uint32_t tid);
void trace_emit_cpu_sample_lost(uint32_t tid, uint64_t count);

/* A proof of leaks has ended, as the header says; its verdicts come before it. */
void trace_emit_proof(uint32_t number);

/* Records where the G waits in its slot, while tracing is on. */
void trace_note_wait_site(struct p *p, struct g *g, struct api_site site);

/* TRACE(go_start, p, g) calls trace_emit_go_start(p, g) when tracing is on. */
#define TRACE(event, ...)                                                                                              \
    do {                                                                                                               \
        if (trace_is_on())                                                                                             \
            trace_emit_##event(__VA_ARGS__);                                                                           \
    } while (0)

#endif
