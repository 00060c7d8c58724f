/* gmptrace/net.h - sockets, files, name lookup, signals and blocking calls for goroutines. gmpt.h includes it.
 *
 *     int listener = gmpt_listen("tcp:127.0.0.1:8080"), connection;
 *     while ((connection = gmpt_accept(listener, NULL, NULL)) >= 0)
 *         gmpt_go(serve, &connection, sizeof connection);
 *
 *     int fd = gmpt_dial_until("tcp:example.org:80", gmpt_now() + 5000000000);
 *
 * The rules at the top of gmpt.h hold here: calls come from a G, block it and not its thread, return a negative errno
 * value when they fail and leave errno alone, and take deadlines on the clock of gmpt_now() (GMPT_NEVER: none). What
 * gmpt.h says of gmpt_read holds for everything here that waits for a descriptor: it is made non-blocking when it is
 * first used, one G at a time may wait to read from it and one to write to it (-EBUSY), it must be closed with
 * gmpt_close, and that wakes who waits with -ECANCELED. */
#ifndef GMPT_NET_H
#define GMPT_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct addrinfo;
struct gmpt_chan;
struct iovec;
struct stat;

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Sockets by the text of an address --------------------------------------------------------------------------- */

/* An address is NETWORK:ADDRESS, as the two arguments of Go's net.Dial:
 *
 *     tcp:HOST:PORT   udp:HOST:PORT    HOST is a name, 127.0.0.1 or [::1]; PORT a number or a service's name.
 *                                      tcp4, tcp6, udp4, udp6 allow one family only
 *     unix:/PATH      unix:@NAME       a stream; @ begins a name in Linux's abstract namespace
 *     unixgram:/PATH  unixpacket:/PATH datagrams, and packets in order
 *
 * Names are looked up in a blocking call that is known to be slow; numbers need none. Errors of the text itself:
 * -EINVAL (no such form), -EPROTONOSUPPORT (no such network), -ENAMETOOLONG, -ENOENT (no such host or service), -EAGAIN
 * (the name server does not answer now). */

/* A socket that listens (tcp, unix, unixpacket), or is bound and receives (udp, unixgram). Without a HOST it takes what
 * comes to any address of the machine, on IPv6 and IPv4 if both are there; port 0 lets the kernel choose one
 * (getsockname tells). The path of a Unix socket is neither removed before nor afterwards. Returns the descriptor or
 * -errno. Blocks only for a name. */
int gmpt_listen(const char *address);

/* A socket that is connected to the address; without a HOST, to this machine. The addresses of a name are tried one
 * after the other, each for its part of the time; the error is that of the first. TCP sockets send without delay
 * (TCP_NODELAY). The deadline does not end a name lookup, which lasts as long as the system's resolver wants. Returns
 * the descriptor or -errno. Blocks. */
int gmpt_dial(const char *address);
int gmpt_dial_until(const char *address, int64_t deadline_ns);

/* ---- Sockets, as the system calls of these names ----------------------------------------------------------------- */

/* Each blocks the G until it can go on, or returns -ETIMEDOUT. With MSG_DONTWAIT among the flags it never blocks:
 * -EAGAIN instead. MSG_WAITALL does nothing: use gmpt_read_full. */
ssize_t gmpt_recv(int fd, void *buffer, size_t size, int flags);
ssize_t gmpt_recv_until(int fd, void *buffer, size_t size, int flags, int64_t deadline_ns);
ssize_t gmpt_send(int fd, const void *buffer, size_t size, int flags);
ssize_t gmpt_send_until(int fd, const void *buffer, size_t size, int flags, int64_t deadline_ns);

ssize_t gmpt_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length);
ssize_t gmpt_recvfrom_until(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length,
                            int64_t deadline_ns);
ssize_t gmpt_sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address,
                    socklen_t length);
ssize_t gmpt_sendto_until(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address,
                          socklen_t length, int64_t deadline_ns);

ssize_t gmpt_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t gmpt_recvmsg_until(int fd, struct msghdr *message, int flags, int64_t deadline_ns);
ssize_t gmpt_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t gmpt_sendmsg_until(int fd, const struct msghdr *message, int flags, int64_t deadline_ns);

/* shutdown(2). Wakes a G that waits on fd, whose call then tells the end. Does not block. */
int gmpt_shutdown(int fd, int how);

/* ---- Any descriptor ---------------------------------------------------------------------------------------------- */

ssize_t gmpt_readv(int fd, const struct iovec *parts, int count);
ssize_t gmpt_readv_until(int fd, const struct iovec *parts, int count, int64_t deadline_ns);
ssize_t gmpt_writev(int fd, const struct iovec *parts, int count); /* may write less than all, as writev(2) */
ssize_t gmpt_writev_until(int fd, const struct iovec *parts, int count, int64_t deadline_ns);

/* Read or write until all size bytes are done: 0. Else -ENODATA (the end of what can be read came first), -ETIMEDOUT or
 * another -errno; *done (done may be NULL) is then how many bytes were done before. Block. */
int gmpt_read_full(int fd, void *buffer, size_t size, size_t *done);
int gmpt_read_full_until(int fd, void *buffer, size_t size, size_t *done, int64_t deadline_ns);
int gmpt_write_full(int fd, const void *buffer, size_t size, size_t *done);
int gmpt_write_full_until(int fd, const void *buffer, size_t size, size_t *done, int64_t deadline_ns);

/* Waits until fd is ready for one of the events, POLLIN, POLLOUT and POLLRDHUP of poll(2). Returns what it is ready
 * for, greater than 0, POLLERR and POLLHUP among it; -ETIMEDOUT; -EINVAL for other events. For libraries that read and
 * write by themselves. Blocks. */
int gmpt_poll(int fd, short events, int64_t deadline_ns);

/* Sends size bytes of a file to a socket as sendfile(2), from *offset on, which it moves, or from the file's own
 * position when offset is NULL. Goes on until all are sent or the file ends. Returns how many were sent, or -errno
 * (-EINVAL also when size is above INT64_MAX); how far it came before an error the offset or the position tells. While
 * the kernel reads the file the call is a blocking call. Blocks. */
ssize_t gmpt_sendfile(int socket, int file, off_t *offset, size_t size);
ssize_t gmpt_sendfile_until(int socket, int file, off_t *offset, size_t size, int64_t deadline_ns);

/* ---- Files, as the system calls of these names ------------------------------------------------------------------- */

/* Files cannot be waited for, so each of these is a blocking call (below), and fsync and fdatasync are known to be
 * slow. gmpt_open adds O_CLOEXEC. All may block. */
int gmpt_open(const char *path, int flags, mode_t mode);
ssize_t gmpt_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t gmpt_pwrite(int fd, const void *buffer, size_t size, off_t offset);
int gmpt_fsync(int fd);
int gmpt_fdatasync(int fd);
int gmpt_ftruncate(int fd, off_t length);
int gmpt_stat(const char *path, struct stat *result);
int gmpt_fstat(int fd, struct stat *result);
int gmpt_unlink(const char *path);
int gmpt_rename(const char *from, const char *to);

/* ---- Blocking calls ---------------------------------------------------------------------------------------------- */

/* Calls fn(arg), which may block the thread, on the caller's stack, as between gmpt_blocking_begin and _end: nothing of
 * gmpt_ may be called in it. If it lasts for longer than some 20 us and others wait for the P, they get it. Returns
 * what fn returned. */
int gmpt_blocking(int (*fn)(void *arg), void *arg);
/* The same for what is known to be slow: the P goes to the others at once, without first waiting to see, which costs
 * a short call several microseconds more. */
int gmpt_blocking_slow(int (*fn)(void *arg), void *arg);

/* With GMPT_DEBUG=blockcheck in the environment, what should have been a blocking call and was not is told of on
 * standard error: a G that sleeps in the kernel with its P for over a millisecond (seen by looking every half: shorter
 * ones are seen by chance), and, with LD_PRELOAD=libgmptrace-blockcheck.so, a G that waits while it holds a pthread
 * mutex. */

/* getaddrinfo(3) as a blocking call that is known to be slow. Returns what that returns: 0 or EAI_..., with errno set
 * for EAI_SYSTEM. Free *result with freeaddrinfo. */
int gmpt_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

/* ---- Signals ----------------------------------------------------------------------------------------------------- */

/* From now on a signal that comes to the process is sent to the channel, whose values must be ints, as its number; as
 * Go's signal.Notify. The sending never blocks: when the channel is full, or nobody waits at one without a buffer, the
 * signal is lost to it, so give it room (1 is enough to learn that a signal came). Several of one number that come
 * close together may count as one, as always with signals; of several numbers the lowest is sent first. More than one
 * channel may be told of a signal. The channel is held until gmpt_signal_stop. Returns 0; -EINVAL for a channel of
 * something else and for signals that cannot be had: SIGKILL, SIGSTOP, those by which a fault of the program's own code
 * is told (SIGSEGV, SIGBUS, SIGFPE, SIGILL), SIGURG, which the runtime uses itself, and those that the C library does;
 * -ENOMEM, or -EMFILE when the first finds no descriptor free. Does not block. */
int gmpt_signal_notify(struct gmpt_chan *chan, int signo);

/* Sends the channel no more signals; what came before has been sent. A signal that no channel is told of any more does
 * again what it did before the first gmpt_signal_notify. Returns 0, or -ENOENT when the channel was told of none. Does
 * not block. */
int gmpt_signal_stop(struct gmpt_chan *chan);

/* No channel is told of the signal any more; it is ignored, or does again what it did before. Return 0 or -EINVAL, as
 * above. Do not block. */
int gmpt_signal_ignore(int signo);
int gmpt_signal_reset(int signo);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
