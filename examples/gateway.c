/* A small HTTP gateway with a famous mistake in it, which `make demo` records and gmptrace finds.
 *
 * Each request for /compute asks a "backend" goroutine for an answer and waits for it no longer than a deadline. When
 * the backend is late the handler gives up, and from then on nobody will ever receive what the backend sends: its
 * goroutine blocks in the send for ever, with its stack and its channel. Nothing crashes and no test that looks at
 * answers fails; there is only one more lost goroutine for every slow call. See compute_worker for the mistake and,
 * under --fixed, for its repair. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 8192
#define BODY_BYTES_MAX (1 << 20)
#define COMPUTE_LIMIT_MAX 1000000
#define MS_NS 1000000ll

static struct {
    int port;
    bool fixed;
    uint64_t requests; /* stop after that many; 0 = never */
    uint64_t slow_every;
    int64_t slow_ns, deadline_ns, idle_ns;
} options = { 8080, false, 0, 50, 100 * MS_NS, 50 * MS_NS, 30000 * MS_NS };

/* Changed by any G on any thread, so only through count() and counted(). */
static uint64_t request_count, timed_out_count, connection_count, compute_count;

static struct gmpt_waitgroup serving = GMPT_WAITGROUP_INIT;   /* the accept loop and every connection */
static struct gmpt_waitgroup computing = GMPT_WAITGROUP_INIT; /* workers that have not come to their send yet */

/* A connection lives on its own G's stack; the list of all is there so that a stop can end the idle ones. */
struct connection {
    struct connection *next, **link;
    int fd;
    bool keep_alive, head_only; /* of the request that is being answered */
    size_t length;              /* bytes in buffer: this request's, then perhaps the next ones' */
    char buffer[HEAD_BYTES_MAX + 1];
};

static struct gmpt_mutex connections_mutex = GMPT_MUTEX_INIT; /* guards the list and stopping */
static struct connection *connections;
static bool stopping;

static int stop_pipe[2]; /* a byte in it ends the gateway; the only thing that a signal handler may touch */

static uint64_t count(uint64_t *counter) { return __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED); }
static uint64_t counted(const uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_RELAXED); }

static void stop_request(void)
{
    int saved = errno;
    if (write(stop_pipe[1], "", 1) < 0)
        errno = 0; /* full: then a stop is under way */
    errno = saved;
}

static void stop_signal(int number)
{
    (void)number;
    stop_request();
}

/* ---- The backend call and its leak ------------------------------------------------------------------------------ */

struct compute_call {
    uint64_t limit;
    int64_t delay_ns;            /* > 0: this call meets a slow backend */
    struct gmpt_chan *answers;   /* the worker's own reference; no buffer */
    struct gmpt_chan *abandoned; /* likewise; closed once nobody waits any more; NULL without --fixed */
};

static uint64_t primes_below(uint64_t limit)
{
    uint64_t primes = 0;
    for (uint64_t n = 2; n < limit; n++) {
        uint64_t divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        primes += divisor * divisor > n;
        gmpt_preempt_check();
    }
    return primes;
}

static void compute_worker(void *args)
{
    struct compute_call *call = args;
    uint64_t primes = primes_below(call->limit);
    if (call->delay_ns > 0)
        gmpt_sleep(call->delay_ns);
    gmpt_waitgroup_done(&computing);

    if (call->abandoned) {
        /* The repair: wait for the receiver or for the news that there is none. */
        struct gmpt_select_case cases[] = {
            { call->answers, GMPT_SEND, &primes, 0 },
            { call->abandoned, GMPT_RECV, NULL, 0 },
        };
        gmpt_select(cases, 2);
    } else {
        /* THE MISTAKE: this send has no way out. It takes for granted that somebody receives, but a handler whose
         * deadline has passed has gone, and nobody else knows the channel. */
        gmpt_chan_send(call->answers, &primes);
    }
    gmpt_chan_release(call->answers); /* a leaked worker never comes here: the channel leaks with it */
    gmpt_chan_release(call->abandoned);
}

/* Returns 0 with the answer in *primes, -ETIMEDOUT when the backend was late, or another -errno. */
static int handle_compute(uint64_t limit, uint64_t *primes)
{
    bool slow = options.slow_every > 0 && count(&compute_count) % options.slow_every == 0;
    struct gmpt_chan *answers = gmpt_chan_new(sizeof *primes, 0);
    struct gmpt_chan *abandoned = options.fixed ? gmpt_chan_new(0, 0) : NULL;
    int result = -ENOMEM;
    if (!answers || (options.fixed && !abandoned))
        goto out;

    struct compute_call call = { limit, slow ? options.slow_ns : 0, gmpt_chan_retain(answers),
                                 abandoned ? gmpt_chan_retain(abandoned) : NULL };
    int64_t deadline_ns = gmpt_now() + options.deadline_ns;
    gmpt_waitgroup_add(&computing, 1);
    if (gmpt_go(compute_worker, &call, sizeof call) < 0) {
        gmpt_waitgroup_done(&computing);
        gmpt_chan_release(call.answers);
        gmpt_chan_release(call.abandoned);
        goto out;
    }
    result = gmpt_chan_recv_until(answers, primes, deadline_ns);
    if (result == -ETIMEDOUT)
        count(&timed_out_count);
    if (abandoned)
        gmpt_chan_close(abandoned);
out:
    gmpt_chan_release(answers);
    gmpt_chan_release(abandoned);
    return result;
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------- */

struct request {
    char *method, *path, *query; /* in the connection's buffer; query is "" when there is none */
    bool http_1_0, has_host, expects_continue;
    bool says_close, says_keep_alive;
    int64_t body_bytes; /* -1 = not said */
};

static const struct {
    int status;
    const char *words;
} statuses[] = {
    { 200, "OK" },
    { 400, "Bad Request" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 417, "Expectation Failed" },
    { 431, "Request Header Fields Too Large" },
    { 501, "Not Implemented" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

static const char *status_words(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].words;
    return "Error";
}

static int write_all(int fd, const char *bytes, size_t size)
{
    int64_t deadline_ns = gmpt_now() + options.idle_ns;
    while (size > 0) {
        ssize_t written = gmpt_write_until(fd, bytes, size, deadline_ns);
        if (written < 0)
            return (int)written;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

static int respond(struct connection *connection, int status, const char *type, const char *body)
{
    char response[1024];
    int length =
        snprintf(response, sizeof response,
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: %s\r\n\r\n%s", status,
                 status_words(status), type, strlen(body), status == 405 ? "Allow: GET, HEAD, POST\r\n" : "",
                 connection->keep_alive ? "keep-alive" : "close", connection->head_only ? "" : body);
    /* Counted before it is written: a client that has its answer finds it in /stats. */
    if (count(&request_count) == options.requests)
        stop_request();
    return write_all(connection->fd, response, (size_t)length);
}

static int respond_status(struct connection *connection, int status)
{
    char body[64];
    snprintf(body, sizeof body, "%d %s\n", status, status_words(status));
    return respond(connection, status, "text/plain", body);
}

/* Ends the line at its line feed and returns the start of the next one; NULL when no line is whole. */
static char *line_cut(char *line)
{
    char *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = 0;
    if (end > line && end[-1] == '\r')
        end[-1] = 0;
    return end + 1;
}

/* The parsers return 0 or the status of the answer that ends the connection. */
static int request_line_parse(char *line, struct request *request)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || target == line)
        return 400;
    *target++ = *version++ = 0;
    for (const char *c = line; *c; c++)
        if (!isalpha((unsigned char)*c) && *c != '-')
            return 400;
    if (strncmp(version, "HTTP/", 5) != 0 || !isdigit((unsigned char)version[5]) || version[6] != '.' ||
        !isdigit((unsigned char)version[7]) || version[8])
        return 400;
    if (version[5] != '1')
        return 505;
    if (strncmp(target, "http://", 7) == 0) { /* the form for proxies, which servers must take too */
        target = strchr(target + 7, '/');
        if (!target)
            return 400;
    }
    if (*target != '/')
        return 400;
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127)
            return 400;
    request->method = line;
    request->path = strsep(&target, "?");
    request->query = target ? target : "";
    request->http_1_0 = version[7] == '0';
    return 0;
}

static int header_parse(char *line, struct request *request)
{
    char *value = strchr(line, ':');
    if (!value || value == line || strcspn(line, " \t") < (size_t)(value - line))
        return 400; /* also a folded line: nobody sends them but those who probe */
    *value++ = 0;
    value += strspn(value, " \t");
    for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = 0;

    if (strcasecmp(line, "host") == 0) {
        if (request->has_host)
            return 400;
        request->has_host = true;
    } else if (strcasecmp(line, "content-length") == 0) {
        size_t digits = strspn(value, "0123456789");
        if (digits == 0 || value[digits])
            return 400;
        int64_t bytes = digits > 15 ? INT64_MAX : strtoll(value, NULL, 10);
        if (request->body_bytes >= 0 && request->body_bytes != bytes)
            return 400; /* two lengths: a smuggler */
        request->body_bytes = bytes;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
        return 501;
    } else if (strcasecmp(line, "expect") == 0) {
        if (strcasecmp(value, "100-continue") != 0)
            return 417;
        request->expects_continue = true;
    } else if (strcasecmp(line, "connection") == 0) {
        for (char *token; (token = strsep(&value, ", \t"));) {
            request->says_close |= strcasecmp(token, "close") == 0;
            request->says_keep_alive |= strcasecmp(token, "keep-alive") == 0;
        }
    }
    return 0;
}

static int request_parse(char *head, struct request *request)
{
    *request = (struct request){ .body_bytes = -1 };
    char *line = head, *next = line_cut(line);
    int status = request_line_parse(line, request);
    for (line = next; !status && (next = line_cut(line)) && *line; line = next)
        status = header_parse(line, request);
    if (!status && !request->http_1_0 && !request->has_host)
        status = 400;
    if (!status && request->body_bytes > BODY_BYTES_MAX)
        status = 413;
    return status;
}

/* Bytes from the buffer's start to the end of the blank line after the headers; 0 = not there yet. */
static size_t head_size(const char *buffer)
{
    for (const char *line = buffer; (line = strchr(line, '\n'));) {
        line++;
        if (*line == '\n' || (*line == '\r' && line[1] == '\n'))
            return (size_t)(line - buffer) + (*line == '\r' ? 2 : 1);
    }
    return 0;
}

static void buffer_drop(struct connection *connection, size_t bytes)
{
    connection->length -= bytes;
    memmove(connection->buffer, connection->buffer + bytes, connection->length);
    connection->buffer[connection->length] = 0;
}

/* Reads until a whole head is in the buffer. Returns its size, 0 when the connection is over without one, or the
 * negated status of the answer that it gets for what came instead. */
static int head_read(struct connection *connection)
{
    int64_t deadline_ns = gmpt_now() + options.idle_ns;
    for (;;) {
        buffer_drop(connection, strspn(connection->buffer, "\r\n")); /* blank lines between requests */
        char *buffer = connection->buffer;
        size_t length = connection->length;
        size_t size = head_size(buffer);
        if (size > 0)
            return (int)size;
        if (length > 0 && (!isalpha((unsigned char)*buffer) || memchr(buffer, 0, length)))
            return -400;
        char *line_end = strchr(buffer, '\n');
        if (line_end) { /* refuse what is no HTTP at its first line, not at the end of patience */
            char line[HEAD_BYTES_MAX + 1];
            struct request request;
            snprintf(line, sizeof line, "%.*s\n", (int)(line_end - buffer), buffer);
            line_cut(line);
            int status = request_line_parse(line, &request);
            if (status)
                return -status;
        }
        if (length == HEAD_BYTES_MAX)
            return line_end ? -431 : -414;
        ssize_t got = gmpt_read_until(connection->fd, buffer + length, HEAD_BYTES_MAX - length, deadline_ns);
        if (got == -ETIMEDOUT && length > 0)
            return -408;
        if (got <= 0)
            return 0;
        connection->length += (size_t)got;
        buffer[connection->length] = 0;
    }
}

/* Reads a body and throws it away. Returns 0, or -EPIPE when the client did not send all of it. */
static int body_skip(struct connection *connection, const struct request *request)
{
    int64_t left = request->body_bytes, deadline_ns = gmpt_now() + options.idle_ns;
    if (left <= 0)
        return 0;
    if (request->expects_continue && connection->length == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (write_all(connection->fd, go_on, sizeof go_on - 1))
            return -EPIPE;
    }
    while (left > 0) {
        if (connection->length == 0) {
            ssize_t got = gmpt_read_until(connection->fd, connection->buffer, HEAD_BYTES_MAX, deadline_ns);
            if (got <= 0)
                return -EPIPE;
            connection->length = (size_t)got;
        }
        size_t bytes = (int64_t)connection->length < left ? connection->length : (size_t)left;
        buffer_drop(connection, bytes);
        left -= (int64_t)bytes;
    }
    return 0;
}

/* "n=K" anywhere in the query, K from 0 to COMPUTE_LIMIT_MAX; 1000 when it is not there, -1 when it is no such number.
 */
static int64_t compute_limit(const char *query)
{
    for (const char *pair = query; pair; pair = strchr(pair, '&') ? strchr(pair, '&') + 1 : NULL) {
        if (strncmp(pair, "n=", 2) != 0)
            continue;
        size_t digits = strspn(pair + 2, "0123456789");
        if (digits == 0 || digits > 7 || (pair[2 + digits] && pair[2 + digits] != '&'))
            return -1;
        int64_t limit = atoll(pair + 2);
        return limit <= COMPUTE_LIMIT_MAX ? limit : -1;
    }
    return 1000;
}

static int answer_compute(struct connection *connection, int64_t limit)
{
    if (limit < 0)
        return respond_status(connection, 400);
    uint64_t primes = 0;
    int result = handle_compute((uint64_t)limit, &primes);
    if (result == -ETIMEDOUT)
        return respond_status(connection, 504);
    if (result < 0)
        return respond_status(connection, 503);
    char body[96];
    snprintf(body, sizeof body, "{\"n\": %lld, \"primes\": %llu}\n", (long long)limit, (unsigned long long)primes);
    return respond(connection, 200, "application/json", body);
}

static int answer(struct connection *connection, int64_t limit, const char *path)
{
    if (strcmp(path, "/") == 0)
        return respond(connection, 200, "text/plain", "gmptrace gateway: try /compute?n=1000, /health, /stats\n");
    if (strcmp(path, "/health") == 0)
        return respond(connection, 200, "text/plain", "ok\n");
    if (strcmp(path, "/compute") == 0)
        return answer_compute(connection, limit);
    if (strcmp(path, "/stats") == 0) {
        char body[256];
        snprintf(
            body, sizeof body,
            "{\"pid\": %d, \"requests\": %llu, \"timed_out\": %llu, \"connections\": %llu, \"goroutines\": %lld}\n",
            (int)getpid(), (unsigned long long)counted(&request_count), (unsigned long long)counted(&timed_out_count),
            (unsigned long long)counted(&connection_count), (long long)gmpt_count());
        return respond(connection, 200, "application/json", body);
    }
    return respond_status(connection, 404);
}

/* ---- Connections ----------------------------------------------------------------------------------------------------
 */

/* Reads and answers one request. Returns true when the connection goes on. */
static bool serve_request(struct connection *connection)
{
    struct request request;
    connection->keep_alive = connection->head_only = false;
    int size = head_read(connection);
    if (size == 0)
        return false;
    int status = size < 0 ? -size : request_parse(connection->buffer, &request);
    if (status) {
        respond_status(connection, status);
        return false;
    }
    bool get = strcmp(request.method, "GET") == 0, post = strcmp(request.method, "POST") == 0;
    char path[64];
    snprintf(path, sizeof path, "%s", request.path); /* cut when longer, and then no path of ours */
    int64_t limit = compute_limit(request.query);
    connection->head_only = strcmp(request.method, "HEAD") == 0;
    connection->keep_alive = !request.says_close && (!request.http_1_0 || request.says_keep_alive) &&
                             !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
    status = get || post || connection->head_only ? 0 : 405;
    buffer_drop(connection, (size_t)size); /* the request's strings are gone from here on */
    if (body_skip(connection, &request))
        return false;
    int result = status ? respond_status(connection, status) : answer(connection, limit, path);
    return result == 0 && connection->keep_alive;
}

/* Takes in what the client still sends: closing with unread bytes would reset the connection under the last answer. */
static void connection_drain(struct connection *connection)
{
    int64_t deadline_ns = gmpt_now() + 1000 * MS_NS;
    shutdown(connection->fd, SHUT_WR);
    while (gmpt_read_until(connection->fd, connection->buffer, HEAD_BYTES_MAX, deadline_ns) > 0)
        ;
}

static void handle_connection(void *args)
{
    struct connection connection = { .fd = *(int *)args };
    gmpt_mutex_lock(&connections_mutex);
    bool late = stopping;
    connection.next = connections;
    connection.link = &connections;
    if (connections)
        connections->link = &connection.next;
    connections = &connection;
    gmpt_mutex_unlock(&connections_mutex);

    if (!late) {
        while (serve_request(&connection))
            ;
        connection_drain(&connection);
    }

    gmpt_mutex_lock(&connections_mutex);
    *connection.link = connection.next;
    if (connection.next)
        connection.next->link = connection.link;
    gmpt_mutex_unlock(&connections_mutex);
    gmpt_close(connection.fd);
    gmpt_waitgroup_done(&serving);
}

static void accept_loop(void *args)
{
    int listener = *(int *)args, yes = 1;
    for (;;) {
        int fd = gmpt_accept(listener, NULL, NULL);
        if (fd == -ECANCELED || fd == -EBADF) /* serve() closed it */
            break;
        if (fd < 0) {
            gmpt_sleep(10 * MS_NS); /* out of file descriptors, say: that passes */
            continue;
        }
        count(&connection_count);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        gmpt_waitgroup_add(&serving, 1);
        if (gmpt_go(handle_connection, &fd, sizeof fd) < 0) {
            gmpt_waitgroup_done(&serving);
            gmpt_close(fd);
        }
    }
    gmpt_waitgroup_done(&serving);
}

/* Listens on the loopback only: this is an example, not a server for the world. Returns an fd or -errno. */
static int listen_loopback(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)*port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&address, &length)) {
        int error = errno;
        close(fd);
        return -error;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* The main G: serves until a byte comes through stop_pipe, then ends what is under way, in order. */
static int serve(void *arg)
{
    (void)arg;
    char byte;
    int listener = listen_loopback(&options.port);
    if (listener < 0) {
        fprintf(stderr, "gateway: cannot listen on port %d: %s\n", options.port, strerror(-listener));
        return 1;
    }
    printf("gateway: listening on http://127.0.0.1:%d\n", options.port);
    fflush(stdout);
    gmpt_waitgroup_add(&serving, 1);
    if (gmpt_go(accept_loop, &listener, sizeof listener) < 0)
        return 1;
    gmpt_read(stop_pipe[0], &byte, 1);

    gmpt_mutex_lock(&connections_mutex);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (struct connection *connection = connections; connection; connection = connection->next)
        shutdown(connection->fd, SHUT_RD); /* idle ones see the end; busy ones finish their answer first */
    gmpt_mutex_unlock(&connections_mutex);
    gmpt_close(listener);
    gmpt_waitgroup_wait(&serving);

    /* Late workers come to their send after their handlers have gone. Wait for them, so that the trace shows every
     * one of them where it stays. */
    gmpt_waitgroup_wait(&computing);
    gmpt_sleep(50 * MS_NS);
    printf("gateway: %llu requests, %llu timed out\n", (unsigned long long)counted(&request_count),
           (unsigned long long)counted(&timed_out_count));
    fflush(stdout);
    return 0;
}

static const char usage[] = "usage: gateway [options]\n"
                            "  --port N         listen on 127.0.0.1:N; 0 picks a free port (8080)\n"
                            "  --fixed          without the leak\n"
                            "  --requests N     stop after N answers\n"
                            "  --slow-every N   every Nth /compute is slow; 0 = none (50)\n"
                            "  --slow-ms N      how slow (100)\n"
                            "  --deadline-ms N  how long a handler waits for its answer (50)\n"
                            "  --idle-ms N      how long a client may take to send (30000)\n";

static int options_parse(int argc, char **argv)
{
    static const struct option table[] = {
        { "port", required_argument, NULL, 'p' },
        { "fixed", no_argument, NULL, 'f' },
        { "requests", required_argument, NULL, 'r' },
        { "slow-every", required_argument, NULL, 'e' },
        { "slow-ms", required_argument, NULL, 's' },
        { "deadline-ms", required_argument, NULL, 'd' },
        { "idle-ms", required_argument, NULL, 'i' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    for (int letter; (letter = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        char *end = "";
        long long number = optarg ? strtoll(optarg, &end, 10) : 0;
        bool bad = optarg && (end == optarg || *end || number < 0 || number > 1000000000);
        switch (letter) {
        case 'p':
            options.port = (int)number;
            bad |= number > 65535;
            break;
        case 'f':
            options.fixed = true;
            break;
        case 'r':
            options.requests = (uint64_t)number;
            break;
        case 'e':
            options.slow_every = (uint64_t)number;
            break;
        case 's':
            options.slow_ns = number * MS_NS;
            break;
        case 'd':
            options.deadline_ns = number * MS_NS;
            break;
        case 'i':
            options.idle_ns = number * MS_NS;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            return 2;
        }
        if (bad) {
            fprintf(stderr, "gateway: '%s' is no number for this option\n%s", optarg, usage);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "gateway: unexpected '%s'\n%s", argv[optind], usage);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status = options_parse(argc, argv);
    if (status)
        return status;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (pipe(stop_pipe)) {
        perror("gateway: pipe");
        return 1;
    }
    /* A second signal ends the gateway at once, as if there were no handler. */
    struct sigaction action = { .sa_handler = stop_signal, .sa_flags = SA_RESTART | SA_RESETHAND };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return gmpt_run(serve, NULL) == 0 ? 0 : 1;
}
