#include "orderrun.h"

#include "lane.h"

/* Up to when the first lane's heads come next, whatever they are; 0 = something else has to be looked at. */
static uint64_t run_end(const struct order *order)
{
    const struct laneheap_slot *slot = order->heap.slot;
    uint64_t end = slot[1].ticks < slot[2].ticks ? slot[1].ticks : slot[2].ticks;
    if (order->plain_ticks == 0)
        return 0;
    return end < order->plain_ticks ? end : order->plain_ticks - 1;
}

/* What of a lane is at hand during a run. */
struct run {
    struct order_lane *lane;
    const uint64_t *field;        /* of the head */
    struct gtable_g *current;     /* that runs: nobody else can change this meanwhile; NULL = none is known */
    const struct gmpt_event *end; /* of the room for events */
};

/* The lane's current G, if it runs as the lane has it. */
static struct gtable_g *current_find(const struct order_lane *lane)
{
    struct gtable_g *g = lane->current;
    bool runs = g && g->g.id == lane->current_id && g->seq == lane->current_seq && g->g.state == GMPT_G_RUNNING;
    return runs ? g : NULL;
}

/* The G that the head names, when it is in the state that the record ends, which has the number before the record's;
 * NULL else. */
static inline struct gtable_g *named_g(struct order *order, const struct run *run, enum gmpt_g_state from)
{
    struct gtable_g *g = gtable_find(&order->gs, run->field[0]);
    return g && g->seq + 1 == (uint32_t)run->field[1] && g->g.state == from ? g : NULL;
}

static inline void g_enters(struct order *order, struct gtable_g *g, enum gmpt_g_state state, int64_t now_ns)
{
    int64_t back_ns = gtable_g_enter(g, g->seq + 1, state, now_ns);
    if (__builtin_expect(back_ns > order->counts.skew_ns, 0))
        order->counts.skew_ns = back_ns;
}

static inline void current_leaves(struct order *order, struct run *run, enum gmpt_g_state state, int64_t now_ns)
{
    g_enters(order, run->current, state, now_ns);
    run->lane->current_seq = run->current->seq;
    run->lane->current = run->current = NULL;
}

/* Each takes a record of a kind: its G does what it says. They return the G, or NULL when that is not usual: then
 * nothing has changed. */

static inline struct gtable_g *start_take(struct order *order, struct run *run, struct gmpt_event *event)
{
    struct gtable_g *g = run->lane->current ? NULL : named_g(order, run, GMPT_G_RUNNABLE);
    if (!g)
        return NULL;
    g_enters(order, g, GMPT_G_RUNNING, event->time_ns);
    run->lane->current = run->current = g;
    run->lane->current_id = g->g.id;
    run->lane->current_seq = g->seq;
    event->go_start.g = run->field[0];
    event->go_start.seq = run->field[1];
    return g;
}

static inline struct gtable_g *unblock_take(struct order *order, struct run *run, struct gmpt_event *event)
{
    struct gtable_g *g = named_g(order, run, GMPT_G_WAITING);
    if (!g)
        return NULL;
    g_enters(order, g, GMPT_G_RUNNABLE, event->time_ns);
    memcpy(event->field, run->field, sizeof event->go_unblock - sizeof event->go_unblock.no_more_fields);
    event->go_unblock.stack = stackset_index(order->stacks, run->lane->index, event->go_unblock.stack);
    return g;
}

static inline struct gtable_g *block_take(struct order *order, struct run *run, struct gmpt_event *event)
{
    struct gtable_g *g = run->current;
    if (!g)
        return NULL;
    current_leaves(order, run, GMPT_G_WAITING, event->time_ns);
    memcpy(event->field, run->field, sizeof event->go_block - sizeof event->go_block.no_more_fields);
    event->go_block.stack = stackset_index(order->stacks, run->lane->index, event->go_block.stack);
    gtable_g_waits(g, &event->go_block);
    return g;
}

static inline struct gtable_g *yield_take(struct order *order, struct run *run, struct gmpt_event *event)
{
    struct gtable_g *g = run->current;
    if (g)
        current_leaves(order, run, GMPT_G_RUNNABLE, event->time_ns);
    return g;
}

/* The same of other records that change nothing that the run relies on, but for the lane's current G. */
static __attribute__((noinline)) bool other_take(struct order *order, struct order_lane *lane,
                                                 struct gmpt_event *event)
{
    switch (lane->code) {
    case GMPT_EVENT_proc_steal:
    case GMPT_EVENT_m_create:
    case GMPT_EVENT_m_park:
    case GMPT_EVENT_m_unpark:
    case GMPT_EVENT_m_spin:
    case GMPT_EVENT_netpoll:
    case GMPT_EVENT_timer_fire:
    case GMPT_EVENT_go_create:
    case GMPT_EVENT_go_exit:
        order->failed = order_accept(order, lane, event);
        return true;
    default:
        return false;
    }
}

/* Takes the head. Returns false when it is unusual, and has changed nothing then. */
static inline bool head_take(struct order *order, struct run *run, unsigned code, struct gmpt_event *event)
{
    struct gtable_g *g;
    switch (code) {
    case GMPT_EVENT_go_start:
        g = start_take(order, run, event);
        break;
    case GMPT_EVENT_go_unblock:
        g = unblock_take(order, run, event);
        break;
    case GMPT_EVENT_go_block:
        g = block_take(order, run, event);
        break;
    case GMPT_EVENT_go_yield:
        g = yield_take(order, run, event);
        break;
    default:
        if (!other_take(order, run->lane, event))
            return false;
        run->current = current_find(run->lane);
        if (order->failed || order->dead)
            run->end = event + 1;
        return true;
    }
    if (!g)
        return false;
    event->type = (enum gmpt_event_type)code;
    event->p = run->lane->p;
    event->g = g->g.id;
    return true;
}

int order_run(struct order *order, struct gmpt_event *events, int room)
{
    struct order_lane *lane = order->heap.slot[0].lane;
    uint64_t ticks = order->heap.slot[0].ticks, end_ticks = run_end(order);
    struct gmpt_event *event = events;
    bool more = true;
    if (ticks > end_ticks || end_ticks == 0 || lane->idle)
        return 0;
    struct run run = { lane, lane->field, current_find(lane), events + room };
    while (event < run.end && ticks <= end_ticks) {
        event->time_ns = clockmap_ns(order->clocks, ticks);
        if (holders_absent(&order->holders, lane->index, event->time_ns) ||
            !head_take(order, &run, lane->code, event))
            break;
        event++;
        if (!(more = lane_next(order, lane)))
            break;
        ticks = lane->ticks;
        run.field = lane->field;
    }
    if (event == events)
        return 0;
    order->counts.kept += (uint64_t)(event - events);
    lane->text_bytes = 0;
    if (more)
        laneheap_again(&order->heap, ticks);
    else
        laneheap_pop(&order->heap);
    return (int)(event - events) - (order->failed != 0);
}
