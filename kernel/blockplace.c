/* See blockplace.h. */
#define _GNU_SOURCE
#include "blockplace.h"

#include "ebpf/offcpu.h"
#include "trace/codeaddress.h"
#include "trace/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RANGES_MAX 1024
#define ADDRESSES_MAX 65536 /* that are remembered */
#define ENTRY_BYTES 32      /* switch_entry is not longer */
#define CALL_BYTES 8        /* before a return address */

/* Executable memory. */
struct range {
    uint64_t start, end;
    bool library; /* the C library's, or the dynamic linker's */
    char *path;   /* NULL = not of a file */
    uint64_t file_offset;
};

/* A word that was looked at. */
struct known {
    bool is_call; /* a call of the program's own precedes it */
};

struct blockplace {
    pid_t pid;
    uint64_t entry_pc;
    struct range ranges[RANGES_MAX];
    size_t range_count;
    struct table words;
};

static void ranges_forget(struct blockplace *place)
{
    for (size_t i = 0; i < place->range_count; i++)
        free(place->ranges[i].path);
    place->range_count = 0;
}

static void ranges_read(struct blockplace *place)
{
    char path[64], line[4352];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)place->pid);
    FILE *file = fopen(path, "re");
    ranges_forget(place);
    while (file && fgets(line, sizeof line, file) && place->range_count < RANGES_MAX) {
        unsigned long long start, end, file_offset;
        char rights[8];
        int name = 0;
        if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %n", &start, &end, rights, &file_offset, &name) < 4 ||
            rights[2] != 'x')
            continue;
        line[strcspn(line, "\n")] = 0;
        const char *slash = strrchr(line, '/'), *base = slash ? slash + 1 : line + name;
        bool library = strncmp(base, "libc.so", 7) == 0 || strncmp(base, "libc-", 5) == 0 ||
                       strncmp(base, "libpthread", 10) == 0 || strncmp(base, "ld-", 3) == 0 || base[0] == '[';
        char *file_path = line[name] == '/' ? strdup(line + name) : NULL;
        place->ranges[place->range_count++] = (struct range){ start, end, library, file_path, file_offset };
    }
    if (file)
        fclose(file);
}

struct blockplace *blockplace_open(pid_t pid, uint64_t entry_pc)
{
    struct blockplace *place = calloc(1, sizeof *place);
    if (!place)
        return NULL;
    place->pid = pid;
    place->entry_pc = entry_pc;
    ranges_read(place);
    return place;
}

void blockplace_close(struct blockplace *place)
{
    if (!place)
        return;
    for (size_t i = 0; place->words.slots && i <= place->words.mask; i++)
        free(place->words.slots[i].entry);
    table_clear(&place->words);
    ranges_forget(place);
    free(place);
}

static const struct range *range_of(const struct blockplace *place, uint64_t address)
{
    for (size_t i = 0; i < place->range_count; i++)
        if (address >= place->ranges[i].start && address < place->ranges[i].end)
            return &place->ranges[i];
    return NULL;
}

/* The calls that compilers make. */
static bool call_precedes(const uint8_t before[CALL_BYTES])
{
#if defined(__x86_64__)
    const uint8_t *end = before + CALL_BYTES;
    if (end[-5] == 0xe8) /* to a place that the instruction names */
        return true;
    for (int length = 2; length <= 7; length++) /* through a register or memory */
        if (end[-length] == 0xff && (end[1 - length] & 0x38) == 0x10)
            return true;
    return false;
#elif defined(__aarch64__)
    uint32_t code;
    memcpy(&code, before + CALL_BYTES - sizeof code, sizeof code);
    return code >> 26 == 0x25 || (code & 0xfffffc1f) == 0xd63f0000;
#else
    (void)before;
    return false;
#endif
}

static bool file_read(const struct range *range, uint64_t address, uint8_t before[CALL_BYTES])
{
    int fd = range->path ? open(range->path, O_RDONLY | O_CLOEXEC) : -1;
    off_t at = (off_t)(address - range->start + range->file_offset);
    bool read = fd >= 0 && pread(fd, before, CALL_BYTES, at) == CALL_BYTES;
    if (fd >= 0)
        close(fd);
    return read;
}

static bool is_call_looked(struct blockplace *place, uint64_t address)
{
    uint8_t before[CALL_BYTES];
    const struct range *range = range_of(place, address);
    if (!range || range->library || address - range->start < CALL_BYTES)
        return false;
    struct iovec local = { before, sizeof before };
    struct iovec remote = { (void *)(uintptr_t)(address - CALL_BYTES), sizeof before };
    bool read = process_vm_readv(place->pid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof before ||
                file_read(range, address - CALL_BYTES, before); /* it has ended */
    return read && call_precedes(before);
}

static bool is_call(struct blockplace *place, uint64_t address)
{
    uint64_t hash = table_mix(address);
    struct known *known = table_find(&place->words, hash, NULL, NULL);
    if (known)
        return known->is_call;
    bool is = is_call_looked(place, address);
    if (place->words.count < ADDRESSES_MAX && (known = malloc(sizeof *known))) {
        known->is_call = is;
        if (table_insert(&place->words, hash, known))
            free(known);
    }
    return is;
}

static bool in_library(const struct blockplace *place, uint64_t address)
{
    const struct range *range = range_of(place, address);
    return range && range->library;
}

static bool is_entry(const struct blockplace *place, uint64_t address)
{
    return place->entry_pc && address >= place->entry_pc && address - place->entry_pc <= ENTRY_BYTES;
}

uint32_t blockplace_find(struct blockplace *place, const struct offcpu_stack *copied, bool in_call,
                         uint64_t stack[KERNEL_STACK_MAX])
{
    uint32_t frames = copied->frame_count < OFFCPU_FRAMES ? copied->frame_count : OFFCPU_FRAMES, count = 0, next = 1;
    if (frames == 0)
        return 0;
    if (!range_of(place, copied->frame[0]))
        ranges_read(place); /* it has loaded something since */
    if (!in_library(place, copied->frame[0])) {
        stack[count++] = copied->frame[0] + !in_call; /* behind the system call, or at what needs a page */
    } else {
        uint32_t words = copied->top_count < OFFCPU_TOP_WORDS ? copied->top_count : OFFCPU_TOP_WORDS;
        while (next < frames && in_library(place, copied->frame[next]))
            next++;
        for (uint32_t i = 0; i < words && count == 0; i++) {
            uint64_t word = codeaddress_of(copied->top[i]);
            if (is_call(place, word) && (next == frames || word != copied->frame[next]))
                stack[count++] = word;
            else if (next < frames && word == copied->frame[next])
                break; /* the function that made the call has a frame of its own */
        }
    }
    for (; next < frames && count < KERNEL_STACK_MAX && copied->frame[next]; next++) {
        if (is_entry(place, copied->frame[next]))
            break;
        stack[count++] = copied->frame[next];
    }
    return count;
}
