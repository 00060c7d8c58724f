#include "calls.h"

#include "busy.h"

#include <errno.h>

int calls_add(struct calls *calls, const struct piece *piece)
{
    struct distribution_key key = { .stack = piece_stack(piece) };
    if (key.stack == 0)
        key.fn = piece->g->fn;
    struct distribution *site = distributions_get(&calls->sites, &key);
    if (!site)
        return -ENOMEM;
    site->marked +=
        piece->interval->ended_by == GMPT_EVENT_syscall_resume || piece->interval->ended_by == GMPT_EVENT_syscall_exit;
    rate_add(&site->rate, piece->end_ns, CALLS_WINDOW_NS);
    return distribution_add(site, piece->lasted_ns, piece->end_ns, piece->g->id, 0);
}

static void call_place(struct finding *found, const struct distribution *site) { found->stack = site->key.stack; }

int calls_finish(struct calls *calls, const struct finding_limits *limits, struct findings *findings)
{
    const struct busy_limit limit = { FINDING_SYSCALLS, CALLS_WINDOW_NS, limits->calls_per_s };
    return busy_find(&calls->sites, &limit, call_place, findings);
}

void calls_clear(struct calls *calls) { distributions_clear(&calls->sites); }
