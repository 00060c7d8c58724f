/* Loads an echo server: starts it, opens 64 connections, keeps a request of 64 bytes under way on each of them, and
 * prints how many were answered a second, and how many us of CPU time the server took for each. One plain thread on
 * epoll, which has less to do for a request than any server; but it shares the CPUs with it, so the CPU time tells
 * servers apart better than the rate does.
 *
 *     echo_load NAME SERVER [ARG...]  a server that prints "... listening on 127.0.0.1:PORT"; rows NAME_64, NAME_cpu
 *
 * LOAD_SECONDS in the environment makes it last longer than a second and a half. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64, REQUEST_BYTES = 64 };
#define WARM_NS 300000000ll
#define LOAD_NS 1500000000ll

static pid_t server;

/* Returns the CPU time that it took. */
static int64_t stop_server(void)
{
    struct rusage usage = { 0 };
    if (server <= 0)
        return 0;
    kill(-server, SIGTERM); /* its group: it may be a command that runs the server */
    wait4(server, NULL, 0, &usage);
    server = 0;
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    stop_server();
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns the port that the server prints. */
static int start_server(char **command)
{
    int ends[2];
    if (pipe(ends) != 0)
        die("echo_load: pipe");
    server = fork();
    if (server < 0)
        die("echo_load: fork");
    if (server == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    setpgid(server, server); /* whoever comes first */
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    char line[256];
    while (output && fgets(line, sizeof line, output)) {
        const char *place = strstr(line, "127.0.0.1:");
        if (place)
            return atoi(place + strlen("127.0.0.1:")); /* the pipe stays open: the server may print more */
    }
    fprintf(stderr, "echo_load: %s did not say where it listens\n", command[0]);
    stop_server();
    exit(1);
}

static void request(int fd)
{
    static const char bytes[REQUEST_BYTES];
    if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes)
        die("echo_load: send");
}

static void connect_all(int port, int epoll_fd)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            die("echo_load: connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest) != 0)
            die("echo_load: epoll_ctl");
        request(fd);
    }
}

/* Answers received until end_ns. */
static long load_until(int epoll_fd, size_t *got_bytes, int64_t end_ns)
{
    struct epoll_event events[CONNECTIONS];
    char buffer[REQUEST_BYTES];
    long answers = 0;
    while (now_ns() < end_ns) {
        int count = epoll_wait(epoll_fd, events, CONNECTIONS, 100);
        if (count < 0 && errno != EINTR)
            die("echo_load: epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            ssize_t got = recv(fd, buffer, sizeof buffer - got_bytes[fd], 0);
            if (got <= 0)
                die("echo_load: recv");
            got_bytes[fd] += (size_t)got;
            if (got_bytes[fd] < REQUEST_BYTES)
                continue;
            got_bytes[fd] = 0;
            answers++;
            request(fd);
        }
    }
    return answers;
}

static int64_t load_ns(void)
{
    const char *text = getenv("LOAD_SECONDS");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 && seconds < 86400 ? (int64_t)(seconds * 1e9) : LOAD_NS;
}

int main(int argc, char **argv)
{
    static size_t got_bytes[CONNECTIONS + 64]; /* of the answer that is under way, by fd */
    if (argc < 3) {
        fprintf(stderr, "usage: echo_load NAME SERVER [ARG...]\n");
        return 2;
    }
    int port = start_server(argv + 2);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("echo_load: epoll_create1");
    connect_all(port, epoll_fd);
    long early = load_until(epoll_fd, got_bytes, now_ns() + WARM_NS);
    int64_t began_ns = now_ns();
    long answers = load_until(epoll_fd, got_bytes, began_ns + load_ns());
    int64_t took_ns = now_ns() - began_ns;
    int64_t cpu_ns = stop_server();
    printf("%s_64 %.0f\n%s_cpu %.2f\n", argv[1], (double)answers * 1e9 / (double)took_ns, argv[1],
           (double)cpu_ns / 1e3 / (double)(early + answers));
    return 0;
}
