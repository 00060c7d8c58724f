/* Starting the runtime in tests. See run.h. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static ATOMIC(uint32_t) complained;
static char complaint[512];

static void complain(const char *file, int line, const char *text, const char *values)
{
    if (exchange_acq_rel(&complained, 1) == 0)
        snprintf(complaint, sizeof complaint, "%s:%d: %s%s", file, line, text, values);
}

bool run_expect(bool holds, const char *text, const char *file, int line)
{
    if (!holds)
        complain(file, line, text, "");
    return holds;
}

bool run_expect_equal(int64_t a, int64_t b, const char *text, const char *file, int line)
{
    char values[64];
    if (a == b)
        return true;
    snprintf(values, sizeof values, ": %lld, %lld", (long long)a, (long long)b);
    complain(file, line, text, values);
    return false;
}

const char *run_complaint(void) { return complaint; }

int run_on(int p_count, int (*fn)(void *arg))
{
    char text[16];
    if (p_count > 0) {
        snprintf(text, sizeof text, "%d", p_count);
        setenv("GMPT_MAXPROCS", text, 1);
    } else {
        unsetenv("GMPT_MAXPROCS");
    }
    return gmpt_run(fn, NULL);
}

void run_go(void (*fn)(void *args)) { EXPECT(gmpt_go(fn, NULL, 0) > 0); }

void run_waits_for_ever(void (*fn)(void *args)) { EXPECT_EQ(gmpt_leak_ignore((const void *)(uintptr_t)fn), 0); }

void run_until_waiting(int64_t id)
{
    for (;;) {
        uint32_t used = load_acquire(&trace_segment.header->registry_used);
        for (uint32_t i = 0; i < used; i++) {
            struct g_slot *slot = &trace_segment.registry[i];
            if (load_relaxed(&slot->id) == (uint64_t)id &&
                g_status_state(load_acquire(&slot->status)) == G_WAITING)
                return;
        }
        gmpt_yield();
    }
}

int run_child(void (*fn)(void), char *err, size_t size)
{
    int fds[2], status = 0;
    if (pipe(fds) < 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t length = 0;
    ssize_t got;
    char scrap[256];
    while ((got = length + 1 < size ? read(fds[0], err + length, size - 1 - length)
                                    : read(fds[0], scrap, sizeof scrap)) > 0)
        length += length + 1 < size ? (size_t)got : 0;
    err[length] = 0;
    /* Under qemu's user emulation a death by a signal is told of by qemu as well. */
    char *told = strstr(err, "qemu: uncaught target signal ");
    if (told)
        *told = 0;
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_pass_segment(void)
{
    char number[16], path[48];
    int memfd = memfd_create("recorder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    snprintf(number, sizeof number, "%d", memfd);
    snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
    REQUIRE(segment_lock(open(path, O_RDWR | O_CLOEXEC)) == 0);
    setenv(SEGMENT_FD_ENV, number, 1);
    return memfd;
}
