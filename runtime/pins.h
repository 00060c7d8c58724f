/* What the program says about leaks: pointers that it keeps in a form that is not seen, places whose Gs may stay. */
#ifndef GMPT_PINS_H
#define GMPT_PINS_H

#include "proofscan.h"

/* Adds them to what the copy is to know. All threads stand still; none of them is in here then, since that is inside
 * the runtime. Returns 0 or -ENOMEM. */
int pins_add(struct proof_input *input);

#endif
