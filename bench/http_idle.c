/* Holds connections open: opens N to a port of 127.0.0.1, makes one request on each, so that its server has taken it
 * in, says so, and keeps them until SIGTERM.
 *
 *     http_idle PORT N */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    int port = argc == 3 ? atoi(argv[1]) : 0, count = argc == 3 ? atoi(argv[2]) : 0;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct rlimit files;
    if (port <= 0 || count < 0) {
        fprintf(stderr, "usage: http_idle PORT N\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < count; i++) {
        char response[1024];
        ssize_t got = 0;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            write(fd, request, sizeof request - 1) < 0 || (got = read(fd, response, sizeof response)) <= 0) {
            fprintf(stderr, "http_idle: connection %d: %s\n", i, got < 0 || fd < 0 ? strerror(errno) : "closed");
            return 1;
        }
    }
    printf("http_idle: %d connections\n", count);
    fflush(stdout);
    for (;;)
        pause();
}
