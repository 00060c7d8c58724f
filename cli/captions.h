/* The texts of a trace's places, each made once: a trace of a few seconds names the same few in a million events.
 *
 * They are clean for a terminal, as cli_text makes them, and live as long as the captions unless said otherwise. */
#ifndef GMPT_CAPTIONS_H
#define GMPT_CAPTIONS_H

#include "place.h"

#include <gmptrace/trace.h>

#include <stdint.h>

struct captions;

/* NULL with errno ENOMEM. Both must outlive them. */
struct captions *captions_open(const struct gmpt_trace *trace, struct places *places);
void captions_close(struct captions *captions); /* NULL: nothing */

/* "handle_compute gateway.c:120": the first of the user's frames; "?" when it is not known. NULL when memory is
 * short. */
const char *captions_stack(struct captions *captions, uint32_t stack);

/* The same for code that was executed, not a call of the runtime: its innermost frame (place_code). */
const char *captions_code(struct captions *captions, uint32_t stack);

/* The G function at this address, as place_function has it. NULL when memory is short. Past CAPTIONS_FUNCTIONS_MAX
 * functions, which no program has, it is valid until the next call. */
const char *captions_function(struct captions *captions, uint64_t fn);
#define CAPTIONS_FUNCTIONS_MAX 65536

#endif
