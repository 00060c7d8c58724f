/* See confined.h. */
#define _GNU_SOURCE
#include "confined.h"

#include "harness.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <errno.h>
#include <unistd.h>

extern char **environ;

bool confined_calls(unsigned first, unsigned second, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool confined_without_bpf(void) { return confined_calls(SYS_bpf, SYS_bpf, SECCOMP_RET_ERRNO | EPERM); }
bool confined_killed_by_bpf(void) { return confined_calls(SYS_bpf, SYS_bpf, SECCOMP_RET_KILL_PROCESS); }
bool confined_without_bpf_and_perf(void)
{
    return confined_calls(SYS_bpf, SYS_perf_event_open, SECCOMP_RET_ERRNO | EPERM);
}

bool confined_as_nobody(void)
{
    return geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(CONFINED_USER, CONFINED_USER, CONFINED_USER) == 0 &&
           setresuid(CONFINED_USER, CONFINED_USER, CONFINED_USER) == 0;
}

bool confined_without_btf(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) == 0;
}

bool confined_by_paranoid_perf(void)
{
    static const char setting[] = "/proc/sys/kernel/perf_event_paranoid";
    char path[512];
    snprintf(path, sizeof path, "%s/paranoid", harness_tmpdir());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, "3\n", 2) == 2;
    if (fd >= 0)
        close(fd);
    return written && geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(path, setting, NULL, MS_BIND, NULL) == 0 && confined_as_nobody() &&
           confined_calls(SYS_perf_event_open, SYS_perf_event_open, SECCOMP_RET_ERRNO | EACCES);
}

int confined_run(bool (*prepare)(void), const char *path, char *const argv[], char *text, size_t size)
{
    int ends[2], status = 0;
    int program = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(program, 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        if (prepare && !prepare())
            _exit(99);
        fexecve(program, argv, environ);
        _exit(98);
    }
    close(ends[1]);
    close(program);
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 98, "%s", text);
    return WEXITSTATUS(status) == 99 ? -1 : WEXITSTATUS(status);
}
