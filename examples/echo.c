/* A TCP echo server: one goroutine a connection, each written as if it had the machine to itself.
 *
 *     build/gcc/examples/echo --port 7007 &
 *     nc 127.0.0.1 7007 */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = gmpt_write(fd, bytes, size);
        if (written < 0)
            return (int)written;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

static void echo_connection(void *args)
{
    int fd = *(int *)args; /* this G's own copy: gmpt_go made it */
    char buffer[4096];
    ssize_t got;
    while ((got = gmpt_read(fd, buffer, sizeof buffer)) > 0)
        if (write_all(fd, buffer, (size_t)got) < 0)
            break;
    gmpt_close(fd);
}

static int echo_server(void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t) * (int *)arg),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0)
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("echo: cannot listen");
        return 1;
    }
    printf("echo: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = gmpt_accept(listener, NULL, NULL);
        if (fd < 0) {
            fprintf(stderr, "echo: accept: %s\n", strerror(-fd));
            gmpt_sleep(10000000); /* out of file descriptors, say: that passes */
        } else if (gmpt_go(echo_connection, &fd, sizeof fd) < 0) {
            gmpt_close(fd);
        }
    }
}

int main(int argc, char **argv)
{
    int port = 7007;
    if (argc == 3 && strcmp(argv[1], "--port") == 0)
        port = atoi(argv[2]);
    else if (argc != 1)
        port = -1;
    if (port < 0 || port > 65535) {
        fprintf(stderr, "usage: echo [--port N]   (N = 0 picks a free port)\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    return gmpt_run(echo_server, &port);
}
