/* The futex system call. See futex.h. */
#define _GNU_SOURCE
#include "futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ThreadSanitizer keeps a signal back until its thread next calls a function that it knows, and this call is none. So a
 * sleep is short under it, and such a function comes after. */
#ifdef ATOMICS_TSAN
#define SLEEP_MAX_NS 20000000
#define signals_let_in() usleep(1)
#else
#define SLEEP_MAX_NS INT64_MAX
#define signals_let_in() ((void)0)
#endif

void futex_wait(ATOMIC(uint32_t) *word, uint32_t value, int64_t timeout_ns)
{
    if (timeout_ns > SLEEP_MAX_NS)
        timeout_ns = SLEEP_MAX_NS;
    struct timespec timeout = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
    int before = errno;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns == INT64_MAX ? NULL : &timeout, NULL, 0);
    signals_let_in();
    errno = before;
}

void futex_wake(ATOMIC(uint32_t) *word, int count)
{
    int before = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = before;
}
