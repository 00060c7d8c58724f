/* See kernelnames.h. */
#define _GNU_SOURCE
#include "kernelnames.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION_BYTES_MAX (1u << 20) /* further from its beginning nothing is taken for a part of a function */

struct function {
    uint64_t address;
    size_t name; /* where it lies in the text */
};

struct kernelnames {
    FILE *file;                 /* NULL once it has been read */
    struct function *functions; /* in the order of their addresses */
    size_t count, room;
    char *text;
    size_t text_bytes, text_room;
};

/* "ffffffff81000000 T _stext", "... t name [module]". Returns whether it is a function's. */
static bool line_parse(const char *line, uint64_t *address, char name[128])
{
    unsigned long long at;
    char kind;
    if (sscanf(line, "%llx %c %127s", &at, &kind, name) != 3 || !strchr("tTwW", kind))
        return false;
    *address = at;
    return true;
}

struct kernelnames *kernelnames_open(void)
{
    char line[512], name[128];
    uint64_t address = 0;
    FILE *file = fopen("/proc/kallsyms", "re");
    if (!file)
        return NULL;
    while (address == 0 && fgets(line, sizeof line, file))
        if (line_parse(line, &address, name) && address == 0) {
            fclose(file); /* zero is what it shows who may not know */
            errno = EPERM;
            return NULL;
        }
    struct kernelnames *names = address ? calloc(1, sizeof *names) : NULL;
    if (!names) {
        int error = address ? ENOMEM : ENOENT;
        fclose(file);
        errno = error;
        return NULL;
    }
    rewind(file);
    names->file = file;
    return names;
}

/* The array with room for `more` behind `used`, where it lies now; NULL: there is no memory, and it stays. */
static void *room_make(void *array, size_t *room, size_t used, size_t more, size_t size)
{
    if (used + more <= *room)
        return array;
    size_t new_room = *room ? 2 * *room : 65536;
    void *new = reallocarray(array, new_room, size);
    if (new)
        *room = new_room;
    return new;
}

static bool function_add(struct kernelnames *names, uint64_t address, const char *name)
{
    size_t bytes = strlen(name) + 1;
    struct function *functions = room_make(names->functions, &names->room, names->count, 1, sizeof *functions);
    if (!functions)
        return false;
    names->functions = functions;
    char *text = room_make(names->text, &names->text_room, names->text_bytes, bytes, 1);
    if (!text)
        return false;
    names->text = text;
    names->functions[names->count++] = (struct function){ address, names->text_bytes };
    memcpy(names->text + names->text_bytes, name, bytes);
    names->text_bytes += bytes;
    return true;
}

static int function_compare(const void *a_arg, const void *b_arg)
{
    const struct function *a = a_arg, *b = b_arg;
    return a->address < b->address ? -1 : a->address > b->address;
}

/* Without memory for all of them there are none: what is missing would bear the name of what lies before it. */
static void names_read(struct kernelnames *names)
{
    char line[512], name[128];
    uint64_t address;
    while (fgets(line, sizeof line, names->file))
        if (line_parse(line, &address, name) && !function_add(names, address, name)) {
            names->count = 0;
            break;
        }
    fclose(names->file);
    names->file = NULL;
    if (names->count)
        qsort(names->functions, names->count, sizeof *names->functions, function_compare);
}

const char *kernelnames_find(struct kernelnames *names, uint64_t address)
{
    if (names->file)
        names_read(names);
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (names->functions[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low > 0 && address - names->functions[low - 1].address < FUNCTION_BYTES_MAX;
    return found ? names->text + names->functions[low - 1].name : "?";
}

void kernelnames_close(struct kernelnames *names)
{
    if (!names)
        return;
    if (names->file)
        fclose(names->file);
    free(names->functions);
    free(names->text);
    free(names);
}
