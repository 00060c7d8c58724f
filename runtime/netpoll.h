/* The network poller: one epoll instance, edge triggered, and a descriptor for every fd that was used.
 *
 * A descriptor has a place for one reader and one writer. Readiness is an edge, so it is remembered: an edge that comes
 * while nobody waits sets `ready`, and the next wait returns at once and tries the system call again. */
#ifndef GMPT_NETPOLL_H
#define GMPT_NETPOLL_H

#include "scheduler.h"

enum netpoll_direction { NETPOLL_READ = 1, NETPOLL_WRITE = 2, NETPOLL_BOTH = 3 }; /* bits */

/* Opens epoll. Returns 0 or -errno. */
int netpoll_start(void);

/* Waits until fd may be ready, in either direction if in both. Returns 0 (try again), -ETIMEDOUT, -ECANCELED (closed),
 * -EBUSY (another G waits there), or -errno of registering; -EPERM says that fd is of a kind that cannot be polled. */
int netpoll_block(int fd, enum netpoll_direction direction, int64_t deadline_ns, struct api_site site);

/* For who is about to read: when fd is known to have nothing to be read, waits for more as netpoll_block does; else
 * returns 0. */
int netpoll_await_arrival(int fd, int64_t deadline_ns, struct api_site site);
/* To be asked before a read, and told when the read found less than it asked for. */
uint32_t netpoll_arrivals(int fd);
void netpoll_drained(int fd, uint32_t arrivals);

/* Makes fd non-blocking and known to epoll, if it is not yet. Returns 0 or -errno, -EPERM as above. */
int netpoll_register(int fd);
/* fd was just made by the kernel: whatever was known of an earlier user of the number, closed behind our back, is void.
 * p is the caller's. */
void netpoll_adopt(int fd, struct p *p);
/* fd is about to be connected: whatever was known of an earlier user is void, but for who waits already. */
void netpoll_renew(int fd);
/* Around close(2), which may block and so cannot be under a lock: wakes who waits with -ECANCELED; whoever comes to
 * wait in between waits for the end. p is the caller's. */
void netpoll_close_begin(int fd, struct p *p);
void netpoll_close_end(int fd);

/* Polls fd as well, for as long as the runtime runs. Whenever it can be read, a thread that polls, with a P or without,
 * calls ready(list), which reads it and returns the list with the Gs in front that this made ready, as netpoll_check
 * does. Once only. Returns 0 or -errno. */
int netpoll_watch(int fd, struct g *(*ready)(struct g *list));
/* Says how many wait for it: +1, -1. While nobody does, polling may stop. */
void netpoll_watch_count(int32_t change);
/* How many wait in the poller, the watch counted as what netpoll_watch_count says. */
uint32_t netpoll_waiters(void);
/* How often anybody has asked epoll, modulo 2^32. */
uint32_t netpoll_polls(void);

/* Gs that are ready by now, with wait_result set, linked by next; NULL at once when none waits or an M sleeps in the
 * poller anyway. The caller makes them ready. */
struct g *netpoll_check(void);
/* Sleeps until something is ready or until_ns (INT64_MAX: for ever), or netpoll_wake_by. Only who set sched.polling. */
struct g *netpoll_wait(int64_t until_ns);
/* If an M sleeps in the poller until later than when_ns, wakes it. */
void netpoll_wake_by(int64_t when_ns);

/* Whether this descriptor is the poller's own epoll. */
bool netpoll_is_poller(int fd);

#endif
