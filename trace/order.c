/* See order.h for the problem and the rules. This file has the merge and the state machine of a G, in that order, for
 * all records; what most of them need of it is in orderrun.c. */
#include "order.h"

#include "lane.h"
#include "misfit.h"
#include "orderrun.h"
#include "ownwords.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void order_init(struct order *order, struct clockmap *clocks, const struct stackset *stacks,
                const struct event_schema *schema, struct gmpt_trace_error *error, int (*more)(void *arg), void *arg)
{
    memset(order, 0, sizeof *order);
    order->clocks = clocks;
    order->stacks = stacks;
    order->schema = schema;
    order->error = error;
    order->more = more;
    order->more_arg = arg;
    laneheap_init(&order->heap);
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++)
        order->lane[i].index = i;
    holders_init(&order->holders);
}

/* ---- Lanes ------------------------------------------------------------------------------------------------------ */

void order_clear(struct order *order)
{
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++)
        while (order->lane[i].first)
            lane_part_drop(order, &order->lane[i]);
    for (struct order_part *part; (part = order->free_parts);) {
        order->free_parts = part->next;
        free(part);
    }
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++) {
        free(order->lane[i].text);
        free(order->lane[i].reader);
    }
    gtable_clear(&order->gs);
}

/* ---- The merge -------------------------------------------------------------------------------------------------- */

/* A G changed: lanes that wait for it may go on. */
static void lanes_wake(struct order *order, uint64_t id)
{
    for (uint32_t i = 0; i < order->blocked_count;) {
        struct order_lane *lane = order->blocked[i];
        if (lane->field[0] == id) {
            order->blocked[i] = order->blocked[--order->blocked_count];
            laneheap_push(&order->heap, lane, lane->ticks);
        } else {
            i++;
        }
    }
}

int order_add(struct order *order, const struct section_events *section, struct frame *frame)
{
    const struct writer_events *events = &section->part;
    uint64_t lost;
    struct order_lane *lane = &order->lane[events->ring];
    bool same = lane->seen && events->sequence == lane->next_sequence && events->offset == lane->next_offset;
    bool next = lane->seen && events->sequence == lane->next_sequence + 1 && events->offset == 0;
    bool sync = !same && (!next || lane->unsure);
    if (!lane->seen) {
        /* A recording may start in the midst of things; nothing that belongs to it is missing then. */
        sync = events->sequence || events->offset || events->current_g;
    } else if (!same && !next && !lane->unsure) {
        order->counts.gaps++;
    }
    if (order->p_count && lane->index > order->p_count)
        sync = false; /* the recorder's own rings have no current G */
    bool missing = sync && (lane->seen || !order->attached);
    if (columns_begin_with_loss(&section->columns, &lost))
        sync = missing = true;
    if (missing)
        order->excused = true;
    if (order->lane_count <= lane->index)
        order->lane_count = lane->index + 1;
    lane->seen = true;
    lane->unsure = false;
    lane->next_sequence = events->sequence;
    lane->next_offset = (uint64_t)events->offset + events->size;

    if (!lane->reader && !(lane->reader = malloc(sizeof *lane->reader)))
        return -ENOMEM;
    struct order_part *part = order->free_parts;
    if (part)
        order->free_parts = part->next;
    else if (!(part = malloc(sizeof *part)))
        return -ENOMEM;
    *part = (struct order_part){
        .frame = frame,
        .columns = section->columns,
        .base_ticks = events->base_ticks,
        .current_g = events->current_g,
        .current_seq = events->current_seq,
        .sync = sync,
    };
    if (frame->parts++ == 0) {
        order->buffered_bytes += frame->size;
        frame->users++;
    }
    if (lane->first) {
        lane->last->next = part;
        lane->last = part;
        return 0;
    }
    lane->first = lane->last = part;
    bool of_no_p = order->p_count && lane->index >= order->p_count;
    lane->p = of_no_p ? -1 : (int32_t)lane->index;
    if (lane_advance(order, lane))
        laneheap_push(&order->heap, lane, lane->ticks);
    return 0;
}

uint64_t order_watermark(const struct order *order)
{
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++) {
        const struct order_lane *lane = &order->lane[i];
        if (lane->first && lane->last->base_ticks < earliest)
            earliest = lane->last->base_ticks;
    }
    return earliest;
}

void order_damage(struct order *order)
{
    order->counts.gaps++;
    order->excused = true;
    order->damaged++;
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++)
        order->lane[i].unsure = order->lane[i].seen;
}

void order_finish(struct order *order, bool excused)
{
    order->excused = order->excused || excused;
    order->hold_ticks = order->force_ticks = UINT64_MAX;
    order->plain_ticks = 0;
}

int64_t order_head_offset(const struct order_lane *lane) { return lane->first ? lane->first->frame->offset : -1; }

uint64_t order_g_count(const struct order *order) { return order->gs.ids.table.count - (order->dead != NULL); }

/* ---- The state machine ------------------------------------------------------------------------------------------ */

/* Numbers wrap; half their range tells older from newer. */
static bool seq_after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

static void g_set(struct order *order, struct gtable_g *g, uint32_t seq, enum gmpt_g_state state, int64_t now_ns)
{
    int64_t back_ns = gtable_g_enter(g, seq, state, now_ns);
    if (back_ns > order->counts.skew_ns)
        order->counts.skew_ns = back_ns;
    if (order->blocked_count > 0)
        lanes_wake(order, g->g.id);
}

/* How long it has computed, whether it had a P all along or not. */
static int64_t g_computed_ns(const struct gtable_g *g, int64_t now_ns)
{
    bool computes = g && (g->g.state == GMPT_G_RUNNING || g->g.state == GMPT_G_PREEMPTED);
    return computes ? now_ns - g->g.state_since_ns + g->g.ran_before_ns : 0;
}

static int g_add(struct order *order, uint64_t id, int64_t now_ns, struct gtable_g **g)
{
    *g = gtable_add(&order->gs, id);
    if (*g) {
        (*g)->g.created_ns = (*g)->g.state_since_ns = now_ns;
        return 0;
    }
    if (errno == ENOMEM)
        return -ENOMEM;
    frames_error(order->error, -1, "the file has more than %u goroutines at a time", GTABLE_MAX);
    return -EPROTO;
}

/* Invariant 11. */
static void machine_event(struct order *order, struct order_lane *lane, const struct gmpt_event *event)
{
    switch (event->type) {
    case GMPT_EVENT_m_park:
        holders_elsewhere(&order->holders, SECTION_RINGS_MAX, event->m_park.tid, event->time_ns);
        break;
    case GMPT_EVENT_m_create:
        if (order->holders.tid[lane->index] && order->holders.tid[lane->index] != event->m_create.tid)
            misfit_tell(order, lane, 0);
        break;
    case GMPT_EVENT_m_spin:
        if (lane->current && lane->current->g.id == lane->current_id && lane->current->seq == lane->current_seq &&
            lane->current->g.state == GMPT_G_RUNNING)
            misfit_tell(order, lane, 0);
        break;
    default:
        break;
    }
}

/* The lane's current G makes a transition. NULL when there is none; it has not changed when it is known better. */
static struct gtable_g *current_moves(struct order *order, struct order_lane *lane, enum gmpt_g_state from,
                                      enum gmpt_g_state to, int64_t now_ns)
{
    struct gtable_g *g = lane->current;
    if (!g || g->g.id != lane->current_id) {
        misfit_tell(order, lane, lane->current_id);
        return NULL;
    }
    lane->current_seq++;
    if (__builtin_expect(g->seq + 1 != lane->current_seq || g->g.state != from, 0)) {
        misfit_tell(order, lane, lane->current_id);
        if (!seq_after(lane->current_seq, g->seq))
            return g;
    }
    g_set(order, g, lane->current_seq, to, now_ns);
    return g;
}

/* The P is taken from a G in a call without a word; a running G gives it up with a record of its own. */
static void current_leaves(struct order *order, struct order_lane *lane)
{
    if (lane->current && lane->current->g.id == lane->current_id && lane->current->g.state == GMPT_G_RUNNING &&
        lane->current->seq == lane->current_seq)
        misfit_tell(order, lane, lane->current_id);
    lane->current = NULL;
}

/* The G that the head names makes a transition. *g stays NULL when the head names none. */
static int named_moves(struct order *order, struct order_lane *lane, enum gmpt_g_state to, int64_t now_ns,
                       bool forced, struct gtable_g **out)
{
    struct gtable_g *g = lane->named;
    uint32_t seq = (uint32_t)lane->field[1];
    *out = g;
    if (__builtin_expect(forced, 0)) {
        misfit_tell(order, lane, lane->field[0]);
        if (lane->field[0] == 0)
            return 0;
        if (!g) {
            int result = g_add(order, lane->field[0], now_ns, out);
            if (result)
                return result;
            g = *out;
        } else if (!seq_after(seq, g->seq)) {
            return 0;
        }
    }
    g_set(order, g, seq, to, now_ns);
    return 0;
}

static int g_created(struct order *order, struct order_lane *lane, const struct gmpt_event *event)
{
    uint64_t id = event->go_create.g;
    struct gtable_g *g = id ? gtable_find(&order->gs, id) : NULL;
    if (id == 0 || g)
        misfit_tell(order, lane, id);
    if (id == 0)
        return 0;
    if (!g) {
        int result = g_add(order, id, event->time_ns, &g);
        if (result)
            return result;
        g_set(order, g, 1, GMPT_G_RUNNABLE, event->time_ns);
    }
    const struct gtable_g *parent = lane->current && lane->current->g.id == lane->current_id ? lane->current : NULL;
    g->g.parent = lane->current ? lane->current_id : 0;
    g->g.labels = parent ? parent->g.labels : 0;
    g->g.scope = parent ? parent->g.scope : 0;
    g->g.fn = event->go_create.fn;
    g->g.create_stack = (uint32_t)event->go_create.stack;
    g->g.created_ns = event->time_ns;
    return 0;
}

/* Invariant 6: the lane's current G is the one in its part's head, if that is newer than what is known. */
static int lane_sync(struct order *order, struct order_lane *lane)
{
    const struct order_part *part = lane->first;
    int64_t now_ns = clockmap_ns(order->clocks, lane->ticks);
    struct gtable_g *g = part->current_g ? gtable_find(&order->gs, part->current_g) : NULL;
    bool told = part->columns.count > 0 && part->columns.codes[0] == GMPT_EVENT_go_was;
    bool new = part->current_g && !g && !told;
    if (new) {
        int result = g_add(order, part->current_g, now_ns, &g);
        if (result)
            return result;
    }
    if (new || (g && !told && seq_after(part->current_seq, g->seq))) {
        order->counts.resynced++;
        g_set(order, g, part->current_seq, GMPT_G_RUNNING, now_ns);
    }
    lane->current = g;
    lane->current_id = part->current_g;
    lane->current_seq = part->current_seq;
    holders_set(&order->holders, lane->index, 0, 0);
    lane->idle = false;
    return 0;
}

/* What a G was like before the first record about it; invariant 5. */
static int g_was(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    uint64_t id = event->go_was.g;
    uint32_t seq = lane->was_seq = (uint32_t)event->go_was.seq, state = (uint32_t)event->go_was.state;
    event->go_was.stack = stackset_index(order->stacks, lane->index, event->go_was.stack);
    event->g = id;
    if (id == 0 || state < GMPT_G_RUNNABLE || state >= GMPT_G_STATES || state == GMPT_G_DEAD) {
        misfit_tell(order, lane, id);
        event->g = 0;
        return 0;
    }
    struct gtable_g *g = gtable_find(&order->gs, id);
    if (!g) {
        int result = g_add(order, id, 0, &g);
        if (result)
            return result;
        g->g.was_there = 1;
        g_set(order, g, seq, (enum gmpt_g_state)state, 0);
    } else if (seq_after(seq, g->seq)) {
        g_set(order, g, seq, (enum gmpt_g_state)state, event->time_ns);
    } else {
        event->g = 0;
    }
    if (!g->g.fn) {
        g->g.parent = event->go_was.parent;
        g->g.fn = event->go_was.fn;
        g->g.create_stack = (uint32_t)event->go_was.stack;
    }
    if (!lane->current && lane->current_id == id && lane->current_seq == seq)
        lane->current = g;
    return 0;
}

static void g_waited(struct order *order, const struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g = event->go_waited.g ? gtable_find(&order->gs, event->go_waited.g) : NULL;
    event->go_waited.stack = stackset_index(order->stacks, lane->index, event->go_waited.stack);
    event->g = event->go_waited.g;
    if (!g)
        misfit_tell(order, lane, event->go_waited.g);
    if (!g || (g->g.state != GMPT_G_WAITING && g->g.state != GMPT_G_SYSCALL) || g->seq != lane->was_seq) {
        event->g = 0;
        return;
    }
    g->g.reason = event->go_waited.reason < GMPT_WAIT_REASONS ? (enum gmpt_wait_reason)event->go_waited.reason
                                                              : GMPT_WAIT_none;
    g->g.wait_object = event->go_waited.object;
    g->g.bounded = event->go_waited.bounded != 0;
    g->g.wait_stack = (uint32_t)event->go_waited.stack;
    g->g.wait_owner = 0;
    int64_t waited_ns = event->go_waited.waited_ns < INT64_MAX ? (int64_t)event->go_waited.waited_ns : INT64_MAX;
    int64_t before_ns = waited_ns - (event->time_ns - g->g.state_since_ns);
    g->g.waited_before_ns = before_ns > 0 && g->g.state_since_ns == 0 ? before_ns : 0;
}

static void lane_takes(struct order_lane *lane, struct gtable_g *g)
{
    lane->current = g;
    lane->current_id = lane->field[0];
    lane->current_seq = (uint32_t)lane->field[1];
}

/* Explicit records, and the state that their G comes from. What is no record comes from none that there is. */
static const uint8_t state_before[GMPT_EVENT_CODES] = {
    [ORDER_SYNC] = GMPT_G_STATES,
    [GMPT_EVENT_go_start] = GMPT_G_RUNNABLE,      [GMPT_EVENT_go_unblock] = GMPT_G_WAITING,
    [GMPT_EVENT_syscall_resume] = GMPT_G_SYSCALL, [GMPT_EVENT_syscall_exit] = GMPT_G_SYSCALL,
    [GMPT_EVENT_go_attach] = GMPT_G_PREEMPTED,    [GMPT_EVENT_go_attach_wait] = GMPT_G_PREEMPTED,
};

static bool head_enabled(struct order *order, struct order_lane *lane)
{
    enum gmpt_g_state from = (enum gmpt_g_state)state_before[lane->code];
    if (!from)
        return true;
    const struct gtable_g *g = lane->named = gtable_find(&order->gs, lane->field[0]);
    return g && g->seq + 1 == (uint32_t)lane->field[1] && g->g.state == from;
}

/* ---- The heads of lanes ----------------------------------------------------------------------------------------- */

static void losses_accept(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    lane->idle = false;
    order->markers++;
    order->counts.kept--;
    order->counts.gaps++;
    order->counts.lost += event->lost.count;
    lane->lost += event->lost.count;
    order->excused = true;
    event->lost.span_ticks = (uint64_t)clockmap_span_ns(order->clocks, event->lost.span_ticks);
    if (column_reader_code(lane->reader) != lane->first->columns.codes + 1)
        lane->current = NULL; /* not the part's first record, so no sync told who runs now */
    holders_set(&order->holders, lane->index, 0, 0);
}

/* Of the kernel's, which are told of a G and move none. */
static void kernel_accept(struct order *order, const struct order_lane *lane, struct gmpt_event *event)
{
    switch (event->type) {
    case GMPT_EVENT_kernel_stack:
        event->kernel_stack.stack = stackset_index(order->stacks, lane->index, event->kernel_stack.stack);
        event->g = 0;
        break;
    case GMPT_EVENT_kernel_frames:
        event->kernel_frames.stack = stackset_index(order->stacks, lane->index, event->kernel_frames.stack);
        event->g = 0;
        break;
    case GMPT_EVENT_kernel_faults:
        event->kernel_faults.stack = stackset_index(order->stacks, lane->index, event->kernel_faults.stack);
        event->g = gtable_find(&order->gs, event->kernel_faults.g) ? event->kernel_faults.g : 0;
        break;
    default:
        ownwords_off(order, event);
    }
}

#define FEW_FIELDS 5 /* as most kinds have; copied at once, with what lies behind those of kinds that have fewer */

/* The lane's head as it was written. */
static inline void head_copy(const struct order_lane *lane, struct gmpt_event *event, int64_t now_ns)
{
    event->type = (enum gmpt_event_type)lane->code;
    event->p = lane->p;
    event->time_ns = now_ns;
    memcpy(event->field, lane->field, FEW_FIELDS * sizeof event->field[0]);
    if (__builtin_expect(event_field_counts[event->type] > FEW_FIELDS, 0))
        memcpy(event->field + FEW_FIELDS, lane->field + FEW_FIELDS,
               (GMPT_EVENT_FIELDS_MAX - FEW_FIELDS) * sizeof event->field[0]);
}

/* What moves a G, which is *g then, and what is told of threads. */
static inline __attribute__((always_inline)) int g_accept(struct order *order, struct order_lane *lane,
                                                          struct gmpt_event *event, bool forced, struct gtable_g **g)
{
    struct gtable_g *moved = NULL;
    int result = 0;
    int64_t now_ns = event->time_ns, computed_ns;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        current_leaves(order, lane);
        result = named_moves(order, lane, GMPT_G_RUNNING, now_ns, forced, &moved);
        lane_takes(lane, moved);
        break;
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
        moved = current_moves(order, lane, GMPT_G_RUNNING, GMPT_G_RUNNABLE, now_ns);
        lane->current = NULL;
        break;
    case GMPT_EVENT_go_detach:
        computed_ns = g_computed_ns(lane->current, now_ns);
        moved = current_moves(order, lane, GMPT_G_RUNNING, GMPT_G_PREEMPTED, now_ns);
        if (moved && moved->g.state == GMPT_G_PREEMPTED)
            moved->g.ran_before_ns = computed_ns;
        lane->current = NULL;
        holders_set(&order->holders, lane->index, 0, 0);
        break;
    case GMPT_EVENT_go_block:
        event->go_block.stack = stackset_index(order->stacks, lane->index, event->go_block.stack);
        moved = current_moves(order, lane, GMPT_G_RUNNING, GMPT_G_WAITING, now_ns);
        lane->current = NULL;
        if (moved && moved->seq == lane->current_seq)
            gtable_g_waits(moved, &event->go_block);
        break;
    case GMPT_EVENT_go_exit:
        moved = current_moves(order, lane, GMPT_G_RUNNING, GMPT_G_DEAD, now_ns);
        lane->current = NULL;
        if (moved && moved->g.state == GMPT_G_DEAD) {
            misfit_check_exit(order, lane, moved);
            order->dead = moved;
        }
        break;
    case GMPT_EVENT_syscall_begin:
        event->syscall_begin.stack = stackset_index(order->stacks, lane->index, event->syscall_begin.stack);
        moved = current_moves(order, lane, GMPT_G_RUNNING, GMPT_G_SYSCALL, now_ns);
        if (moved && moved->seq == lane->current_seq)
            moved->g.wait_stack = (uint32_t)event->syscall_begin.stack;
        break;
    case GMPT_EVENT_syscall_end:
        moved = current_moves(order, lane, GMPT_G_SYSCALL, GMPT_G_RUNNING, now_ns);
        break;
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        current_leaves(order, lane);
        computed_ns = g_computed_ns(lane->named, now_ns);
        result = named_moves(order, lane, GMPT_G_RUNNING, now_ns, forced, &moved);
        lane_takes(lane, moved);
        if (moved && event->type == GMPT_EVENT_syscall_resume)
            moved->retakes--;
        else if (moved && moved == lane->named)
            moved->g.ran_before_ns = computed_ns;
        break;
    case GMPT_EVENT_go_unblock:
        event->go_unblock.stack = stackset_index(order->stacks, lane->index, event->go_unblock.stack);
        result = named_moves(order, lane, GMPT_G_RUNNABLE, now_ns, forced, &moved);
        break;
    case GMPT_EVENT_syscall_exit:
    case GMPT_EVENT_go_attach_wait:
        result = named_moves(order, lane, GMPT_G_RUNNABLE, now_ns, forced, &moved);
        if (moved && event->type == GMPT_EVENT_syscall_exit)
            moved->retakes--;
        break;
    default:
        machine_event(order, lane, event);
        break;
    }
    *g = moved;
    return result;
}

/* Gives the lane's head out. */
static int head_accept(struct order *order, struct order_lane *lane, struct gmpt_event *event, bool forced)
{
    struct gtable_g *g = NULL;
    int result = 0;
    int64_t now_ns = clockmap_ns(order->clocks, lane->ticks);
    head_copy(lane, event, now_ns);
    if (__builtin_expect(lane->idle, 0))
        misfit_check_idle(order, lane);
    if (event->type - GMPT_EVENT_go_labels <= GMPT_EVENT_user_log - GMPT_EVENT_go_labels &&
        (result = ownwords_take(order, lane, event)) != 0) {
        if (event->type != GMPT_EVENT_user_log_text)
            lane->text_bytes = 0;
        return result < 0 ? result : 0;
    }
    lane->text_bytes = 0;
    if (holders_absent(&order->holders, lane->index, now_ns) && event->type != GMPT_EVENT_proc_start) {
        misfit_tell(order, lane, 0);
        holders_set(&order->holders, lane->index, 0, 0);
    }

    switch (event->type) {
    case GMPT_EVENT_lost:
        losses_accept(order, lane, event);
        break;
    case GMPT_EVENT_go_was:
        return g_was(order, lane, event);
    case GMPT_EVENT_go_waited:
        g_waited(order, lane, event);
        return 0;
    case GMPT_EVENT_proc_start:
        lane->idle = false;
        current_leaves(order, lane);
        holders_set(&order->holders, lane->index, event->proc_start.tid, now_ns);
        holders_elsewhere(&order->holders, lane->index, event->proc_start.tid, now_ns);
        break;
    case GMPT_EVENT_proc_stop:
        lane->idle = true;
        current_leaves(order, lane);
        holders_set(&order->holders, lane->index, 0, 0);
        break;
    case GMPT_EVENT_cpu_sample:
        ownwords_sample(order, lane, event);
        return 0;
    case GMPT_EVENT_kernel_stack:
    case GMPT_EVENT_kernel_frames:
    case GMPT_EVENT_kernel_faults:
    case GMPT_EVENT_kernel_off:
        kernel_accept(order, lane, event);
        return 0;
    case GMPT_EVENT_proc_steal:
        misfit_check_steal(order, lane);
        break;
    case GMPT_EVENT_proc_retake:
        misfit_check_retake(order, lane);
        event->g = event->proc_retake.g;
        holders_set(&order->holders, event->proc_retake.p, 0, 0);
        return 0;
    case GMPT_EVENT_go_create:
        event->go_create.stack = stackset_index(order->stacks, lane->index, event->go_create.stack);
        event->g = event->go_create.g;
        return g_created(order, lane, event);
    default:
        result = g_accept(order, lane, event, forced, &g);
        break;
    }
    event->g = g ? g->g.id : 0;
    return result;
}

int order_accept(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    return head_accept(order, lane, event, false);
}

/* ---- Giving out ------------------------------------------------------------------------------------------------- */

/* The lane that is blocked at the earliest time, if that is not after force_ticks, and if the others, whose next record
 * is at next_ticks, have left it behind. */
static struct order_lane *lane_to_force(const struct order *order, uint64_t next_ticks, uint32_t *place)
{
    struct order_lane *earliest = NULL;
    for (uint32_t i = 0; i < order->blocked_count; i++) {
        struct order_lane *lane = order->blocked[i];
        if (lane->ticks <= order->force_ticks && (!earliest || lane->ticks < earliest->ticks)) {
            earliest = lane;
            *place = i;
        }
    }
    if (!earliest || order->heap.count == 0 || next_ticks > order->force_ticks)
        return earliest;
    bool behind = next_ticks > earliest->ticks && next_ticks - earliest->ticks > order->patience_ticks;
    return behind && order->excused ? earliest : NULL;
}

/* The lane whose head comes next, which *out says has left the heap and *forced that it is no longer waited for; NULL
 * when a frame is needed first. */
static struct order_lane *lane_choose(struct order *order, bool *out, bool *forced)
{
    for (;;) {
        uint64_t earliest = order->heap.slot[0].ticks;
        *forced = false;
        if (__builtin_expect(order->blocked_count > 0, 0) &&
            (order->heap.count == 0 || order->excused || earliest > order->force_ticks)) {
            uint32_t place;
            struct order_lane *lane = lane_to_force(order, earliest, &place);
            if (lane) {
                order->blocked[place] = order->blocked[--order->blocked_count];
                lane->named = gtable_find(&order->gs, lane->field[0]);
                *out = *forced = true;
                return lane;
            }
        }
        if (order->heap.count == 0 || earliest > order->hold_ticks)
            return NULL;
        struct order_lane *lane = order->heap.slot[0].lane;
        if (lane->code == ORDER_SYNC || head_enabled(order, lane)) {
            /* Waking a lane that waits for this G may put it at the top: this one must have left the heap by then. */
            *out = order->blocked_count > 0;
            if (__builtin_expect(*out, 0))
                laneheap_pop(&order->heap);
            return lane;
        }
        laneheap_pop(&order->heap);
        order->blocked[order->blocked_count++] = lane;
    }
}

static void plain_set(struct order *order)
{
    bool plain = order->blocked_count == 0 && order->heap.count > 0;
    order->plain_ticks = plain ? order->hold_ticks : 0;
}

/* Nothing but the head of the first lane decides what comes next. */
static bool head_plain(const struct order *order) { return order->heap.slot[0].ticks < order->plain_ticks; }

/* Gives the next record out, whatever it is. Returns as order_next. */
static int order_step(struct order *order, struct gmpt_event *event)
{
    for (;;) {
        struct order_lane *lane = order->heap.slot[0].lane;
        bool out = false, forced = false;
        if (!head_plain(order) || !head_enabled(order, lane))
            lane = lane_choose(order, &out, &forced);
        if (!lane) {
            order->plain_ticks = 0;
            int result = order->more(order->more_arg);
            if (result <= 0)
                return result;
            continue;
        }
        bool sync = lane->code == ORDER_SYNC;
        order->counts.kept += !sync;
        int result = sync ? lane_sync(order, lane) : head_accept(order, lane, event, forced);
        bool more = lane_next(order, lane);
        if (out) {
            if (more)
                laneheap_push(&order->heap, lane, lane->ticks);
        } else if (more) {
            laneheap_again(&order->heap, lane->ticks);
        } else {
            laneheap_pop(&order->heap);
        }
        if (result || !sync) {
            plain_set(order);
            return result ? result : 1;
        }
    }
}

/* What ended with the last record given out is not known any more. */
static void dead_forget(struct order *order)
{
    if (order->dead)
        gtable_remove(&order->gs, order->dead);
    order->dead = NULL;
}

/* Which is no run's, but tells nothing of Gs either. */
static bool p_changes_hands(const struct order_lane *lane)
{
    return lane->code == GMPT_EVENT_proc_start || lane->code == GMPT_EVENT_proc_stop;
}

int order_next(struct order *order, struct gmpt_event *event) { return order_next_batch(order, event, 1); }

int order_next_batch(struct order *order, struct gmpt_event *events, int room)
{
    int count = 0;
    dead_forget(order);
    while (count < room && !order->failed && !order->dead) {
        int took = order_run(order, events + count, room - count);
        if (took == 0 && head_plain(order) && p_changes_hands(order->heap.slot[0].lane))
            took = order_step(order, events + count);
        if (took == 0)
            break;
        count += took;
    }
    if (count)
        return count;
    int failed = order->failed;
    order->failed = 0;
    return failed ? failed : order_step(order, events);
}
