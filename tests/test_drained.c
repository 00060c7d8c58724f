/* Reads of TCP that wait at once after a read that came short: what comes is never missed, and the end, an error,
 * urgent data and what else does not come as an edge of its own are seen as ever. */
#define _GNU_SOURCE
#include "run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int ends[2]; /* of a connection */
static char buffer[64];
static struct gmpt_waitgroup group;

static void connect_ends(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(gmpt_connect(ends[0], (struct sockaddr *)&address, sizeof address), 0);
    ends[1] = gmpt_accept(listener, NULL, NULL);
    EXPECT(ends[1] >= 0);
    EXPECT_EQ(gmpt_close(listener), 0);
}

static void close_ends(void)
{
    EXPECT_EQ(gmpt_close(ends[0]), 0);
    EXPECT_EQ(gmpt_close(ends[1]), 0);
}

/* After it ends[0] is known to be empty. */
static void drain(void)
{
    EXPECT_EQ(send(ends[1], "abc", 3, 0), 3);
    EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 3);
}

static void read_into_buffer(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 2);
    gmpt_waitgroup_done(&group);
}

static int more_comes(void *arg)
{
    (void)arg;
    connect_ends();
    for (int i = 0; i < 100; i++) {
        drain();
        gmpt_waitgroup_add(&group, 1);
        int64_t reader = gmpt_go(read_into_buffer, NULL, 0);
        if (i % 2)
            run_until_waiting(reader);
        EXPECT_EQ(send(ends[1], "de", 2, 0), 2);
        gmpt_waitgroup_wait(&group);
        EXPECT(memcmp(buffer, "de", 2) == 0);
    }
    close_ends();
    return 0;
}

TEST(drained, what_comes_later_is_read) { RUN(2, more_comes); }
TEST(drained, what_comes_later_is_read_on_one_p) { RUN(1, more_comes); }

static int64_t reads_made(void)
{
    char text[512];
    int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *count = strstr(text, "syscr:");
    return count ? strtoll(count + strlen("syscr:"), NULL, 10) : -1;
}

enum { ROUNDS = 1000 };

static void answer(void *p)
{
    (void)p;
    for (int i = 0; i < ROUNDS; i++) {
        char request[16];
        EXPECT_EQ(gmpt_read(ends[1], request, sizeof request), 1);
        EXPECT_EQ(gmpt_write(ends[1], request, 1), 1);
    }
    gmpt_waitgroup_done(&group);
}

static int ask(void *arg)
{
    (void)arg;
    connect_ends();
    gmpt_waitgroup_add(&group, 1);
    run_go(answer);
    int64_t before = reads_made();
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_EQ(gmpt_write(ends[0], "?", 1), 1);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 1);
    }
    gmpt_waitgroup_wait(&group);
    EXPECT(reads_made() - before < 3 * ROUNDS); /* 2 for each round, and not 4 */
    close_ends();
    return 0;
}

TEST(drained, an_answer_takes_one_read)
{
    if (reads_made() < 0)
        SKIP("the kernel does not count reads in /proc/self/io");
    RUN(1, ask);
}

static int end_comes(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        connect_ends();
        if (i % 2)
            drain();
        EXPECT_EQ(send(ends[1], "xy", 2, 0), 2);
        EXPECT_EQ(shutdown(ends[1], SHUT_WR), 0);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 2);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 0);
        EXPECT_EQ(gmpt_recv(ends[0], buffer, sizeof buffer, 0), 0);
        close_ends();
    }
    return 0;
}

TEST(drained, the_end_that_came_with_the_last_bytes_is_seen) { RUN(2, end_comes); }
TEST(drained, the_end_that_came_with_the_last_bytes_is_seen_on_one_p) { RUN(1, end_comes); }

static int own_shutdown(void *arg)
{
    (void)arg;
    connect_ends();
    drain();
    EXPECT_EQ(gmpt_shutdown(ends[0], SHUT_RD), 0);
    EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 0);
    close_ends();
    return 0;
}

TEST(drained, ones_own_shutdown_is_the_end) { RUN(2, own_shutdown); }

static int reset(void *arg)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)arg;
    for (int i = 0; i < 50; i++) {
        connect_ends();
        drain();
        EXPECT_EQ(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        EXPECT_EQ(gmpt_close(ends[1]), 0);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), -ECONNRESET);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 0);
        EXPECT_EQ(gmpt_close(ends[0]), 0);
    }
    return 0;
}

TEST(drained, a_reset_is_seen) { RUN(2, reset); }

/* A read stops before the mark, though there is more behind it. */
static int urgent(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        connect_ends();
        if (i % 2)
            drain();
        EXPECT_EQ(send(ends[1], "ab", 2, 0), 2);
        EXPECT_EQ(send(ends[1], "!", 1, MSG_OOB), 1);
        EXPECT_EQ(send(ends[1], "cd", 2, 0), 2);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 2);
        EXPECT(memcmp(buffer, "ab", 2) == 0);
        EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 2);
        EXPECT(memcmp(buffer, "cd", 2) == 0);
        close_ends();
    }
    return 0;
}

TEST(drained, what_lies_behind_urgent_data_is_read) { RUN(2, urgent); }
TEST(drained, what_lies_behind_urgent_data_is_read_on_one_p) { RUN(1, urgent); }

static int past_deadline(void *arg)
{
    (void)arg;
    connect_ends();
    for (int i = 0; i < 100; i++) {
        drain();
        EXPECT_EQ(gmpt_read_until(ends[0], buffer, sizeof buffer, 0), -ETIMEDOUT);
        EXPECT_EQ(gmpt_recv_until(ends[0], buffer, sizeof buffer, 0, gmpt_now() + 1000), -ETIMEDOUT);
        EXPECT_EQ(send(ends[1], "now", 3, 0), 3); /* on the loopback it has come when this returns */
        EXPECT_EQ(gmpt_read_until(ends[0], buffer, sizeof buffer, 0), 3);
    }
    close_ends();
    return 0;
}

TEST(drained, what_has_come_is_read_after_the_deadline) { RUN(2, past_deadline); }
TEST(drained, what_has_come_is_read_after_the_deadline_on_one_p) { RUN(1, past_deadline); }

static int next_user(void *arg)
{
    int pipe_ends[2];
    (void)arg;
    connect_ends();
    drain();
    EXPECT_EQ(pipe(pipe_ends), 0);
    EXPECT_EQ(gmpt_close(ends[0]), 0);
    EXPECT_EQ(dup2(pipe_ends[0], ends[0]), ends[0]);
    EXPECT_EQ(close(pipe_ends[0]), 0);
    EXPECT_EQ(gmpt_write(pipe_ends[1], "p", 1), 1);
    EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), 1);
    EXPECT_EQ(gmpt_close(ends[0]), 0);
    EXPECT_EQ(gmpt_close(pipe_ends[1]), 0);
    EXPECT_EQ(gmpt_close(ends[1]), 0);
    return 0;
}

TEST(drained, the_numbers_next_user_is_not_drained) { RUN(2, next_user); }

static int second_reader(void *arg)
{
    (void)arg;
    connect_ends();
    drain();
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(read_into_buffer, NULL, 0));
    EXPECT_EQ(gmpt_read(ends[0], buffer, sizeof buffer), -EBUSY);
    EXPECT_EQ(send(ends[1], "de", 2, 0), 2);
    gmpt_waitgroup_wait(&group);
    close_ends();
    return 0;
}

TEST(drained, a_second_reader_gets_ebusy) { RUN(2, second_reader); }

/* ---- much, in pieces of all sizes, read in all ways ---- */

enum { MUCH = 1 << 20, CONNECTIONS = 8 };

struct stream {
    int from, to;
    uint32_t read_state, write_state, read;
};

static uint8_t byte_at(uint32_t i) { return (uint8_t)(i * 31 ^ i >> 9); }

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void write_stream(void *args)
{
    struct stream *stream = *(struct stream **)args;
    uint32_t *state = &stream->write_state;
    uint8_t bytes[512];
    for (uint32_t sent = 0; sent < MUCH;) {
        uint32_t count = 1 + next_random(state) % sizeof bytes;
        if (count > MUCH - sent)
            count = MUCH - sent;
        for (uint32_t i = 0; i < count; i++)
            bytes[i] = byte_at(sent + i);
        EXPECT_EQ(gmpt_write_full(stream->from, bytes, count, NULL), 0);
        sent += count;
        if (next_random(state) % 4 == 0)
            gmpt_yield();
    }
    EXPECT_EQ(gmpt_shutdown(stream->from, SHUT_WR), 0);
    gmpt_waitgroup_done(&group);
}

static ssize_t read_somehow(struct stream *stream, uint8_t *bytes, size_t size)
{
    uint32_t way = next_random(&stream->read_state);
    struct iovec parts[2] = { { bytes, size / 2 }, { bytes + size / 2, size - size / 2 } };
    switch (way % 6) {
    case 0:
        return gmpt_recv(stream->to, bytes, size, 0);
    case 1:
        return gmpt_readv(stream->to, parts, 2);
    case 2:
        gmpt_recv(stream->to, bytes, size, MSG_PEEK);
        return gmpt_read(stream->to, bytes, size);
    case 3: {
        ssize_t result = gmpt_read_until(stream->to, bytes, size, gmpt_now() + way % 5000);
        return result != -ETIMEDOUT ? result : gmpt_read(stream->to, bytes, size);
    }
    case 4: {
        ssize_t result = recv(stream->to, bytes, size, MSG_DONTWAIT); /* behind the runtime's back */
        return result >= 0 ? result : gmpt_read(stream->to, bytes, size);
    }
    default:
        return gmpt_read(stream->to, bytes, size);
    }
}

static void read_stream(void *args)
{
    struct stream *stream = *(struct stream **)args;
    uint8_t bytes[1024];
    for (;;) {
        ssize_t count = read_somehow(stream, bytes, 1 + next_random(&stream->read_state) % sizeof bytes);
        EXPECT(count >= 0);
        if (count <= 0)
            break;
        for (ssize_t i = 0; i < count; i++, stream->read++)
            if (bytes[i] != byte_at(stream->read)) {
                EXPECT_EQ(bytes[i], byte_at(stream->read));
                break;
            }
    }
    EXPECT_EQ(stream->read, MUCH);
    gmpt_waitgroup_done(&group);
}

static int streams(void *arg)
{
    static struct stream all[CONNECTIONS];
    (void)arg;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        connect_ends();
        all[i] = (struct stream){
            .from = ends[1], .to = ends[0], .read_state = i + 1, .write_state = (i + 1) ^ 0x5a5a5a5a
        };
        struct stream *stream = &all[i];
        gmpt_waitgroup_add(&group, 2);
        EXPECT(gmpt_go(read_stream, &stream, sizeof stream) > 0);
        EXPECT(gmpt_go(write_stream, &stream, sizeof stream) > 0);
    }
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < CONNECTIONS; i++) {
        EXPECT_EQ(gmpt_close(all[i].from), 0);
        EXPECT_EQ(gmpt_close(all[i].to), 0);
    }
    return 0;
}

TEST(drained, nothing_is_missed_in_many_megabytes) { RUN(2, streams); }
TEST(drained, nothing_is_missed_on_one_p) { RUN(1, streams); }
TEST(drained, nothing_is_missed_on_many_ps) { RUN(8, streams); }

/* As read(2) of no bytes, which never blocks; gone wrong, they wait for ever. */
static int nothing_asked(void *arg)
{
    (void)arg;
    connect_ends();
    struct iovec none[2] = { { buffer, 0 }, { NULL, 0 } };
    drain();
    EXPECT_EQ(gmpt_read(ends[0], buffer, 0), 0);
    EXPECT_EQ(gmpt_readv(ends[0], none, 2), 0);
    EXPECT_EQ(gmpt_readv(ends[0], none, 0), 0);
    EXPECT_EQ(gmpt_readv(ends[0], none, -1), -EINVAL);
    EXPECT_EQ(gmpt_readv(ends[0], NULL, IOV_MAX + 1), -EINVAL);
    close_ends();
    return 0;
}

TEST_TIMEOUT(drained, a_read_of_no_bytes_waits_for_none, 20) { RUN(2, nothing_asked); }
