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

/* The G that the record names, when it is in the state that the record ends, which has the number before the record's;
 * NULL else. */
static inline struct gtable_g *named_g(struct order *order, const uint64_t *field, enum gmpt_g_state from)
{
    struct gtable_g *g = gtable_find(&order->gs, field[0]);
    return g && g->seq + 1 == (uint32_t)field[1] && g->g.state == from ? g : NULL;
}

/* The same of the lane's current G, which runs. */
static inline struct gtable_g *current_g(const struct order_lane *lane)
{
    struct gtable_g *g = lane->current;
    bool runs = g && g->g.id == lane->current_id && g->seq == lane->current_seq && g->g.state == GMPT_G_RUNNING;
    return runs ? g : NULL;
}

static inline void g_enters(struct order *order, struct gtable_g *g, enum gmpt_g_state state, int64_t now_ns)
{
    int64_t back_ns = gtable_g_enter(g, g->seq + 1, state, now_ns);
    if (__builtin_expect(back_ns > order->counts.skew_ns, 0))
        order->counts.skew_ns = back_ns;
}

static inline void current_leaves(struct order *order, struct order_lane *lane, struct gtable_g *g,
                                  enum gmpt_g_state state, int64_t now_ns)
{
    g_enters(order, g, state, now_ns);
    lane->current = NULL;
    lane->current_seq = g->seq;
}

/* Each takes a record of a kind: its G does what it says. They return the G, or NULL when that is not usual: then nothing
 * has changed. */

static inline struct gtable_g *start_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g = lane->current ? NULL : named_g(order, lane->field, GMPT_G_RUNNABLE);
    if (!g)
        return NULL;
    g_enters(order, g, GMPT_G_RUNNING, event->time_ns);
    lane->current = g;
    lane->current_id = g->g.id;
    lane->current_seq = g->seq;
    event->go_start.g = lane->field[0];
    event->go_start.seq = lane->field[1];
    return g;
}

static inline struct gtable_g *unblock_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g = named_g(order, lane->field, GMPT_G_WAITING);
    if (!g)
        return NULL;
    g_enters(order, g, GMPT_G_RUNNABLE, event->time_ns);
    memcpy(event->field, lane->field, sizeof event->go_unblock - sizeof event->go_unblock.no_more_fields);
    event->go_unblock.stack = stackset_index(order->stacks, lane->index, event->go_unblock.stack);
    return g;
}

static inline struct gtable_g *block_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g = current_g(lane);
    if (!g)
        return NULL;
    current_leaves(order, lane, g, GMPT_G_WAITING, event->time_ns);
    memcpy(event->field, lane->field, sizeof event->go_block - sizeof event->go_block.no_more_fields);
    event->go_block.stack = stackset_index(order->stacks, lane->index, event->go_block.stack);
    gtable_g_waits(g, &event->go_block);
    return g;
}

static inline struct gtable_g *yield_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g = current_g(lane);
    if (g)
        current_leaves(order, lane, g, GMPT_G_RUNNABLE, event->time_ns);
    return g;
}

static inline struct gtable_g *head_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    switch (lane->code) {
    case GMPT_EVENT_go_start:
        return start_take(order, lane, event);
    case GMPT_EVENT_go_unblock:
        return unblock_take(order, lane, event);
    case GMPT_EVENT_go_block:
        return block_take(order, lane, event);
    case GMPT_EVENT_go_yield:
        return yield_take(order, lane, event);
    default:
        return NULL;
    }
}

int order_run(struct order *order, struct gmpt_event *events, int room)
{
    struct order_lane *lane = order->heap.slot[0].lane;
    uint64_t ticks = order->heap.slot[0].ticks, end_ticks = run_end(order), delta;
    int count = 0;
    bool more = true;
    if (ticks > end_ticks || end_ticks == 0 || lane->idle)
        return 0;
    while (count < room && ticks <= end_ticks) {
        struct gmpt_event *event = &events[count];
        event->time_ns = clockmap_ns(order->clocks, ticks);
        if (holders_absent(&order->holders, lane->index, event->time_ns))
            break;
        struct gtable_g *g = head_take(order, lane, event);
        if (!g)
            break;
        event->type = (enum gmpt_event_type)lane->code;
        event->p = lane->p;
        event->g = g->g.id;
        count++;
        if (column_reader_take(lane->reader, &lane->code, &delta, &lane->field)) {
            lane->ticks = ticks += delta;
        } else if ((more = lane_advance(order, lane))) {
            ticks = lane->ticks;
        } else {
            break;
        }
    }
    if (count == 0)
        return 0;
    order->counts.kept += (uint64_t)count;
    lane->text_bytes = 0;
    if (more)
        laneheap_again(&order->heap, ticks);
    else
        laneheap_pop(&order->heap);
    return count;
}
