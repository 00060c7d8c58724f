#include "lane.h"

void lane_part_drop(struct order *order, struct order_lane *lane)
{
    struct order_part *part = lane->first;
    lane->first = part->next;
    lane->reading = false;
    column_reader_leave(lane->reader);
    if (--part->frame->parts == 0) {
        order->buffered_bytes -= part->frame->size;
        frame_release(part->frame);
    }
    part->next = order->free_parts;
    order->free_parts = part;
}

/* The rest of the lane's first part cannot be read. */
static void part_damaged(struct order *order, struct order_lane *lane, const char *what)
{
    frames_error(order->error, lane->first->frame->offset, "the frame is damaged: ring %u, %s", lane->index, what);
    order->counts.gaps++;
    order->excused = true;
    order->damaged++;
    if (lane->first->next)
        lane->first->next->sync = true;
    else
        lane->unsure = true;
    lane_part_drop(order, lane);
}

static void part_begin(struct order *order, struct order_lane *lane)
{
    const struct order_part *part = lane->first;
    column_reader_begin(lane->reader, &part->columns, order->schema);
    if (part->base_ticks < lane->ticks) { /* invariant 9 */
        int64_t back_ns = clockmap_span_ns(order->clocks, lane->ticks - part->base_ticks);
        if (back_ns > order->counts.skew_ns)
            order->counts.skew_ns = back_ns;
    }
    lane->ticks = part->base_ticks;
    lane->reading = true;
}

bool lane_advance(struct order *order, struct order_lane *lane)
{
    static const uint64_t no_fields[GMPT_EVENT_FIELDS_MAX];
    struct column_reader *reader = lane->reader;
    for (;;) {
        if (!lane->reading) {
            if (!lane->first)
                return false;
            part_begin(order, lane);
            if (lane->first->sync) {
                lane->code = ORDER_SYNC;
                lane->field = no_fields;
                return true;
            }
        }
        if (column_reader_code(reader) == reader->codes_end) {
            if (column_reader_finished(reader))
                lane_part_drop(order, lane);
            else
                part_damaged(order, lane, "there is more in a column than its records have");
            continue;
        }
        uint64_t delta;
        bool known;
        if (!column_reader_next(reader, &lane->code, &delta, &lane->field, &known)) {
            part_damaged(order, lane, "a record is malformed");
            continue;
        }
        lane->ticks += delta;
        if (known)
            return true;
        order->counts.unknown++;
        order->counts.kept++;
    }
}
