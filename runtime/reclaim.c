/* Releases the pages of free stacks. See reclaim.h. */
#define _GNU_SOURCE
#include "reclaim.h"

#include "scheduler.h"
#include "seat.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define RANGE_PAGES_MAX 4096u /* of one system call */
#define SLICE_SEATS 128u      /* by sysmon, at a time */
#define SLICE_BYTES (8u << 20)
#define PRESSURE_EVERY_NS 1000000000
#define SWEEP_SEATS 16384u    /* by who asks for all */

static struct lock reclaiming; /* of what follows, and of the class's reclaim functions in seat.h */
static uint8_t resident[RANGE_PAGES_MAX];

/* sysmon's own. */
static int64_t window_began_ns, pressure_seen_ns;
static int pressure_fd = -2; /* -2: not opened yet; -1: there is none */
static uint32_t surplus[STACK_CLASSES]; /* found at the end of the last window, and not yet released */

/* Shell's sort, with Ciura's gaps: seats that were made together mostly come together, and nothing is allocated. */
static void sort_by_index(struct seat_ref *refs, uint32_t count)
{
    static const uint32_t gaps[] = { 9102, 3548, 1750, 701, 301, 132, 57, 23, 10, 4, 1 };
    for (size_t k = 0; k < sizeof gaps / sizeof *gaps; k++) {
        uint32_t gap = gaps[k];
        for (uint32_t i = gap; i < count; i++) {
            struct seat_ref ref = refs[i];
            uint32_t j = i;
            for (; j >= gap && refs[j - gap].index > ref.index; j -= gap)
                refs[j] = refs[j - gap];
            refs[j] = ref;
        }
    }
}

/* Moves to the front those of the sorted refs of the small class whose page holds another of them. Returns how many. */
static uint32_t put_pairs_first(struct seat_ref *refs, uint32_t count)
{
    uint32_t paired = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (refs[i].index % 2 || refs[i + 1].index != refs[i].index + 1)
            continue;
        for (uint32_t k = 0; k < 2; k++, paired++) { /* those that are passed over are in no order any more */
            struct seat_ref ref = refs[i + k];
            refs[i + k] = refs[paired];
            refs[paired] = ref;
        }
        i++;
    }
    return paired;
}

/* Returns how many bytes of the range were in memory. */
static uint64_t release_range(uint8_t *from, const uint8_t *to)
{
    uint64_t pages = 0;
    size_t bytes = (size_t)(to - from);
    if (mincore(from, bytes, resident) == 0)
        for (size_t i = 0; i < bytes / PAGE_BYTES; i++)
            pages += resident[i] & 1;
    if (madvise(from, bytes, MADV_DONTNEED) != 0)
        return 0; /* locked in memory, say; there is no more to be had here, so these count as cold as well */
    return pages * PAGE_BYTES;
}

/* Releases up to max of a class's free stacks, those that have been free for longest. *bytes grows. Returns how many it
 * looked at. */
static uint32_t release_some(enum stack_class class, uint32_t max, uint64_t *bytes)
{
    struct seat_ref *refs;
    uint32_t count = seat_reclaim_begin(class, max, &refs), released = count;
    if (count == 0)
        return 0;
    sort_by_index(refs, count);
    if (class == STACK_SMALL)
        released = put_pairs_first(refs, count);
    for (uint32_t i = 0, end; i < released; i = end) {
        uint32_t range_seats = RANGE_PAGES_MAX * PAGE_BYTES / seat_stride(class);
        for (end = i + 1; end < released && end - i < range_seats && refs[end].index == refs[end - 1].index + 1; end++)
            ;
        uint8_t *from = seat_stack_lo(class, refs[i].index);
        *bytes += release_range(from, seat_stack_lo(class, refs[end - 1].index) + seat_stack_bytes(class));
    }
    seat_reclaim_end(class, released);
    return count;
}

int reclaim_parse_pressure(const char *text)
{
    unsigned whole, hundredths;
    if (sscanf(text, "some avg10=%3u.%2u", &whole, &hundredths) != 2)
        return -1;
    return (int)(whole * 100 + hundredths);
}

static bool is_under_pressure(void)
{
    char text[256];
    if (pressure_fd == -2) {
        pressure_fd = open("/sys/fs/cgroup/memory.pressure", O_RDONLY | O_CLOEXEC);
        if (pressure_fd < 0)
            pressure_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
    }
    ssize_t length = pressure_fd < 0 ? -1 : pread(pressure_fd, text, sizeof text - 1, 0);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return reclaim_parse_pressure(text) > RECLAIM_PRESSURE;
}

static void find_surplus(int64_t now_ns)
{
    if (now_ns - window_began_ns >= RECLAIM_WINDOW_NS) {
        window_began_ns = now_ns;
        for (enum stack_class class = 0; class < STACK_CLASSES; class++)
            surplus[class] = seat_surplus(class);
    }
    if (now_ns - pressure_seen_ns >= PRESSURE_EVERY_NS) {
        pressure_seen_ns = now_ns;
        if (is_under_pressure())
            for (enum stack_class class = 0; class < STACK_CLASSES; class++)
                surplus[class] = seat_free_count(class);
    }
}

void reclaim_look(int64_t now_ns)
{
    uint64_t bytes = 0;
    find_surplus(now_ns);
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        if (!surplus[class] || !lock_try_acquire(&reclaiming))
            continue;
        uint32_t max = surplus[class] < SLICE_SEATS ? surplus[class] : SLICE_SEATS;
        if (max > SLICE_BYTES / seat_stack_bytes(class))
            max = SLICE_BYTES / seat_stack_bytes(class);
        uint32_t looked_at = release_some(class, max, &bytes);
        lock_release(&reclaiming);
        surplus[class] -= looked_at ? max : surplus[class];
        return; /* the next look goes on */
    }
}

int64_t gmpt_free_os_memory(void)
{
    uint64_t bytes = 0;
    {
        API_ENTER();
        for (enum stack_class class = 0; class < STACK_CLASSES; class++)
            seat_flush_owner(m_self()->p, class);
    }
    gmpt_blocking_begin(); /* a million pages take a good part of a second */
    lock_acquire(&reclaiming);
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint32_t left = seat_free_count(class), looked_at;
        while (left && (looked_at = release_some(class, left < SWEEP_SEATS ? left : SWEEP_SEATS, &bytes)))
            left -= looked_at;
    }
    lock_release(&reclaiming);
    gmpt_blocking_end();
    return (int64_t)bytes;
}
