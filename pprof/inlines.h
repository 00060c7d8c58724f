/* DWARF: an address of an object to the chain of functions that the compiler folded into it, with files and lines. */
#ifndef GMPT_INLINES_H
#define GMPT_INLINES_H

#include "symbolize.h"

#include <libelf.h>

#define INLINES_FRAMES_MAX 64 /* deeper chains lose their middle */

struct inlines;

/* Reads which compilation units the object has. NULL with errno: ENOENT when it has no debug information, ENOMEM. The
 * Elf must outlive it. */
struct inlines *inlines_open(Elf *elf);
void inlines_close(struct inlines *inlines); /* NULL: nothing */

/* Fills frames, innermost first, and returns how many; 0 = nothing known. A frame without a function has a file and
 * line all the same: the caller may know the name. Strings live as long as inlines. */
size_t inlines_find(struct inlines *inlines, uint64_t object_address, struct symbol_frame frames[INLINES_FRAMES_MAX]);

#endif
