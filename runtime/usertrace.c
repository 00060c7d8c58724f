/* Tasks, regions and messages: what the program says of its work goes into the trace and nowhere else. */
#include "enter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REGION_BEGUN (1ull << 32) /* beside the name's number: a region without a name has begun as well */

static ATOMIC(uint64_t) last_task;

struct gmpt_task gmpt_task_begin(const char *name)
{
    if (!trace_is_on() || !trace_wants(EVENT_GROUP_TASK))
        return (struct gmpt_task){ 0, 0 };
    API_ENTER();
    struct m *m = m_self();
    struct g_slot *slot = m->current->slot;
    struct gmpt_task task = { fetch_add_relaxed(&last_task, 1) + 1, slot->task };
    TRACE(user_task_begin, m->p, &task, trace_string(name));
    slot->task = task.id;
    return task;
}

void gmpt_task_end(struct gmpt_task task)
{
    if (task.id == 0)
        return;
    API_ENTER();
    struct m *m = m_self();
    struct g_slot *slot = m->current->slot;
    if (slot->task == task.id)
        slot->task = task.parent;
    TRACE(user_task_end, m->p, task.id);
}

uint64_t gmpt_task_current(void) { return g_self()->slot->task; }

uint64_t gmpt_task_enter(uint64_t id)
{
    struct g_slot *slot = g_self()->slot;
    uint64_t before = slot->task;
    slot->task = id;
    return before;
}

struct gmpt_region gmpt_region_begin(const char *name)
{
    if (!trace_is_on() || !trace_wants(EVENT_GROUP_REGION))
        return (struct gmpt_region){ 0 };
    API_ENTER();
    struct m *m = m_self();
    uint32_t number = trace_string(name);
    TRACE(user_region_begin, m->p, m->current->slot->task, number);
    return (struct gmpt_region){ REGION_BEGUN | number };
}

void gmpt_region_end(struct gmpt_region region)
{
    if (region.gmpt_private == 0)
        return;
    API_ENTER();
    TRACE(user_region_end, m_self()->p, (uint32_t)region.gmpt_private);
}

static void log_text(const char *category, const char *text, size_t bytes)
{
    API_ENTER();
    struct m *m = m_self();
    TRACE(user_log, m->p, m->current->slot->task, trace_string(category), text, bytes);
}

void gmpt_log(const char *category, const char *text)
{
    if (!trace_is_on() || !trace_wants(EVENT_GROUP_LOG))
        return;
    log_text(category, text ? text : "", text ? strlen(text) : 0);
}

void gmpt_logf(const char *category, const char *format, ...)
{
    if (!trace_is_on() || !trace_wants(EVENT_GROUP_LOG))
        return;
    char text[GMPT_LOG_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (bytes >= 0)
        log_text(category, text, (size_t)bytes);
}

int gmpt_trace_snapshot(void) { return trace_snapshot_ask() ? 0 : -ESRCH; }
