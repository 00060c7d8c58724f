/* The lanes of an order (order.h): the parts that each ring has in the file, one after the other, and the record that
 * is the lane's head. */
#ifndef GMPT_LANE_H
#define GMPT_LANE_H

#include "order.h"

struct order_part {
    struct order_part *next;
    struct frame *frame;
    struct columns columns;
    uint64_t base_ticks, current_g;
    uint32_t current_seq;
    bool sync;
};

/* The lane needs its first part no longer. */
void lane_part_drop(struct order *order, struct order_lane *lane);
/* Makes the next record the head. Returns false when the lane has none. */
bool lane_advance(struct order *order, struct order_lane *lane);

/* The same; mostly that record has been unpacked. */
static inline bool lane_next(struct order *order, struct order_lane *lane)
{
    uint64_t delta;
    struct column_reader *reader = lane->reader;
    if (!column_reader_take(reader, &reader->next, &lane->code, &delta, &lane->field))
        return lane_advance(order, lane);
    lane->ticks += delta;
    return true;
}

#endif
