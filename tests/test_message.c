/* Datagrams, control messages and scattered buffers. */
#define _GNU_SOURCE
#include "run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int fds[2];
static struct gmpt_waitgroup group;
static int64_t result;
static char buffer[64];

static int udp_socket(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = gmpt_listen("udp4:127.0.0.1:0");
    EXPECT(fd >= 0);
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

static struct sockaddr_in from;
static socklen_t from_length;

static void receive(void *p)
{
    (void)p;
    from_length = sizeof from;
    result = gmpt_recvfrom(fds[0], buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_length);
    gmpt_waitgroup_done(&group);
}

static void start_waiting(void (*fn)(void *))
{
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(fn, NULL, 0));
}

static int udp(void *arg)
{
    struct sockaddr_in address[2];
    (void)arg;
    for (int i = 0; i < 2; i++)
        fds[i] = udp_socket(&address[i]);
    EXPECT_EQ(gmpt_recvfrom_until(fds[0], buffer, 1, 0, NULL, NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_recvfrom(fds[0], buffer, 1, MSG_DONTWAIT, NULL, NULL), -EAGAIN);
    start_waiting(receive);
    EXPECT_EQ(gmpt_sendto(fds[1], "datagram", 8, 0, (struct sockaddr *)&address[0], sizeof address[0]), 8);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 8);
    EXPECT(memcmp(buffer, "datagram", 8) == 0);
    EXPECT_EQ(from_length, sizeof from);
    EXPECT_EQ(from.sin_port, address[1].sin_port);
    EXPECT_EQ(gmpt_sendto(fds[1], "", 0, 0, (struct sockaddr *)&address[0], sizeof address[0]), 0);
    EXPECT_EQ(gmpt_recv(fds[0], buffer, sizeof buffer, 0), 0); /* an empty datagram is one, too */
    EXPECT_EQ(gmpt_send(fds[1], "x", 1, 0), -EDESTADDRREQ);
    EXPECT_EQ(gmpt_sendto_until(fds[1], "late", 4, 0, (struct sockaddr *)&address[0], sizeof address[0], 0), 4);
    EXPECT_EQ(gmpt_recv_until(fds[0], buffer, 2, MSG_TRUNC, 0), 4); /* a deadline that passed lets ready things be */
    EXPECT_EQ(gmpt_close(fds[0]), 0);
    EXPECT_EQ(gmpt_close(fds[1]), 0);
    return 0;
}

TEST(message, datagrams_come_whole_and_tell_their_sender) { RUN(2, udp); }
TEST(message, datagrams_come_on_one_p) { RUN(1, udp); }

static void receive_message(void *p)
{
    char second[4];
    struct iovec parts[2] = { { buffer, 3 }, { second, sizeof second } };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control
    };
    (void)p;
    int got = -1;
    EXPECT_EQ(gmpt_recvmsg(fds[0], &message, MSG_CMSG_CLOEXEC), 5);
    EXPECT(memcmp(buffer, "hel", 3) == 0 && memcmp(second, "lo", 2) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (EXPECT(header && header->cmsg_type == SCM_RIGHTS))
        memcpy(&got, CMSG_DATA(header), sizeof got);
    EXPECT_EQ(gmpt_write(got, "through", 7), 7);
    EXPECT_EQ(gmpt_close(got), 0);
    gmpt_waitgroup_done(&group);
}

static int pass_descriptor(void *arg)
{
    int pipes[2];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct iovec part = { (void *)"hello", 5 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    EXPECT_EQ(pipe(pipes), 0);
    /* The number that the receiver will get was once in use and closed behind the runtime's back. */
    int stale = dup(pipes[0]);
    EXPECT_EQ(gmpt_read_until(stale, buffer, 1, 0), -ETIMEDOUT);
    EXPECT_EQ(close(stale), 0);
    start_waiting(receive_message);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
    EXPECT_EQ(gmpt_sendmsg(fds[1], &message, 0), 5);
    EXPECT_EQ(close(pipes[1]), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_read(pipes[0], buffer, sizeof buffer), 7);
    part.iov_base = buffer;
    EXPECT_EQ(gmpt_recvmsg_until(fds[0], &message, 0, gmpt_now() + 1000000), -ETIMEDOUT);
    return 0;
}

TEST(message, a_message_carries_a_descriptor) { RUN(2, pass_descriptor); }

static void read_parts(void *p)
{
    char first[2], second[30];
    struct iovec parts[2] = { { first, sizeof first }, { second, sizeof second } };
    (void)p;
    result = gmpt_readv(fds[0], parts, 2);
    memcpy(buffer, first, 2);
    memcpy(buffer + 2, second, sizeof second);
    gmpt_waitgroup_done(&group);
}

static int vectors(void *arg)
{
    struct iovec parts[3] = { { (void *)"sca", 3 }, { (void *)"", 0 }, { (void *)"ttered", 6 } };
    (void)arg;
    EXPECT_EQ(pipe(fds), 0);
    EXPECT_EQ(gmpt_readv_until(fds[0], &(struct iovec){ buffer, 3 }, 1, gmpt_now() + 1000000), -ETIMEDOUT);
    start_waiting(read_parts);
    EXPECT_EQ(gmpt_writev(fds[1], parts, 3), 9);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(result, 9);
    EXPECT(memcmp(buffer, "scattered", 9) == 0);
    EXPECT_EQ(gmpt_writev_until(fds[1], parts, -1, GMPT_NEVER), -EINVAL);
    EXPECT_EQ(gmpt_readv(-1, parts, 1), -EBADF);
    return 0;
}

TEST(message, buffers_may_be_scattered) { RUN(2, vectors); }

static __attribute__((noinline)) int errno_now(void) { return errno; }
static __attribute__((noinline)) void errno_be(int value) { errno = value; }

static int keeps_errno(void *arg)
{
    struct sockaddr_in address;
    (void)arg;
    int fd = udp_socket(&address);
    errno_be(4711);
    EXPECT_EQ(gmpt_recv(fd, buffer, 1, MSG_DONTWAIT), -EAGAIN);
    EXPECT_EQ(gmpt_recv_until(fd, buffer, 1, 0, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_send(fd, "x", 1, 0), -EDESTADDRREQ);
    EXPECT_EQ(gmpt_shutdown(-1, 0), -EBADF);
    EXPECT_EQ(gmpt_poll(fd, 1, 0), -ETIMEDOUT);
    EXPECT(gmpt_dial_until("tcp:127.0.0.1:1", GMPT_NEVER) < 0);
    EXPECT(gmpt_listen("tcp:203.0.113.1:1") < 0);
    EXPECT(gmpt_listen("tcp:nonsense") < 0);
    EXPECT_EQ(gmpt_open("/nonexistent/file", 0, 0), -ENOENT);
    EXPECT_EQ(errno_now(), 4711);
    return 0;
}

TEST(message, failures_leave_errno_alone) { RUN(2, keeps_errno); }
