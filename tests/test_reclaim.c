/* Memory of free stacks given back, through the public call; what is surplus is in test_seat.c. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/reclaim.h"
#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct gmpt_waitgroup group;
static struct gmpt_chan *gate;

static __attribute__((noinline)) void spoil(size_t bytes)
{
    volatile char room[4096];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = (char)0xa5;
    if (bytes > sizeof room)
        spoil(bytes - sizeof room);
    room[0] = room[1];
}

static void use_and_end(void *args)
{
    size_t bytes = *(size_t *)args;
    if (bytes)
        spoil(bytes);
    gmpt_chan_recv(gate, NULL);
    gmpt_waitgroup_done(&group);
}

/* So many Gs that are all alive at once, use so much of their stacks, and end. */
static void run_many(int count, uint32_t stack_bytes, size_t bytes)
{
    gate = gmpt_chan_new(0, 0);
    gmpt_waitgroup_add(&group, count);
    for (int i = 0; i < count; i++)
        EXPECT(gmpt_go_with(&(struct gmpt_go_options){ .stack_bytes = stack_bytes }, use_and_end, &bytes,
                            sizeof bytes) > 0);
    gmpt_yield();
    gmpt_chan_close(gate);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(gate);
}

/* What is released is counted by mincore, which qemu's user emulation refuses where a page may not be read. */
static bool mincore_works(void)
{
    unsigned char resident[3];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0 &&
           mincore(pages, 3 * page, resident) == 0;
}

#define NEED_MINCORE()                                                                                                 \
    do {                                                                                                               \
        if (!mincore_works())                                                                                          \
            SKIP("mincore does not count across guards here");                                                         \
    } while (0)

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!EXPECT(file && fscanf(file, "%*d %ld", &pages) == 1))
        pages = 0;
    if (file)
        fclose(file);
    return pages * 4096;
}

static int release_default(void *arg)
{
    (void)arg;
    enum { GS = 2000 };
    for (int round = 0; round < 3; round++) {
        run_many(GS, 0, 20000);
        long before = resident_bytes();
        int64_t bytes = gmpt_free_os_memory();
        long after = resident_bytes();
        /* Of each G at least 5 pages were touched; one P's cache may keep some. */
        EXPECT(bytes >= (int64_t)(GS - SEAT_CACHE) * 5 * 4096);
        EXPECT(before - after >= (long)(bytes * 9 / 10)); /* other memory moves, too */
        EXPECT(gmpt_free_os_memory() < 64 * 4096);        /* there is nothing left */
    }
    return 0;
}

TEST(reclaim, memory_of_free_stacks_goes_back_and_is_told)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer's shadow moves as well");
    NEED_MINCORE();
    RUN(1, release_default);
}

static int release_classes(void *arg)
{
    (void)arg;
    run_many(500, GMPT_STACK_SMALL, 0);
    EXPECT(gmpt_free_os_memory() >= (500 - 2 * 32) / 2 * 4096);
    run_many(20, 1 << 20, 700000);
    EXPECT(gmpt_free_os_memory() >= (20 - 8) * 700000);
    run_many(4, GMPT_STACK_MAX, 7000000);
    EXPECT(gmpt_free_os_memory() >= 4 * 7000000);
    return 0;
}

TEST(reclaim, stacks_of_all_sizes_are_released)
{
    if (UNDER_SANITIZER)
        SKIP("frames are larger there");
    NEED_MINCORE();
    RUN(1, release_classes);
}

/* ---- what must stay ---- */

static int64_t seen_sum;

static void hold_value(void *args)
{
    int64_t value = *(int64_t *)args;
    gmpt_chan_recv(gate, NULL);
    seen_sum += value;
    gmpt_waitgroup_done(&group);
}

static void end_at_once(void *args)
{
    (void)args;
    gmpt_waitgroup_done(&group);
}

static int release_between(void *arg)
{
    (void)arg;
    struct gmpt_go_options small = { .stack_bytes = GMPT_STACK_SMALL };
    struct gmpt_chan *live_gate = gmpt_chan_new(0, 0);
    enum { GS = 1000 };
    int64_t expected = 0;
    gate = live_gate;
    for (int64_t i = 0; i < GS; i++) { /* every third one stays: it shares pages with some that end */
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go_with(&small, i % 3 ? end_at_once : hold_value, &i, sizeof i) > 0);
        expected += i % 3 ? 0 : i;
    }
    gmpt_sleep(1000000);
    for (int round = 0; round < 3; round++) {
        EXPECT(gmpt_free_os_memory() >= 0);
        for (int i = 0; i < 100; i++) {
            gmpt_waitgroup_add(&group, 1);
            EXPECT(gmpt_go_with(&small, end_at_once, NULL, 0) > 0);
        }
        gmpt_yield();
    }
    gmpt_chan_close(live_gate);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(seen_sum, expected);
    gmpt_chan_release(live_gate);
    return 0;
}

TEST(reclaim, a_page_that_a_live_g_shares_stays) { RUN(1, release_between); }

static void dig(volatile int depth)
{
    volatile char room[512];
    room[0] = room[511] = (char)depth;
    if (depth > 0)
        dig(depth - 1);
    room[1] = room[0];
}

static void overflow(void *args)
{
    (void)args;
    dig(1 << 20);
}

static int overflow_after_release(void *arg)
{
    (void)arg;
    run_many(600, 0, 60000);
    EXPECT(gmpt_free_os_memory() > 0);
    for (int i = 0; i < 400; i++) /* behind the P's cache, on a stack that was released */
        EXPECT(gmpt_go(use_and_end, &(size_t){ 0 }, sizeof(size_t)) > 0);
    gate = gmpt_chan_new(0, 0);
    EXPECT(gmpt_go(overflow, NULL, 0) > 0);
    gmpt_chan_recv(NULL, NULL);
    return 0;
}

static void child_overflow_after_release(void) { run_on(1, overflow_after_release); }

TEST(reclaim, guards_outlast_a_release)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer handles the fault itself");
    char err[1024];
    ck_assert_int_eq(run_child(child_overflow_after_release, err, sizeof err), 128 + SIGABRT);
    ck_assert_msg(strstr(err, "overflowed its stack of 64 KiB"), "the message is: %s", err);
}

static void release_often(void *args)
{
    (void)args;
    for (int i = 0; i < 20; i++)
        EXPECT(gmpt_free_os_memory() >= 0);
    gmpt_waitgroup_done(&group);
}

static void spawn_often(void *args)
{
    (void)args;
    for (int i = 0; i < 3000; i++) {
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go(end_at_once, NULL, 0) > 0);
        if (i % 300 == 0)
            gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int release_while_spawning(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 6);
    for (int i = 0; i < 4; i++)
        run_go(spawn_often);
    run_go(release_often);
    run_go(release_often);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(reclaim, releases_and_spawns_do_not_meet) { RUN(4, release_while_spawning); }

TEST(reclaim, pressure_is_read_from_the_first_line)
{
    ck_assert_int_eq(reclaim_parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"), 0);
    ck_assert_int_eq(reclaim_parse_pressure("some avg10=12.34 avg60=1.00 avg300=0.00 total=99\nfull avg10=99.00"),
                     1234);
    ck_assert_int_eq(reclaim_parse_pressure("some avg10=100.00 avg60"), 10000);
    ck_assert_int_eq(reclaim_parse_pressure(""), -1);
    ck_assert_int_eq(reclaim_parse_pressure("full avg10=1.00"), -1);
}
