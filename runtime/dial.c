/* Listening and connecting by the text of an address, "NETWORK:ADDRESS", as Go's net.Listen and net.Dial. */
#define _GNU_SOURCE
#include "io.h"

#include <gmptrace/net.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define ENDPOINTS_MAX 16 /* addresses of one name that are tried */
#define HOST_BYTES 256
#define ATTEMPT_NS_MIN 2000000000 /* an address gets this long at least, as with Go, if the deadline allows */
#define UNIX_RETRY_NS_MAX 50000000

struct network {
    const char *name;
    int family, type, protocol;
};

static const struct network networks[] = {
    { "tcp", AF_UNSPEC, SOCK_STREAM, IPPROTO_TCP },
    { "tcp4", AF_INET, SOCK_STREAM, IPPROTO_TCP },
    { "tcp6", AF_INET6, SOCK_STREAM, IPPROTO_TCP },
    { "udp", AF_UNSPEC, SOCK_DGRAM, IPPROTO_UDP },
    { "udp4", AF_INET, SOCK_DGRAM, IPPROTO_UDP },
    { "udp6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP },
    { "unix", AF_UNIX, SOCK_STREAM, 0 },
    { "unixgram", AF_UNIX, SOCK_DGRAM, 0 },
    { "unixpacket", AF_UNIX, SOCK_SEQPACKET, 0 },
};

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

/* What a text stands for: the addresses in the order in which they are tried. */
struct target {
    const struct network *network;
    int count;
    struct endpoint endpoints[ENDPOINTS_MAX];
};

static const struct network *find_network(const char *text, const char **rest)
{
    const char *colon = strchr(text, ':');
    for (size_t i = 0; colon && i < sizeof networks / sizeof networks[0]; i++) {
        size_t length = strlen(networks[i].name);
        if (length == (size_t)(colon - text) && strncmp(text, networks[i].name, length) == 0) {
            *rest = colon + 1;
            return &networks[i];
        }
    }
    return NULL;
}

/* "/path", or "@name" for a name in the abstract namespace. */
static int parse_unix(struct target *target, const char *path)
{
    struct endpoint *endpoint = &target->endpoints[0];
    struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
    size_t length = strlen(path);
    if (length == 0)
        return -EINVAL;
    if (length >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length + 1);
    endpoint->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    if (path[0] == '@') {
        address->sun_path[0] = 0;
        endpoint->length--; /* its name has no end */
    }
    target->count = 1;
    return 0;
}

/* Takes "host:port", "[host]:port" or ":port" apart; host has HOST_BYTES. */
static int split(const char *text, char *host, const char **port)
{
    const char *end, *begin = text;
    if (*text == '[') {
        begin++;
        end = strchr(text, ']');
        if (!end || end[1] != ':')
            return -EINVAL;
        *port = end + 2;
    } else {
        end = strchr(text, ':');
        if (!end || strchr(end + 1, ':')) /* an IPv6 address needs its brackets */
            return -EINVAL;
        *port = end + 1;
    }
    if (!**port)
        return -EINVAL;
    if (end - begin >= HOST_BYTES)
        return -ENAMETOOLONG;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = 0;
    return 0;
}

static void add_ipv4(struct target *target, struct in_addr host, uint16_t port)
{
    struct endpoint *endpoint = &target->endpoints[target->count++];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host };
    memcpy(&endpoint->address, &address, endpoint->length = sizeof address);
}

static void add_ipv6(struct target *target, struct in6_addr host, uint16_t port)
{
    struct endpoint *endpoint = &target->endpoints[target->count++];
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = host };
    memcpy(&endpoint->address, &address, endpoint->length = sizeof address);
}

/* Host and port in digits, or no host: nothing to look up. Returns 1, 0 when there is, or -EINVAL. */
static int parse_numeric(struct target *target, const char *host, const char *port, bool passive)
{
    int family = target->network->family;
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (*port < '0' || *port > '9')
        return 0;
    if (*end || number > 65535) /* the system's lookup would take it modulo 65536 */
        return -EINVAL;
    uint16_t port16 = (uint16_t)number;
    if (!*host) {
        /* Passive: all addresses, of both families if there is IPv6. Else: this machine. */
        if (family != AF_INET)
            add_ipv6(target, passive ? in6addr_any : in6addr_loopback, port16);
        if (family != AF_INET6)
            add_ipv4(target, (struct in_addr){ htonl(passive ? INADDR_ANY : INADDR_LOOPBACK) }, port16);
        return 1;
    }
    if (family != AF_INET6 && inet_pton(AF_INET, host, &ipv4) == 1)
        add_ipv4(target, ipv4, port16);
    else if (family != AF_INET && inet_pton(AF_INET6, host, &ipv6) == 1)
        add_ipv6(target, ipv6, port16);
    return target->count > 0;
}

static int lookup_error(int code, int system_error)
{
    switch (code) {
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return system_error ? -system_error : -EIO;
    default:
        return -ENOENT; /* no such host or service, or none of this family */
    }
}

struct lookup {
    const char *host, *port;
    struct addrinfo hints;
    struct addrinfo *list;
    int system_error;
};

/* Not inlined, and without a switch inside: errno stays this thread's. */
static __attribute__((noinline)) int do_lookup(void *arg)
{
    struct lookup *lookup = arg;
    int before = errno;
    int code = getaddrinfo(lookup->host, lookup->port, &lookup->hints, &lookup->list);
    lookup->system_error = errno;
    errno = before;
    return code;
}

static int parse_inet(struct target *target, const char *text, bool passive)
{
    char host[HOST_BYTES];
    const char *port;
    int error = split(text, host, &port);
    if (error)
        return error;
    int numeric = parse_numeric(target, host, port, passive);
    if (numeric)
        return numeric < 0 ? numeric : 0;
    struct lookup lookup = { .host = *host ? host : NULL,
                             .port = port,
                             .hints = { .ai_family = target->network->family,
                                        .ai_socktype = target->network->type,
                                        .ai_protocol = target->network->protocol,
                                        .ai_flags = passive ? AI_PASSIVE : AI_ADDRCONFIG } };
    int code = gmpt_blocking_slow(do_lookup, &lookup);
    if (code)
        return lookup_error(code, lookup.system_error);
    for (struct addrinfo *a = lookup.list; a && target->count < ENDPOINTS_MAX; a = a->ai_next) {
        struct endpoint *endpoint = &target->endpoints[target->count];
        if (a->ai_addrlen > sizeof endpoint->address)
            continue;
        memcpy(&endpoint->address, a->ai_addr, endpoint->length = a->ai_addrlen);
        target->count++;
    }
    freeaddrinfo(lookup.list);
    return target->count ? 0 : -ENOENT;
}

static int parse(struct target *target, const char *text, bool passive)
{
    const char *rest;
    target->count = 0;
    memset(target->endpoints, 0, sizeof target->endpoints);
    target->network = find_network(text, &rest);
    if (!target->network)
        return strchr(text, ':') ? -EPROTONOSUPPORT : -EINVAL;
    return target->network->family == AF_UNIX ? parse_unix(target, rest) : parse_inet(target, rest, passive);
}

/* The functions below make system calls and nothing that switches; they leave errno as it was. */

static __attribute__((noinline)) int open_socket(const struct network *network, int family)
{
    int before = errno, yes = 1;
    int fd = (int)io_settle(socket(family, network->type | SOCK_NONBLOCK | SOCK_CLOEXEC, network->protocol), before);
    if (fd >= 0 && network->protocol == IPPROTO_TCP && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0)
        errno = before; /* slower is all that it is */
    return fd;
}

static __attribute__((noinline)) int bind_and_listen(int fd, const struct network *network,
                                                     const struct endpoint *endpoint)
{
    int before = errno, yes = 1, no = 0;
    const struct sockaddr *address = (const struct sockaddr *)&endpoint->address;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&endpoint->address;
    if (network->protocol == IPPROTO_TCP)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->sa_family == AF_INET6) {
        bool both = network->family == AF_UNSPEC && memcmp(&ipv6->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &no : &yes, sizeof yes);
    }
    int result = bind(fd, address, endpoint->length);
    if (result == 0 && network->type != SOCK_DGRAM)
        result = listen(fd, SOMAXCONN);
    result = (int)io_settle(result, before);
    errno = before;
    return result;
}

int gmpt_listen(const char *address)
{
    API_ENTER();
    struct target target;
    int result = parse(&target, address, true);
    for (int i = 0; i < target.count; i++) {
        const struct endpoint *endpoint = &target.endpoints[i];
        int fd = open_socket(target.network, endpoint->address.ss_family);
        result = fd < 0 ? fd : bind_and_listen(fd, target.network, endpoint);
        if (fd >= 0 && result == 0) {
            netpoll_adopt(fd, m_self()->p);
            return fd;
        }
        if (fd >= 0)
            io_close(fd, API_SITE(gmpt_listen));
        if (result != -EAFNOSUPPORT && result != -EADDRNOTAVAIL) /* a machine without IPv6 */
            break;
    }
    return result;
}

static int connect_one(int fd, const struct endpoint *endpoint, int64_t deadline_ns, struct api_site site)
{
    int64_t pause_ns = 1000000;
    for (;;) {
        int result = io_connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->length, deadline_ns, site);
        if (result != -EAGAIN || endpoint->address.ss_family != AF_UNIX)
            return result;
        /* The listener's queue is full, which nobody tells us the end of. */
        int64_t now = clock_now_ns();
        if (deadline_ns <= now)
            return -ETIMEDOUT;
        gmpt_sleep_until(deadline_ns - now < pause_ns ? deadline_ns : now + pause_ns);
        pause_ns = pause_ns * 2 < UNIX_RETRY_NS_MAX ? pause_ns * 2 : UNIX_RETRY_NS_MAX;
    }
}

/* The part of the time left that the next of `left` addresses may take. */
static int64_t attempt_deadline(int64_t deadline_ns, int left)
{
    int64_t now = clock_now_ns();
    if (deadline_ns == GMPT_NEVER || left == 1 || deadline_ns <= now)
        return deadline_ns;
    int64_t share = (deadline_ns - now) / left;
    if (share < ATTEMPT_NS_MIN)
        share = deadline_ns - now < ATTEMPT_NS_MIN ? deadline_ns - now : ATTEMPT_NS_MIN;
    return now + share;
}

static int dial_until(const char *address, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct target target;
    int result = parse(&target, address, false), first_error = 0;
    if (result)
        return result;
    for (int i = 0; i < target.count; i++) {
        const struct endpoint *endpoint = &target.endpoints[i];
        int fd = open_socket(target.network, endpoint->address.ss_family);
        result = fd;
        if (fd >= 0) {
            netpoll_adopt(fd, m_self()->p);
            result = connect_one(fd, endpoint, attempt_deadline(deadline_ns, target.count - i), site);
            if (result == 0)
                return fd;
            io_close(fd, site);
        }
        if (!first_error)
            first_error = result;
        if (deadline_ns <= clock_now_ns())
            break;
    }
    return first_error;
}

int gmpt_dial_until(const char *address, int64_t deadline_ns)
{
    return dial_until(address, deadline_ns, API_SITE(gmpt_dial_until));
}

int gmpt_dial(const char *address) { return dial_until(address, GMPT_NEVER, API_SITE(gmpt_dial)); }
