/* Names of functions for addresses of this process, from the symbol tables of its loaded files.
 *
 * A library's user has only libc, so this is the least that a dump needs: each file is mapped when it is first asked
 * for, its .symtab (or .dynsym when it was stripped) is searched, and what cannot be found has a module and an offset
 * all the same, which addr2line takes. Files are input: whatever they say is checked against their size. No malloc. */
#ifndef GMPT_NAMES_H
#define GMPT_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names;

struct name {
    const char *function; /* NULL = not known; lives until names_close */
    const char *module;   /* path, NULL = not known */
    uint64_t offset;      /* of the address in the module's own numbering; the address itself without a module */
};

/* Memory for what is looked up later. NULL when there is none; names_find takes that, too. */
struct names *names_open(void);
void names_close(struct names *names);

void names_find(struct names *names, uint64_t address, struct name *name);

/* The part that reads an ELF file image of so many bytes: the name of the function that holds the address, in the
 * file's own numbering, or NULL. */
const char *names_find_in_image(const uint8_t *image, size_t bytes, uint64_t address);

#endif
