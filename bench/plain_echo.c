/* The floor of the echo rows: a server that does nothing but what any server on epoll must, one wait for many requests,
 * and a read and a write for each. Listens on a port of its own until it is killed.
 *
 *     plain_echo */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };
    if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest) != 0)
        die("plain_echo: cannot watch a socket");
}

static void echo(int fd)
{
    char buffer[4096];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0 || write(fd, buffer, (size_t)got) != got)
        close(fd);
}

int main(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        die("plain_echo: cannot listen");
    watch(epoll_fd, listener);
    printf("plain_echo: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[128];
        int count = epoll_wait(epoll_fd, events, 128, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                watch(epoll_fd, accept(listener, NULL, NULL));
            else
                echo(events[i].data.fd);
        }
    }
}
