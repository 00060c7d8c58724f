/* See ownwords.h. */
#include "ownwords.h"

#include "misfit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int text_gather(struct order_lane *lane)
{
    if (!lane->text && !(lane->text = malloc(GMPT_LOG_BYTES_MAX)))
        return -ENOMEM;
    for (int i = 0; i < event_field_counts[GMPT_EVENT_user_log_text]; i++)
        for (uint64_t bytes = lane->field[i]; bytes && lane->text_bytes < GMPT_LOG_BYTES_MAX; bytes >>= 8)
            lane->text[lane->text_bytes++] = (char)(bytes & 0xff);
    return 0;
}

static void text_done(struct order *order, struct order_lane *lane, uint64_t bytes)
{
    order->log_bytes = bytes < lane->text_bytes ? (uint32_t)bytes : lane->text_bytes;
    if (order->log_bytes)
        memcpy(order->log_text, lane->text, order->log_bytes);
    order->log_text[order->log_bytes] = 0;
}

void ownwords_sample(struct order *order, const struct order_lane *lane, struct gmpt_event *event)
{
    struct gmpt_event_cpu_sample *sample = &event->cpu_sample;
    struct gtable_g *g = sample->g ? gtable_find(&order->gs, sample->g) : NULL;
    event->g = g ? sample->g : 0;
    sample->ago_ticks = (uint64_t)clockmap_span_ns(order->clocks, sample->ago_ticks);
    sample->stack = stackset_index(order->stacks, lane->index, sample->stack);
    if (sample->cpu_ns > INT64_MAX)
        sample->cpu_ns = INT64_MAX;
    if (sample->held == UINT32_MAX)
        sample->held = holders_find(&order->holders, sample->tid);
    if (sample->held > order->p_count)
        sample->held = 0;
}

void ownwords_off(struct order *order, struct gmpt_event *event)
{
    struct gmpt_event_kernel_off *off = &event->kernel_off;
    event->g = off->g && gtable_find(&order->gs, off->g) ? off->g : 0;
    if (off->off_ns > INT64_MAX)
        off->off_ns = INT64_MAX;
    if (off->queue_ns > off->off_ns && off->queue_ns != GMPT_KERNEL_NS_NOT_KNOWN)
        off->queue_ns = off->off_ns;
}

int ownwords_take(struct order *order, struct order_lane *lane, struct gmpt_event *event)
{
    struct gtable_g *g;
    switch (event->type) {
    case GMPT_EVENT_go_labels:
    case GMPT_EVENT_go_name:
    case GMPT_EVENT_go_scope:
        event->g = lane->field[0];
        g = event->g ? gtable_find(&order->gs, event->g) : NULL;
        if (!g)
            misfit_tell(order, lane, event->g);
        else if (event->type == GMPT_EVENT_go_labels)
            g->g.labels = (uint32_t)event->go_labels.labels;
        else if (event->type == GMPT_EVENT_go_scope)
            g->g.scope = event->go_scope.scope;
        else
            g->g.name = (uint32_t)event->go_name.name;
        return 1;
    case GMPT_EVENT_user_log_text:
        if (text_gather(lane))
            return -ENOMEM;
        break;
    case GMPT_EVENT_user_log:
        text_done(order, lane, event->user_log.bytes);
        break;
    case GMPT_EVENT_user_task_begin:
    case GMPT_EVENT_user_task_end:
    case GMPT_EVENT_user_region_begin:
    case GMPT_EVENT_user_region_end:
        break;
    default:
        return 0;
    }
    event->g = lane->current && lane->current->g.id == lane->current_id ? lane->current_id : 0;
    return 1;
}
