/* Files and sockets: Gs that wait for descriptors, deadlines, closing, and what cannot be waited for. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fds[2];
static struct gmpt_waitgroup group;
static ATOMIC(int64_t) counter;
static int64_t result;
static char buffer[64];

static void read_one(void *p)
{
    (void)p;
    result = gmpt_read(fds[0], buffer, sizeof buffer);
    gmpt_waitgroup_done(&group);
}

static void start_waiting(void (*fn)(void *))
{
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(fn, NULL, 0));
}

/* Writes until the descriptor takes no more. */
static void fill(int fd)
{
    static char zeroes[65536];
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, zeroes, sizeof zeroes) > 0 || write(fd, zeroes, 1) > 0)
        ;
}

/* ---- reading and writing ---- */

static int pipe_read(void *arg)
{
    (void)arg;
    EXPECT_EQ(pipe(fds), 0);
    start_waiting(read_one);
    EXPECT_EQ(gmpt_write(fds[1], "hello", 5), 5);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 5);
    EXPECT(memcmp(buffer, "hello", 5) == 0);
    EXPECT_EQ(gmpt_write(fds[1], "more", 4), 4);
    EXPECT_EQ(gmpt_read(fds[0], buffer, 2), 2); /* what is there needs no wait */
    EXPECT_EQ(gmpt_read(fds[0], buffer, 10), 2);
    return 0;
}

TEST(netpoll, a_read_waits_for_a_write) { RUN(2, pipe_read); }
TEST(netpoll, a_read_waits_for_a_write_on_one_p) { RUN(1, pipe_read); }

static int end_of_file(void *arg)
{
    (void)arg;
    EXPECT_EQ(pipe(fds), 0);
    start_waiting(read_one);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 0);
    EXPECT_EQ(gmpt_read(fds[0], buffer, 1), 0);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    start_waiting(read_one);
    EXPECT_EQ(shutdown(fds[1], SHUT_WR), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 0);
    return 0;
}

TEST(netpoll, the_other_ends_close_is_end_of_file) { RUN(2, end_of_file); }

static int broken_pipe(void *arg)
{
    (void)arg;
    EXPECT_EQ(pipe(fds), 0);
    EXPECT_EQ(close(fds[0]), 0);
    EXPECT_EQ(gmpt_write(fds[1], "x", 1), -EPIPE);
    return 0;
}

TEST(netpoll, a_write_nobody_reads_is_epipe)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(2, broken_pipe);
}

static void write_one(void *p)
{
    (void)p;
    result = gmpt_write(fds[1], "x", 1);
    gmpt_waitgroup_done(&group);
}

static int write_waits(void *arg)
{
    (void)arg;
    static char room[1 << 20];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fill(fds[1]);
    result = 77;
    start_waiting(write_one);
    EXPECT_EQ(result, 77);
    while (gmpt_read_until(fds[0], room, sizeof room, 0) > 0)
        ;
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 1);
    return 0;
}

TEST(netpoll, a_write_waits_for_room) { RUN(2, write_waits); }

static int wrong_fds(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_read(-1, buffer, 1), -EBADF);
    EXPECT_EQ(gmpt_read(999, buffer, 1), -EBADF);
    EXPECT_EQ(gmpt_write(999, buffer, 1), -EBADF);
    EXPECT(gmpt_read(INT32_MAX, buffer, 1) < 0);
    EXPECT(gmpt_accept(999, NULL, NULL) == -EBADF);
    EXPECT_EQ(gmpt_close(999), -EBADF);
    EXPECT_EQ(gmpt_close(-1), -EBADF);
    EXPECT_EQ(pipe(fds), 0);
    EXPECT_EQ(gmpt_accept(fds[0], NULL, NULL), -ENOTSOCK);
    EXPECT_EQ(gmpt_write(fds[0], "x", 1), -EBADF); /* the reading end */
    return 0;
}

TEST(netpoll, what_is_no_descriptor_fails) { RUN(1, wrong_fds); }

/* ---- deadlines ---- */

static int deadlines(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, INT64_MIN), -ETIMEDOUT);
    int64_t deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    EXPECT_EQ(gmpt_write(fds[1], "x", 1), 1);
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, 0), 1); /* need not wait */
    fill(fds[0]);
    deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_write_until(fds[0], "x", 1, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    return 0;
}

TEST(netpoll, a_deadline_ends_the_wait) { RUN(2, deadlines); }

/* The deadline may pass between the timer's start and the wait, and another M may see that first. */
static void time_out_often(void *p)
{
    uint32_t random_state = (uint32_t)*(int *)p + 1;
    int mine[2];
    char byte;
    EXPECT_EQ(pipe(mine), 0);
    for (int i = 0; i < (UNDER_SANITIZER ? 500 : 5000); i++) {
        int64_t deadline = gmpt_now() + random_next(&random_state) % 3000;
        EXPECT_EQ(gmpt_read_until(mine[0], &byte, 1, deadline), -ETIMEDOUT);
    }
    gmpt_waitgroup_done(&group);
}

static int near_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        EXPECT(gmpt_go(time_out_often, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(netpoll, a_deadline_that_passes_before_the_wait_begins_is_seen) { RUN(4, near_deadlines); }

static void write_at_random(void *p)
{
    uint32_t random_state = 5;
    (void)p;
    for (int i = 0; i < 3000; i++) {
        if (gmpt_write(fds[1], "x", 1) == 1)
            fetch_add_relaxed(&counter, 1);
        gmpt_sleep(random_next(&random_state) % 20000);
    }
    gmpt_close(fds[1]);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    uint32_t random_state = 17;
    int64_t got = 0;
    EXPECT_EQ(pipe(fds), 0);
    run_go(write_at_random);
    for (;;) {
        ssize_t length = gmpt_read_until(fds[0], buffer, 1, gmpt_now() + random_next(&random_state) % 20000);
        if (length == 0)
            break;
        if (length == 1)
            got++;
        else
            EXPECT_EQ(length, -ETIMEDOUT);
    }
    EXPECT_EQ(got, load_relaxed(&counter));
    return 0;
}

TEST(netpoll, racing_deadlines_lose_no_bytes) { RUN(4, race_deadlines); }

/* ---- closing ---- */

static int close_wakes(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    start_waiting(read_one);
    EXPECT_EQ(gmpt_close(fds[0]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, -ECANCELED);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fill(fds[1]);
    start_waiting(write_one);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, -ECANCELED);
    return 0;
}

TEST(netpoll, close_wakes_who_waits) { RUN(2, close_wakes); }

static int numbers_come_back(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        EXPECT_EQ(i % 2 ? pipe(fds) : socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        start_waiting(read_one);
        EXPECT_EQ(gmpt_write(fds[1], "y", 1), 1);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(result, 1);
        EXPECT_EQ(gmpt_close(fds[0]), 0);
        EXPECT_EQ(gmpt_close(fds[1]), 0);
    }
    return 0;
}

TEST(netpoll, a_number_that_is_used_again_is_a_new_descriptor) { RUN(2, numbers_come_back); }

static int second_reader(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    start_waiting(read_one);
    EXPECT_EQ(gmpt_read(fds[0], buffer, 1), -EBUSY);
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, gmpt_now() + 1000000000), -EBUSY);
    EXPECT_EQ(gmpt_write(fds[0], "to the other", 12), 12); /* the other direction is free */
    EXPECT_EQ(gmpt_write(fds[1], "z", 1), 1);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 1);
    return 0;
}

TEST(netpoll, a_second_reader_gets_ebusy) { RUN(2, second_reader); }

static int errno_stays(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    errno = 0;
    EXPECT_EQ(gmpt_read_until(fds[0], buffer, 1, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_close(-1), -EBADF);
    EXPECT_EQ(errno, 0);
    return 0;
}

TEST(netpoll, failures_come_as_results_not_in_errno) { RUN(1, errno_stays); }

static int close_behind(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    EXPECT_EQ(gmpt_write(fds[0], "x", 1), 1);
    EXPECT_EQ(close(fds[0]), 0);
    errno = 0;
    EXPECT_EQ(gmpt_close(fds[0]), -EBADF);
    EXPECT_EQ(errno, 0);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
    return 0;
}

TEST(netpoll, closing_what_was_closed_is_an_error_and_leaves_errno) { RUN(1, close_behind); }

/* ---- sockets ---- */

static int listener;
static struct sockaddr_in address;

static void listen_on_loopback(void)
{
    socklen_t length = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    EXPECT(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT_EQ(listen(listener, 128), 0);
    EXPECT_EQ(getsockname(listener, (struct sockaddr *)&address, &length), 0);
}

static int connect_to_loopback(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(gmpt_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void echo(void *p)
{
    char bytes[512];
    int fd = *(int *)p;
    ssize_t length;
    while ((length = gmpt_read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t done = 0, wrote; done < length; done += wrote)
            if ((wrote = gmpt_write(fd, bytes + done, (size_t)(length - done))) < 0)
                break;
    EXPECT_EQ(gmpt_close(fd), 0);
}

static void accept_all(void *p)
{
    int fd;
    (void)p;
    while ((fd = gmpt_accept(listener, NULL, NULL)) >= 0)
        EXPECT(gmpt_go(echo, &fd, sizeof fd) > 0);
    EXPECT_EQ(fd, -ECANCELED);
    gmpt_waitgroup_done(&group);
}

static void talk(void *p)
{
    char out[64], in[64];
    int i = *(int *)p, fd = connect_to_loopback();
    for (int round = 0; round < 20; round++) {
        memset(out, i + round, sizeof out);
        EXPECT_EQ(gmpt_write(fd, out, sizeof out), sizeof out);
        for (size_t done = 0; done < sizeof in;) {
            ssize_t length = gmpt_read(fd, in + done, sizeof in - done);
            if (!EXPECT(length > 0))
                break;
            done += (size_t)length;
        }
        EXPECT(memcmp(in, out, sizeof in) == 0);
    }
    EXPECT_EQ(gmpt_close(fd), 0);
    gmpt_waitgroup_done(&group);
}

static int serve_clients(void *arg)
{
    (void)arg;
    listen_on_loopback();
    start_waiting(accept_all);
    gmpt_waitgroup_add(&group, 50);
    for (int i = 0; i < 50; i++)
        EXPECT(gmpt_go(talk, &i, sizeof i) > 0);
    while (gmpt_count() > 2)
        gmpt_sleep(100000);
    EXPECT_EQ(gmpt_close(listener), 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(netpoll, a_server_echoes_to_fifty_clients) { RUN(2, serve_clients); }
TEST(netpoll, a_server_on_one_p_echoes_to_fifty_clients) { RUN(1, serve_clients); }

static int accept_details(void *arg)
{
    (void)arg;
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    listen_on_loopback();
    EXPECT_EQ(gmpt_accept_until(listener, NULL, NULL, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_accept_until(listener, NULL, NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    int client = connect_to_loopback();
    int fd = gmpt_accept(listener, (struct sockaddr *)&peer, &length);
    EXPECT(fd >= 0);
    EXPECT_EQ(length, sizeof peer);
    EXPECT_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    gmpt_close(client);
    EXPECT_EQ(gmpt_read(fd, buffer, 1), 0);
    gmpt_close(fd);
    return 0;
}

TEST(netpoll, an_accepted_socket_is_nonblocking_and_close_on_exec) { RUN(2, accept_details); }

static int refused(void *arg)
{
    (void)arg;
    listen_on_loopback();
    EXPECT_EQ(gmpt_close(listener), 0); /* nobody listens on this port now */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(gmpt_connect(fd, (struct sockaddr *)&address, sizeof address), -ECONNREFUSED);
    EXPECT_EQ(gmpt_close(fd), 0);
    int64_t deadline = gmpt_now() + 10000000000;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(gmpt_connect_until(fd, (struct sockaddr *)&address, sizeof address, deadline), -ECONNREFUSED);
    EXPECT_EQ(gmpt_close(fd), 0);
    return 0;
}

TEST(netpoll, a_connect_to_nobody_is_refused) { RUN(2, refused); }

/* ---- much ---- */

#define TRANSFER (UNDER_SANITIZER ? 4 << 20 : 32 << 20)

static uint8_t byte_at(size_t offset) { return (uint8_t)(offset * 7 ^ offset >> 11); }

static void write_much(void *p)
{
    (void)p;
    uint8_t *bytes = malloc(300000);
    for (size_t done = 0; done < TRANSFER;) {
        size_t size = 1 + done % 299999, length = TRANSFER - done < size ? TRANSFER - done : size;
        for (size_t i = 0; i < length; i++)
            bytes[i] = byte_at(done + i);
        ssize_t wrote = gmpt_write(fds[1], bytes, length);
        if (!EXPECT(wrote > 0))
            break;
        done += (size_t)wrote;
    }
    free(bytes);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
}

static int transfer(bool sockets)
{
    size_t done = 0, wrong = 0;
    uint8_t *bytes = malloc(200000);
    EXPECT_EQ(sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
    run_go(write_much);
    ssize_t length;
    while ((length = gmpt_read(fds[0], bytes, 1 + done % 199999)) > 0) {
        for (ssize_t i = 0; i < length; i++)
            wrong += bytes[i] != byte_at(done + (size_t)i);
        done += (size_t)length;
    }
    EXPECT_EQ(length, 0);
    EXPECT_EQ(done, TRANSFER);
    EXPECT_EQ(wrong, 0);
    free(bytes);
    return 0;
}

static int transfer_by_pipe(void *arg) { return transfer(arg != NULL); }
static int transfer_by_socket(void *arg) { return transfer(arg == NULL); }

TEST(netpoll, many_megabytes_go_through_a_pipe) { RUN(2, transfer_by_pipe); }
TEST(netpoll, many_megabytes_go_through_a_socket) { RUN(1, transfer_by_socket); }

static int pair_count;
static int (*pairs)[2];

static void read_pair(void *p)
{
    char byte;
    int i = *(int *)p;
    EXPECT_EQ(gmpt_read(pairs[i][0], &byte, 1), 1);
    EXPECT_EQ(byte, (char)i);
    gmpt_waitgroup_done(&group);
}

static int thousands(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, pair_count);
    for (int i = 0; i < pair_count; i++) {
        EXPECT_EQ(pipe2(pairs[i], O_CLOEXEC), 0);
        EXPECT(gmpt_go(read_pair, &i, sizeof i) > 0);
    }
    for (int i = pair_count; i-- > 0;)
        EXPECT_EQ(gmpt_write(pairs[i][1], &(char){ (char)i }, 1), 1);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < pair_count; i++) {
        EXPECT_EQ(gmpt_close(pairs[i][0]), 0);
        EXPECT_EQ(gmpt_close(pairs[i][1]), 0);
    }
    return 0;
}

TEST(netpoll, thousands_of_descriptors_are_waited_for)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 9000 ? limit.rlim_max : 9000;
    setrlimit(RLIMIT_NOFILE, &limit);
    pair_count = (int)(limit.rlim_cur - 100) / 2;
    if (UNDER_SANITIZER && pair_count > 1500)
        pair_count = 1500;
    pairs = calloc((size_t)pair_count, sizeof *pairs);
    RUN(2, thousands);
    free(pairs);
}

/* ---- what cannot be polled ---- */

static int regular_file(void *arg)
{
    (void)arg;
    char path[256], text[32];
    snprintf(path, sizeof path, "%s/file", harness_tmpdir());
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(gmpt_write(fd, "regular", 7), 7);
    EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
    EXPECT_EQ(gmpt_read(fd, text, sizeof text), 7);
    EXPECT(memcmp(text, "regular", 7) == 0);
    EXPECT_EQ(gmpt_read(fd, text, sizeof text), 0);
    EXPECT_EQ(gmpt_read_until(fd, text, sizeof text, 0), 0);
    EXPECT_EQ(gmpt_close(fd), 0);
    fd = open("/dev/null", O_RDWR);
    EXPECT_EQ(gmpt_write(fd, "x", 1), 1);
    EXPECT_EQ(gmpt_read(fd, text, 1), 0);
    EXPECT_EQ(gmpt_close(fd), 0);
    return 0;
}

TEST(netpoll, regular_files_are_read_and_written) { RUN(2, regular_file); }

static void write_file(void *p)
{
    char path[256];
    int i = *(int *)p;
    snprintf(path, sizeof path, "%s/file%d", harness_tmpdir(), i);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (int round = 0; round < 50; round++)
        EXPECT_EQ(gmpt_write(fd, path, 100), 100);
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 5000);
    EXPECT_EQ(gmpt_close(fd), 0);
    gmpt_waitgroup_done(&group);
}

static int many_files(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++)
        EXPECT(gmpt_go(write_file, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(netpoll, many_gs_write_files_at_once)
{
    harness_tmpdir();
    RUN(2, many_files);
}
