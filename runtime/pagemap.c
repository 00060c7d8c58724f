/* Asks the kernel for runs of pages, or reads a word for each. See pagemap.h. */
#define _GNU_SOURCE
#include "pagemap.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define WORDS 1024u
#define WORD_THERE (UINT64_C(3) << 62) /* present or swapped out */
#define WORD_FILE (UINT64_C(1) << 61)  /* a page of a file's that this process has not changed */

/* As in linux/fs.h from Linux 6.7 on. */
struct scan {
    uint64_t size, flags, start, end, walk_end, runs, run_count, pages_most, inverted, all_of, any_of, told;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct scan)
enum { IS_FILE = 1 << 2, IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4 };
_Static_assert(sizeof(struct scan) == 96 && sizeof(struct pagemap_run) == 24, "they are the kernel's");

void pagemap_begin(struct pagemap *map, int fd, uint64_t start, uint64_t end, bool of_file)
{
    map->fd = fd;
    map->of_file = of_file;
    map->by_word = false;
    map->at = start & ~(uint64_t)(PAGE_BYTES - 1);
    map->end = (end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    map->next = map->count = 0;
}

static inline bool word_tells(uint64_t word, bool of_file)
{
    return word & WORD_THERE && !(of_file && word & WORD_FILE);
}

int pagemap_has(int fd, uint64_t address, bool of_file)
{
    uint64_t word;
    if (pread(fd, &word, sizeof word, (off_t)(address / PAGE_BYTES * sizeof word)) != sizeof word)
        return -EIO;
    return word_tells(word, of_file);
}

static int read_words(struct pagemap *map)
{
    uint64_t words[WORDS], left = (map->end - map->at) / PAGE_BYTES, count = left < WORDS ? left : WORDS;
    ssize_t bytes = (ssize_t)(count * sizeof words[0]);
    if (pread(map->fd, words, (size_t)bytes, (off_t)(map->at / PAGE_BYTES * sizeof words[0])) != bytes)
        return -EIO;
    for (uint64_t i = 0; i < count; i++, map->at += PAGE_BYTES) {
        struct pagemap_run *last = map->count ? &map->runs[map->count - 1] : NULL;
        if (!word_tells(words[i], map->of_file))
            continue;
        if (last && last->end == ~map->at) {
            last->end = ~(map->at + PAGE_BYTES);
            continue;
        }
        if (map->count == PAGEMAP_RUNS)
            return 0; /* from here on the next time */
        map->runs[map->count++] = (struct pagemap_run){ ~map->at, ~(map->at + PAGE_BYTES), 0 };
    }
    return 0;
}

/* Fills the runs from `at` on. None is no error. */
static int fill(struct pagemap *map)
{
    map->next = map->count = 0;
    if (map->by_word)
        return read_words(map);
    struct scan scan = {
        .size = sizeof scan,
        .start = map->at,
        .end = map->end,
        .runs = (uintptr_t)map->runs,
        .run_count = PAGEMAP_RUNS,
        .any_of = IS_PRESENT | IS_SWAPPED,
        .inverted = map->of_file ? IS_FILE : 0,
        .all_of = map->of_file ? IS_FILE : 0,
    };
    int count = ioctl(map->fd, PAGEMAP_SCAN, &scan);
    if (count >= 0 && (uint32_t)count <= PAGEMAP_RUNS && scan.walk_end > map->at && scan.walk_end <= map->end) {
        for (int i = 0; i < count; i++) {
            map->runs[i].start = ~map->runs[i].start;
            map->runs[i].end = ~map->runs[i].end;
        }
        map->count = (uint32_t)count;
        map->at = scan.walk_end;
        return 0;
    }
    map->by_word = true;
    return read_words(map);
}

/* Sees to it that there is a run, if there is any. */
static int look(struct pagemap *map)
{
    int result = 0;
    while (map->next == map->count && map->at < map->end && !result)
        result = fill(map);
    return result ? result : map->next < map->count;
}

int pagemap_next(struct pagemap *map, uint64_t *start, uint64_t *end)
{
    int result = look(map);
    if (result <= 0)
        return result;
    *start = ~map->runs[map->next].start;
    do
        *end = ~map->runs[map->next++].end;
    while ((result = look(map)) > 0 && map->runs[map->next].start == ~*end);
    return result < 0 ? result : 1;
}
