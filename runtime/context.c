/* Contexts: made, cancelled, freed. See contexts.h for who holds what; contextwait.c has the waiting. */
#include "contexts.h"

#include "scheduler.h"
#include "usertimer.h"

#include <stdlib.h>
#include <string.h>

static struct gmpt_context background = { .deadline_ns = GMPT_NEVER, .cause_text = "" };

struct gmpt_context *gmpt_context_background(void) { return &background; }

/* ---- references ---- */

struct gmpt_context *gmpt_context_retain(struct gmpt_context *context)
{
    if (context != &background)
        fetch_add_relaxed(&context->references, 1);
    return context;
}

/* One more, unless it is being freed. */
static bool retain_living(struct gmpt_context *context)
{
    uint32_t references = load_relaxed(&context->references);
    while (references > 0) {
        if (cas_acq_rel(&context->references, &references, references + 1)) /* B */
            return true;
    }
    return false;
}

/* Out of the parent's list, if it is in it; the parent's lock is held. */
static void unlink_locked(struct gmpt_context *context)
{
    if (!context->sibling)
        return;
    *context->sibling = context->next_sibling;
    if (context->next_sibling)
        context->next_sibling->sibling = context->sibling;
    context->sibling = NULL;
}

static void leave_parent(struct gmpt_context *context)
{
    struct gmpt_context *parent = context->parent;
    if (parent == &background)
        return; /* which has no list */
    lock_acquire(&parent->lock);
    unlink_locked(context);
    lock_release(&parent->lock);
}

static void unlink_function_locked(struct gmpt_timer *function)
{
    *function->link = function->next;
    if (function->next)
        function->next->link = function->link;
    function->link = NULL;
}

static void destroy(struct gmpt_context *context)
{
    if (context->timed)
        timers_stop(&context->timer);
    leave_parent(context);
    struct gmpt_timer *function; /* nobody has a handle of these, or the context would still be held */
    while ((function = context->first_function)) {
        unlink_function_locked(function);
        usertimer_drop(function, 1);
    }
    gmpt_chan_release(context->done);
    free(context->own_text);
    free(context);
}

void gmpt_context_release(struct gmpt_context *context)
{
    /* With the last reference goes the one to the parent. */
    while (context && context != &background && fetch_sub_acq_rel(&context->references, 1) == 1) { /* B */
        struct gmpt_context *parent = context->parent;
        destroy(context);
        context = parent;
    }
}

/* ---- cancelling ---- */

struct reason {
    int err, cause;
    const char *text;
    char *own; /* the text, if the first context that is marked is to have it */
};

/* Marks one context, and puts its living children, each with a reference, before the list. Returns the list. */
static struct gmpt_context *mark(struct gmpt_context *context, struct reason *reason, struct gmpt_context *list,
                                 struct gmpt_timer **functions)
{
    *functions = NULL;
    lock_acquire(&context->lock);
    if (context->cancelled) {
        lock_release(&context->lock);
        return list;
    }
    context->cancelled = true;
    context->cause = reason->cause;
    context->cause_text = reason->text;
    context->own_text = reason->own;
    reason->own = NULL;
    store_release(&context->err, reason->err); /* A */
    for (struct gmpt_context *child; (child = context->first_child);) {
        unlink_locked(child);
        if (retain_living(child)) {
            child->next_cancelled = list;
            list = child;
        }
    }
    *functions = context->first_function;
    for (struct gmpt_timer *function = context->first_function; function; function = function->next)
        function->link = NULL;
    context->first_function = NULL;
    lock_release(&context->lock);
    gmpt_chan_close(context->done);
    return list;
}

/* Cancels it and all below. The caller holds a reference to it and a P, and no lock. It may be on the list of another
 * cancel by now, its parent's, so its next_cancelled is not for this one. */
static void cancel(struct gmpt_context *first, struct reason *reason)
{
    struct gmpt_context *context = gmpt_context_retain(first), *rest = NULL;
    while (context) {
        struct gmpt_timer *functions;
        struct gmpt_context *list = mark(context, reason, rest, &functions);
        while (functions) {
            struct gmpt_timer *function = functions;
            functions = function->next;
            usertimer_start_function(function, m_self()->p);
        }
        if (context == first)
            leave_parent(context);
        gmpt_context_release(context);
        context = list;
        rest = list ? list->next_cancelled : NULL;
    }
}

static void run_deadline(struct timer_call *call, struct p *p)
{
    (void)p;
    struct gmpt_context *context = container_of(call, struct gmpt_context, call);
    cancel(context, &(struct reason){ -ETIMEDOUT, -ETIMEDOUT, "", NULL });
    gmpt_context_release(context);
}

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct gmpt_context *context = container_of(timer, struct gmpt_context, timer);
    if (retain_living(context))
        timers_call_after(p, &context->call);
}

static void cancel_by_user(struct gmpt_context *context, int cause, const char *text)
{
    if (context == &background)
        fatal("gmpt_context_cancel of the background context");
    if (load_acquire(&context->err)) /* A */
        return;
    char *copy = text && *text ? strdup(text) : NULL;
    struct reason reason = { -ECANCELED, cause, copy ? copy : "", copy };
    /* Before anybody is woken, who may let go of the last reference. */
    if (context->timed)
        timers_stop(&context->timer);
    cancel(context, &reason);
    free(reason.own); /* somebody else was faster */
}

void gmpt_context_cancel(struct gmpt_context *context)
{
    API_ENTER();
    cancel_by_user(context, -ECANCELED, NULL);
}

void gmpt_context_cancel_cause(struct gmpt_context *context, int cause, const char *text)
{
    API_ENTER();
    cancel_by_user(context, cause ? cause : -ECANCELED, text);
}

/* ---- making ---- */

static struct gmpt_context *new_child(struct gmpt_context *parent)
{
    struct gmpt_context *context = calloc(1, sizeof *context);
    if (!context)
        return NULL;
    context->done = gmpt_chan_new(0, 0);
    if (!context->done) {
        free(context);
        return NULL;
    }
    store_relaxed(&context->references, 1);
    context->parent = gmpt_context_retain(parent);
    context->deadline_ns = parent->deadline_ns;
    context->cause_text = "";
    context->call.run = run_deadline;
    return context;
}

/* Puts it below its parent, or cancels it as the parent is. */
static struct gmpt_context *adopt(struct gmpt_context *context)
{
    struct gmpt_context *parent = context->parent;
    if (parent == &background)
        return context;
    lock_acquire(&parent->lock);
    bool cancelled = parent->cancelled;
    if (!cancelled) {
        context->next_sibling = parent->first_child;
        if (parent->first_child)
            parent->first_child->sibling = &context->next_sibling;
        context->sibling = &parent->first_child;
        parent->first_child = context;
    }
    lock_release(&parent->lock);
    if (cancelled)
        cancel(context, &(struct reason){ load_relaxed(&parent->err), parent->cause, parent->cause_text, NULL });
    return context;
}

struct gmpt_context *gmpt_context_with_cancel(struct gmpt_context *parent)
{
    API_ENTER();
    struct gmpt_context *context = new_child(parent);
    return context ? adopt(context) : NULL;
}

struct gmpt_context *gmpt_context_with_value(struct gmpt_context *parent, const void *key, void *value)
{
    API_ENTER();
    if (!key) {
        errno = EINVAL;
        return NULL;
    }
    struct gmpt_context *context = new_child(parent);
    if (!context)
        return NULL;
    context->key = key;
    context->value = value;
    return adopt(context);
}

static struct gmpt_context *with_deadline(struct gmpt_context *parent, int64_t deadline_ns)
{
    struct gmpt_context *context = new_child(parent);
    if (!context)
        return NULL;
    if (deadline_ns >= parent->deadline_ns) /* which comes first */
        return adopt(context);
    context->deadline_ns = deadline_ns;
    adopt(context);
    if (load_relaxed(&context->err))
        return context;
    if (deadline_ns <= clock_now_ns()) {
        cancel(context, &(struct reason){ -ETIMEDOUT, -ETIMEDOUT, "", NULL });
        return context;
    }
    context->timed = timers_start(m_self()->p, &context->timer, deadline_ns, deadline_passed) == 0;
    if (!context->timed) {
        gmpt_context_release(context);
        errno = ENOMEM;
        return NULL;
    }
    return context;
}

struct gmpt_context *gmpt_context_with_deadline(struct gmpt_context *parent, int64_t deadline_ns)
{
    API_ENTER();
    return with_deadline(parent, deadline_ns);
}

struct gmpt_context *gmpt_context_with_timeout(struct gmpt_context *parent, int64_t ns)
{
    API_ENTER();
    int64_t deadline_ns;
    if (__builtin_add_overflow(clock_now_ns(), ns, &deadline_ns))
        deadline_ns = ns > 0 ? GMPT_NEVER : INT64_MIN;
    return with_deadline(parent, deadline_ns);
}

/* ---- functions that a cancel starts ---- */

struct gmpt_timer *gmpt_context_after_func(struct gmpt_context *context, void (*fn)(void *args), const void *args,
                                           size_t size)
{
    API_ENTER();
    struct gmpt_timer *function = usertimer_new_function(fn, args, size);
    if (!function)
        return NULL;
    function->context = gmpt_context_retain(context);
    if (context == &background)
        return function;
    fetch_add_relaxed(&function->references, 1); /* of the list, or of the start */
    lock_acquire(&context->lock);
    bool cancelled = context->cancelled;
    if (!cancelled) {
        function->next = context->first_function;
        if (function->next)
            function->next->link = &function->next;
        function->link = &context->first_function;
        context->first_function = function;
    }
    lock_release(&context->lock);
    if (cancelled)
        usertimer_start_function(function, m_self()->p);
    return function;
}

bool context_forget_function(struct gmpt_timer *function)
{
    struct gmpt_context *context = function->context;
    lock_acquire(&context->lock);
    bool waits = function->link != NULL;
    if (waits)
        unlink_function_locked(function);
    lock_release(&context->lock);
    if (waits)
        usertimer_drop(function, 1);
    return waits;
}

/* ---- asking ---- */

int gmpt_context_err(struct gmpt_context *context) { return load_acquire(&context->err); /* A */ }

int gmpt_context_cause(struct gmpt_context *context)
{
    return load_acquire(&context->err) ? context->cause : 0; /* A */
}

const char *gmpt_context_cause_text(struct gmpt_context *context)
{
    return load_acquire(&context->err) ? context->cause_text : ""; /* A */
}

struct gmpt_chan *gmpt_context_done(struct gmpt_context *context) { return context->done; }

int64_t gmpt_context_deadline(struct gmpt_context *context) { return context->deadline_ns; }

void *gmpt_context_value(struct gmpt_context *context, const void *key)
{
    for (; context; context = context->parent) {
        if (context->key == key && key)
            return context->value;
    }
    return NULL;
}
