/* Blocking calls of user functions: who gets the P, and when; errno; name lookup. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fds[2];
static struct gmpt_waitgroup group;

static __attribute__((noinline)) int errno_now(void) { return errno; }
static __attribute__((noinline)) void errno_be(int value) { errno = value; }

static void write_one(void *p)
{
    (void)p;
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    gmpt_waitgroup_done(&group);
}

/* Blocks its thread until another G has run, which needs the P. */
static int read_plainly(void *arg)
{
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
    return byte + *(int *)arg;
}

static int others_go_on(int (*blocking)(int (*)(void *), void *))
{
    int one = 1;
    EXPECT_EQ(pipe(fds), 0);
    for (int i = 0; i < 20; i++) {
        gmpt_waitgroup_add(&group, 1);
        run_go(write_one);
        EXPECT_EQ(blocking(read_plainly, &one), 'x' + 1);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

static int plain_call(void *arg)
{
    (void)arg;
    return others_go_on(gmpt_blocking);
}

static int slow_call(void *arg)
{
    (void)arg;
    return others_go_on(gmpt_blocking_slow);
}

TEST(call, others_go_on_beside_a_blocking_call) { RUN(1, plain_call); }
TEST(call, others_go_on_beside_a_slow_call) { RUN(1, slow_call); }
TEST(call, a_slow_call_on_many_ps) { RUN(4, slow_call); }

static int look_at_own_p(void *arg)
{
    struct m *m = m_self();
    EXPECT(m->p == NULL);
    EXPECT(m->call_p != NULL);
    *(uint32_t *)arg = load_acquire(&m->call_p->status);
    return 0;
}

static int at_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint32_t status = 99;
        EXPECT_EQ(gmpt_blocking_slow(look_at_own_p, &status), 0);
        EXPECT(status != P_SYSCALL && status != 99); /* nobody had to look */
    }
    return 0;
}

TEST(call, a_slow_call_has_given_its_p_away_when_it_begins) { RUN(1, at_once); }

static int set_errno(void *arg)
{
    usleep(*(unsigned *)arg);
    errno = 77;
    return -5;
}

static void keep_errno(void *p)
{
    unsigned pause_us = *(unsigned *)p % 3 * 200;
    for (int i = 0; i < 20; i++) {
        errno_be(33);
        gmpt_yield();
        EXPECT_EQ(errno_now(), 33);
        EXPECT_EQ((i % 2 ? gmpt_blocking : gmpt_blocking_slow)(set_errno, &pause_us), -5);
        EXPECT_EQ(errno_now(), 77); /* what the function left, on whichever thread the G goes on */
    }
    gmpt_waitgroup_done(&group);
}

static int errno_comes_along(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 9);
    for (unsigned i = 0; i < 9; i++)
        EXPECT(gmpt_go(keep_errno, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(call, errno_of_the_function_comes_back_with_the_g) { RUN(2, errno_comes_along); }

static int begin_another(void *arg)
{
    (void)arg;
    gmpt_blocking_begin();
    return 0;
}

static int nested(void *arg) { return gmpt_blocking(begin_another, arg); }

static void nested_child(void) { run_on(1, nested); }

TEST(call, a_call_inside_a_call_is_refused)
{
    char err[1000];
    int status = run_child(nested_child, err, sizeof err);
    ck_assert_int_eq(status, 128 + 6);
    ck_assert_ptr_nonnull(strstr(err, "gmpt_blocking_begin inside a blocking call"));
}

static void begin_and_end(void *args)
{
    (void)args;
    gmpt_blocking_begin();
}

static int child_ends_inside(void *arg)
{
    (void)arg;
    EXPECT(gmpt_go(begin_and_end, NULL, 0) > 0);
    return gmpt_sleep(3600 * INT64_C(1000000000));
}

static void ending_child(void) { run_on(1, child_ends_inside); }

static int main_ends_inside(void *arg)
{
    (void)arg;
    gmpt_blocking_begin();
    return 0;
}

static void ending_main(void) { run_on(1, main_ends_inside); }

TEST(call, a_goroutine_that_ends_inside_a_call_is_told_so)
{
    char err[1000];
    ck_assert_int_eq(run_child(ending_child, err, sizeof err), 128 + 6);
    ck_assert_msg(strstr(err, "goroutine 2 ended inside a blocking call: gmpt_blocking_end is missing"), "%s", err);
    ck_assert_int_eq(run_child(ending_main, err, sizeof err), 128 + 6);
    ck_assert_msg(strstr(err, "main goroutine ended inside a blocking call"), "%s", err);
}

static int lookup(void *arg)
{
    struct addrinfo *list = NULL;
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    (void)arg;
    EXPECT_EQ(gmpt_getaddrinfo("127.0.0.1", "80", &hints, &list), 0);
    if (EXPECT(list != NULL)) {
        struct sockaddr_in address;
        memcpy(&address, list->ai_addr, sizeof address);
        EXPECT_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
        EXPECT_EQ(ntohs(address.sin_port), 80);
        freeaddrinfo(list);
    }
    EXPECT_EQ(gmpt_getaddrinfo("not a number", "80", &hints, &list), EAI_NONAME);
    return 0;
}

TEST(call, names_are_looked_up) { RUN(1, lookup); }

static ATOMIC(uint32_t) calls;

static int count_call(void *arg) { return (int)fetch_add_relaxed((ATOMIC(uint32_t) *)arg, 1); }

static void call_often(void *p)
{
    uint32_t random_state = *(uint32_t *)p + 1;
    for (int i = 0; i < (UNDER_SANITIZER ? 200 : 2000); i++) {
        (random_next(&random_state) % 4 ? gmpt_blocking : gmpt_blocking_slow)(count_call, &calls);
        if (random_next(&random_state) % 8 == 0)
            gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int storm(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 8);
    for (uint32_t i = 0; i < 8; i++)
        EXPECT(gmpt_go(call_often, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&calls), 8 * (UNDER_SANITIZER ? 200 : 2000));
    return 0;
}

TEST(call, a_storm_of_short_calls_loses_none) { RUN(2, storm); }
TEST(call, a_storm_of_short_calls_on_one_p_loses_none) { RUN(1, storm); }
