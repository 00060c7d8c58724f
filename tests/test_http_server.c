/* The HTTP server example as its clients see it: each test starts one on a free port and talks to it over the loopback.
 * Clients wait for bytes or for the end of the connection. */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
#define LAST "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
#define HELLO "\r\n\r\nHello, World!\n"

static pid_t server;
static int port;
static FILE *out;
static char response[3 << 20];

static void start(const char *option, const char *value)
{
    int pipe_fds[2];
    char path[400], line[200];
    snprintf(path, sizeof path, "%s/examples/http_server", getenv("BUILD"));
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves without stopping it */
        dup2(pipe_fds[1], STDOUT_FILENO);
        execl(path, "http_server", "--port", "0", option, value, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    out = fdopen(pipe_fds[0], "r");
    ck_assert_msg(fgets(line, sizeof line, out) &&
                      sscanf(line, "http_server: listening on http://127.0.0.1:%d", &port) == 1,
                  "the server does not say where it listens");
}

static void stop(void)
{
    int status;
    kill(server, SIGTERM);
    ck_assert_int_eq(waitpid(server, &status, 0), server);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server ended with status %x", (unsigned)status);
    fclose(out);
}

static int client(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 40 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    return fd;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t some = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (some <= 0)
            return; /* the answer that is read next says why */
        sent += (size_t)some;
    }
}

static void receive_all(int fd)
{
    size_t length = 0;
    ssize_t got;
    while ((got = recv(fd, response + length, sizeof response - 1 - length, 0)) > 0)
        length += (size_t)got;
    response[length] = 0;
    ck_assert_msg(got == 0, "the server did not close properly after:\n%.300s", response);
    close(fd);
}

/* One connection, these bytes, everything that comes back until the server closes. */
static const char *exchange(const char *request)
{
    int fd = client();
    send_all(fd, request, strlen(request));
    shutdown(fd, SHUT_WR);
    receive_all(fd);
    return response;
}

static int count_of(const char *part)
{
    int count = 0;
    for (const char *at = response; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static void assert_answer(const char *request, const char *first_line)
{
    const char *got = exchange(request);
    if (strncmp(got, first_line, strlen(first_line)) != 0)
        ck_abort_msg("to\n%.200s\nexpected %s, got\n%.300s", request, first_line, got);
}

TEST(http_server, a_connection_is_kept_for_the_next_request)
{
    start(NULL, NULL);
    int fd = client();
    for (int i = 0; i < 3; i++) {
        size_t length = 0;
        send_all(fd, GET, strlen(GET));
        do {
            ssize_t got = recv(fd, response + length, sizeof response - 1 - length, 0);
            ck_assert_int_gt((int)got, 0);
            response[length += (size_t)got] = 0;
        } while (!strstr(response, HELLO));
        ck_assert(strncmp(response, "HTTP/1.1 200 OK\r\n", 17) == 0);
        ck_assert_ptr_null(strstr(response, "Connection: close"));
    }
    send_all(fd, LAST, strlen(LAST));
    receive_all(fd);
    ck_assert_ptr_nonnull(strstr(response, "Connection: close"));
    stop();
}

TEST(http_server, pipelined_requests_are_answered_in_order)
{
    static char requests[200000];
    size_t length = 0;
    start(NULL, NULL);
    for (int i = 0; i < 1000; i++)
        length +=
            (size_t)sprintf(requests + length, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n<%06d>%s", i,
                            i % 3 ? "" : "\r\n"); /* an empty line more does no harm */
    sprintf(requests + length, "%s", LAST);
    exchange(requests);
    ck_assert_int_eq(count_of("HTTP/1.1 200 OK\r\n"), 1001);
    const char *at = response;
    for (int i = 0; i < 1000; i++) {
        char body[16];
        snprintf(body, sizeof body, "<%06d>", i);
        at = strstr(at, body);
        ck_assert_msg(at != NULL, "no %s in its place", body);
    }
    stop();
}

TEST(http_server, a_request_may_come_byte_by_byte)
{
    static const char requests[] = "POST /echo HTTP/1.1\r\nhost:t\r\ncontent-length:  5 \r\n\r\nabcde" LAST;
    start(NULL, NULL);
    int fd = client();
    for (size_t i = 0; i < sizeof requests - 1; i++)
        send_all(fd, requests + i, 1);
    receive_all(fd);
    ck_assert_int_eq(count_of("HTTP/1.1 200 OK\r\n"), 2);
    ck_assert_int_eq(count_of("\r\n\r\nabcde"), 1);
    stop();
}

TEST(http_server, large_bodies_come_back_whole)
{
    static char request[(1 << 20) + 200];
    char *at = request + sprintf(request,
                                 "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\nConnection: close\r\n"
                                 "Expect: 100-continue\r\n\r\n",
                                 1 << 20);
    start(NULL, NULL);
    for (int i = 0; i < 1 << 20; i++)
        at[i] = (char)('a' + i % 23);
    exchange(request);
    const char *body = strstr(response, "\r\n\r\n");
    if (strncmp(response, "HTTP/1.1 100", 12) == 0)
        body = strstr(body + 4, "\r\n\r\n");
    ck_assert_int_eq(count_of("HTTP/1.1 200 OK\r\n"), 1);
    ck_assert_ptr_nonnull(body);
    ck_assert(strcmp(body + 4, at) == 0);
    stop();
}

TEST(http_server, what_is_wrong_gets_a_status_that_says_so)
{
    static char large[12000];
    start(NULL, NULL);
    assert_answer("GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 404 ");
    assert_answer("PUT / HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405 ");
    assert_answer("GET /echo HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 405 ");
    assert_answer("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ");
    assert_answer("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/2.0\r\nHost: t\r\n\r\n", "HTTP/1.1 505 ");
    assert_answer("GET / HTTQ/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET /\r\nHost: t\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET nowhere HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("G=T / HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/1.1\r\nHost : t\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/1.1\r\nHost: t\r\n folded: x\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                  "HTTP/1.1 400 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n", "HTTP/1.1 413 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551617\r\n\r\n", "HTTP/1.1 413 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 501 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: tea\r\n\r\n", "HTTP/1.1 417 ");
    assert_answer("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nshort", "HTTP/1.1 400 ");
    assert_answer("GET / HTTP", "HTTP/1.1 400 ");
    assert_answer("", "");
    ck_assert_str_eq(response, "");
    memset(large, 'x', sizeof large - 1);
    memcpy(large, "GET /", 5);
    assert_answer(large, "HTTP/1.1 431 ");
    assert_answer("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n", "HTTP/1.1 200 ");
    ck_assert_ptr_nonnull(strstr(response, "Content-Length: 14\r\n"));
    ck_assert_ptr_null(strstr(response, "Hello"));
    assert_answer("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" LAST, "HTTP/1.1 405 ");
    ck_assert_int_eq(count_of("HTTP/1.1 200 OK\r\n"), 1); /* its body was not taken for a request */
    stop();
}

TEST(http_server, slow_clients_are_let_go)
{
    start("--head-ms", "20");
    int slow = client();
    send_all(slow, "GET / HT", 8);
    receive_all(slow);
    ck_assert(strncmp(response, "HTTP/1.1 408 ", 13) == 0);
    stop();
    start("--idle-ms", "20");
    receive_all(client()); /* nothing was asked, nothing is said */
    ck_assert_str_eq(response, "");
    stop();
}

TEST_TIMEOUT(http_server, thousands_of_connections_are_served, 120)
{
    struct rlimit files;
    const char *san = getenv("SAN");
    int count = san && *san ? 2000 : 10000; /* ThreadSanitizer knows of 8,128 Gs at a time */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 10100)
        count = (int)files.rlim_cur - 100;
    int *fds = calloc((size_t)count, sizeof *fds);
    start(NULL, NULL);
    for (int i = 0; i < count; i++)
        fds[i] = client();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++)
            if (send(fds[i], GET, strlen(GET), MSG_NOSIGNAL) != (ssize_t)strlen(GET))
                ck_abort_msg("connection %d of %d is gone", i, count);
        for (int i = 0; i < count; i++) {
            size_t length = 0;
            response[0] = 0;
            while (!strstr(response, HELLO)) {
                ssize_t got = recv(fds[i], response + length, 1000 - length, 0);
                if (got <= 0)
                    ck_abort_msg("connection %d of %d: no answer", i, count);
                response[length += (size_t)got] = 0;
            }
        }
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    stop();
}
