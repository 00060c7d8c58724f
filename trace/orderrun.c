#include "orderrun.h"

#include "lane.h"

#define FIELDS 5 /* that a go_block has, which has the most; they are copied at once */

/* Up to when the first lane's heads come next, whatever they are; 0 = something else has to be looked at. */
static uint64_t run_end(const struct order *order)
{
    const struct laneheap_slot *slot = order->heap.slot;
    uint64_t end = slot[1].ticks < slot[2].ticks ? slot[1].ticks : slot[2].ticks;
    if (order->plain_ticks == 0)
        return 0;
    return end < order->plain_ticks ? end : order->plain_ticks - 1;
}

/* The G that a record names, when it is in the state that the record ends, which has the number before the record's;
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

/* The G does what the event says. NULL, and nothing has changed, when that is not usual. */
static inline struct gtable_g *g_moves(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    enum gmpt_g_state to = GMPT_G_RUNNABLE;
    struct gtable_g *g;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        g = lane->current ? NULL : named_g(order, event->field, GMPT_G_RUNNABLE);
        to = GMPT_G_RUNNING;
        break;
    case GMPT_EVENT_go_unblock:
        g = named_g(order, event->field, GMPT_G_WAITING);
        break;
    case GMPT_EVENT_go_block:
        g = current_g(lane);
        to = GMPT_G_WAITING;
        break;
    case GMPT_EVENT_go_yield:
        g = current_g(lane);
        break;
    default:
        return NULL;
    }
    if (!g)
        return NULL;
    int64_t back_ns = gtable_g_enter(g, g->seq + 1, to, event->time_ns);
    if (__builtin_expect(back_ns > order->counts.skew_ns, 0))
        order->counts.skew_ns = back_ns;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        lane->current = g;
        lane->current_id = g->g.id;
        lane->current_seq = g->seq;
        return g;
    case GMPT_EVENT_go_unblock:
        event->go_unblock.stack = stackset_index(order->stacks, lane->index, event->go_unblock.stack);
        return g;
    case GMPT_EVENT_go_block:
        event->go_block.stack = stackset_index(order->stacks, lane->index, event->go_block.stack);
        gtable_g_waits(g, &event->go_block);
        break;
    default:
        break;
    }
    lane->current = NULL;
    lane->current_seq = g->seq;
    return g;
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
        event->type = (enum gmpt_event_type)lane->code;
        event->p = lane->p;
        event->time_ns = clockmap_ns(order->clocks, ticks);
        memcpy(event->field, lane->field, FIELDS * sizeof event->field[0]);
        if (holders_absent(&order->holders, lane->index, event->time_ns))
            break;
        struct gtable_g *g = g_moves(order, lane, event);
        if (!g)
            break;
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
