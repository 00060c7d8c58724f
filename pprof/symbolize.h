/* Addresses of a traced program to functions, files and lines, by DWARF (libdw) and, failing that, symbol tables.
 *
 * The modules come from the trace; each is looked for at its path, then as a separate debug file by its build id
 * ($GMPT_DEBUG_PATH and /usr/lib/debug, each with .build-id) or the file's .gnu_debuglink. A file whose build id
 * differs from the recorded one was rebuilt since: it is not used, and symbolizer_warning says so. Results are cached
 * by address. One thread at a time. */
#ifndef GMPT_SYMBOLIZE_H
#define GMPT_SYMBOLIZE_H

#include <gmptrace/trace.h>

#include <stddef.h>
#include <stdint.h>

struct symbolizer;

struct symbol_frame {
    const char *function; /* demangled; NULL = not known */
    const char *file;     /* path as in the debug information; NULL = not known */
    int line;             /* 0 = not known */
    int function_line;    /* where the function begins; 0 = not known */
};

/* What an address stands for: the innermost inlined function first, the real one last. */
struct symbol {
    size_t count;                      /* at least 1, even when nothing is known */
    const struct symbol_frame *frames; /* valid as long as the symbolizer */
    int module;                        /* index for gmpt_trace_module at the time of the call, -1 = in none */
    uint64_t object_address;           /* of the instruction looked up, in the object itself; 0 when in none */
};

/* NULL with errno ENOMEM. The trace must outlive it. */
struct symbolizer *symbolizer_open(const struct gmpt_trace *trace);
/* The same for modules that are known already, ordered by start address; they are copied. */
struct symbolizer *symbolizer_open_modules(const struct gmpt_module *modules, size_t count);
void symbolizer_close(struct symbolizer *symbolizer); /* NULL: nothing */

/* address is a return address (or function address + 1): the instruction before it is looked up. */
const struct symbol *symbolize(struct symbolizer *symbolizer, uint64_t address);

/* The modules by the index in struct symbol; the pointer is valid as long as the symbolizer. file_offset (may be NULL)
 * is where the module's start lies in its file, 0 when not known. */
size_t symbolizer_module_count(struct symbolizer *symbolizer);
const struct gmpt_module *symbolizer_module(struct symbolizer *symbolizer, size_t index, uint64_t *file_offset);

/* Sentences about modules that could not be used (rebuilt since, not there, without symbols), one at a time; NULL
 * after the last. Only modules that an address was looked up in are judged. */
const char *symbolizer_warning(const struct symbolizer *symbolizer, size_t index);

#endif
