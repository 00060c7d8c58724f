/* See misfit.h. */
#include "misfit.h"

#include <stdio.h>

/* Keeps the first contradiction: the lane's head, and what is known of the G that it is about. */
static void violation_note(struct order *order, const struct order_lane *lane, uint64_t id)
{
    char of_g[96] = "";
    const struct gtable_g *g = id ? gtable_find(&order->gs, id) : NULL;
    if (g)
        snprintf(of_g, sizeof of_g, " of G%llu, which is %s since its transition %u", (unsigned long long)id,
                 gmpt_g_state_words(g->g.state), g->seq);
    else if (id)
        snprintf(of_g, sizeof of_g, " of G%llu, which is not there", (unsigned long long)id);
    frames_error(&order->violation, order_head_offset(lane),
                 "ring %u, at %.9f s: %s%s, does not follow from what was before", lane->index,
                 (double)clockmap_ns(order->clocks, lane->ticks) / 1e9,
                 gmpt_event_name((enum gmpt_event_type)lane->code), of_g);
}

/* Every lane stands somewhere as this is counted; see misfit_excuse. */
static void violation_count(struct order *order)
{
    order->counts.violations++;
    for (uint32_t i = 0; i < order->lane_count; i++) {
        struct order_lane *lane = &order->lane[i];
        if (lane->stood_at_ticks != lane->ticks)
            lane->stood_for_violations = 0;
        lane->stood_at_ticks = lane->ticks;
        lane->stood_for_violations++;
    }
}

void misfit_tell(struct order *order, const struct order_lane *lane, uint64_t id)
{
    if (order->excused) {
        order->counts.resynced++;
        return;
    }
    if (order->counts.violations == 0)
        violation_note(order, lane, id);
    violation_count(order);
}

void misfit_excuse(struct order *order)
{
    uint64_t excused = 0;
    if (order->damaged)
        return; /* what tells of them may be in what could not be read, and is excused with it */
    for (uint32_t i = 0; i < SECTION_RINGS_MAX; i++) {
        const struct order_lane *lane = &order->lane[i];
        if (lane->lost_at_end <= lane->lost)
            continue;
        order->counts.gaps++;
        order->excused = true;
        if (!lane->seen)
            excused = order->counts.violations;
        else if (lane->stood_at_ticks == lane->ticks && lane->stood_for_violations > excused)
            excused = lane->stood_for_violations;
    }
    order->counts.violations -= excused;
    order->counts.resynced += excused;
    if (order->counts.violations == 0)
        order->violation = (struct gmpt_trace_error){ .offset = -1 };
}

void misfit_check_idle(struct order *order, struct order_lane *lane)
{
    bool told = lane->code <= GMPT_EVENT_proc_was; /* from outside */
    if (lane->code == GMPT_EVENT_proc_start || told)
        return;
    misfit_tell(order, lane, 0);
    lane->idle = false;
}

/* Invariant 8. It may come when its G has ended, or before that was told of. */
void misfit_check_retake(struct order *order, const struct order_lane *lane)
{
    uint64_t p = lane->field[0], id = lane->field[1];
    struct gtable_g *g = id ? gtable_find(&order->gs, id) : NULL;
    if (id == 0 || (order->p_count && p >= order->p_count))
        misfit_tell(order, lane, id);
    else if (g)
        g->retakes++;
    else
        order->retakes++;
}

/* A G ends: nothing is left of its account but returns that a late retake may belong to. */
void misfit_check_exit(struct order *order, const struct order_lane *lane, const struct gtable_g *g)
{
    if (g->retakes > 0 && !order->attached)
        misfit_tell(order, lane, g->g.id);
    order->retakes += g->retakes;
}

void misfit_account(struct order *order)
{
    const struct table *table = &order->gs.ids.table;
    int64_t retakes = order->retakes;
    bool wrong = false;
    if (order->excused || order->attached)
        return;
    for (size_t i = 0; table->slots && i <= table->mask; i++) {
        const struct gtable_g *g = table->slots[i].entry;
        if (!g || g == order->dead)
            continue;
        int32_t due = g->retakes - (g->g.state == GMPT_G_SYSCALL);
        wrong = wrong || due > 0;
        retakes += due;
    }
    if ((wrong || retakes > 0) && order->counts.violations++ == 0)
        frames_error(&order->violation, -1, "a P was retaken from a call that no goroutine was in");
}

void misfit_check_steal(struct order *order, const struct order_lane *lane)
{
    uint64_t from = lane->field[0], count = lane->field[1];
    if (from == (uint64_t)lane->p || (order->p_count && from >= order->p_count) || count == 0)
        misfit_tell(order, lane, 0);
}
