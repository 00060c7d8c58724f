/* Addresses as texts: what they stand for, what is wrong with them, and connections made by them. */
#define _GNU_SOURCE
#include "run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct gmpt_waitgroup group;
static int listener;

static void serve_one(void *p)
{
    char byte;
    (void)p;
    int fd = gmpt_accept(listener, NULL, NULL);
    EXPECT(fd >= 0);
    EXPECT_EQ(gmpt_read(fd, &byte, 1), 1);
    EXPECT_EQ(gmpt_write(fd, &byte, 1), 1);
    EXPECT_EQ(gmpt_close(fd), 0);
    gmpt_waitgroup_done(&group);
}

/* Whether a byte goes there and back. */
static void talk(const char *address)
{
    char byte = 'b';
    gmpt_waitgroup_add(&group, 1);
    run_go(serve_one);
    int fd = gmpt_dial_until(address, gmpt_now() + 10000000000);
    if (!EXPECT(fd >= 0))
        return;
    EXPECT_EQ(gmpt_write(fd, "a", 1), 1);
    EXPECT_EQ(gmpt_read(fd, &byte, 1), 1);
    EXPECT_EQ(byte, 'a');
    EXPECT_EQ(gmpt_close(fd), 0);
    gmpt_waitgroup_wait(&group);
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int tcp(void *arg)
{
    char text[64];
    int yes = 0, flags;
    socklen_t size = sizeof yes;
    (void)arg;
    listener = gmpt_listen("tcp:127.0.0.1:0");
    EXPECT(listener >= 0);
    flags = fcntl(listener, F_GETFD);
    EXPECT(flags & FD_CLOEXEC);
    snprintf(text, sizeof text, "tcp:127.0.0.1:%d", port_of(listener));
    EXPECT_EQ(gmpt_listen(text), -EADDRINUSE);
    talk(text);
    snprintf(text, sizeof text, "tcp4::%d", port_of(listener)); /* without a host: this machine */
    talk(text);
    snprintf(text, sizeof text, "tcp4:127.0.0.1:%d", port_of(listener));
    gmpt_waitgroup_add(&group, 1);
    run_go(serve_one);
    int fd = gmpt_dial(text);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, &size), 0);
    EXPECT_EQ(yes, 1);
    EXPECT_EQ(gmpt_write(fd, "x", 1), 1);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_close(listener), 0);
    EXPECT_EQ(gmpt_dial(text), -ECONNREFUSED);
    return 0;
}

TEST(dial, tcp_by_numbers) { RUN(2, tcp); }
TEST(dial, tcp_by_numbers_on_one_p) { RUN(1, tcp); }

static int name(void *arg)
{
    char text[64];
    (void)arg;
    listener = gmpt_listen("tcp4:localhost:0");
    EXPECT(listener >= 0);
    snprintf(text, sizeof text, "tcp:localhost:%d", port_of(listener));
    talk(text);
    return 0;
}

TEST(dial, a_name_is_looked_up)
{
    struct addrinfo *list, hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    if (getaddrinfo("localhost", "1", &hints, &list))
        SKIP("the name localhost is not known here");
    freeaddrinfo(list);
    RUN(2, name);
}

static int ipv6(void *arg)
{
    char text[64];
    (void)arg;
    listener = gmpt_listen("tcp:[::1]:0");
    EXPECT(listener >= 0);
    snprintf(text, sizeof text, "tcp:[::1]:%d", port_of(listener));
    talk(text);
    EXPECT_EQ(gmpt_close(listener), 0);
    listener = gmpt_listen("tcp::0"); /* both families */
    snprintf(text, sizeof text, "tcp6::%d", port_of(listener));
    talk(text);
    snprintf(text, sizeof text, "tcp4:127.0.0.1:%d", port_of(listener));
    talk(text);
    return 0;
}

TEST(dial, ipv6_in_brackets)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address))
        SKIP("no IPv6 here");
    close(fd);
    RUN(2, ipv6);
}

static int udp(void *arg)
{
    char text[64], byte;
    (void)arg;
    int receiver = gmpt_listen("udp:127.0.0.1:0");
    snprintf(text, sizeof text, "udp:127.0.0.1:%d", port_of(receiver));
    int sender = gmpt_dial(text);
    EXPECT_EQ(gmpt_write(sender, "d", 1), 1); /* it is connected */
    EXPECT_EQ(gmpt_read(receiver, &byte, 1), 1);
    EXPECT_EQ(byte, 'd');
    EXPECT_EQ(gmpt_close(sender), 0);
    EXPECT_EQ(gmpt_close(receiver), 0);
    return 0;
}

TEST(dial, udp_is_connected) { RUN(2, udp); }

static int unix_sockets(void *arg)
{
    char text[300], byte;
    (void)arg;
    snprintf(text, sizeof text, "unix:%s/socket", harness_tmpdir());
    EXPECT_EQ(gmpt_dial(text), -ENOENT);
    listener = gmpt_listen(text);
    talk(text);
    EXPECT_EQ(gmpt_close(listener), 0);
    EXPECT_EQ(gmpt_listen(text), -EADDRINUSE); /* the path stays, as bind left it */
    EXPECT_EQ(gmpt_dial(text), -ECONNREFUSED);

    snprintf(text, sizeof text, "unix:@gmptrace-test-%d", (int)getpid());
    listener = gmpt_listen(text);
    talk(text);
    EXPECT_EQ(gmpt_close(listener), 0);
    EXPECT_EQ(gmpt_dial(text), -ECONNREFUSED);
    listener = gmpt_listen(text); /* an abstract name is free when its socket is closed */
    EXPECT_EQ(gmpt_close(listener), 0);

    snprintf(text, sizeof text, "unixpacket:@gmptrace-packet-%d", (int)getpid());
    listener = gmpt_listen(text);
    talk(text);
    EXPECT_EQ(gmpt_close(listener), 0);

    snprintf(text, sizeof text, "unixgram:@gmptrace-gram-%d", (int)getpid());
    int receiver = gmpt_listen(text), sender = gmpt_dial(text);
    EXPECT_EQ(gmpt_send(sender, "g", 1, 0), 1);
    EXPECT_EQ(gmpt_recv(receiver, &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'g');
    return 0;
}

TEST(dial, unix_sockets_by_path_and_by_abstract_name)
{
    harness_tmpdir();
    RUN(2, unix_sockets);
}

static int wrong(void *arg)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        { "", -EINVAL },
        { "nonsense", -EINVAL },
        { "sctp:127.0.0.1:80", -EPROTONOSUPPORT },
        { ":80", -EPROTONOSUPPORT },
        { "tcp:", -EINVAL },
        { "tcp:127.0.0.1", -EINVAL },
        { "tcp:127.0.0.1:", -EINVAL },
        { "tcp:::1:80", -EINVAL }, /* which colon begins the port? */
        { "tcp:[::1]", -EINVAL },
        { "tcp:[::1]80", -EINVAL },
        { "tcp:[::1", -EINVAL },
        { "tcp:127.0.0.1:65536", -EINVAL },
        { "tcp:127.0.0.1:80x", -EINVAL },
        { "unix:", -EINVAL },
    };
    char text[400];
    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        EXPECT_EQ(gmpt_listen(cases[i].text), cases[i].error);
        EXPECT_EQ(gmpt_dial(cases[i].text), cases[i].error);
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "unix:/", 6);
    text[sizeof text - 1] = 0;
    EXPECT_EQ(gmpt_listen(text), -ENAMETOOLONG);
    memcpy(text, "tcp:hh", 6);
    memcpy(text + sizeof text - 4, ":80", 4);
    EXPECT_EQ(gmpt_listen(text), -ENAMETOOLONG);
    EXPECT_EQ(gmpt_listen("tcp:127.0.0.1:-1"), -ENOENT); /* no such service */
    EXPECT_EQ(gmpt_listen("tcp4:[::1]:80"), -ENOENT);
    EXPECT_EQ(gmpt_listen("tcp:203.0.113.1:0"), -EADDRNOTAVAIL); /* a documentation address, not ours */
    return 0;
}

TEST(dial, wrong_addresses_are_named) { RUN(2, wrong); }

static int queue_full(void *arg)
{
    char text[64];
    (void)arg;
    /* A listener whose queue holds one: a connect to it says EAGAIN, and there is nothing to poll for. */
    snprintf(text, sizeof text, "unix:@gmptrace-full-%d", (int)getpid());
    listener = gmpt_listen(text);
    EXPECT_EQ(listen(listener, 0), 0);
    int first = gmpt_dial(text);
    EXPECT(first >= 0);
    EXPECT_EQ(gmpt_dial_until(text, gmpt_now() + 3000000), -ETIMEDOUT);
    gmpt_waitgroup_add(&group, 1);
    run_go(serve_one);
    EXPECT_EQ(gmpt_write(first, "x", 1), 1);
    gmpt_waitgroup_wait(&group);
    int second = gmpt_dial(text);
    EXPECT(second >= 0);
    return 0;
}

TEST(dial, a_full_queue_of_a_unix_listener_is_waited_for) { RUN(2, queue_full); }
