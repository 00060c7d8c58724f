/* The goroutines of a muster, printed: what ps and dump have in common. */
#ifndef GMPT_MUSTERPRINT_H
#define GMPT_MUSTERPRINT_H

#include "muster.h"

/* In a table's column: "chan receive", "blocking call". */
const char *muster_state_words(const struct muster_g *g);
const char *muster_age_words(char buffer[16], int64_t age_ns); /* "-" when it is not known */

/* How many there are, of what, and what they do. */
void muster_head_print(const struct load *load, const struct muster *muster);

/* Each group with its stack and where it was started. */
void muster_stacks_print(const struct load *load, const struct muster *muster);

/* All of it as one object; more (NULL = nothing) prints further members, each begun by ",\n  ". */
void muster_json(const struct load *load, const struct muster *muster, int64_t now_ns, void (*more)(const void *arg),
                 const void *arg);

#endif
