/* An object's symbol table, sorted by address: the names that are left without debug information. */
#ifndef GMPT_SYMTAB_H
#define GMPT_SYMTAB_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

struct symtab;

/* Reads .symtab, or .dynsym when dynamic is true. NULL with errno: ENOENT when it has no such table or nothing in it
 * that can be used, ENOMEM. The Elf must outlive it. */
struct symtab *symtab_open(Elf *elf, bool dynamic);
void symtab_close(struct symtab *symtab); /* NULL: nothing */

/* The function that holds this address of the object, NULL when none does. */
const char *symtab_find(const struct symtab *symtab, uint64_t object_address);

#endif
