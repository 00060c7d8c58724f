/* The dump: every G is in it once, with its state, its stack and its creator, also while all of them run. */
#define _GNU_SOURCE
#include "harness.h"
#include "run.h"

#include "runtime/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char text[4 << 20];
static struct gmpt_chan *never;
static ATOMIC(uint32_t) stop, there;

/* The dump as a string. */
static __attribute__((noinline)) const char *dumped(void)
{
    int fd = memfd_create("dump", 0);
    EXPECT(fd >= 0);
    EXPECT_EQ(gmpt_dump(fd), 0);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = 0;
    close(fd);
    return text;
}

/* The part that begins with this line, up to the empty line. "" when there is none. */
static const char *part(const char *all, const char *line)
{
    static char copy[8192];
    const char *start = strstr(all, line), *end = start ? strstr(start, "\n\n") : NULL;
    size_t length = end ? (size_t)(end - start) : 0;
    if (length >= sizeof copy)
        length = 0;
    memcpy(copy, start ? start : "", length);
    copy[length] = 0;
    return copy;
}

static int64_t total(const char *all)
{
    const char *last = strstr(all, " group");
    for (const char *more = last; more; more = strstr(more + 1, " group"))
        last = more;
    while (last && last > all && last[-1] != '\n')
        last--; /* the line that it is in */
    return last ? strtoll(last, NULL, 10) : -1;
}

static __attribute__((noinline)) void wait_in_here(void)
{
    gmpt_chan_recv(never, NULL);
    __asm__ volatile("" ::: "memory");
}

static void waiter(void *args)
{
    (void)args;
    wait_in_here();
    __asm__ volatile("" ::: "memory");
}

static int a_parked_g(void *arg)
{
    (void)arg;
    never = gmpt_chan_new(0, 0);
    int64_t id = gmpt_go(waiter, NULL, 0);
    run_until_waiting(id);
    char line[64];
    snprintf(line, sizeof line, "goroutine %lld [chan receive]:\ngmpt_chan_recv\n\t", (long long)id);
    const char *its = part(dumped(), line);
    EXPECT(*its);
    const char *inner = strstr(its, "\nwait_in_here\n\t"), *outer = strstr(its, "\nwaiter\n\t");
    EXPECT(inner && outer && inner < outer);
    EXPECT(strstr(its, "check+0x") != NULL);
    EXPECT(strstr(its, "\ncreated in goroutine 1 to run waiter\n") != NULL);
    const char *mine = part(text, "goroutine 1 [running]:\ngmpt_dump\n");
    EXPECT(strstr(mine, "\ndumped\n") && strstr(mine, "\na_parked_g\n"));
    EXPECT(!strstr(mine, "created"));
    EXPECT_EQ(total(text), 2);
    return 0;
}

TEST(dump, a_parked_g_has_state_stack_and_creator) { RUN(1, a_parked_g); }

static int alike(void *arg)
{
    (void)arg;
    never = gmpt_chan_new(0, 0);
    int64_t ids[60];
    for (int i = 0; i < 60; i++)
        ids[i] = gmpt_go(waiter, NULL, 0);
    struct gmpt_go_options options = { .name = "reader" };
    int64_t named = gmpt_go_with(&options, waiter, NULL, 0);
    for (int i = 0; i < 60; i++)
        run_until_waiting(ids[i]);
    run_until_waiting(named);
    dumped();
    EXPECT(*part(text, "60 goroutines [chan receive]: 2 3 4 5 6 7 8 9 ...\ngmpt_chan_recv\n"));
    EXPECT(strstr(text, " \"reader\" [chan receive]:\n") != NULL);
    EXPECT_EQ(total(text), 62);
    return 0;
}

TEST(dump, alike_ones_are_together) { RUN(1, alike); }

static int with_control_characters(void *arg)
{
    (void)arg;
    never = gmpt_chan_new(0, 0);
    struct gmpt_go_options options = { .name = "a\nb\033[31m\x7f \xc3\xa9" };
    run_until_waiting(gmpt_go_with(&options, waiter, NULL, 0));
    EXPECT(strstr(dumped(), " \"a?b?[31m? \xc3\xa9\" [chan receive]:\n") != NULL);
    return 0;
}

TEST(dump, a_name_is_on_one_line_whatever_is_in_it) { RUN(1, with_control_characters); }

static int unlike(void *arg)
{
    enum { COUNT = 5000 };
    (void)arg;
    never = gmpt_chan_new(0, 0);
    static int64_t ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "name %d", i);
        ids[i] = gmpt_go_with(&(struct gmpt_go_options){ .name = name }, waiter, NULL, 0);
    }
    for (int i = 0; i < COUNT; i++)
        run_until_waiting(ids[i]);
    dumped();
    EXPECT_EQ(total(text), COUNT + 1);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, " [chan receive]:\n")); at++)
        lines++;
    EXPECT_EQ(lines, COUNT);
    return 0;
}

TEST(dump, more_groups_than_the_table_holds_are_all_written) { RUN(1, unlike); }

static void spinner(void *args)
{
    (void)args;
    store_release(&there, 1);
    while (!load_acquire(&stop))
        cpu_relax();
}

static int running_elsewhere(void *arg)
{
    (void)arg;
    int64_t id = gmpt_go(spinner, NULL, 0);
    while (!load_acquire(&there))
        gmpt_yield();
    char line[64], line_t1[64];
    dumped();
    snprintf(line, sizeof line, "goroutine %lld [running]:\n", (long long)id);
    snprintf(line_t1, sizeof line_t1, "goroutine %lld [running without a P]:\n", (long long)id);
    const char *its = part(text, line);
    if (!*its)
        its = part(text, line_t1);
    EXPECT(strstr(its, "running on another thread; stack unavailable\n") != NULL);
    EXPECT(strstr(its, "to run spinner\n") != NULL);
    store_release(&stop, 1);
    return 0;
}

TEST(dump, a_running_g_is_said_to_run) { RUN(2, running_elsewhere); }

static void in_a_call(void *args)
{
    (void)args;
    gmpt_blocking_begin();
    store_release(&there, 1);
    while (!load_acquire(&stop))
        usleep(100);
    gmpt_blocking_end();
}

static int blocking_call(void *arg)
{
    (void)arg;
    int64_t id = gmpt_go(in_a_call, NULL, 0);
    while (!load_acquire(&there))
        gmpt_yield();
    char line[64];
    snprintf(line, sizeof line, "goroutine %lld [syscall]:\ngmpt_blocking_begin\n", (long long)id);
    EXPECT(strstr(part(dumped(), line), "\nin_a_call\n") != NULL);
    store_release(&stop, 1);
    return 0;
}

TEST(dump, a_blocking_call_shows_where_it_began) { RUN(2, blocking_call); }

static int fresh(void *arg)
{
    (void)arg;
    char line[64];
    snprintf(line, sizeof line, "goroutine %lld [runnable]:\nwaiter\n\t", (long long)gmpt_go(waiter, NULL, 0));
    never = gmpt_chan_new(0, 0);
    EXPECT(*part(dumped(), line));
    return 0;
}

TEST(dump, a_g_that_has_not_begun_shows_its_function) { RUN(1, fresh); }

static void player(void *args)
{
    struct gmpt_chan **pair = args;
    int ball;
    while (gmpt_chan_recv(pair[0], &ball) == 0 && gmpt_chan_send(pair[1], &ball) == 0)
        ;
}

static int while_all_run(void *arg)
{
    enum { PAIRS = 8 };
    static struct gmpt_chan *chans[PAIRS][2];
    (void)arg;
    for (int i = 0; i < PAIRS; i++) {
        int ball = i;
        chans[i][0] = gmpt_chan_new(sizeof ball, 1);
        chans[i][1] = gmpt_chan_new(sizeof ball, 1);
        struct gmpt_chan *there_and_back[2][2] = { { chans[i][0], chans[i][1] }, { chans[i][1], chans[i][0] } };
        gmpt_go(player, there_and_back[0], sizeof there_and_back[0]);
        gmpt_go(player, there_and_back[1], sizeof there_and_back[1]);
        gmpt_chan_send(chans[i][0], &ball);
    }
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(total(dumped()), 2 * PAIRS + 1);
        /* A stack that is shown is a whole one: it ends in the G's function, which the creation names. */
        for (const char *at = text; (at = strstr(at, "\ngmpt_chan_")); at++) {
            const char *end = strstr(at, "\n\n"), *outer = strstr(at, "\nplayer\n");
            EXPECT(end && outer && outer < end);
        }
        gmpt_yield();
    }
    for (int i = 0; i < PAIRS; i++) {
        gmpt_chan_close(chans[i][0]);
        gmpt_chan_close(chans[i][1]);
    }
    return 0;
}

TEST(dump, it_is_whole_while_all_run) { RUN(4, while_all_run); }

static int bad_descriptor(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_dump(-1), -EBADF);
    return 0;
}

TEST(dump, a_descriptor_that_cannot_be_written_is_an_error) { RUN(1, bad_descriptor); }

static void *on_a_thread(void *arg)
{
    (void)arg;
    dumped();
    return NULL;
}

static int foreign_thread(void *arg)
{
    (void)arg;
    pthread_t thread;
    pthread_create(&thread, NULL, on_a_thread, NULL);
    pthread_join(thread, NULL);
    EXPECT_EQ(total(text), 1);
    EXPECT(strstr(text, "goroutine 1 [running") != NULL);
    return 0;
}

TEST(dump, any_thread_may_ask) { RUN(1, foreign_thread); }
