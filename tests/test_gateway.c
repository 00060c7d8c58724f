/* The gateway as its clients see it: each test starts one of its own on a free port and talks to it over the loopback.
 *
 * Clients wait for bytes or for the end of the connection; no test waits for time to pass. */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct gateway {
    pid_t pid;
    int port;
    FILE *out;
    char words[256]; /* the last line that it printed */
};

#define CLOSE "Host: t\r\nConnection: close\r\n\r\n"
#define KEEP "Host: t\r\n\r\n"

/* Starts the gateway with up to 8 more arguments, which a NULL ends. */
static struct gateway gateway_start(const char *const *more)
{
    struct gateway gateway = { 0 };
    int pipe_fds[2];
    const char *path = getenv("GATEWAY");
    char *argv[3 + 8 + 1] = { "gateway", "--port", "0" };
    ck_assert_msg(path != NULL, "GATEWAY does not say where the gateway is");
    for (int i = 0; i < 8 && more && more[i]; i++)
        argv[3 + i] = (char *)more[i];
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    gateway.pid = fork();
    if (gateway.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves without stopping it */
        dup2(pipe_fds[1], STDOUT_FILENO);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* leaking is what it is for */
        execv(path, argv);
        _exit(127);
    }
    close(pipe_fds[1]);
    gateway.out = fdopen(pipe_fds[0], "r");
    ck_assert_msg(fgets(gateway.words, sizeof gateway.words, gateway.out) != NULL &&
                      sscanf(gateway.words, "gateway: listening on http://127.0.0.1:%d\n", &gateway.port) == 1,
                  "the gateway does not say where it listens");
    return gateway;
}

#define START(...) gateway_start((const char *const[]){ __VA_ARGS__, NULL })

/* Waits for the gateway's end. Returns its status, or 128 + the signal that ended it. */
static int gateway_wait(struct gateway *gateway)
{
    int status;
    char line[256];
    while (fgets(line, sizeof line, gateway->out))
        memcpy(gateway->words, line, sizeof line);
    fclose(gateway->out);
    ck_assert_int_eq(waitpid(gateway->pid, &status, 0), gateway->pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int gateway_stop(struct gateway *gateway)
{
    kill(gateway->pid, SIGTERM);
    return gateway_wait(gateway);
}

static int client_connect(const struct gateway *gateway)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)gateway->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 30 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    return fd;
}

static void client_send(int fd, const void *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t some = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
        if (some <= 0)
            return; /* the answer that is read next says why */
        sent += (size_t)some;
    }
}

/* Reads until the server closes; returns how many bytes came. */
static size_t client_read_all(int fd, char *buffer, size_t size)
{
    size_t length = 0;
    ssize_t got = 0;
    while (length < size - 1 && (got = recv(fd, buffer + length, size - 1 - length, 0)) > 0)
        length += (size_t)got;
    buffer[length] = 0;
    ck_assert_msg(got == 0, "the server did not close the connection properly after:\n%s", buffer);
    return length;
}

/* Reads one response with its body, byte by byte so as to take nothing of the next one. */
static void client_read_response(int fd, char *buffer, size_t size)
{
    size_t length = 0, want = size - 1;
    while (length < want && recv(fd, buffer + length, 1, 0) == 1) {
        buffer[++length] = 0;
        if (want == size - 1 && length >= 4 && memcmp(buffer + length - 4, "\r\n\r\n", 4) == 0) {
            const char *field = strstr(buffer, "Content-Length: ");
            ck_assert_msg(field != NULL, "no length in:\n%s", buffer);
            want = length + (size_t)atoi(field + strlen("Content-Length: "));
        }
    }
    ck_assert_msg(length > 0 && length == want, "the response is cut off:\n%s", length ? buffer : "");
}

/* One connection, one run of bytes, everything that comes back until the server closes. */
static const char *exchange(const struct gateway *gateway, const char *request)
{
    static char response[65536];
    int fd = client_connect(gateway);
    client_send(fd, request, strlen(request));
    client_read_all(fd, response, sizeof response);
    close(fd);
    return response;
}

static void assert_starts(const char *response, const char *start)
{
    ck_assert_msg(strncmp(response, start, strlen(start)) == 0, "expected %s, got:\n%.200s", start, response);
}

static void assert_contains(const char *response, const char *part)
{
    ck_assert_msg(strstr(response, part) != NULL, "expected %s in:\n%.400s", part, response);
}

/* What most claims come to: these bytes get that answer. */
static void assert_answer(const char *request, const char *start)
{
    struct gateway gateway = gateway_start(NULL);
    assert_starts(exchange(&gateway, request), start);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

static long stat_number(const struct gateway *gateway, const char *name)
{
    char key[64];
    const char *response = exchange(gateway, "GET /stats HTTP/1.1\r\n" CLOSE);
    snprintf(key, sizeof key, "\"%s\": ", name);
    assert_contains(response, key);
    return atol(strstr(response, key) + strlen(key));
}

static bool command_there(const char *name)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s", name);
    return harness_shell(command, NULL, 0, NULL, 0) == 0;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

TEST(gateway, answers_with_the_length_that_it_says)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response = exchange(&gateway, "GET / HTTP/1.1\r\n" CLOSE);
    assert_starts(response, "HTTP/1.1 200 OK\r\n");
    const char *body = strstr(response, "\r\n\r\n") + 4, *field = strstr(response, "Content-Length: ");
    ck_assert_ptr_nonnull(field);
    ck_assert_uint_eq(strlen(body), (size_t)atoi(field + strlen("Content-Length: ")));
    ck_assert_uint_gt(strlen(body), 0);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, head_gets_the_length_without_the_body)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response = exchange(&gateway, "HEAD /health HTTP/1.1\r\n" CLOSE);
    assert_starts(response, "HTTP/1.1 200 OK\r\n");
    assert_contains(response, "Content-Length: 3\r\n");
    ck_assert_str_eq(strstr(response, "\r\n\r\n"), "\r\n\r\n");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, unknown_path_is_404) { assert_answer("GET /nowhere HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404 "); }

TEST(gateway, longer_path_than_any_of_its_own_is_404)
{
    char request[2048];
    snprintf(request, sizeof request, "GET /%01000d HTTP/1.1\r\n" CLOSE, 7);
    assert_answer(request, "HTTP/1.1 404 ");
}

TEST(gateway, unknown_method_is_405_and_says_which_are_known)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response = exchange(&gateway, "DELETE / HTTP/1.1\r\n" CLOSE);
    assert_starts(response, "HTTP/1.1 405 ");
    assert_contains(response, "\r\nAllow: GET, HEAD, POST\r\n");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, garbage_is_400_at_its_first_line) { assert_answer("hello there\r\n", "HTTP/1.1 400 "); }

TEST(gateway, binary_is_400_without_a_line_end) { assert_answer("\x16\x03\x01\x02", "HTTP/1.1 400 "); }

TEST(gateway, http_1_1_without_host_is_400) { assert_answer("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "); }

TEST(gateway, header_without_colon_is_400)
{
    assert_answer("GET / HTTP/1.1\r\nHost: t\r\nwhat\r\n\r\n", "HTTP/1.1 400 ");
}

TEST(gateway, blank_before_colon_is_400) { assert_answer("GET / HTTP/1.1\r\nHost : t\r\n\r\n", "HTTP/1.1 400 "); }

TEST(gateway, http_2_is_505) { assert_answer("GET / HTTP/2.0\r\n" CLOSE, "HTTP/1.1 505 "); }

TEST(gateway, chunked_body_is_501)
{
    assert_answer("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "0\r\n\r\n", "HTTP/1.1 501 ");
}

TEST(gateway, length_that_is_no_number_is_400)
{
    assert_answer("POST / HTTP/1.1\r\nContent-Length: -1\r\n" CLOSE, "HTTP/1.1 400 ");
}

TEST(gateway, two_lengths_are_400)
{
    assert_answer("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" CLOSE "a", "HTTP/1.1 400 ");
}

TEST(gateway, body_over_the_limit_is_413)
{
    assert_answer("POST / HTTP/1.1\r\nContent-Length: 1048577\r\n" CLOSE, "HTTP/1.1 413 ");
}

TEST(gateway, length_over_64_bits_is_413)
{
    assert_answer("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n" CLOSE, "HTTP/1.1 413 ");
}

TEST(gateway, endless_target_is_414)
{
    char request[20000] = "GET /";
    memset(request + 5, 'a', sizeof request - 6);
    assert_answer(request, "HTTP/1.1 414 ");
}

TEST(gateway, huge_header_is_431)
{
    char request[20000] = "GET / HTTP/1.1\r\nHost: t\r\nX: ";
    size_t length = strlen(request);
    memset(request + length, 'a', sizeof request - 1 - length);
    assert_answer(request, "HTTP/1.1 431 ");
}

/* ---- Connections ----------------------------------------------------------------------------------------------------
 */

TEST(gateway, keep_alive_serves_many_on_one_connection)
{
    struct gateway gateway = gateway_start(NULL);
    char response[1024];
    int fd = client_connect(&gateway);
    for (int i = 0; i < 20; i++) {
        client_send(fd, "GET /health HTTP/1.1\r\n" KEEP, strlen("GET /health HTTP/1.1\r\n" KEEP));
        client_read_response(fd, response, sizeof response);
        assert_starts(response, "HTTP/1.1 200 ");
        assert_contains(response, "Connection: keep-alive\r\n");
    }
    close(fd);
    ck_assert_int_eq(stat_number(&gateway, "connections"), 2);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, connection_close_closes_after_the_answer)
{
    struct gateway gateway = gateway_start(NULL);
    /* exchange() would fail without the close; what comes after it must not be served. */
    const char *response = exchange(&gateway, "GET /health HTTP/1.1\r\n" CLOSE "GET /late HTTP/1.1\r\n" KEEP);
    assert_contains(response, "Connection: close\r\n");
    ck_assert_ptr_null(strstr(response, "404"));
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, http_1_0_closes) { assert_answer("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "); }

TEST(gateway, http_1_0_stays_when_asked)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response =
        exchange(&gateway, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n");
    assert_contains(response, "Connection: keep-alive\r\n");
    assert_contains(response, "HTTP/1.1 404 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, pipelined_requests_are_answered_in_order)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response = exchange(&gateway, "GET /health HTTP/1.1\r\n" KEEP "GET /x HTTP/1.1\r\n" KEEP
                                              "GET /compute?n=100 HTTP/1.1\r\n" CLOSE);
    const char *first = strstr(response, "ok\n"), *second = strstr(response, "404 Not"),
               *third = strstr(response, "primes");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_nonnull(third);
    ck_assert(first < second && second < third);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, request_in_single_bytes_is_answered)
{
    struct gateway gateway = gateway_start(NULL);
    static const char request[] = "\r\nGET /health HTTP/1.1\r\n" CLOSE;
    char response[1024];
    int fd = client_connect(&gateway), yes = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &yes, sizeof yes);
    for (size_t i = 0; i < sizeof request - 1; i++)
        client_send(fd, request + i, 1);
    client_read_all(fd, response, sizeof response);
    close(fd);
    assert_starts(response, "HTTP/1.1 200 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, body_is_skipped_and_the_next_request_found)
{
    struct gateway gateway = gateway_start(NULL);
    static char body[100000]; /* of zero bytes, which end no string here */
    char response[1024];
    const char *head = "POST /health HTTP/1.1\r\nContent-Length: 100000\r\n" KEEP;
    int fd = client_connect(&gateway);
    client_send(fd, head, strlen(head));
    client_send(fd, body, sizeof body);
    client_read_response(fd, response, sizeof response);
    assert_starts(response, "HTTP/1.1 200 ");
    client_send(fd, "GET /x HTTP/1.1\r\n" CLOSE, strlen("GET /x HTTP/1.1\r\n" CLOSE));
    client_read_all(fd, response, sizeof response);
    assert_starts(response, "HTTP/1.1 404 ");
    close(fd);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, body_in_the_same_packet_is_skipped)
{
    struct gateway gateway = gateway_start(NULL);
    const char *response = exchange(&gateway, "POST /health HTTP/1.1\r\nContent-Length: 14\r\n" KEEP "GET / HTTP/0.9"
                                              "GET /x HTTP/1.1\r\n" CLOSE);
    assert_starts(response, "HTTP/1.1 200 ");
    assert_contains(response, "HTTP/1.1 404 ");
    ck_assert_ptr_null(strstr(response, "HTTP/1.1 400 "));
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, client_that_waits_to_be_told_is_told_to_continue)
{
    struct gateway gateway = gateway_start(NULL);
    char buffer[1024];
    const char *head = "POST /health HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" CLOSE;
    int fd = client_connect(&gateway);
    client_send(fd, head, strlen(head));
    ssize_t got = recv(fd, buffer, sizeof buffer - 1, 0);
    ck_assert_int_gt(got, 0);
    buffer[got] = 0;
    assert_starts(buffer, "HTTP/1.1 100 ");
    client_send(fd, "hi", 2);
    client_read_all(fd, buffer, sizeof buffer);
    assert_starts(buffer, "HTTP/1.1 200 ");
    close(fd);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, idle_client_is_sent_away_without_an_answer)
{
    struct gateway gateway = START("--idle-ms", "30");
    ck_assert_str_eq(exchange(&gateway, ""), "");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, client_that_stops_in_mid_head_gets_408)
{
    struct gateway gateway = START("--idle-ms", "30");
    assert_starts(exchange(&gateway, "GET / HTTP/1.1\r\nHo"), "HTTP/1.1 408 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, client_that_resets_harms_nobody_else)
{
    struct gateway gateway = gateway_start(NULL);
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    for (int i = 0; i < 20; i++) {
        int fd = client_connect(&gateway);
        client_send(fd, "GET /compute HTTP/1.1\r\n" KEEP, strlen("GET /compute HTTP/1.1\r\n" KEEP));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(fd);
    }
    assert_starts(exchange(&gateway, "GET / HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, many_connections_are_served_at_once)
{
    enum { MANY = 300 };
    struct gateway gateway = gateway_start(NULL);
    int fds[MANY];
    char response[1024];
    for (int i = 0; i < MANY; i++)
        fds[i] = client_connect(&gateway);
    for (int i = MANY; i-- > 0;) /* the last first: nobody waits for those before */
        client_send(fds[i], "GET /health HTTP/1.1\r\n" KEEP, strlen("GET /health HTTP/1.1\r\n" KEEP));
    for (int i = MANY; i-- > 0;) {
        client_read_response(fds[i], response, sizeof response);
        assert_starts(response, "HTTP/1.1 200 ");
    }
    ck_assert_int_ge(stat_number(&gateway, "goroutines"), MANY);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, listens_on_the_loopback_address_only)
{
    struct gateway gateway = gateway_start(NULL);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)gateway.port) };
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(fd);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

/* ---- The backend call ---------------------------------------------------------------------------------------------
 */

TEST(gateway, compute_counts_primes)
{
    struct gateway gateway = START("--deadline-ms", "30000");
    assert_contains(exchange(&gateway, "GET /compute?n=1000 HTTP/1.1\r\n" CLOSE), "{\"n\": 1000, \"primes\": 168}\n");
    assert_contains(exchange(&gateway, "GET /compute?x=9&n=2 HTTP/1.1\r\n" CLOSE), "{\"n\": 2, \"primes\": 0}\n");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, compute_refuses_what_is_no_number)
{
    assert_answer("GET /compute?n=1e3 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 ");
}

TEST(gateway, compute_refuses_too_much) { assert_answer("GET /compute?n=1000001 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400 "); }

TEST(gateway, slow_backend_is_504_and_counted)
{
    struct gateway gateway = START("--slow-every", "1", "--slow-ms", "600", "--deadline-ms", "10");
    for (int i = 0; i < 3; i++)
        assert_starts(exchange(&gateway, "GET /compute HTTP/1.1\r\n" CLOSE), "HTTP/1.1 504 ");
    assert_starts(exchange(&gateway, "GET /health HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
    ck_assert_int_eq(stat_number(&gateway, "timed_out"), 3);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 5 requests, 3 timed out\n");
}

TEST(gateway, only_every_nth_call_is_slow)
{
    struct gateway gateway = START("--slow-every", "3", "--slow-ms", "3000", "--deadline-ms", "1500");
    for (int i = 1; i <= 3; i++)
        assert_starts(exchange(&gateway, "GET /compute HTTP/1.1\r\n" CLOSE),
                      i == 3 ? "HTTP/1.1 504 " : "HTTP/1.1 200 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 3 requests, 1 timed out\n");
}

TEST(gateway, late_workers_stay_for_ever)
{
    struct gateway gateway = START("--slow-every", "1", "--slow-ms", "20", "--deadline-ms", "0");
    long before = stat_number(&gateway, "goroutines");
    for (int i = 0; i < 10; i++)
        assert_starts(exchange(&gateway, "GET /compute HTTP/1.1\r\n" CLOSE), "HTTP/1.1 504 ");
    ck_assert_int_ge(stat_number(&gateway, "goroutines"), before + 10);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 12 requests, 10 timed out\n");
}

TEST(gateway, fixed_times_out_just_as_often)
{
    struct gateway gateway = START("--fixed", "--slow-every", "1", "--slow-ms", "600", "--deadline-ms", "10");
    for (int i = 0; i < 3; i++)
        assert_starts(exchange(&gateway, "GET /compute HTTP/1.1\r\n" CLOSE), "HTTP/1.1 504 ");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 3 requests, 3 timed out\n");
}

TEST(gateway, fixed_leaves_no_worker_behind)
{
    struct gateway gateway = START("--fixed", "--slow-every", "1", "--slow-ms", "20", "--deadline-ms", "0");
    for (int i = 0; i < 10; i++)
        assert_starts(exchange(&gateway, "GET /compute HTTP/1.1\r\n" CLOSE), "HTTP/1.1 504 ");
    /* main, the accept loop and the connection that asks; others are on their way out. The test's timeout ends a loop
     * that finds one that is not. */
    while (stat_number(&gateway, "goroutines") > 3)
        ;
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

/* ---- Start and end --------------------------------------------------------------------------------------------------
 */

TEST(gateway, sigterm_ends_it_with_its_counts)
{
    struct gateway gateway = gateway_start(NULL);
    exchange(&gateway, "GET / HTTP/1.1\r\n" CLOSE);
    exchange(&gateway, "GET /x HTTP/1.1\r\n" CLOSE);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 2 requests, 0 timed out\n");
}

TEST(gateway, sigint_ends_it_too)
{
    struct gateway gateway = gateway_start(NULL);
    kill(gateway.pid, SIGINT);
    ck_assert_int_eq(gateway_wait(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 0 requests, 0 timed out\n");
}

TEST(gateway, sigterm_closes_idle_connections)
{
    struct gateway gateway = gateway_start(NULL);
    char response[1024];
    int fd = client_connect(&gateway);
    client_send(fd, "GET / HTTP/1.1\r\n" KEEP, strlen("GET / HTTP/1.1\r\n" KEEP));
    client_read_response(fd, response, sizeof response);
    kill(gateway.pid, SIGTERM);
    ck_assert_uint_eq(client_read_all(fd, response, sizeof response), 0);
    ck_assert_int_eq(gateway_wait(&gateway), 0);
    close(fd);
}

TEST(gateway, sigterm_lets_the_request_under_way_finish)
{
    struct gateway gateway = START("--slow-every", "1", "--slow-ms", "300", "--deadline-ms", "30000");
    char response[1024];
    int fd = client_connect(&gateway);
    client_send(fd, "GET / HTTP/1.1\r\n" KEEP, strlen("GET / HTTP/1.1\r\n" KEEP)); /* then it is accepted for sure */
    client_read_response(fd, response, sizeof response);
    client_send(fd, "GET /compute HTTP/1.1\r\n" KEEP, strlen("GET /compute HTTP/1.1\r\n" KEEP));
    kill(gateway.pid, SIGTERM);
    client_read_all(fd, response, sizeof response);
    assert_starts(response, "HTTP/1.1 200 ");
    ck_assert_int_eq(gateway_wait(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 2 requests, 0 timed out\n");
    close(fd);
}

TEST(gateway, requests_option_stops_it)
{
    struct gateway gateway = START("--requests", "2");
    exchange(&gateway, "GET / HTTP/1.1\r\n" CLOSE);
    exchange(&gateway, "GET / HTTP/1.1\r\n" CLOSE);
    ck_assert_int_eq(gateway_wait(&gateway), 0);
    ck_assert_str_eq(gateway.words, "gateway: 2 requests, 0 timed out\n");
}

TEST(gateway, wrong_options_are_usage_errors)
{
    char err[2048];
    ck_assert_int_eq(harness_shell("$GATEWAY --nonsense", NULL, 0, err, sizeof err), 2);
    assert_contains(err, "usage: gateway");
    ck_assert_int_eq(harness_shell("$GATEWAY --port 65536", NULL, 0, err, sizeof err), 2);
    ck_assert_int_eq(harness_shell("$GATEWAY --slow-ms fast", NULL, 0, err, sizeof err), 2);
    ck_assert_int_eq(harness_shell("$GATEWAY more", NULL, 0, err, sizeof err), 2);
}

TEST(gateway, help_goes_to_standard_output)
{
    char out[2048];
    ck_assert_int_eq(harness_shell("$GATEWAY --help", out, sizeof out, NULL, 0), 0);
    assert_contains(out, "--fixed");
}

TEST(gateway, taken_port_is_told)
{
    struct gateway gateway = gateway_start(NULL);
    char command[64], err[512];
    snprintf(command, sizeof command, "$GATEWAY --port %d", gateway.port);
    ck_assert_int_eq(harness_shell(command, NULL, 0, err, sizeof err), 1);
    assert_contains(err, "cannot listen");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

/* ---- Clients that people use ------------------------------------------------------------------------------------- */

TEST(gateway, curl_reuses_its_connection)
{
    if (!command_there("curl"))
        SKIP("curl is not installed");
    struct gateway gateway = START("--deadline-ms", "30000");
    char command[256], out[1024];
    snprintf(command, sizeof command,
             "curl -sS -w '%%{http_code} %%{num_connects}\\n' http://127.0.0.1:%d/compute?n=10 "
             "http://127.0.0.1:%d/health",
             gateway.port, gateway.port);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    ck_assert_str_eq(out, "{\"n\": 10, \"primes\": 4}\n200 1\nok\n200 0\n");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, curl_posts_a_file)
{
    if (!command_there("curl"))
        SKIP("curl is not installed");
    struct gateway gateway = gateway_start(NULL);
    char command[256], out[1024];
    snprintf(command, sizeof command, "head -c 900000 /dev/zero | curl -sS --data-binary @- http://127.0.0.1:%d/health",
             gateway.port);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    ck_assert_str_eq(out, "ok\n");
    ck_assert_int_eq(gateway_stop(&gateway), 0);
}

TEST(gateway, wrk_sees_no_error)
{
    if (!command_there("wrk"))
        SKIP("wrk is not installed");
    struct gateway gateway = START("--slow-every", "0", "--deadline-ms", "30000");
    char command[256], out[4096];
    unsigned long long served = 0;
    snprintf(command, sizeof command, "wrk -t1 -c32 -d1s http://127.0.0.1:%d/compute?n=100", gateway.port);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    ck_assert_msg(!strstr(out, "Non-2xx") && !strstr(out, "Socket errors"), "wrk complains:\n%s", out);
    ck_assert_int_eq(gateway_stop(&gateway), 0);
    ck_assert_int_eq(sscanf(gateway.words, "gateway: %llu requests, 0 timed out", &served), 1);
    ck_assert_uint_gt(served, 32);
}
