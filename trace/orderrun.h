/* The usual records of an order (order.h), in runs.
 *
 * Nearly always no lane is blocked, and the first one's head is a record of one of four kinds, go_start, go_yield,
 * go_block or go_unblock, that follows from what is known. As long as it comes before the heads of the others, nothing
 * but this lane decides what comes next: that is a run. It has fewer questions than order.c to ask of each record, and
 * does the same with it. Whatever is unusual about a record ends the run before it, and is left to order.c as it was.
 * What Ms do goes along, and so do Gs that begin; one that ends is the run's last.
 *
 * So what is known of Gs changes in a run by their states alone, by what they wait for, and by new ones. */
#ifndef GMPT_ORDERRUN_H
#define GMPT_ORDERRUN_H

#include "order.h"

/* Gives out at most so many of the next records; returns how many. 0: order->failed says what to return instead, or
 * the next record is for order_step. */
int order_run(struct order *order, struct gmpt_event *events, int room);

/* Of order.c: gives the lane's head out, which is enabled. Returns 0, or what is to be returned instead. */
int order_accept(struct order *order, struct order_lane *lane, struct gmpt_event *event);

#endif
