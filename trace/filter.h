/* A small language that chooses intervals (intervals.h):
 *
 *     label.tenant=acme and reason=chan_recv and dur>5ms
 *     function~compute or not (state=waiting or state=runnable)
 *
 *     expression  one or more of: comparison, "not" expression, "(" expression ")", with "and" and "or" between them;
 *                 "not" binds closest, then "and", then "or"
 *     comparison  field operator value, with or without blanks between them
 *
 *     field       operators            value
 *     g           = != < <= > >=       a G's number, 12 or G12
 *     parent      the same             of the G that started it
 *     waker       the same             of the G that ended the wait, 0 = none did
 *     p           the same             a P's number, 1 or P1, or -1 for none
 *     dur         < <= > >= = !=       how long it lasted, with a unit: 5ms
 *     object      = !=                 what it waited on: 0xc000
 *     state       = !=                 runnable, running, waiting, syscall, preempted (runs without a P) or lost
 *     reason      = !=                 of a wait: chan_recv, or "chan receive", ...; none when it is no wait
 *     name        = != ~ !~            of the G; "" when it has none
 *     function    = != ~ !~            one of the stack's, or the one that the G was started with
 *     label.KEY   = != ~ !~            the G's label of that name; one that it has not got is equal to nothing
 *
 * ~ holds when the text contains the value. A value is a word without blanks, parentheses or operators, or anything
 * between double quotes, where \" and \\ stand for " and \; so is a KEY. */
#ifndef GMPT_FILTER_H
#define GMPT_FILTER_H

#include "intervals.h"

#include <stddef.h>

struct filter;

/* "runnable": a state as filters name it; NULL for dead. */
const char *filter_state_key(enum gmpt_g_state state);

struct filter_error {
    size_t column;     /* of the fault, from 1 */
    char message[200]; /* one sentence without a final full stop */
};

/* What a filter asks about an interval that numbers do not tell. */
struct filter_names {
    const struct gmpt_trace *trace; /* for labels and names; may be NULL */
    /* Whether a function of the interval's stack, or its G's, is called (or, with part, contains) text. NULL: none. */
    bool (*function)(void *arg, const struct interval *interval, const char *text, bool part);
    void *arg;
};

/* NULL with errno EINVAL and *error filled, or ENOMEM (*error too). */
struct filter *filter_parse(const char *text, struct filter_error *error);
void filter_free(struct filter *filter); /* NULL: nothing */

bool filter_match(const struct filter *filter, const struct filter_names *names, const struct interval *interval);

#endif
