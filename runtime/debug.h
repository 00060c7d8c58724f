/* GMPT_DEBUG: what the runtime is to tell or to leave out, as a list of name=value.
 *
 *     GMPT_DEBUG=schedtrace=1000,scheddetail=1
 *
 * A name alone means 1. Read once, as the runtime starts; constant after that. */
#ifndef GMPT_DEBUG_H
#define GMPT_DEBUG_H

#include <stddef.h>
#include <stdint.h>

/* DEBUG_SETTING(name): each is a number, 0 unless it is given. */
#define DEBUG_SETTINGS                                                                                                 \
    DEBUG_SETTING(schedtrace)  /* milliseconds between two SCHED lines on standard error; 0 = none */                  \
    DEBUG_SETTING(scheddetail) /* SCHED lines list Ps, Ms and Gs, too */                                               \
    DEBUG_SETTING(nodeadlock)  /* a program whose Gs are all asleep for ever is left alone */                          \
    DEBUG_SETTING(blockcheck)  /* tell of Gs that block the thread */                                                  \
    DEBUG_SETTING(clearstacks) /* clear the first page of each new G's stack: what was left can hide a leak */         \
    DEBUG_SETTING(stackcopy)   /* a proof of leaks copies all stacks by itself, not only those of many Gs */

struct debug_settings {
#define DEBUG_SETTING(name) int64_t name;
    DEBUG_SETTINGS
#undef DEBUG_SETTING
};

extern struct debug_settings debug_settings;

/* Reads GMPT_DEBUG from the environment. What cannot be used is said on standard error, the rest is used. */
void debug_start(void);

/* Sets what text says. Returns how many items could not be used; what is wrong with them goes to complaint, an item a
 * line, cut to size and ended with NUL. text may be NULL. */
int debug_parse(struct debug_settings *settings, const char *text, char *complaint, size_t size);

#endif
