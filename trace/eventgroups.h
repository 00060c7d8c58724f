/* The events that a recording can do without, in groups that are recorded or left out together.
 *
 * A reader follows each G from state to state by the numbers of its transitions, and each P by who holds it, so no
 * record of these may be missing, or what comes after it is guesswork. What is here tells more, and no other record
 * depends on it. The group `waker` is no events, but the stacks of go_unblock. The program has the groups that its
 * recorder leaves out as a mask in the segment's header, one bit each; which events ask for it is written in
 * tracepoint.c alone, and all others do not look. */
#ifndef GMPT_EVENTGROUPS_H
#define GMPT_EVENTGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bit of the mask, which is part of the segment's version. */
enum event_group {
    EVENT_GROUP_STEAL,
    EVENT_GROUP_RETAKE,
    EVENT_GROUP_PREEMPT,
    EVENT_GROUP_LABELS,
    EVENT_GROUP_NAME,
    EVENT_GROUP_TASK,
    EVENT_GROUP_REGION,
    EVENT_GROUP_LOG,
    EVENT_GROUP_WAKER,
    EVENT_GROUP_MACHINE,
    EVENT_GROUP_NETPOLL,
    EVENT_GROUP_TIMER,
    EVENT_GROUP_SCOPE,
    EVENT_GROUPS
};
#define EVENT_GROUPS_ALL ((1u << EVENT_GROUPS) - 1)
#define EVENT_GROUPS_USER (1u << EVENT_GROUP_TASK | 1u << EVENT_GROUP_REGION | 1u << EVENT_GROUP_LOG)

const char *event_group_name(enum event_group group);

/* The groups that a word means: a group's name, that of one of its events, "user" for what the program says of its own
 * work, "all" or "none". False when it is none of these. */
bool event_groups_find(const char *word, size_t length, uint32_t *groups);

/* Reads a set of words with commas between: those groups, or, when the first has a minus before it, all but those that
 * have. Returns NULL, or the word that means none. */
const char *event_groups_parse(const char *set, uint32_t *groups);

/* The names of the groups in the mask, separated by commas; "" for none. text has room for EVENT_GROUPS_TEXT bytes. */
#define EVENT_GROUPS_TEXT 160
const char *event_groups_text(char text[EVENT_GROUPS_TEXT], uint32_t groups);

#endif
