/* Runs of pages that are there, as the kernel tells them at once and as read page by page: in reservations of a
 * terabyte, across the limits of what one call tells, and of a file's pages those that were changed. */
#define _GNU_SOURCE
#include "harness.h"

#include "runtime/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define RUNS_MAX 2048
#define SHOWS_ITS_OWN "shows its own pages, at other addresses than the program's"

struct runs {
    uint64_t start[RUNS_MAX], end[RUNS_MAX];
    int count;
};

static int own(void)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static uint8_t *reserved(size_t bytes)
{
    uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    madvise(base, bytes, MADV_NOHUGEPAGE);
    return base;
}

/* Relative to base, in pages. */
static void walk(struct runs *runs, const uint8_t *base, size_t bytes, bool of_file, bool by_word)
{
    struct pagemap map;
    uint64_t start, end;
    int fd = own(), more;
    pagemap_begin(&map, fd, (uintptr_t)base, (uintptr_t)base + bytes, of_file);
    map.by_word = by_word;
    runs->count = 0;
    while ((more = pagemap_next(&map, &start, &end)) > 0) {
        ck_assert_int_lt(runs->count, RUNS_MAX);
        runs->start[runs->count] = (start - (uintptr_t)base) / PAGE;
        runs->end[runs->count++] = (end - (uintptr_t)base) / PAGE;
    }
    ck_assert_int_eq(more, 0);
    close(fd);
}

static void expect_run(const struct runs *runs, int at, uint64_t start, uint64_t end)
{
    ck_assert_int_lt(at, runs->count);
    ck_assert_uint_eq(runs->start[at], start);
    ck_assert_uint_eq(runs->end[at], end);
}

TEST(pagemap, few_pages_of_a_terabyte_are_found)
{
    SKIP_IN_EMULATOR(SHOWS_ITS_OWN);
    const size_t bytes = (size_t)1 << 40;
    static struct runs runs;
    SKIP_UNDER_TSAN("ThreadSanitizer leaves no terabyte");
    uint8_t *base = reserved(bytes);
    base[3 * PAGE] = base[4 * PAGE] = base[bytes / 2] = base[bytes - 1] = 1;
    walk(&runs, base, bytes, false, false);
    ck_assert_int_eq(runs.count, 3);
    expect_run(&runs, 0, 3, 5);
    expect_run(&runs, 1, bytes / 2 / PAGE, bytes / 2 / PAGE + 1);
    expect_run(&runs, 2, bytes / PAGE - 1, bytes / PAGE);
    munmap(base, bytes);
}

/* More runs than a call tells of, and runs that go on beyond what a call reads. */
TEST(pagemap, both_ways_tell_the_same)
{
    SKIP_IN_EMULATOR(SHOWS_ITS_OWN);
    const size_t pages = 8192, bytes = pages * PAGE;
    static struct runs at_once, by_word;
    uint8_t *base = reserved(bytes);
    for (size_t page = 0; page < 3 * PAGEMAP_RUNS * 2; page += 2)
        base[page * PAGE] = 1;
    for (size_t page = 2000; page < 6000; page++)
        base[page * PAGE] = 1;
    walk(&at_once, base, bytes, false, false);
    walk(&by_word, base, bytes, false, true);
    ck_assert_int_eq(at_once.count, 3 * PAGEMAP_RUNS + 1);
    expect_run(&at_once, 1, 2, 3);
    expect_run(&at_once, 3 * PAGEMAP_RUNS, 2000, 6000);
    ck_assert_int_eq(by_word.count, at_once.count);
    for (int i = 0; i < at_once.count; i++)
        expect_run(&by_word, i, at_once.start[i], at_once.end[i]);
    munmap(base, bytes);
}

TEST(pagemap, of_a_file_only_changed_pages_count)
{
    SKIP_IN_EMULATOR(SHOWS_ITS_OWN);
    const size_t bytes = 16 * PAGE;
    static struct runs runs;
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(ftruncate(fileno(file), (off_t)bytes), 0);
    uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    for (size_t page = 0; page < 16; page++)
        (void)((volatile uint8_t *)base)[page * PAGE];
    base[5 * PAGE] = 1;
    for (int by_word = 0; by_word < 2; by_word++) {
        walk(&runs, base, bytes, true, by_word);
        ck_assert_int_eq(runs.count, 1);
        expect_run(&runs, 0, 5, 6);
        walk(&runs, base, bytes, false, by_word);
        ck_assert_int_eq(runs.count, 1);
        expect_run(&runs, 0, 0, 16);
    }
    int fd = own();
    ck_assert_int_eq(pagemap_has(fd, (uintptr_t)base + 5 * PAGE, true), 1);
    ck_assert_int_eq(pagemap_has(fd, (uintptr_t)base + 6 * PAGE, true), 0);
    ck_assert_int_eq(pagemap_has(fd, (uintptr_t)base + 6 * PAGE, false), 1);
    close(fd);
    munmap(base, bytes);
    fclose(file);
}

TEST(pagemap, what_cannot_be_read_is_told)
{
    struct pagemap map;
    uint64_t start, end;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uint8_t *base = reserved(PAGE);
    pagemap_begin(&map, fd, (uintptr_t)base, (uintptr_t)base + PAGE, false);
    ck_assert_int_eq(pagemap_next(&map, &start, &end), -EIO);
    ck_assert_int_eq(pagemap_has(fd, (uintptr_t)base, false), -EIO);
    close(fd);
    munmap(base, PAGE);
}
