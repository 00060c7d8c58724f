/* Functions, inlined functions and lines from DWARF 2-5, by libdw.
 *
 * A compilation unit is a tree of entries (DIEs). A function's entry has its address ranges; inside it, an inlined
 * call is an entry with ranges of its own, the function it came from, and the file and line of the call. The line table
 * knows the line of the innermost function only; the line of each outer one is where it calls the next.
 *
 *     add    math.h:3     line table                  chain[2], inlined, called at twice.c:8
 *     twice  twice.c:8    call place of chain[2]      chain[1], inlined, called at main.c:20
 *     main   main.c:20    call place of chain[1]      chain[0], the function that the linker sees
 *
 * 1. Units are found by their own ranges, not by .debug_aranges, which clang leaves out.
 * 2. Entries may be damaged: the way down has a budget of steps, each step goes forward in the file, recursion has a
 *    fixed depth. (libdw's own dwarf_getscopes follows whatever the input says, as deep as it says.)
 * 3. A skeleton unit (-gsplit-dwarf) stands for the one in its .dwo file, if that is found. */
#define _GNU_SOURCE
#include "inlines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX (1u << 22) /* a damaged file can let every unit name the same long list */
#define LOOKUP_STEPS_MAX (1u << 20)
#define NAMESPACE_DEPTH_MAX 32
#define OVERLAP_MAX 64 /* ranges looked back over for one that reaches far */

struct unit {
    Dwarf_Die die;  /* has the line table */
    Dwarf_Die tree; /* has the functions: the same, but for split units */
};

struct range {
    Dwarf_Addr low, high;
    size_t unit;
};

struct inlines {
    Dwarf *dwarf;
    struct unit *units;
    size_t unit_count, unit_room;
    struct range *ranges; /* by low */
    size_t range_count, range_room;
};

/* One way down through a unit's tree. */
struct descent {
    Dwarf_Addr address;
    unsigned steps;
    bool nested; /* also look for functions inside functions, a GNU extension of C */
    Dwarf_Die chain[INLINES_FRAMES_MAX];
    size_t count;
};

static int range_compare(const void *a_pointer, const void *b_pointer)
{
    const struct range *a = a_pointer, *b = b_pointer;
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Makes room for one more item. */
static void *grow(void *items, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room)
        return items;
    size_t more = *room ? *room * 2 : 64;
    void *grown = reallocarray(items, more, item_bytes);
    if (grown)
        *room = more;
    return grown;
}

static int unit_add(struct inlines *inlines, const struct unit *unit)
{
    Dwarf_Die die = unit->die;
    Dwarf_Addr base = 0, low, high;
    ptrdiff_t offset = 0;
    bool any = false;

    while (inlines->range_count < RANGES_MAX && (offset = dwarf_ranges(&die, offset, &base, &low, &high)) > 0) {
        /* What the linker threw away stays in the debug information at address 0. */
        if (low >= high || low == 0)
            continue;
        struct range *ranges =
            grow(inlines->ranges, inlines->range_count, &inlines->range_room, sizeof inlines->ranges[0]);
        if (!ranges)
            return -ENOMEM;
        inlines->ranges = ranges;
        ranges[inlines->range_count++] = (struct range){ low, high, inlines->unit_count };
        any = true;
    }
    if (!any)
        return 0;
    struct unit *units = grow(inlines->units, inlines->unit_count, &inlines->unit_room, sizeof inlines->units[0]);
    if (!units)
        return -ENOMEM;
    inlines->units = units;
    units[inlines->unit_count++] = *unit;
    return 0;
}

struct inlines *inlines_open(Elf *elf)
{
    int error = ENOENT;
    struct inlines *inlines = calloc(1, sizeof *inlines);
    if (!inlines)
        return NULL;
    inlines->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
    if (!inlines->dwarf)
        goto out;

    Dwarf_CU *cu = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die, split;
    while (dwarf_get_units(inlines->dwarf, cu, &cu, &version, &type, &die, &split) == 0) {
        if (type != DW_UT_compile && type != DW_UT_skeleton && type != DW_UT_partial)
            continue;
        struct unit unit = { .die = die, .tree = die };
        if (type == DW_UT_skeleton && split.addr)
            unit.tree = split;
        if (unit_add(inlines, &unit)) {
            error = ENOMEM;
            goto out;
        }
    }
    if (inlines->unit_count == 0)
        goto out;
    qsort(inlines->ranges, inlines->range_count, sizeof inlines->ranges[0], range_compare);
    return inlines;
out:
    inlines_close(inlines);
    errno = error;
    return NULL;
}

void inlines_close(struct inlines *inlines)
{
    if (!inlines)
        return;
    if (inlines->dwarf)
        dwarf_end(inlines->dwarf);
    free(inlines->units);
    free(inlines->ranges);
    free(inlines);
}

static struct unit *unit_find(struct inlines *inlines, Dwarf_Addr address)
{
    size_t low = 0, high = inlines->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (inlines->ranges[middle].low <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t back = 0; back < OVERLAP_MAX && low > back; back++) {
        const struct range *range = &inlines->ranges[low - 1 - back];
        if (address < range->high)
            return &inlines->units[range->unit];
    }
    return NULL;
}

/* Steps from an entry to its first child, or to the next beside it. False at the end, when the budget is used up, and
 * when damage would lead backwards. */
static bool step_down(struct descent *descent, Dwarf_Die *from, Dwarf_Die *child)
{
    return ++descent->steps < LOOKUP_STEPS_MAX && dwarf_child(from, child) == 0 &&
           dwarf_dieoffset(child) > dwarf_dieoffset(from);
}

static bool step_on(struct descent *descent, Dwarf_Die *die)
{
    Dwarf_Off before = dwarf_dieoffset(die);
    Dwarf_Die next;
    if (++descent->steps >= LOOKUP_STEPS_MAX || dwarf_siblingof(die, &next) != 0 || dwarf_dieoffset(&next) <= before)
        return false;
    *die = next;
    return true;
}

/* Finds the function that holds the address; puts it at the head of the chain. */
static bool function_find(struct descent *descent, Dwarf_Die *parent, int depth)
{
    Dwarf_Die die;
    if (!step_down(descent, parent, &die))
        return false;
    do {
        int tag = dwarf_tag(&die);
        bool container = false;
        switch (tag) {
        case DW_TAG_subprogram:
            if (dwarf_haspc(&die, descent->address) > 0) {
                descent->chain[0] = die;
                descent->count = 1;
                return true;
            }
            container = descent->nested;
            break;
        case DW_TAG_lexical_block:
            container = descent->nested;
            break;
        case DW_TAG_namespace:
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
        case DW_TAG_module:
            container = true;
            break;
        }
        if (container && depth < NAMESPACE_DEPTH_MAX && function_find(descent, &die, depth + 1))
            return true;
    } while (step_on(descent, &die));
    return false;
}

/* Adds the inlined calls that hold the address, from the outermost in. */
static void inlined_find(struct descent *descent)
{
    Dwarf_Die parent = descent->chain[0], die;
    while (step_down(descent, &parent, &die)) {
        bool deeper = false;
        do {
            int tag = dwarf_tag(&die);
            if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block && tag != DW_TAG_try_block &&
                tag != DW_TAG_catch_block)
                continue;
            if (dwarf_haspc(&die, descent->address) <= 0)
                continue;
            if (tag == DW_TAG_inlined_subroutine) {
                if (descent->count == INLINES_FRAMES_MAX)
                    descent->count--;
                descent->chain[descent->count++] = die;
            }
            deeper = true;
            break;
        } while (step_on(descent, &die));
        if (!deeper)
            return;
        parent = die;
    }
}

static bool attribute_number(Dwarf_Die *die, unsigned name, Dwarf_Word *number)
{
    Dwarf_Attribute attribute;
    return dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, number) == 0;
}

static const char *function_name(Dwarf_Die *die)
{
    const char *name = dwarf_diename(die);
    Dwarf_Attribute attribute;
    if (!name && dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute))
        name = dwarf_formstring(&attribute);
    return name && *name ? name : NULL;
}

static void frame_set_function(struct symbol_frame *frame, Dwarf_Die *die)
{
    int line;
    frame->function = function_name(die);
    if (dwarf_decl_line(die, &line) == 0 && line > 0)
        frame->function_line = line;
    if (!frame->file)
        frame->file = dwarf_decl_file(die);
}

static void frame_set_call(struct symbol_frame *frame, Dwarf_Die *inlined)
{
    Dwarf_Word line, file;
    Dwarf_Files *files;
    Dwarf_Die cu;
    size_t count;
    if (attribute_number(inlined, DW_AT_call_line, &line) && line <= INT32_MAX)
        frame->line = (int)line;
    if (attribute_number(inlined, DW_AT_call_file, &file) && dwarf_diecu(inlined, &cu, NULL, NULL) &&
        dwarf_getsrcfiles(&cu, &files, &count) == 0 && file < count)
        frame->file = dwarf_filesrc(files, file, NULL, NULL);
}

static void frame_set_line(struct symbol_frame *frame, Dwarf_Die *cu, Dwarf_Addr address)
{
    int number;
    Dwarf_Line *line = dwarf_getsrc_die(cu, address);
    if (!line)
        return;
    frame->file = dwarf_linesrc(line, NULL, NULL);
    if (dwarf_lineno(line, &number) == 0 && number > 0)
        frame->line = number;
}

size_t inlines_find(struct inlines *inlines, uint64_t object_address, struct symbol_frame frames[INLINES_FRAMES_MAX])
{
    struct unit *unit = unit_find(inlines, object_address);
    if (!unit)
        return 0;
    struct descent descent = { .address = object_address };
    bool found = function_find(&descent, &unit->tree, 0);
    if (!found) {
        descent.nested = true;
        found = function_find(&descent, &unit->tree, 0);
    }
    if (found)
        inlined_find(&descent);

    size_t count = found ? descent.count : 1;
    memset(frames, 0, count * sizeof frames[0]);
    frame_set_line(&frames[0], &unit->die, object_address);
    for (size_t i = 0; found && i < count; i++) {
        if (i > 0)
            frame_set_call(&frames[i], &descent.chain[count - i]);
        frame_set_function(&frames[i], &descent.chain[count - 1 - i]);
    }
    return found || frames[0].file ? count : 0;
}
