/* gmptrace/observe.h - what a program says about its goroutines and its work, for whoever looks at it from outside.
 *
 *     gmpt_label_set("tenant", "acme");                         inherited by the Gs that this one starts
 *     struct gmpt_task task = gmpt_task_begin("request");
 *     struct gmpt_region region = gmpt_region_begin("parse");
 *     gmpt_logf("request", "%s, %d bytes", path, size);
 *     gmpt_region_end(region);
 *     gmpt_task_end(task);
 *
 * Tasks, regions and messages exist for the trace only: while the program is not recorded each call costs a load and a
 * branch. Names (of tasks, regions, categories, goroutines), label keys and label values are kept once each, for the
 * process's whole life, in a table with room for 65,536 of them and 4 MiB, as is each set of labels that a G has: use
 * a few kinds, not numbers of requests. A name for which there is no room is missing in the trace. Names are cut off
 * after 255 bytes.
 *
 * Included by gmpt.h, whose rules hold. Nothing here blocks. */
#ifndef GMPT_OBSERVE_H
#define GMPT_OBSERVE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Labels ----------------------------------------------------------------------------------------------------- */

/* Of a G: up to 16 keys, each with a value. A G begins with those of the G that started it. */
struct gmpt_label {
    const char *key, *value;
};

/* Gives the calling G a label, in place of one with the same key; a NULL value takes the label away. Both strings are
 * copied. Returns 0, -EINVAL when key is NULL or empty, -E2BIG when one is over 255 bytes long, -ENOSPC when the G has
 * 16 labels already or the table is full; the labels are then as they were. */
int gmpt_label_set(const char *key, const char *value);

/* The value of the calling G's label with this key, or NULL. The string lives as long as the process. */
const char *gmpt_label_get(const char *key);

/* For the time until the matching pop: sets a label as gmpt_label_set, and returns what gmpt_label_pop takes, or a
 * negative error. Pop gives the calling G exactly the labels that it had; for an error it does nothing. */
int64_t gmpt_label_push(const char *key, const char *value);
void gmpt_label_pop(int64_t pushed);

/* ---- Names and scopes ------------------------------------------------------------------------------------------- */

/* Names the calling G. Names are not inherited. */
void gmpt_name_set(const char *name);
/* Its name, "" when it has none. The string lives as long as the process. */
const char *gmpt_name_get(void);

/* A scope is a number that Gs carry and pass on to the Gs that they start, so that all that came of something, such as
 * a test, can be counted. This gives a new one, never 0. Any thread. */
uint64_t gmpt_scope_new(void);
/* Puts the calling G into a scope (0: into none), and returns the one that it was in. */
uint64_t gmpt_scope_enter(uint64_t scope);
uint64_t gmpt_scope_current(void);
/* How many Gs are alive in a scope. Looks at every G; exact only if none starts or ends meanwhile. Any thread while the
 * runtime runs. */
int64_t gmpt_scope_count(uint64_t scope);

/* ---- Tasks, regions and messages, for the trace ------------------------------------------------------------------ */

/* A piece of work that may go through many Gs: a request, a job. id is 0 while nothing is traced, or no tasks are. */
struct gmpt_task {
    uint64_t id, parent;
};

/* Begins a task, as a part of the one that the calling G works for, if any; the G, and the Gs that it starts from now
 * on, work for the new one. */
struct gmpt_task gmpt_task_begin(const char *name);
/* Ends it; may be called on any G. If the calling G works for it, it works for its parent again. */
void gmpt_task_end(struct gmpt_task task);
/* The calling G goes on to work for the task with this id (0: for none); returns the id of the one before. For a G that
 * takes work over from another. */
uint64_t gmpt_task_enter(uint64_t id);
uint64_t gmpt_task_current(void);

/* A part of what one G does, to be ended by the same G; regions nest. */
struct gmpt_region {
    uint64_t gmpt_private;
};
struct gmpt_region gmpt_region_begin(const char *name);
void gmpt_region_end(struct gmpt_region region);

/* Writes a message into the trace. Of the text 448 bytes are kept, and the length that it had. gmpt_logf needs more
 * than a small stack. */
void gmpt_log(const char *category, const char *text);
void gmpt_logf(const char *category, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks a flight recorder (gmptrace record --flight) to write what it has kept, up to about now, into a file: for the
 * moment at which the program notices that something has gone wrong. Does not wait for it. Returns 0, or -ESRCH when
 * nothing records the program. Any thread while the runtime runs; also from a signal handler. */
int gmpt_trace_snapshot(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
