/* The loop that all calls on descriptors share: reading and writing everything, and waiting for either direction. */
#define _GNU_SOURCE
#include "run.h"

#include "trace/atomics.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUCH (3u << 20)

static int fds[2];
static struct gmpt_waitgroup group;
static char *sent, *received;
static int64_t result;

static void make_pair(void) { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0); }

static void fill_buffers(void)
{
    sent = malloc(MUCH);
    received = calloc(1, MUCH);
    for (size_t i = 0; i < MUCH; i++)
        sent[i] = (char)(i * 31 ^ i >> 9);
}

/* ---- full ---- */

static void write_all(void *p)
{
    size_t done = 0;
    (void)p;
    EXPECT_EQ(gmpt_write_full(fds[1], sent, MUCH, &done), 0);
    EXPECT_EQ(done, MUCH);
    gmpt_waitgroup_done(&group);
}

static int full(void *arg)
{
    (void)arg;
    size_t done = 0;
    make_pair();
    fill_buffers();
    gmpt_waitgroup_add(&group, 1);
    run_go(write_all);
    EXPECT_EQ(gmpt_read_full(fds[0], received, MUCH, &done), 0);
    EXPECT_EQ(done, MUCH);
    EXPECT(memcmp(sent, received, MUCH) == 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_read_full(fds[0], received, 0, NULL), 0); /* nothing is always there */
    free(sent);
    free(received);
    return 0;
}

TEST(io, full_reads_and_writes_take_as_many_calls_as_it_needs) { RUN(2, full); }
TEST(io, full_reads_and_writes_share_one_p) { RUN(1, full); }

static int full_ends(void *arg)
{
    char buffer[16];
    size_t done = 99;
    (void)arg;
    make_pair();
    EXPECT_EQ(gmpt_write(fds[1], "abc", 3), 3);
    EXPECT_EQ(gmpt_read_full_until(fds[0], buffer, 8, &done, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(done, 3);
    EXPECT_EQ(gmpt_write(fds[1], "de", 2), 2);
    EXPECT_EQ(gmpt_shutdown(fds[1], SHUT_WR), 0);
    EXPECT_EQ(gmpt_read_full(fds[0], buffer, 8, &done), -ENODATA);
    EXPECT_EQ(done, 2);
    EXPECT_EQ(gmpt_read_full(fds[0], buffer, 8, &done), -ENODATA);
    EXPECT_EQ(done, 0);
    EXPECT_EQ(gmpt_shutdown(-1, SHUT_WR), -EBADF);
    EXPECT_EQ(gmpt_close(fds[0]), 0);
    EXPECT_EQ(gmpt_write_full(fds[1], "x", 1, &done), -EPIPE);
    EXPECT_EQ(done, 0);
    return 0;
}

TEST(io, a_full_read_that_ends_early_says_how_far_it_came)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(2, full_ends);
}

static int full_write_times_out(void *arg)
{
    size_t done = 0;
    (void)arg;
    make_pair();
    fill_buffers();
    EXPECT_EQ(gmpt_write_full_until(fds[1], sent, MUCH, &done, gmpt_now() + 2000000), -ETIMEDOUT);
    EXPECT(done > 0 && done < MUCH);
    EXPECT_EQ(gmpt_read_full(fds[0], received, done, NULL), 0);
    EXPECT(memcmp(sent, received, done) == 0);
    EXPECT_EQ(gmpt_read_until(fds[0], received, 1, 0), -ETIMEDOUT); /* not a byte more was sent */
    return 0;
}

TEST(io, a_full_write_that_times_out_says_how_far_it_came) { RUN(2, full_write_times_out); }

/* ---- poll ---- */

static void poll_for(void *p)
{
    result = gmpt_poll(fds[0], (short)*(int *)p, GMPT_NEVER);
    gmpt_waitgroup_done(&group);
}

static void start_polling(int events)
{
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(poll_for, &events, sizeof events));
}

static void fill(int fd)
{
    static char zeroes[65536];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (write(fd, zeroes, sizeof zeroes) > 0 || write(fd, zeroes, 1) > 0)
        ;
}

static int poll_waits(void *arg)
{
    char buffer[4096];
    (void)arg;
    make_pair();
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_poll(fds[0], POLLOUT, GMPT_NEVER), POLLOUT);
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN | POLLOUT, GMPT_NEVER), POLLOUT);

    start_polling(POLLIN);
    EXPECT_EQ(gmpt_write(fds[1], "x", 1), 1);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, POLLIN);
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN, GMPT_NEVER), POLLIN); /* it is still there: the level counts, not the edge */
    EXPECT_EQ(gmpt_read(fds[0], buffer, 1), 1);
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN, gmpt_now() + 1000000), -ETIMEDOUT);

    fill(fds[0]);
    start_polling(POLLIN | POLLOUT); /* the first to come ends the wait, whichever it is */
    EXPECT_EQ(gmpt_write(fds[1], "x", 1), 1);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, POLLIN);
    EXPECT_EQ(gmpt_read(fds[0], buffer, 1), 1);
    start_polling(POLLIN | POLLOUT);
    while (gmpt_read_until(fds[1], buffer, sizeof buffer, 0) > 0)
        ;
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, POLLOUT);

    start_polling(POLLIN | POLLRDHUP);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT(result > 0 && (result & POLLIN) && (result & POLLRDHUP) && (result & POLLHUP));
    return 0;
}

TEST(io, poll_waits_for_what_it_was_told) { RUN(2, poll_waits); }
TEST(io, poll_waits_on_one_p) { RUN(1, poll_waits); }

static int poll_both(void *arg)
{
    (void)arg;
    make_pair();
    fill(fds[0]);
    start_polling(POLLIN | POLLOUT);
    char byte;
    EXPECT_EQ(gmpt_read(fds[0], &byte, 1), -EBUSY); /* it waits on both sides */
    EXPECT_EQ(gmpt_write(fds[0], &byte, 1), -EBUSY);
    EXPECT_EQ(gmpt_close(fds[0]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, -ECANCELED);

    make_pair();
    fill(fds[0]);
    EXPECT_EQ(gmpt_poll(fds[0], POLLIN | POLLOUT, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_read_until(fds[0], &byte, 1, gmpt_now() + 1000000), -ETIMEDOUT); /* both sides are free again */
    EXPECT_EQ(gmpt_write_until(fds[0], &byte, 1, gmpt_now() + 1000000), -ETIMEDOUT);
    return 0;
}

TEST(io, a_wait_for_either_direction_ends_on_both_sides) { RUN(2, poll_both); }

static int poll_wrong(void *arg)
{
    (void)arg;
    make_pair();
    EXPECT_EQ(gmpt_poll(-1, POLLIN, 0), -EBADF);
    EXPECT_EQ(gmpt_poll(999, POLLIN, 0), -EBADF);
    EXPECT_EQ(gmpt_poll(fds[0], 0, 0), -EINVAL);
    EXPECT_EQ(gmpt_poll(fds[0], POLLPRI, 0), -EINVAL);
    int file = open("/dev/null", O_RDWR);
    EXPECT_EQ(gmpt_poll(file, POLLIN, GMPT_NEVER), POLLIN); /* is always ready */
    EXPECT_EQ(gmpt_close(file), 0);
    return 0;
}

TEST(io, poll_refuses_what_it_cannot_wait_for) { RUN(1, poll_wrong); }

static ATOMIC(uint32_t) turns;

/* Both ends write and read at random, waiting for whichever comes first. */
static void both_ways(void *p)
{
    int fd = fds[*(int *)p];
    size_t wrote = 0, got = 0;
    while (wrote < MUCH || got < MUCH) {
        short events = (short)((wrote < MUCH ? POLLOUT : 0) | (got < MUCH ? POLLIN : 0));
        int ready = gmpt_poll(fd, events, GMPT_NEVER);
        if (!EXPECT(ready > 0))
            break;
        fetch_add_relaxed(&turns, 1);
        if (ready & POLLIN) {
            char buffer[5000];
            ssize_t length = gmpt_recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (!EXPECT(length > 0 && memcmp(buffer, sent + got, (size_t)length) == 0))
                break;
            got += (size_t)length;
        }
        if (wrote < MUCH && (ready & POLLOUT)) {
            ssize_t length = gmpt_send(fd, sent + wrote, MUCH - wrote < 7000 ? MUCH - wrote : 7000, MSG_DONTWAIT);
            if (length == -EAGAIN)
                continue;
            if (!EXPECT(length > 0))
                break;
            wrote += (size_t)length;
        }
    }
    EXPECT_EQ(got, MUCH);
    gmpt_waitgroup_done(&group);
}

static int duplex(void *arg)
{
    (void)arg;
    make_pair();
    fill_buffers();
    gmpt_waitgroup_add(&group, 2);
    for (int i = 0; i < 2; i++)
        EXPECT(gmpt_go(both_ways, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(io, poll_drives_both_directions_of_one_socket) { RUN(2, duplex); }
