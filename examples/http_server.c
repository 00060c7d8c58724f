/* An HTTP/1.1 server with a goroutine for each connection, written as if each had the machine to itself.
 *
 *     build/gcc/examples/http_server --port 8080
 *     curl http://127.0.0.1:8080/   and   curl --data-binary @file http://127.0.0.1:8080/echo
 *
 * Connections are kept alive, requests may be pipelined, bodies have a Content-Length. Whoever sends too much, too
 * slowly or what is not HTTP gets a status that says so, and is let go. Ten thousand connections are no more trouble
 * than ten: it raises its own limit of descriptors. SIGINT and SIGTERM end it. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define HEAD_BYTES_MAX 8192 /* request line and fields */
#define BODY_BYTES_MAX (1u << 20)
#define OUT_BYTES 4096 /* responses that are collected before they are sent */
#define SECOND INT64_C(1000000000)
#define IDLE_NS (60 * SECOND) /* between two requests */
#define HEAD_NS (10 * SECOND) /* from a request's first byte to the end of its head */
#define BODY_NS (30 * SECOND)
#define SEND_NS (30 * SECOND)
#define LINGER_NS SECOND

/* A connection is its goroutine's alone and lies on its stack. in[begin..end) has been received and not yet used. */
struct connection {
    int fd;
    bool close_after; /* no more requests after this response */
    size_t begin, end, out_size;
    uint64_t requests;
    time_t date_second;
    char date[32];
    char out[OUT_BYTES];
    char in[HEAD_BYTES_MAX];
};

/* What a request's head says. Texts lie in the connection's buffer, and are ended with NUL there. */
struct request {
    char *method, *target;
    int minor; /* of HTTP/1.minor */
    size_t body_bytes;
    bool has_length, has_host, expects_continue;
};

struct settings {
    int port;
    int64_t head_ns, idle_ns;
};

static struct settings settings = { .port = 8080, .head_ns = HEAD_NS, .idle_ns = IDLE_NS };
static int listener;
static uint64_t requests_answered, connections_taken; /* by __atomic builtins */

/* ---- out --------------------------------------------------------------------------------------------------------- */

static int flush(struct connection *c)
{
    int error = 0;
    if (c->out_size)
        error = gmpt_write_full_until(c->fd, c->out, c->out_size, NULL, gmpt_now() + SEND_NS);
    c->out_size = 0;
    return error;
}

static int send_bytes(struct connection *c, const char *bytes, size_t size)
{
    if (c->out_size + size > sizeof c->out) {
        int error = flush(c);
        if (error)
            return error;
    }
    if (size > sizeof c->out)
        return gmpt_write_full_until(c->fd, bytes, size, NULL, gmpt_now() + SEND_NS);
    memcpy(c->out + c->out_size, bytes, size);
    c->out_size += size;
    return 0;
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    default:
        return "HTTP Version Not Supported"; /* 505 */
    }
}

static int respond(struct connection *c, int status, const char *type, const char *body, size_t size, bool head_only)
{
    char head[320];
    time_t now = time(NULL);
    if (now != c->date_second) {
        struct tm parts;
        c->date_second = now;
        strftime(c->date, sizeof c->date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    }
    int length =
        snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n",
                 status, reason_of(status), c->date, type, size, status == 405 ? "Allow: GET, HEAD, POST\r\n" : "",
                 c->close_after ? "Connection: close\r\n" : "");
    int error = send_bytes(c, head, (size_t)length);
    return error || head_only ? error : send_bytes(c, body, size);
}

/* The response to what was wrong; the message says it to a person. */
static int complain(struct connection *c, int status, const char *message)
{
    char body[160];
    int length = snprintf(body, sizeof body, "%d %s: %s\n", status, reason_of(status), message);
    return respond(c, status, "text/plain", body, (size_t)length, false);
}

/* The same when it is not known where the next request would begin: the connection ends with it. */
static int give_up(struct connection *c, int status, const char *message)
{
    c->close_after = true;
    return complain(c, status, message);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* Receives more, after sending what is due: who pipelines may wait for it. Returns how much, 0 at the end, -errno. */
static ssize_t receive(struct connection *c, int64_t deadline_ns)
{
    if (c->begin == c->end)
        c->begin = c->end = 0;
    if (c->end == sizeof c->in && c->begin > 0) {
        memmove(c->in, c->in + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
    }
    if (c->end == sizeof c->in)
        return -EMSGSIZE;
    int error = flush(c);
    if (error)
        return error;
    ssize_t got = gmpt_read_until(c->fd, c->in + c->end, sizeof c->in - c->end, deadline_ns);
    if (got > 0)
        c->end += (size_t)got;
    return got;
}

/* Waits for a whole head, which ends with an empty line. Returns its length, or 0 when the connection is to end, after
 * telling why if there is somebody to tell. */
static size_t receive_head(struct connection *c)
{
    int64_t deadline_ns = 0;
    size_t looked = 0;
    bool begun = false;
    for (;;) {
        while (c->end - c->begin >= 2 && memcmp(c->in + c->begin, "\r\n", 2) == 0)
            c->begin += 2; /* empty lines before a request are ignored (RFC 9112, 2.2) */
        size_t size = c->end - c->begin, from = looked > 3 ? looked - 3 : 0;
        const char *found = size > from ? memmem(c->in + c->begin + from, size - from, "\r\n\r\n", 4) : NULL;
        if (found)
            return (size_t)(found + 4 - (c->in + c->begin));
        looked = size;
        if (!deadline_ns || (size && !begun))
            deadline_ns = gmpt_now() + (size ? settings.head_ns : settings.idle_ns);
        begun = size > 0;
        ssize_t got = receive(c, deadline_ns);
        if (got > 0)
            continue;
        if (got == -EMSGSIZE)
            give_up(c, 431, "the head of a request may have 8192 bytes");
        else if (got == -ETIMEDOUT && size)
            give_up(c, 408, "the head of the request takes too long");
        else if (got == 0 && size)
            give_up(c, 400, "the connection ends amid the head of a request");
        return 0;
    }
}

/* A field's value that is a list of words has this one. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    while (*list) {
        list += strspn(list, " \t,");
        size_t size = strcspn(list, " \t,");
        if (size == length && strncasecmp(list, word, length) == 0)
            return true;
        list += size;
    }
    return false;
}

static bool parse_length(const char *text, size_t *value)
{
    size_t number = 0;
    if (!*text)
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (number <= SIZE_MAX / 16)
            number = number * 10 + (size_t)(*text - '0');
    *value = number;
    return *text == 0;
}

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (*text <= ' ' || *text == 127 || strchr("\"(),/:;<=>?@[\\]{}", *text))
            return false;
    return true;
}

static const char *parse_field(struct connection *c, struct request *request, const char *name, const char *value,
                               int *status)
{
    *status = 400;
    if (!is_token(name))
        return "a field's name has characters that it may not have";
    if (strcasecmp(name, "Content-Length") == 0) {
        size_t bytes;
        if (!parse_length(value, &bytes))
            return "Content-Length is no number";
        if (request->has_length && bytes != request->body_bytes)
            return "two fields Content-Length differ";
        request->has_length = true;
        request->body_bytes = bytes;
    } else if (strcasecmp(name, "Host") == 0) {
        if (request->has_host)
            return "two fields Host";
        request->has_host = true;
    } else if (strcasecmp(name, "Connection") == 0) {
        if (has_word(value, "close"))
            c->close_after = true;
        else if (request->minor == 0 && has_word(value, "keep-alive"))
            c->close_after = false;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        *status = 501;
        return "bodies need a Content-Length here";
    } else if (strcasecmp(name, "Expect") == 0) {
        *status = 417;
        if (strcasecmp(value, "100-continue") != 0)
            return "only 100-continue can be expected";
        request->expects_continue = true;
    }
    return NULL;
}

static const char *parse_request_line(struct request *request, char *line, int *status)
{
    char *space = strchr(line, ' '), *second = space ? strchr(space + 1, ' ') : NULL;
    *status = 400;
    if (!second)
        return "a request line is a method, a target and a version";
    *space = *second = 0;
    request->method = line;
    request->target = space + 1;
    const char *version = second + 1;
    if (!is_token(request->method))
        return "a method is a word";
    if (request->target[0] != '/' && strcmp(request->target, "*") != 0)
        return "a target begins with /";
    if (strncmp(version, "HTTP/", 5) != 0 || strlen(version) != 8 || version[6] != '.')
        return "no version of HTTP is so called";
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
        *status = 505;
        return "versions 1.0 and 1.1 are spoken here";
    }
    request->minor = version[7] - '0';
    return NULL;
}

/* Takes a head apart, in place. Returns NULL, or what is wrong and *status. */
static const char *parse_head(struct connection *c, struct request *request, char *head, size_t size, int *status)
{
    *request = (struct request){ 0 };
    char *line = head, *last = head + size - 2; /* the empty line */
    bool first = true;
    *status = 400;
    while (line < last) {
        char *end = memmem(line, (size_t)(last + 2 - line), "\r\n", 2);
        for (const char *at = line; at < end; at++)
            if (*at == 0 || *at == '\r' || *at == '\n')
                return "lines end with CR LF, and neither stands alone";
        *end = 0;
        const char *wrong;
        if (first) {
            wrong = parse_request_line(request, line, status);
            c->close_after = request->minor == 0;
        } else {
            char *colon = strchr(line, ':');
            if (!colon || *line == ' ' || *line == '\t')
                return "a field is a name, a colon and a value, on one line";
            *colon = 0;
            char *value = colon + 1 + strspn(colon + 1, " \t");
            for (char *tail = end; tail > value && (tail[-1] == ' ' || tail[-1] == '\t');)
                *--tail = 0;
            wrong = parse_field(c, request, line, value, status);
        }
        if (wrong)
            return wrong;
        first = false;
        line = end + 2;
    }
    if (request->minor == 1 && !request->has_host) {
        *status = 400;
        return "HTTP/1.1 needs a field Host";
    }
    return NULL;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* Receives the body, into `body` unless that is NULL. Returns 0 or -errno. */
static int receive_body(struct connection *c, const struct request *request, char *body)
{
    int64_t deadline_ns = gmpt_now() + BODY_NS;
    size_t done = 0;
    if (request->expects_continue && c->begin == c->end) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        int error = send_bytes(c, go_on, sizeof go_on - 1);
        if (error)
            return error;
    }
    while (done < request->body_bytes) {
        ssize_t got = c->begin < c->end ? 1 : receive(c, deadline_ns);
        if (got <= 0)
            return got < 0 ? (int)got : -ENODATA;
        size_t piece = c->end - c->begin, left = request->body_bytes - done;
        if (piece > left)
            piece = left;
        if (body)
            memcpy(body + done, c->in + c->begin, piece);
        c->begin += piece;
        done += piece;
    }
    return 0;
}

static int answer(struct connection *c, const struct request *request)
{
    bool head_only = strcmp(request->method, "HEAD") == 0, get = strcmp(request->method, "GET") == 0;
    bool post = strcmp(request->method, "POST") == 0, echo = strcmp(request->target, "/echo") == 0;
    if (request->body_bytes > BODY_BYTES_MAX)
        return give_up(c, 413, "a body may have 1 MiB");
    /* Whatever is answered, the body comes first: the next request begins after it. */
    char *body = echo && post && request->body_bytes ? malloc(request->body_bytes) : NULL;
    if (echo && post && request->body_bytes && !body)
        return give_up(c, 503, "no memory for the body");
    /* The method and the target lie in the buffer, and are not to be looked at after this. */
    bool root = strcmp(request->target, "/") == 0;
    int error = receive_body(c, request, body);
    if (error == -ETIMEDOUT)
        give_up(c, 408, "the body takes too long");
    else if (error == -ENODATA)
        give_up(c, 400, "the connection ends amid a body");
    else if (!error && !head_only && !get && !post)
        error = complain(c, 405, "only GET, HEAD and POST are known");
    else if (!error && root && !post)
        error = respond(c, 200, "text/plain", "Hello, World!\n", 14, head_only);
    else if (!error && echo && post)
        error = respond(c, 200, "application/octet-stream", body, request->body_bytes, false);
    else if (!error && (root || echo))
        error = complain(c, 405, echo ? "only POST is answered here" : "only GET and HEAD are answered here");
    else if (!error)
        error = complain(c, 404, "there are / and /echo");
    free(body);
    return error;
}

/* Lets the client read what was sent: a close while more of it comes would throw that away. */
static void linger(struct connection *c)
{
    int64_t deadline_ns = gmpt_now() + LINGER_NS;
    if (flush(c) || gmpt_shutdown(c->fd, SHUT_WR))
        return;
    for (size_t total = 0; total < BODY_BYTES_MAX;) {
        ssize_t got = gmpt_read_until(c->fd, c->in, sizeof c->in, deadline_ns);
        if (got <= 0)
            return;
        total += (size_t)got;
    }
}

static void serve_connection(void *args)
{
    struct connection c;
    c.fd = *(int *)args; /* this G's own copy: gmpt_go made it */
    c.close_after = false;
    c.begin = c.end = c.out_size = 0;
    c.requests = 0;
    c.date_second = 0;
    while (!c.close_after) {
        struct request request;
        int status;
        size_t size = receive_head(&c);
        if (!size)
            break;
        char *head = c.in + c.begin;
        c.begin += size;
        const char *wrong = parse_head(&c, &request, head, size, &status);
        c.requests++;
        if (wrong ? give_up(&c, status, wrong) : answer(&c, &request))
            break;
    }
    linger(&c);
    gmpt_close(c.fd);
    __atomic_fetch_add(&requests_answered, c.requests, __ATOMIC_RELAXED);
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void accept_connections(void *args)
{
    int fd, yes = 1;
    (void)args;
    while ((fd = gmpt_accept(listener, NULL, NULL)) != -ECANCELED) {
        if (fd < 0) {
            fprintf(stderr, "http_server: accept: %s\n", strerror(-fd));
            gmpt_sleep(SECOND / 100); /* out of descriptors, say: that passes */
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections_taken++;
        if (gmpt_go(serve_connection, &fd, sizeof fd) < 0)
            gmpt_close(fd);
    }
}

static int serve(void *arg)
{
    char address[64];
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    int signo = 0;
    (void)arg;
    snprintf(address, sizeof address, "tcp4:127.0.0.1:%d", settings.port);
    listener = gmpt_listen(address);
    if (listener < 0) {
        fprintf(stderr, "http_server: cannot listen on %s: %s\n", address, strerror(-listener));
        return 1;
    }
    struct gmpt_chan *signals = gmpt_chan_new(sizeof(int), 1);
    if (!signals || gmpt_signal_notify(signals, SIGINT) || gmpt_signal_notify(signals, SIGTERM) ||
        getsockname(listener, (struct sockaddr *)&bound, &length)) {
        fprintf(stderr, "http_server: cannot start\n");
        return 1;
    }
    printf("http_server: listening on http://127.0.0.1:%d\n", ntohs(bound.sin_port));
    fflush(stdout);
    gmpt_go(accept_connections, NULL, 0);
    gmpt_chan_recv(signals, &signo);
    gmpt_close(listener);
    printf("http_server: %llu connections; those that ended had sent %llu requests\n",
           (unsigned long long)connections_taken,
           (unsigned long long)__atomic_load_n(&requests_answered, __ATOMIC_RELAXED));
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: http_server [--port N] [--head-ms N] [--idle-ms N]   (port 0: a free one)\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    for (int i = 1; i < argc; i += 2) {
        char *end;
        long value = i + 1 < argc ? strtol(argv[i + 1], &end, 10) : -1;
        if (value < 0 || *end || value > 1000000000)
            return usage();
        if (strcmp(argv[i], "--port") == 0 && value <= 65535)
            settings.port = (int)value;
        else if (strcmp(argv[i], "--head-ms") == 0)
            settings.head_ns = value * 1000000;
        else if (strcmp(argv[i], "--idle-ms") == 0)
            settings.idle_ns = value * 1000000;
        else
            return usage();
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    return gmpt_run(serve, NULL);
}
