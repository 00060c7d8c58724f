/* What a program on the runtime finds here, and what looking into one that runs, or one that crashed, needs. */
#define _GNU_SOURCE
#include "doctorcheck.h"

#include "segfile.h"

#include "trace/clocksource.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* The first line of a file, without its end. False when it cannot be read. */
static bool line_read(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    bool got = file && fgets(line, size, file);
    if (file)
        fclose(file);
    if (got)
        line[strcspn(line, "\n")] = 0;
    return got;
}

void doctor_check_clock(struct doctor_check *check, const struct doctor_machine *machine)
{
    struct clocksource source;
    (void)machine;
    clocksource_look(&source);
    if (source.tsc) {
        doctor_find(check, DOCTOR_OK, "events have the time of the CPU's counter; the kernel's clock is %s",
                    source.kernel);
        return;
    }
#if defined(__x86_64__)
    doctor_find(check, DOCTOR_LIMITED, "events ask the kernel for the time, which costs more: %s%s",
                source.invariant ? "the kernel's clock is " : "the CPU's counter is not invariant",
                !source.invariant  ? ""
                : source.kernel[0] ? source.kernel
                                   : "not known");
    if (source.invariant && source.kernel[0])
        doctor_advise(check, "boot with tsc=reliable, if the counters of all CPUs agree");
    else if (source.invariant)
        doctor_advise(check, "mount -t sysfs sysfs /sys");
#else
    doctor_find(check, DOCTOR_OK, "events have the time of the kernel's clock, which reads the CPU's counter");
#endif
}

/* record's shared memory, made as record makes it. */
void doctor_check_memory(struct doctor_check *check, const struct doctor_machine *machine)
{
    char path[PATH_MAX];
    int passed_fd, own_fd;
    (void)machine;
    int result = segfile_create(path, &passed_fd, &own_fd);
    if (path[0])
        unlink(path);
    if (result < 0) {
        doctor_find(check, DOCTOR_LACKING, "nothing can be recorded: no shared memory: %s", strerror(-result));
        doctor_advise(check, "mount -t tmpfs tmpfs /dev/shm");
    } else if (path[0]) {
        doctor_find(check, DOCTOR_OK, "there is room in %.*s", (int)(strrchr(path, '/') - path), path);
    } else {
        doctor_find(check, DOCTOR_LIMITED, "no room in tmpfs: a recording is lost if its recorder is killed as well");
        doctor_advise(check, "mount -o remount,size=256M /dev/shm, or docker run --shm-size=256m");
    }
}

/* ---- looking into another process -------------------------------------------------------------------------------- */

static const char looked_at[] = "what another process sees";

/* This program can have capabilities that others do not have: one that has them is not to be looked into. */
static void stranger_become(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (geteuid() != 0)
        syscall(SYS_capset, &head, none);
    prctl(PR_SET_DUMPABLE, 1);
}

/* A process that sleeps until `until` ends, and says so by `ready`. It is no descendant of who looks at it, as programs
 * are not. */
static pid_t stranger_start(int until, int ready)
{
    pid_t pid = fork();
    if (pid == 0) {
        char end = 0;
        stranger_become();
        ssize_t got = write(ready, &end, 1) == 1 ? read(until, &end, 1) : -1;
        _exit(got != 0);
    }
    return pid;
}

/* Runs look in a sibling of a stranger; what it returns is returned: 0 or an errno. */
static int stranger_look(int (*look)(pid_t stranger))
{
    int ends[2], told[2], status = 0;
    char is_ready;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    if (pipe2(told, O_CLOEXEC) < 0) {
        int pipe_error = errno;
        close(ends[0]);
        close(ends[1]);
        return pipe_error;
    }
    pid_t stranger = stranger_start(ends[0], told[1]);
    close(told[1]);
    ssize_t got = stranger > 0 ? read(told[0], &is_ready, 1) : 0;
    close(told[0]);
    pid_t looker = got == 1 ? fork() : -1;
    if (looker == 0)
        _exit(look(stranger));
    int error = got == 1 ? 0 : EPIPE;
    if (got == 1 && (looker < 0 || waitpid(looker, &status, 0) < 0))
        error = errno;
    if (stranger > 0) {
        kill(stranger, SIGKILL);
        waitpid(stranger, NULL, 0);
    }
    close(ends[0]);
    close(ends[1]);
    if (error)
        return error;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM; /* killed by seccomp */
}

static int look_into(pid_t stranger)
{
    char path[64], link[64], copy[sizeof looked_at] = "";
    struct iovec local = { copy, sizeof copy }, remote = { (void *)looked_at, sizeof looked_at };
    snprintf(path, sizeof path, "/proc/%d/fd/0", (int)stranger);
    if (readlink(path, link, sizeof link) < 0 && errno != ENOENT)
        return errno;
    if (process_vm_readv(stranger, &local, 1, &remote, 1, 0) != (ssize_t)sizeof copy)
        return errno;
    return strcmp(copy, looked_at) == 0 ? 0 : EIO;
}

static int look_stopped(pid_t stranger)
{
    int status;
    if (ptrace(PTRACE_SEIZE, stranger, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, stranger, NULL, NULL) < 0 ||
        waitpid(stranger, &status, __WALL) != stranger)
        return errno;
    return WIFSTOPPED(status) ? 0 : EIO;
}

static void look_refused(struct doctor_check *check, const struct doctor_machine *machine, const char *what, int error)
{
    char scope[16] = "";
    bool yama = line_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope) && scope[0] != '0';
    doctor_find(check, DOCTOR_LACKING, "%s: %s%s%s", what, strerror(error),
                yama ? "; kernel.yama.ptrace_scope is " : "", yama ? scope : "");
    if (yama && scope[0] == '3')
        doctor_advise(check, "reboot with kernel.yama.ptrace_scope below 3: it cannot be lowered");
    else if (yama)
        doctor_advise(check, "sudo sysctl kernel.yama.ptrace_scope=0, or sudo setcap cap_sys_ptrace+ep %s",
                      machine->program);
    else if (machine->seccomp)
        doctor_advise(check,
                      "a seccomp filter that allows ptrace and process_vm_readv: docker run --cap-add SYS_PTRACE");
    else
        doctor_advise(check, "a security module forbids it: look in the kernel's log (dmesg)");
}

void doctor_check_attach(struct doctor_check *check, const struct doctor_machine *machine)
{
    int error = stranger_look(look_into);
    if (error)
        look_refused(check, machine, "reading another process of this user", error);
    else
        doctor_find(check, DOCTOR_OK, "running programs of this user can be attached to and read");
}

void doctor_check_dump(struct doctor_check *check, const struct doctor_machine *machine)
{
    int error = stranger_look(look_stopped);
    if (error)
        look_refused(check, machine, "stopping another process of this user", error);
    else
        doctor_find(check, DOCTOR_OK, "threads of this user's programs can be stopped for their stacks");
}

/* ---- the program's own ------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signal_seen;

static void signal_note(int number)
{
    (void)number;
    signal_seen = 1;
}

void doctor_check_signal(struct doctor_check *check, const struct doctor_machine *machine)
{
    struct sigaction before, action = { .sa_handler = signal_note };
    sigset_t blocked;
    (void)machine;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    if (sigismember(&blocked, SIGURG)) {
        doctor_find(check, DOCTOR_LACKING,
                    "SIGURG is blocked, and programs inherit that: what computes is not interrupted");
        doctor_advise(check, "unblock SIGURG in what starts the program");
        return;
    }
    if (sigaction(SIGURG, &action, &before) < 0 || syscall(SYS_tgkill, getpid(), gettid(), SIGURG) < 0) {
        doctor_find(check, DOCTOR_LACKING, "sending SIGURG: %s", strerror(errno));
        return;
    }
    if (before.sa_handler == SIG_IGN)
        doctor_find(check, DOCTOR_OK, "SIGURG is ignored by what started us; the runtime handles it all the same");
    else if (signal_seen)
        doctor_find(check, DOCTOR_OK, "a goroutine that computes can be interrupted by SIGURG");
    else
        doctor_find(check, DOCTOR_LACKING, "SIGURG does not arrive");
}

void doctor_check_guard(struct doctor_check *check, const struct doctor_machine *machine)
{
    char most[32] = "?";
    (void)machine;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED && madvise((char *)memory + page, page, MADV_GUARD_INSTALL) == 0) {
        doctor_find(check, DOCTOR_OK, "guards below stacks cost no mapping");
        return;
    }
    line_read("/proc/sys/vm/max_map_count", most, sizeof most);
    doctor_find(check, DOCTOR_LIMITED, "no MADV_GUARD_INSTALL: each guard is a mapping, of which there may be %s",
                most);
    doctor_advise(check, "use Linux 6.13 or later, or for very many goroutines: sudo sysctl vm.max_map_count=1048576");
}

void doctor_check_core(struct doctor_check *check, const struct doctor_machine *machine)
{
    enum { PRIVATE = 1 << 0, SHARED_ANONYMOUS = 1 << 1, SHARED_FILE = 1 << 3 };
    char text[64] = "", pattern[128] = "core";
    unsigned filter = 0;
    struct rlimit limit = { 0 };
    (void)machine;
    if (!line_read("/proc/self/coredump_filter", text, sizeof text) || sscanf(text, "%x", &filter) != 1) {
        doctor_find(check, DOCTOR_LACKING, "/proc/self/coredump_filter: %s", strerror(errno));
        doctor_advise(check, "use a kernel that was built with CONFIG_ELF_CORE=y, with /proc mounted");
        return;
    }
    getrlimit(RLIMIT_CORE, &limit);
    line_read("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
    const unsigned needed = PRIVATE | SHARED_ANONYMOUS;
    if ((filter & needed) != needed) {
        doctor_find(check, DOCTOR_LACKING, "coredump_filter is %#x: core files are without %s", filter,
                    filter & PRIVATE ? "the runtime's shared memory" : "stacks");
        doctor_advise(check, "echo %#x > /proc/self/coredump_filter", filter | needed | SHARED_FILE);
    } else if (limit.rlim_cur == 0 && pattern[0] != '|') { /* who takes them by a pipe is not bound by the limit */
        doctor_find(check, DOCTOR_LIMITED, "no core files are written: the limit on their size is 0");
        doctor_advise(check, "ulimit -c unlimited%s",
                      filter & SHARED_FILE ? "" : "; and see gmptrace-dump(1) for record");
    } else if (!(filter & SHARED_FILE)) {
        doctor_find(check, DOCTOR_LIMITED, "core files of programs that record starts are without their goroutines");
        doctor_advise(check, "echo %#x > /proc/self/coredump_filter", filter | SHARED_FILE);
    } else {
        doctor_find(check, DOCTOR_OK, "core files have what gmptrace dump needs (coredump_filter %#x)", filter);
    }
}

/* ---- CPU quota --------------------------------------------------------------------------------------------------- */

struct quota {
    double cpus;     /* the least; 0 = none */
    char where[192]; /* its cgroup's directory */
};

static void quota_take(struct quota *quota, const char *directory, long long limit, long long period)
{
    if (limit <= 0 || period <= 0)
        return;
    double cpus = (double)limit / (double)period;
    if (quota->cpus > 0 && quota->cpus <= cpus)
        return;
    quota->cpus = cpus;
    snprintf(quota->where, sizeof quota->where, "%s", directory);
}

/* Of one cgroup, of either version. */
static void quota_look(struct quota *quota, const char *directory)
{
    char path[4400], line[64], period[64];
    long long limit, per;
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (line_read(path, line, sizeof line) && sscanf(line, "%lld %lld", &limit, &per) == 2)
        quota_take(quota, directory, limit, per);
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (!line_read(path, line, sizeof line) || sscanf(line, "%lld", &limit) != 1)
        return;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    if (line_read(path, period, sizeof period) && sscanf(period, "%lld", &per) == 1)
        quota_take(quota, directory, limit, per);
}

/* Of a cgroup and all above it, below where this version's tree is mounted. */
static void quota_climb(struct quota *quota, const char *root, const char *group)
{
    char directory[4200];
    snprintf(directory, sizeof directory, "%s%s", root, strcmp(group, "/") ? group : "");
    while (strlen(directory) >= strlen(root)) {
        quota_look(quota, directory);
        char *slash = strrchr(directory, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

void doctor_check_quota(struct doctor_check *check, const struct doctor_machine *machine)
{
    static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct" };
    struct quota quota = { 0 };
    char line[4096];
    (void)machine;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        for (size_t i = 0; group && i < sizeof roots / sizeof roots[0]; i++)
            quota_climb(&quota, roots[i], group + 1);
    }
    if (file)
        fclose(file);
    if (quota.cpus > 0) {
        doctor_find(check, DOCTOR_LIMITED,
                    "%.2f CPUs by %s: once they are used up, all threads stop until the next period", quota.cpus,
                    quota.where);
        doctor_advise(check, "raise the quota if latency matters: docker run --cpus, resources.limits.cpu, CPUQuota=");
    } else if (file) {
        doctor_find(check, DOCTOR_OK, "no cgroup limits the CPU time");
    } else {
        doctor_find(check, DOCTOR_LIMITED, "/proc/self/cgroup cannot be read: a CPU quota would not be noticed");
    }
}
