/* Waiting that a context ends: a receive from its channel, alone or in a select. */
#include "contexts.h"

#include "scheduler.h"
#include "timers.h"

int gmpt_sleep_context(struct gmpt_context *context, int64_t ns)
{
    API_ENTER();
    int64_t deadline_ns = timers_moment_in(ns);
    if (ns <= 0 && !gmpt_context_err(context))
        gmpt_yield();
    int result = gmpt_chan_recv_until(gmpt_context_done(context), NULL, deadline_ns);
    if (result == -ETIMEDOUT)
        return 0;
    return result == -EPIPE ? gmpt_context_err(context) : result;
}

static int operate(struct gmpt_context *context, struct gmpt_select_case which)
{
    if (gmpt_context_err(context))
        return gmpt_context_err(context);
    struct gmpt_select_case cases[] = { which, { gmpt_context_done(context), GMPT_RECV, NULL, 0 } };
    int chosen = gmpt_select(cases, 2);
    if (chosen < 0)
        return chosen;
    return chosen == 0 ? cases[0].result : gmpt_context_err(context);
}

int gmpt_chan_send_context(struct gmpt_context *context, struct gmpt_chan *chan, const void *value)
{
    API_ENTER();
    return operate(context, (struct gmpt_select_case){ chan, GMPT_SEND, (void *)(uintptr_t)value, 0 });
}

int gmpt_chan_recv_context(struct gmpt_context *context, struct gmpt_chan *chan, void *value)
{
    API_ENTER();
    return operate(context, (struct gmpt_select_case){ chan, GMPT_RECV, value, 0 });
}
