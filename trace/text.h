/* Traces as text.
 *
 * One event in a line is for people and scripts. A whole trace as text, which has every frame, section and record of
 * the file, is what tests are written in: text_build makes the file, text_dump the same text again. In it:
 *
 *     # a comment; blank lines and spaces at the start of a line count for nothing
 *     pid 7                           the head: pid, p_count, clock_kind, command, host,
 *                                     maxprocs, quota_cpus, attached, stack_frames, left_out
 *     p_count 2
 *     frame                           begins a frame
 *     clock 1000 0 1700000000000000000            ticks, monotonic ns, realtime ns
 *     module 0x1000 0x2000 0x0 a1b2c3 /bin/prog   start, end, bias, build id or -, path
 *     stack 0 1 0x1010 0x1020                     ring, ordinal, addresses (leaf first)
 *     string 1 a name                             number, the string; \\ and \x1f stand for \ and control characters
 *     labels 3 1=2                                number, pairs of key and value by their numbers
 *     events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=77 lost=0
 *       5 go_create g=1 fn=0x1000 stack=1         ticks since the record before, event, its fields in order; those
 *                                                 at the end that are not there are 0
 *     end 1 0                                     exit kind, exit code
 *     ring 12 0 0                                 emitted, lost, stacks lost: a line for each ring */
#ifndef GMPT_TEXT_H
#define GMPT_TEXT_H

#include <gmptrace/trace.h>

#include <stddef.h>
#include <stdio.h>

#define TEXT_EVENT_MAX 320 /* room for any event's line */

/* "0.000123456 P0 G5 go_block reason=chan_recv object=0x10 bounded=0 stack=3", without a newline; - stands for the no-P
 * ring and for no G. Returns its length. */
size_t text_event(char line[TEXT_EVENT_MAX], const struct gmpt_event *event);

/* Prints a file as canonical text. Returns 0, or -EPROTO with *error filled when it is damaged or cut off. */
int text_dump(const char *path, FILE *out, struct gmpt_trace_error *error);

/* Makes a file from text. fd is closed. Returns 0, or -errno: -EINVAL with the line in *error, whose offset is the
 * line's number then, or what the writer says. */
int text_build(const char *text, int fd, struct gmpt_trace_error *error);

#endif
