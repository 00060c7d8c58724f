/* See kernelnames.h. */
#include "kernelnames.h"

#include "trace/ascending.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION_BYTES_MAX (1u << 20) /* further from its beginning nothing is taken for a part of a function */
#define LINE_BYTES 1024               /* names have up to 511 */
#define READ_BYTES 65536

struct function {
    uint64_t address;
    size_t name; /* where it lies in the text */
};

struct kernelnames {
    struct function *functions; /* in the order of their addresses, of those with the same the last shown first */
    size_t count, room;
    char *text;
    size_t text_bytes, text_room;
};

/* "ffffffff81000000 T _stext", "... t name [module]". Returns the name, ended, or NULL: it is no function's. */
static char *line_parse(char *line, uint64_t *address)
{
    char *end;
    *address = strtoull(line, &end, 16);
    if (end == line || end[0] != ' ' || !end[1] || !strchr("tTwW", end[1]) || end[2] != ' ')
        return NULL;
    char *name = end + 3;
    name[strcspn(name, " \t\n")] = 0;
    return *name ? name : NULL;
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

/* Returns 0 or -ENOMEM. */
static int function_add(struct kernelnames *names, uint64_t address, const char *name)
{
    size_t bytes = strlen(name) + 1;
    struct function *functions = room_make(names->functions, &names->room, names->count, 1, sizeof *functions);
    if (!functions)
        return -ENOMEM;
    names->functions = functions;
    char *text = room_make(names->text, &names->text_room, names->text_bytes, bytes, 1);
    if (!text)
        return -ENOMEM;
    names->text = text;
    names->functions[names->count++] = (struct function){ address, names->text_bytes };
    memcpy(names->text + names->text_bytes, name, bytes);
    names->text_bytes += bytes;
    return 0;
}

static int function_compare(const void *a_arg, const void *b_arg)
{
    const struct function *a = a_arg, *b = b_arg;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return a->name > b->name ? -1 : a->name < b->name;
}

/* Returns 0 or -errno. */
static int names_read(struct kernelnames *names, FILE *file)
{
    char line[LINE_BYTES];
    uint64_t address;
    int result = 0;
    while (result == 0 && fgets(line, sizeof line, file)) {
        const char *name = line_parse(line, &address);
        if (name)
            result = address ? function_add(names, address, name) : -EPERM; /* 0 is shown to who may not know */
    }
    if (result == 0 && ferror(file))
        result = -EIO;
    return result || names->count ? result : -ENOENT;
}

struct kernelnames *kernelnames_open(const char *path)
{
    FILE *file = fopen(path, "re");
    struct kernelnames *names = file ? calloc(1, sizeof *names) : NULL;
    if (!names) {
        int error = errno;
        if (file)
            fclose(file);
        errno = error;
        return NULL;
    }
    setvbuf(file, NULL, _IOFBF, READ_BYTES);
    int result = names_read(names, file);
    fclose(file);
    if (result) {
        kernelnames_close(names);
        errno = -result;
        return NULL;
    }
    qsort(names->functions, names->count, sizeof *names->functions, function_compare);
    return names;
}

const char *kernelnames_find(const struct kernelnames *names, uint64_t address)
{
    const struct function *below = ASCENDING_UPTO(names->functions, names->count, address, address);
    return below && address - below->address < FUNCTION_BYTES_MAX ? names->text + below->name : "?";
}

void kernelnames_close(struct kernelnames *names)
{
    if (!names)
        return;
    free(names->functions);
    free(names->text);
    free(names);
}
