/* What the program says of itself, in the order of all rings (order.h): names, labels, scopes, tasks, regions, messages
 * and samples of its CPU time; and what the kernel says of it. None of it changes the state of a G. */
#ifndef GMPT_OWNWORDS_H
#define GMPT_OWNWORDS_H

#include "order.h"

/* The lane's head, which the event is made of: its G is set, and the text of a message gathered. Returns 1 when it is
 * one of these, 0 when not, or -ENOMEM. */
int ownwords_take(struct order *order, struct order_lane *lane, struct gmpt_event *event);
/* Likewise a sample. It may come when its G has ended, or before that G has been told of: then it is about none. */
void ownwords_sample(struct order *order, const struct order_lane *lane, struct gmpt_event *event);
/* Likewise an interval that the kernel told of. */
void ownwords_off(struct order *order, struct gmpt_event *event);

#endif
