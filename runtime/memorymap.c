/* Reading /proc/self/maps and the pagemaps. See memorymap.h. */
#define _GNU_SOURCE
#include "memorymap.h"

#include "mwords.h"
#include "pagemap.h"
#include "seat.h"
#include "start.h"
#include "stopworld.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define M_STACK_BYTES (128u * 1024) /* no deeper does the scheduler go on a thread's own stack, which has more */

static struct {
    uintptr_t low;
    uint64_t registers[8]; /* roots, like all static data */
} caller;

__attribute__((noinline)) void memory_map_note_caller(void)
{
#if defined(__x86_64__)
    __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\tmovq %%r13, 24(%0)\n\t"
                     "movq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)"
                     :
                     : "r"(caller.registers)
                     : "memory");
    caller.low = (uintptr_t)__builtin_frame_address(0) + 16; /* behind the return address */
#else
    caller.low = 0; /* more registers may lie anywhere below: all of the stack counts */
#endif
}

/* ---- giving ---- */

/* Zeros before and behind each piece: a word that goes on in a page that was never touched has them there. */
#define APART_BYTES 7u

/* Where the piece goes; NULL when there is no room. */
static uint8_t *given_take(struct given *given, size_t count)
{
    if (given->used == 0)
        given->used = APART_BYTES;
    if (count + APART_BYTES > given->room - given->used) {
        given->overflowed = true;
        return NULL;
    }
    uint8_t *at = given->bytes + given->used;
    given->used += count + APART_BYTES;
    return at;
}

void given_add(struct given *given, uint64_t start, uint64_t end)
{
    size_t count = end - start;
    uint8_t *at = given_take(given, count);
    if (!at)
        return;
    struct iovec to = { at, count }, from = { (void *)(uintptr_t)start, count };
    /* Where a plain load would be a SIGBUS, past the end of a file, this fails. */
    if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != (ssize_t)count)
        given->overflowed = true;
}

void given_add_bytes(struct given *given, const void *bytes, size_t count)
{
    uint8_t *at = given_take(given, count);
    if (at)
        memcpy(at, bytes, count);
}

/* ---- the map ---- */

static ssize_t read_whole(int fd, char *text, size_t room)
{
    size_t length = 0;
    ssize_t count = 1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    while (length < room && (count = read(fd, text + length, room - length)) > 0)
        length += (size_t)count;
    return count < 0 ? -1 : (ssize_t)length;
}

int memory_map_prepare(struct memory_map *map)
{
    map->fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (map->fd < 0)
        return -errno;
    for (map->room = 256u << 10;; map->room *= 4) {
        void *text = mmap(NULL, map->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (text == MAP_FAILED)
            return -ENOMEM;
        map->text = text;
        ssize_t length = read_whole(map->fd, map->text, map->room);
        if (length < 0)
            return -EIO;
        if ((size_t)length < map->room / 2) /* others may map more until they are stopped */
            return 0;
        munmap(text, map->room);
        map->text = NULL;
    }
}

void memory_map_free(struct memory_map *map)
{
    if (map->text)
        munmap(map->text, map->room);
    if (map->fd > 0)
        close(map->fd);
}

static bool add_range(struct proof_table *table, struct proof_range range)
{
    if (!proof_table_reserve(table, 1, sizeof range))
        return false;
    ((struct proof_range *)table->items)[table->count++] = range;
    return true;
}

static bool add_hole_at(struct proof_input *input, uint64_t start, uint64_t end)
{
    return add_range(&input->holes, (struct proof_range){ .start = start, .end = end });
}

int memory_map_hide(struct proof_input *input, uint64_t start, uint64_t end)
{
    return add_hole_at(input, start, end) ? 0 : -ENOMEM;
}

static bool add_hole(struct proof_input *input, const void *start, size_t bytes)
{
    return !start || add_hole_at(input, (uint64_t)(uintptr_t)start, (uint64_t)(uintptr_t)start + bytes);
}

/* The range but for the stacks of Gs of this class and those above: these are read one by one. */
static bool add_root(struct proof_input *input, struct proof_range range, enum stack_class class)
{
    for (; class < STACK_CLASSES; class++) {
        uint64_t base = (uint64_t)(uintptr_t)seat_regions[class].base;
        uint64_t end = base + (uint64_t)seat_regions[class].count * seat_stride(class);
        if (!base || base >= range.end || end <= range.start)
            continue;
        struct proof_range before = range;
        before.end = base;
        if (base > range.start && !add_root(input, before, class + 1))
            return false;
        range.start = end;
        if (range.start >= range.end)
            return true;
    }
    return add_range(&input->roots, range);
}

static bool add_value(struct proof_input *input, uint64_t value)
{
    if (!proof_table_reserve(&input->values, 1, sizeof value))
        return false;
    ((uint64_t *)input->values.items)[input->values.count++] = value;
    return true;
}

/* What the runtime has for itself: the words there are links of its own. The timers' heaps are not: what they hold
 * leads to what they will do. */
static bool add_own(const struct memory_map *map, struct proof_input *input)
{
    bool added = add_hole(input, map->text, map->room) &&
                 add_hole(input, sched.ps, sched.p_room * sizeof *sched.ps) &&
                 add_hole(input, sched.queue, (sched.queue_mask + UINT64_C(1)) * sizeof *sched.queue);
    uint32_t count;
    const struct stopped_thread *threads = stopworld_threads(&count);
    added = added && add_hole(input, threads, count * sizeof *threads);
    for (const struct m *m = sched.ms; m && added; m = m->next_made)
        added = add_hole(input, m, sizeof *m) && add_hole(input, m->signal_stack, START_SIGNAL_STACK_BYTES);
    for (uint32_t i = 0; i < load_acquire(&sched.p_made) && added; i++)
        added = add_value(input, (uint64_t)(uintptr_t)sched.ps[i].timers.cells);
    return added;
}

/* The parts of threads' stacks that only the runtime has used. */
static bool add_stack_holes(struct proof_input *input, uint64_t start, uint64_t end)
{
    if (caller.low > start && caller.low < end && !add_hole_at(input, start, caller.low))
        return false;
    for (const struct m *m = sched.ms; m; m = m->next_made) {
        uint64_t top = load_acquire(&m->thread_made) ? m->stack_top : 0;
        uint64_t low = top > start + M_STACK_BYTES ? top - M_STACK_BYTES : start;
        if (top > start && top <= end && !add_hole_at(input, low, top))
            return false;
    }
    return true;
}

static bool is_own_shared(uint64_t start, uint64_t end, const struct given *given)
{
    uint64_t segment = (uint64_t)(uintptr_t)trace_segment.base, bytes = (uint64_t)(uintptr_t)given->bytes;
    return (segment >= start && segment < end) || (start >= segment && start < segment + trace_segment.bytes) ||
           (bytes >= start && bytes < end) || mwords_lie_at(start);
}

/* Memory of a device: to read it may do something. */
static bool is_device(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0 && strncmp(path, "/dev/zero", 9) != 0;
}

/* Memory in the shape of a file: another mapping of it may be written to. What is only a file's is left out (R9). */
static bool is_shared_memory(const char *path)
{
    return strncmp(path, "/memfd:", 7) == 0 || strncmp(path, "/dev/zero", 9) == 0 ||
           strncmp(path, "/dev/shm/", 9) == 0 || strncmp(path, "/SYSV", 5) == 0;
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE PATH" */
static bool add_mapping(const char *line, struct proof_input *input, struct given *given)
{
    char *at;
    uint64_t start = strtoull(line, &at, 16), end = strtoull(at + 1, &at, 16);
    const char *permissions = at + 1;
    strtoull(permissions + 5, &at, 16);
    at++;
    while (*at && *at != ' ')
        at++;
    uint64_t inode = strtoull(at, &at, 10);
    while (*at == ' ')
        at++;
    bool readable = permissions[0] == 'r', writable = permissions[1] == 'w';
    if (strncmp(at, "[v", 2) == 0) /* vdso and the like: the kernel's */
        return true;
    /* What cannot be written now may have been written before. */
    struct proof_range range = { .start = start, .end = end, .of_file = inode != 0, .hidden = !readable };
    range.of_libc = writable && (strstr(at, "/libc.so.6") || strstr(at, "/libc-2."));
    range.of_brk = strncmp(at, "[heap]", 6) == 0;
    if (permissions[3] != 's')
        return add_root(input, range, 0) && add_stack_holes(input, start, end);
    if (is_own_shared(start, end, given) || (!writable && !is_shared_memory(at)))
        return true;
    if (is_device(at))
        given->overflowed = true;
    else
        given_add(given, start, end);
    return true;
}

int memory_map_read(struct memory_map *map, struct proof_input *input, struct given *given)
{
    ssize_t length = read_whole(map->fd, map->text, map->room - 1);
    if (length <= 0 || (size_t)length == map->room - 1)
        return -EIO;
    map->text[length] = '\0';
    for (char *line = map->text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            return -EIO;
        *end = '\0';
        if (!add_mapping(line, input, given))
            return -ENOMEM;
    }
    return add_own(map, input) ? 0 : -ENOMEM;
}

/* ---- what a copy has not got ---- */

static int own_pagemap(void)
{
    static int fd;
    if (fd <= 0)
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return fd;
}

void memory_map_give_missing(const struct proof_input *input, int pagemap_fd, struct given *given)
{
    const struct proof_range *roots = input->roots.items;
    int own = own_pagemap();
    if (own < 0) {
        given->overflowed = true;
        return;
    }
    for (size_t i = 0; i < input->roots.count && !given->overflowed; i++) {
        struct pagemap map;
        uint64_t start, end;
        pagemap_begin(&map, own, roots[i].start, roots[i].end, roots[i].of_file);
        int more = pagemap_next(&map, &start, &end);
        if (more <= 0 || pagemap_has(pagemap_fd, start, roots[i].of_file) > 0) {
            given->overflowed |= more < 0;
            continue;
        }
        for (; more > 0 && !given->overflowed; more = pagemap_next(&map, &start, &end))
            given_add(given, start, end);
        given->overflowed |= more < 0;
    }
}
