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

/* What of a lane is at hand during a run: its head, and how far its reader is. The lane gets that back before anybody
 * looks for it there. */
struct run {
    struct order_lane *lane;
    struct column_reader *reader; /* the lane's */
    uint32_t next;                /* the reader's */
    unsigned code;                /* of the head, as in the lane, */
    uint64_t ticks;               /* and this, */
    const uint64_t *field;        /* and this */
    struct gtable_g *current;     /* that runs: nobody else can change this meanwhile; NULL = none is known */
    int room;                     /* for events */
};

static inline void run_look(struct run *run)
{
    run->next = run->reader->next;
    run->code = run->lane->code;
    run->ticks = run->lane->ticks;
    run->field = run->lane->field;
}

static inline void run_give_back(const struct run *run)
{
    run->reader->next = run->next;
    run->lane->code = run->code;
    run->lane->ticks = run->ticks;
    run->lane->field = run->field;
}

/* Makes the next record the head. Returns false when the lane has none. */
static inline bool run_next(struct order *order, struct run *run)
{
    uint64_t delta;
    if (__builtin_expect(column_reader_take(run->reader, &run->next, &run->code, &delta, &run->field), 1)) {
        run->ticks += delta;
        return true;
    }
    run_give_back(run);
    bool more = lane_advance(order, run->lane);
    run_look(run);
    return more;
}

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
static inline bool head_take(struct order *order, struct run *run, struct gmpt_event *event)
{
    struct gtable_g *g;
    switch (run->code) {
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
        run_give_back(run);
        if (!other_take(order, run->lane, event))
            return false;
        run->current = current_find(run->lane);
        if (order->failed || order->dead)
            run->room = 0;
        return true;
    }
    if (!g)
        return false;
    event->type = (enum gmpt_event_type)run->code;
    event->p = run->lane->p;
    event->g = g->g.id;
    return true;
}

int order_run(struct order *order, struct gmpt_event *events, int room)
{
    struct order_lane *lane = order->heap.slot[0].lane;
    uint64_t end_ticks = run_end(order);
    bool more = true;
    int count = 0;
    if (order->heap.slot[0].ticks > end_ticks || end_ticks == 0 || lane->idle)
        return 0;
    struct run run = { .lane = lane, .reader = lane->reader, .current = current_find(lane), .room = room };
    run_look(&run);
    while (count < run.room && run.ticks <= end_ticks) {
        struct gmpt_event *event = &events[count];
        event->time_ns = clockmap_ns(order->clocks, run.ticks);
        if (holders_absent(&order->holders, lane->index, event->time_ns) || !head_take(order, &run, event))
            break;
        count++;
        if (!(more = run_next(order, &run)))
            break;
    }
    run_give_back(&run);
    if (count == 0)
        return 0;
    order->counts.kept += (uint64_t)count;
    lane->text_bytes = 0;
    if (more)
        laneheap_again(&order->heap, run.ticks);
    else
        laneheap_pop(&order->heap);
    return count - (order->failed != 0);
}
