/* Takes what a recorder passed, and gives Ms their places in it. See mwords.h. */
#include "mwords.h"

#include "tracepoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS_BYTES ((size_t)SEGMENT_WORDS * SEGMENT_WORD_BYTES)

static uint8_t *words; /* NULL = there are none */
static ATOMIC(uint32_t) words_used; /* a number for each; nothing else is told by it */

/* The variable is taken away. -1 = nothing was passed. */
static int passed(void)
{
    const char *text = getenv(SEGMENT_WORDS_ENV);
    char *end;
    long fd = text && *text ? strtol(text, &end, 10) : -1;
    if (text && *text && *end)
        fd = -1;
    unsetenv(SEGMENT_WORDS_ENV);
    return fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
}

/* Anything else might be cut off under us. */
static bool is_map(int fd)
{
    static const char name[] = "anon_inode:bpf-map";
    char path[32], target[sizeof name + 1];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target) == sizeof name - 1 && memcmp(target, name, sizeof name - 1) == 0;
}

uint64_t mwords_take(void)
{
    int fd = passed();
    if (fd < 0 || !is_map(fd))
        return 0;
    void *mapped = mmap(NULL, WORDS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    words = mapped == MAP_FAILED ? NULL : mapped;
    return (uintptr_t)words;
}

void mwords_leave(void)
{
    int fd = passed();
    if (fd >= 0 && is_map(fd))
        close(fd);
}

ATOMIC(uint64_t) *mwords_place(ATOMIC(uint64_t) *own)
{
    uint32_t number = words ? fetch_add_relaxed(&words_used, 1) : SEGMENT_WORDS;
    return number < SEGMENT_WORDS ? (ATOMIC(uint64_t) *)(words + (size_t)number * SEGMENT_WORD_BYTES) : own;
}

bool mwords_lie_at(uint64_t start) { return words && (uintptr_t)words == start; }

int mwords_after_fork(void)
{
    if (words && mmap(words, WORDS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
                     MAP_FAILED)
        return -errno;
    return 0;
}
