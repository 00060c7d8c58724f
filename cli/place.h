/* Stacks and functions as a person knows them: the user's own frames, with short file names.
 *
 * A recorded stack begins inside the runtime; what is shown begins with the user's function that called it. */
#ifndef GMPT_PLACE_H
#define GMPT_PLACE_H

#include "pprof/symbolize.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PLACE_FRAMES_MAX 256
#define PLACE_TEXT_BYTES 512

struct places;

struct place_frame {
    const char *function; /* NULL = not known */
    const char *file;     /* full path; NULL = not known */
    int line;
    int function_line; /* where the function begins; 0 = not known */
    uint64_t address;
    const char *module;      /* path; NULL = not known */
    uint64_t module_address; /* the address in the module's file */
};

/* NULL with errno ENOMEM. Both must outlive it. */
struct places *places_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer);
void places_close(struct places *places);

/* The user's frames of a stack, leaf first, at most PLACE_FRAMES_MAX. Returns how many; 0 = the stack is not known.
 * What the frames point to lives as long as the trace and the symbolizer. */
size_t place_frames(struct places *places, uint32_t stack, struct place_frame frames[PLACE_FRAMES_MAX]);

/* This stack is one of code that was executed, not of a call of the runtime: its innermost frames are shown, too. To be
 * said before the stack is first asked for. When memory is short nothing happens. */
void place_code(struct places *places, uint32_t stack);
/* The same of the stacks that an event of the kernel's side has, if it has some. */
void place_code_event(struct places *places, const struct gmpt_event *event);

/* The G function that begins at this address, with the line where it begins. */
struct place_frame place_function_frame(struct places *places, uint64_t fn);

/* The same as a text; "gateway+0x1234" without a name, "main" for the main G's. */
const char *place_function(struct places *places, char buffer[PLACE_TEXT_BYTES], uint64_t fn);

/* File and line of a frame, "gateway.c:120", or "gateway+0x1234" without debug information. */
const char *place_of_frame(struct places *places, char buffer[PLACE_TEXT_BYTES], const struct place_frame *frame);

/* "handle_compute gateway.c:120"; what is not known is left out. */
const char *place_of_call(struct places *places, char buffer[PLACE_TEXT_BYTES], const struct place_frame *frame);

/* "at gateway.c:120 (handle_compute)" for a stack's first frame. When a tail call hid the stack: "in compute_worker
 * (line not known)", by the G's function, or "at an unknown place" when fn is 0. */
const char *place_of_stack(struct places *places, char buffer[PLACE_TEXT_BYTES], uint32_t stack, uint64_t fn);

/* Files are shown by their last name, and by more of their path when two that were looked at share it; so look at all
 * stacks first. */
void place_look(struct places *places, uint32_t stack);
void place_look_file(struct places *places, const char *path); /* path must outlive places */
const char *place_file(const struct places *places, const char *path);

/* Says on standard error which modules have no names or lines, and why. */
void place_warn(const struct places *places);

/* Prints "   waits at" and a line for each frame, or "   waits in FUNCTION (line not known)" by the G's function. */
void place_print(struct places *places, const char *verb, uint32_t stack, uint64_t fn);

/* [{"function": ..., "file": ..., "line": ..., "module": ..., "object_address": ..., "address": ...}, ...] */
void place_json(struct places *places, FILE *file, uint32_t stack);
/* the same for a G's function: one object */
void place_function_json(struct places *places, FILE *file, uint64_t fn);

#endif
