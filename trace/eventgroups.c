/* The names of what can be left out of a recording. See eventgroups.h. */
#include "eventgroups.h"

#include <gmptrace/trace.h>

#include <string.h>

static const char *const group_names[EVENT_GROUPS] = {
    [EVENT_GROUP_STEAL] = "steal",     [EVENT_GROUP_RETAKE] = "retake", [EVENT_GROUP_PREEMPT] = "preempt",
    [EVENT_GROUP_LABELS] = "labels",   [EVENT_GROUP_NAME] = "name",     [EVENT_GROUP_TASK] = "task",
    [EVENT_GROUP_REGION] = "region",   [EVENT_GROUP_LOG] = "log",       [EVENT_GROUP_WAKER] = "waker",
    [EVENT_GROUP_MACHINE] = "machine", [EVENT_GROUP_NETPOLL] = "netpoll", [EVENT_GROUP_TIMER] = "timer",
    [EVENT_GROUP_SCOPE] = "scope",
};

static const struct {
    enum gmpt_event_type type;
    enum event_group group;
} group_events[] = {
    { GMPT_EVENT_proc_steal, EVENT_GROUP_STEAL },       { GMPT_EVENT_proc_retake, EVENT_GROUP_RETAKE },
    { GMPT_EVENT_proc_preempt, EVENT_GROUP_PREEMPT },   { GMPT_EVENT_go_labels, EVENT_GROUP_LABELS },
    { GMPT_EVENT_go_name, EVENT_GROUP_NAME },           { GMPT_EVENT_user_task_begin, EVENT_GROUP_TASK },
    { GMPT_EVENT_user_task_end, EVENT_GROUP_TASK },     { GMPT_EVENT_user_region_begin, EVENT_GROUP_REGION },
    { GMPT_EVENT_user_region_end, EVENT_GROUP_REGION }, { GMPT_EVENT_user_log, EVENT_GROUP_LOG },
    { GMPT_EVENT_user_log_text, EVENT_GROUP_LOG },      { GMPT_EVENT_m_create, EVENT_GROUP_MACHINE },
    { GMPT_EVENT_m_park, EVENT_GROUP_MACHINE },         { GMPT_EVENT_m_unpark, EVENT_GROUP_MACHINE },
    { GMPT_EVENT_m_spin, EVENT_GROUP_MACHINE },         { GMPT_EVENT_netpoll, EVENT_GROUP_NETPOLL },
    { GMPT_EVENT_timer_fire, EVENT_GROUP_TIMER },       { GMPT_EVENT_go_scope, EVENT_GROUP_SCOPE },
};

static bool is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

const char *event_group_name(enum event_group group) { return group_names[group]; }

bool event_groups_find(const char *word, size_t length, uint32_t *groups)
{
    static const struct {
        const char *name;
        uint32_t groups;
    } several[] = { { "user", EVENT_GROUPS_USER }, { "all", EVENT_GROUPS_ALL }, { "none", 0 } };
    for (size_t i = 0; i < sizeof several / sizeof several[0]; i++) {
        *groups = several[i].groups;
        if (is(word, length, several[i].name))
            return true;
    }
    for (unsigned group = 0; group < EVENT_GROUPS; group++) {
        *groups = 1u << group;
        if (is(word, length, group_names[group]))
            return true;
    }
    for (size_t i = 0; i < sizeof group_events / sizeof group_events[0]; i++) {
        *groups = 1u << group_events[i].group;
        if (is(word, length, gmpt_event_name(group_events[i].type)))
            return true;
    }
    *groups = 0;
    return false;
}

const char *event_groups_parse(const char *set, uint32_t *groups)
{
    *groups = *set == '-' ? EVENT_GROUPS_ALL : 0;
    for (const char *word = set;;) {
        uint32_t meant;
        bool minus = *word == '-';
        size_t length = strcspn(word, ",");
        if (!event_groups_find(word + minus, length - minus, &meant))
            return word + minus;
        *groups = minus ? *groups & ~meant : *groups | meant;
        if (!word[length])
            return NULL;
        word += length + 1;
    }
}

const char *event_groups_text(char text[EVENT_GROUPS_TEXT], uint32_t groups)
{
    size_t length = 0;
    text[0] = 0;
    for (unsigned group = 0; group < EVENT_GROUPS; group++) {
        size_t bytes = strlen(group_names[group]);
        if (!(groups & 1u << group) || length + bytes + 2 > EVENT_GROUPS_TEXT)
            continue;
        if (length)
            text[length++] = ',';
        memcpy(text + length, group_names[group], bytes + 1);
        length += bytes;
    }
    return text;
}
