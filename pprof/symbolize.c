/* Addresses of a traced program to names.
 *
 * Problem: the program is gone, its files may have changed, and a wrong name is worse than none. What a trace has
 * is the modules: for each the addresses it was loaded at, the bias, the path and the build id.
 *
 * Words: the bias is what the loader added to the object's own addresses (0 for a program that is not position
 * independent). An object address is a recorded address less the bias; it is what ELF and DWARF speak of.
 *
 * Way: address -> cache -> module -> its file, opened when the first address in it comes -> DWARF (inlines.c) or,
 * failing that, the symbol table (symtab.c).
 *
 *     file at the recorded path     same build id            use it; its DWARF, or that of its separate debug file
 *                                   another build id         rebuilt: not used
 *                                   none recorded            used, with a warning
 *     separate debug file           same build id            used, even where the file itself is gone or rebuilt
 *
 * A recorded address is where a call returns to, which may already be the next line or, after a call that never
 * returns, the next function. So the byte before it is looked up; that lies within the call.
 *
 * Invariants
 *  1. No file is used whose build id contradicts the recorded one.
 *  2. A file's content is input: no damage in it leads further than to "not known".
 *  3. Every string handed out lives in an object's tables, which stay open until symbolizer_close.
 *  4. A trace tells of more modules as it is read; they only grow. An address that lay in none is looked up anew then.
 *
 * Rejected: libdwfl, which asks debuginfod servers whenever the environment names one (an analysis must not wait for a
 * network, nor tell it what is analysed) and nests calls as deep as the input does; running addr2line, which may not be
 * there and cannot be told of a build id. C++ names are left as the debug information has them: demangling would
 * need the C++ runtime library. */
#define _GNU_SOURCE
#include "symbolize.h"

#include "inlines.h"
#include "objfile.h"
#include "symtab.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
    struct module *next;         /* in the order they were first seen */
    struct gmpt_module recorded; /* path is our own copy */
    int index;                   /* gmpt_trace_module's now */
    bool loaded;
    uint64_t file_offset;
    struct objfile file, debug;
    struct inlines *inlines; /* NULL = no debug information */
    struct symtab *symtab;   /* NULL = no symbols */
    bool dynamic_only;       /* the table has only what the object exports */
    char *warning;
};

struct entry {
    uint64_t address;
    struct symbol symbol;
    struct module *module;
    unsigned generation; /* of the modules when it was looked up */
    struct symbol_frame *frames;
};

struct symbolizer {
    const struct gmpt_trace *trace; /* NULL: the modules were given */
    struct module *modules, **modules_end;
    struct module **by_index; /* ordered by start */
    size_t module_count;
    unsigned generation;
    struct entry **slots; /* open addressing; a power of two */
    size_t slot_count, entry_count;
};

static const struct symbol_frame unknown_frame;
static const struct symbol unknown_symbol = { .count = 1, .frames = &unknown_frame, .module = -1 };

__attribute__((format(printf, 2, 3))) static void module_warn(struct module *module, const char *format, ...)
{
    if (module->warning)
        return;
    va_list args;
    va_start(args, format);
    if (vasprintf(&module->warning, format, args) < 0)
        module->warning = NULL;
    va_end(args);
}

/* The first bytes of a build id, which is as much as a person compares. */
static const char *build_id_words(char buffer[32], const uint8_t *build_id, size_t size)
{
    if (size == 0)
        return "none";
    char *end = buffer;
    for (size_t i = 0; i < size && i < 6; i++)
        end += sprintf(end, "%02x", build_id[i]);
    if (size > 6)
        strcpy(end, "...");
    return buffer;
}

/* Opens the module's own file if it is the one that was recorded; else says why not. */
static void module_open_file(struct module *module)
{
    const struct gmpt_module *recorded = &module->recorded;
    char then[32], now[32];

    int error = objfile_open(&module->file, recorded->path);
    if (error == -ENOENT || error == -ENOTDIR) {
        module_warn(module,
                    "%s is not there any more: its addresses have no names; set GMPT_DEBUG_PATH if there is a debug "
                    "file of it",
                    recorded->path);
    } else if (error == -ENOEXEC) {
        module_warn(module, "%s is not an ELF file that can be read: its addresses have no names", recorded->path);
    } else if (error) {
        module_warn(module, "%s cannot be opened (%s): its addresses have no names", recorded->path, strerror(-error));
    } else if (recorded->build_id_bytes == 0) {
        module_warn(module, "%s had no build id when it was recorded: its names are right only if it was not rebuilt",
                    recorded->path);
    } else if (!objfile_has_build_id(&module->file, recorded->build_id, recorded->build_id_bytes)) {
        module_warn(
            module,
            "%s was rebuilt since the recording (build id %s recorded, %s now): its addresses have no names; set "
            "GMPT_DEBUG_PATH if there is a debug file of the old one",
            recorded->path, build_id_words(then, recorded->build_id, recorded->build_id_bytes),
            build_id_words(now, module->file.build_id, module->file.build_id_bytes));
        objfile_close(&module->file);
    }
}

static void module_load(struct module *module)
{
    const struct gmpt_module *recorded = &module->recorded;
    module->loaded = true;
    if (!strchr(recorded->path, '/')) /* linux-vdso.so.1 and its like have no file */
        return;
    module_open_file(module);
    if (module->file.elf) {
        module->file_offset = objfile_offset(&module->file, recorded->start - recorded->bias);
        module->inlines = inlines_open(module->file.elf);
        module->symtab = symtab_open(module->file.elf, false);
    }
    if ((!module->inlines || !module->symtab) &&
        objfile_find_debug(&module->debug, &module->file, recorded->path, recorded->build_id,
                           recorded->build_id_bytes) == 0) {
        if (!module->inlines)
            module->inlines = inlines_open(module->debug.elf);
        if (!module->symtab)
            module->symtab = symtab_open(module->debug.elf, false);
        if (!module->file.elf && (module->inlines || module->symtab)) {
            /* As good as the file itself, so there is nothing to complain about. */
            free(module->warning);
            module->warning = NULL;
        }
    }
    if (!module->symtab && module->file.elf) {
        module->symtab = symtab_open(module->file.elf, true);
        module->dynamic_only = true;
    }
    if (module->file.elf && !module->inlines && !module->symtab)
        module_warn(module,
                    "%s has neither debug information nor symbols: its addresses have no names; build it with -g, "
                    "or set GMPT_DEBUG_PATH to where its debug file is",
                    recorded->path);
    else if (module->file.elf && !module->inlines && !module->dynamic_only)
        module_warn(module,
                    "%s has no debug information: its functions have no files and lines; build it with -g, or "
                    "set GMPT_DEBUG_PATH to where its debug file is",
                    recorded->path);
}

static void module_free(struct module *module)
{
    symtab_close(module->symtab);
    inlines_close(module->inlines);
    objfile_close(&module->debug);
    objfile_close(&module->file);
    free(module->warning);
    free((char *)module->recorded.path);
    free(module);
}

static bool module_is(const struct module *module, const struct gmpt_module *recorded)
{
    const struct gmpt_module *mine = &module->recorded;
    return mine->start == recorded->start && mine->end == recorded->end && mine->bias == recorded->bias &&
           mine->build_id_bytes == recorded->build_id_bytes &&
           memcmp(mine->build_id, recorded->build_id, sizeof mine->build_id) == 0 &&
           strcmp(mine->path, recorded->path ? recorded->path : "") == 0;
}

static struct module *module_add(struct symbolizer *symbolizer, const struct gmpt_module *recorded)
{
    struct module *module = calloc(1, sizeof *module);
    if (!module)
        return NULL;
    module->recorded = *recorded;
    module->recorded.path = strdup(recorded->path ? recorded->path : "");
    if (!module->recorded.path) {
        free(module);
        return NULL;
    }
    if (module->recorded.build_id_bytes > OBJFILE_BUILD_ID_MAX)
        module->recorded.build_id_bytes = OBJFILE_BUILD_ID_MAX;
    *symbolizer->modules_end = module;
    symbolizer->modules_end = &module->next;
    return module;
}

/* Brings by_index up to what the trace (or array) has. Both are ordered, so one pass finds those known already. */
static int modules_update(struct symbolizer *symbolizer, const struct gmpt_module *array, size_t count)
{
    struct module **by_index = calloc(count ? count : 1, sizeof by_index[0]);
    if (!by_index)
        return -ENOMEM;
    size_t old = 0;
    for (size_t i = 0; i < count; i++) {
        const struct gmpt_module *recorded = array ? &array[i] : gmpt_trace_module(symbolizer->trace, i);
        while (old < symbolizer->module_count && symbolizer->by_index[old]->recorded.start < recorded->start)
            old++;
        if (old < symbolizer->module_count && module_is(symbolizer->by_index[old], recorded))
            by_index[i] = symbolizer->by_index[old++];
        else
            by_index[i] = module_add(symbolizer, recorded);
        if (!by_index[i]) {
            free(by_index);
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < count; i++)
        by_index[i]->index = (int)i;
    free(symbolizer->by_index);
    symbolizer->by_index = by_index;
    symbolizer->module_count = count;
    symbolizer->generation++;
    return 0;
}

static void modules_sync(struct symbolizer *symbolizer)
{
    if (!symbolizer->trace)
        return;
    size_t count = gmpt_trace_module_count(symbolizer->trace);
    if (count != symbolizer->module_count)
        modules_update(symbolizer, NULL, count); /* without memory the new ones stay unknown */
}

static struct symbolizer *symbolizer_new(void)
{
    struct symbolizer *symbolizer = calloc(1, sizeof *symbolizer);
    if (!symbolizer)
        return NULL;
    symbolizer->modules_end = &symbolizer->modules;
    symbolizer->slot_count = 256;
    symbolizer->slots = calloc(symbolizer->slot_count, sizeof symbolizer->slots[0]);
    if (!symbolizer->slots) {
        free(symbolizer);
        return NULL;
    }
    return symbolizer;
}

struct symbolizer *symbolizer_open(const struct gmpt_trace *trace)
{
    struct symbolizer *symbolizer = symbolizer_new();
    if (symbolizer)
        symbolizer->trace = trace;
    return symbolizer;
}

struct symbolizer *symbolizer_open_modules(const struct gmpt_module *modules, size_t count)
{
    struct symbolizer *symbolizer = symbolizer_new();
    if (symbolizer && modules_update(symbolizer, modules, count)) {
        symbolizer_close(symbolizer);
        errno = ENOMEM;
        return NULL;
    }
    return symbolizer;
}

void symbolizer_close(struct symbolizer *symbolizer)
{
    if (!symbolizer)
        return;
    for (size_t i = 0; i < symbolizer->slot_count; i++) {
        if (symbolizer->slots[i])
            free(symbolizer->slots[i]->frames);
        free(symbolizer->slots[i]);
    }
    for (struct module *module = symbolizer->modules, *next; module; module = next) {
        next = module->next;
        module_free(module);
    }
    free(symbolizer->slots);
    free(symbolizer->by_index);
    free(symbolizer);
}

static size_t slot_of(struct entry *const *slots, size_t slot_count, uint64_t address)
{
    size_t slot = (address * 0x9e3779b97f4a7c15ull >> 20) & (slot_count - 1);
    while (slots[slot] && slots[slot]->address != address)
        slot = (slot + 1) & (slot_count - 1);
    return slot;
}

static int cache_grow(struct symbolizer *symbolizer)
{
    size_t slot_count = symbolizer->slot_count * 2;
    struct entry **slots = calloc(slot_count, sizeof slots[0]);
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < symbolizer->slot_count; i++)
        if (symbolizer->slots[i])
            slots[slot_of(slots, slot_count, symbolizer->slots[i]->address)] = symbolizer->slots[i];
    free(symbolizer->slots);
    symbolizer->slots = slots;
    symbolizer->slot_count = slot_count;
    return 0;
}

static struct entry *cache_entry(struct symbolizer *symbolizer, uint64_t address, bool *is_new)
{
    size_t slot = slot_of(symbolizer->slots, symbolizer->slot_count, address);
    *is_new = false;
    if (symbolizer->slots[slot])
        return symbolizer->slots[slot];
    if (symbolizer->entry_count * 4 >= symbolizer->slot_count * 3) {
        if (cache_grow(symbolizer))
            return NULL;
        slot = slot_of(symbolizer->slots, symbolizer->slot_count, address);
    }
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->address = address;
    symbolizer->slots[slot] = entry;
    symbolizer->entry_count++;
    *is_new = true;
    return entry;
}

static struct module *module_at(const struct symbolizer *symbolizer, uint64_t address)
{
    for (size_t i = symbolizer->module_count; i-- > 0;) {
        const struct gmpt_module *recorded = &symbolizer->by_index[i]->recorded;
        if (recorded->start <= address && address < recorded->end)
            return symbolizer->by_index[i];
    }
    return NULL;
}

static void entry_resolve(struct symbolizer *symbolizer, struct entry *entry)
{
    struct symbol_frame frames[INLINES_FRAMES_MAX];
    uint64_t address = entry->address - 1;

    entry->symbol = unknown_symbol;
    entry->generation = symbolizer->generation;
    entry->module = entry->address ? module_at(symbolizer, address) : NULL;
    if (!entry->module)
        return;
    struct module *module = entry->module;
    if (!module->loaded)
        module_load(module);
    uint64_t object_address = address - module->recorded.bias;
    entry->symbol.object_address = object_address;

    size_t count = module->inlines ? inlines_find(module->inlines, object_address, frames) : 0;
    if (count == 0) {
        memset(&frames[0], 0, sizeof frames[0]);
        count = 1;
    }
    struct symbol_frame *outermost = &frames[count - 1];
    if (!outermost->function && module->symtab)
        outermost->function = symtab_find(module->symtab, object_address);
    if (!outermost->function && module->file.elf && module->dynamic_only)
        module_warn(module,
                    "%s has no debug information and only its exported symbols: some of its addresses have no names; "
                    "build it with -g, or set GMPT_DEBUG_PATH to where its debug file is",
                    module->recorded.path);

    entry->frames = malloc(count * sizeof frames[0]);
    if (!entry->frames)
        return;
    memcpy(entry->frames, frames, count * sizeof frames[0]);
    entry->symbol.count = count;
    entry->symbol.frames = entry->frames;
}

const struct symbol *symbolize(struct symbolizer *symbolizer, uint64_t address)
{
    bool is_new;
    modules_sync(symbolizer);
    struct entry *entry = cache_entry(symbolizer, address, &is_new);
    if (!entry)
        return &unknown_symbol;
    if (is_new || (!entry->module && entry->generation != symbolizer->generation))
        entry_resolve(symbolizer, entry);
    entry->symbol.module = entry->module ? entry->module->index : -1;
    return &entry->symbol;
}

size_t symbolizer_module_count(struct symbolizer *symbolizer)
{
    modules_sync(symbolizer);
    return symbolizer->module_count;
}

const struct gmpt_module *symbolizer_module(struct symbolizer *symbolizer, size_t index, uint64_t *file_offset)
{
    if (index >= symbolizer->module_count)
        return NULL;
    if (file_offset)
        *file_offset = symbolizer->by_index[index]->file_offset;
    return &symbolizer->by_index[index]->recorded;
}

const char *symbolizer_warning(const struct symbolizer *symbolizer, size_t index)
{
    for (const struct module *module = symbolizer->modules; module; module = module->next)
        if (module->warning && index-- == 0)
            return module->warning;
    return NULL;
}
