/* What contradicts what was before, in the order of all rings (order.h): counted, and the first kept with its place;
 * and the rules that Ps follow, while order.c has those of Gs. */
#ifndef GMPT_MISFIT_H
#define GMPT_MISFIT_H

#include "order.h"

/* The lane's head, about the G with this id (0 = about none), does not fit: a violation, or, when something is missing
 * anyway, a thing to go on from. */
void misfit_tell(struct order *order, const struct order_lane *lane, uint64_t id);

/* The lane's head is such an event. */
void misfit_check_steal(struct order *order, const struct order_lane *lane);
void misfit_check_retake(struct order *order, const struct order_lane *lane);
/* The lane's head is this G's end. */
void misfit_check_exit(struct order *order, const struct order_lane *lane, const struct gtable_g *g);
/* After the last record: losses that no marker tells of, at the ends of rings, are gaps as well, and what did not fit
 * after them is no violation. */
void misfit_excuse(struct order *order);
/* After that: whether the accounts that can only be made at the end come out even. */
void misfit_account(struct order *order);

/* Invariant 7, of a lane whose P was given up: it is nobody's until it is taken. That it was taken away is in another
 * lane. */
void misfit_check_idle(struct order *order, struct order_lane *lane);

#endif
