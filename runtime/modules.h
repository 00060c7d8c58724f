/* What is loaded into the process, for whoever reads its addresses when it is gone. */
#ifndef GMPT_MODULES_H
#define GMPT_MODULES_H

#include <stdbool.h>
#include <stdint.h>

/* Adds what was loaded since to the segment's list. */
void modules_note(void);
/* From where that would take too long; sysmon then does it by the other, while it takes samples. */
void modules_note_later(void);
void modules_note_wanted(void);

/* Whether all of these addresses lie in what is listed. */
bool modules_have(const uint64_t *pc, uint32_t count);

#endif
