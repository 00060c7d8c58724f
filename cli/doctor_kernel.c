/* What the kernel lets us see of itself: eBPF, perf events, the scheduler's counters. Each is really used once, and
 * what refuses is told apart: a capability, a sysctl, a filter of system calls, a kernel that was built without. */
#define _GNU_SOURCE
#include "doctorcheck.h"

#include "kernel/switchevents.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CAPABILITY_PERFMON 38u
#define CAPABILITY_BPF 39u
#define BTF_PATH "/sys/kernel/btf/vmlinux"

/* ---- eBPF -------------------------------------------------------------------------------------------------------- */

void doctor_check_btf(struct doctor_check *check, const struct doctor_machine *machine)
{
    (void)machine;
    if (access(BTF_PATH, R_OK) == 0) {
        doctor_find(check, DOCTOR_OK, "the kernel describes its types in " BTF_PATH);
        return;
    }
    doctor_find(check, DOCTOR_LACKING, BTF_PATH ": %s", strerror(errno));
    if (errno == ENOENT && access("/sys/kernel", F_OK) != 0)
        doctor_advise(check, "mount -t sysfs sysfs /sys");
    else
        doctor_advise(check, "use a kernel that was built with CONFIG_DEBUG_INFO_BTF=y");
}

static int bpf_call(int command, const void *attributes, unsigned size)
{
    return (int)syscall(SYS_bpf, command, attributes, size);
}

/* Calls bpf(2) so that no kernel can mean it: what answers is a filter in front of it, or the kernel's first glance. */
static int bpf_knock(void)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    return bpf_call(BPF_PROG_LOAD, &attributes, 1u << 20) < 0 ? errno : 0; /* E2BIG: more than a page */
}

static void seccomp_advise(struct doctor_check *check, const char *call, const char *capability)
{
    doctor_advise(check,
                  "a seccomp filter that allows %s: docker run --cap-add %s (or --security-opt seccomp=PROFILE); in a "
                  "systemd unit SystemCallFilter=%s",
                  call, capability, call);
}

/* What to do for want of CAP_BPF and CAP_PERFMON. */
static void capabilities_advise(struct doctor_check *check, const struct doctor_machine *machine, const char *names)
{
    if (machine->namespace_only)
        doctor_advise(check, "run gmptrace outside the container's user namespace, with %s; inside, they do not count",
                      names);
    else if (machine->no_new_privileges)
        doctor_advise(check, "start it without no_new_privs, then: sudo setcap %s+ep %s", names, machine->program);
    else
        doctor_advise(check, "sudo setcap %s+ep %s", names, machine->program);
}

static void bpf_refused(struct doctor_check *check, const struct doctor_machine *machine, const char *what, int error)
{
    bool bpf = doctor_may(machine, CAPABILITY_BPF), perfmon = doctor_may(machine, CAPABILITY_PERFMON);
    doctor_find(check, DOCTOR_LACKING, "%s: %s; %s%s%s", what, strerror(error),
                machine->namespace_only ? "capabilities of a user namespace do not count"
                : bpf && perfmon        ? "though this user has the capabilities"
                                        : "this user lacks ",
                machine->namespace_only || bpf ? "" : "CAP_BPF",
                machine->namespace_only || perfmon ? ""
                : bpf                              ? "CAP_PERFMON"
                                                   : " and CAP_PERFMON");
    if (!bpf || !perfmon || machine->namespace_only)
        capabilities_advise(check, machine, "cap_bpf,cap_perfmon");
    else if (strcmp(machine->lockdown, "confidentiality") == 0)
        doctor_advise(check, "boot without lockdown=confidentiality; it forbids reading the kernel");
    else
        doctor_advise(check, "kernels before 5.11 count maps as locked memory: ulimit -l unlimited; else a security "
                             "module forbids it: look in the kernel's log (dmesg)");
}

/* A program that does nothing, on the tracepoint of a thread's switch. Returns a descriptor or -errno. */
static int program_load(char *log, size_t size)
{
    const struct bpf_insn nothing[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
        { .code = BPF_JMP | BPF_EXIT },
    };
    int type = libbpf_find_vmlinux_btf_id("sched_switch", BPF_TRACE_RAW_TP);
    if (type < 0)
        return type;
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP, .attach_btf_id = (unsigned)type,
                .log_level = 1, .log_buf = log, .log_size = (unsigned)size);
    return bpf_prog_load(BPF_PROG_TYPE_TRACING, "gmptrace_doctor", "Dual BSD/GPL", nothing,
                         sizeof nothing / sizeof nothing[0], &options);
}

void doctor_check_bpf(struct doctor_check *check, const struct doctor_machine *machine)
{
    char log[1024] = "";
    int knock = bpf_knock();
    libbpf_set_print(NULL);
    if (knock == ENOSYS) {
        doctor_find(check, DOCTOR_LACKING, "there is no bpf(2) here%s",
                    machine->seccomp ? ", or seccomp hides it" : "");
        if (machine->seccomp)
            seccomp_advise(check, "bpf", "BPF --cap-add PERFMON");
        else
            doctor_advise(check, "use a kernel that was built with CONFIG_BPF_SYSCALL=y");
        return;
    }
    /* Before Linux 6.5 the kernel itself says EPERM so early to who lacks the capability. */
    if ((knock == EPERM || knock == EACCES) && machine->seccomp) {
        doctor_find(check, DOCTOR_LACKING, "seccomp forbids bpf(2): %s", strerror(knock));
        seccomp_advise(check, "bpf", "BPF --cap-add PERFMON");
        return;
    }
    int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "gmptrace_doctor", 0, 0, (unsigned)sysconf(_SC_PAGESIZE), NULL);
    if (ring < 0) {
        if (ring == -EPERM || ring == -EACCES) {
            bpf_refused(check, machine, "a ring buffer", -ring);
            return;
        }
        doctor_find(check, DOCTOR_LACKING, "a ring buffer: %s", strerror(-ring));
        doctor_advise(check, "use Linux 5.8 or later");
        return;
    }
    close(ring);
    int program = program_load(log, sizeof log);
    if (program < 0 && access(BTF_PATH, R_OK) != 0) {
        doctor_check_btf(check, machine);
        return;
    }
    if (program == -EPERM || program == -EACCES) {
        bpf_refused(check, machine, "a program on sched_switch", -program);
        return;
    }
    if (program < 0) {
        log[strcspn(log, "\n")] = 0;
        doctor_find(check, DOCTOR_LACKING, "a program on sched_switch: %s%s%s", strerror(-program), *log ? ": " : "",
                    log);
        doctor_advise(check, "use a kernel of 5.8 or later that was built with CONFIG_DEBUG_INFO_BTF=y and "
                             "CONFIG_BPF_EVENTS=y");
        return;
    }
    int link = bpf_raw_tracepoint_open(NULL, program);
    if (link == -EPERM || link == -EACCES) {
        bpf_refused(check, machine, "attaching to sched_switch", -link);
    } else if (link < 0) {
        doctor_find(check, DOCTOR_LACKING, "attaching to sched_switch: %s", strerror(-link));
        doctor_advise(check, "use a kernel that was built with CONFIG_BPF_EVENTS=y");
    } else {
        doctor_find(check, DOCTOR_OK, "a program on the scheduler's tracepoint loads and attaches");
        close(link);
    }
    close(program);
    struct stat namespace;
    if (check->state == DOCTOR_OK && stat("/proc/self/ns/pid", &namespace) == 0 &&
        namespace.st_ino != FIRST_PID_NAMESPACE) {
        doctor_find(check, DOCTOR_LACKING, "process ids here are those of a container (a pid namespace), which a "
                                           "program in the kernel does not know");
        doctor_advise(check, "record outside of it, with -p PID, or share the host's: docker run --pid=host");
    }
}

/* ---- perf events ------------------------------------------------------------------------------------------------- */

static int number_read(const char *path, int otherwise)
{
    FILE *file = fopen(path, "re");
    int number = otherwise;
    if (file && fscanf(file, "%d", &number) != 1)
        number = otherwise;
    if (file)
        fclose(file);
    return number;
}

static void perf_refused(struct doctor_check *check, const struct doctor_machine *machine, int error)
{
    int paranoid = number_read("/proc/sys/kernel/perf_event_paranoid", -1);
    doctor_find(check, DOCTOR_LACKING, "perf_event_open(2): %s; kernel.perf_event_paranoid is %d", strerror(error),
                paranoid);
    if (error == ENOENT || error == ENOSYS || error == EOPNOTSUPP) {
        if (machine->seccomp && error == ENOSYS)
            seccomp_advise(check, "perf_event_open", "PERFMON");
        else
            doctor_advise(check, "use a kernel that was built with CONFIG_PERF_EVENTS=y, 4.17 or later");
    } else if (paranoid > 2 && !machine->namespace_only) {
        doctor_advise(check, "sudo sysctl kernel.perf_event_paranoid=2, or sudo setcap cap_perfmon+ep %s",
                      machine->program);
    } else if (machine->seccomp) {
        seccomp_advise(check, "perf_event_open", "PERFMON");
    } else {
        doctor_advise(check, "a security module forbids it: look in the kernel's log (dmesg)");
    }
}

/* How many records of a type the ring has, from its beginning. */
static unsigned records_count(const struct perf_event_mmap_page *page, size_t page_bytes, unsigned type)
{
    const char *data = (const char *)page + page_bytes;
    uint64_t head = *(const volatile __u64 *)&page->data_head; /* written as this very thread was switched */
    unsigned count = 0;
    for (uint64_t at = 0; at + sizeof(struct perf_event_header) <= head && at < page_bytes;) {
        struct perf_event_header header;
        memcpy(&header, data + at, sizeof header);
        count += header.type == type;
        if (header.size < sizeof header)
            break;
        at += header.size;
    }
    return count;
}

/* A thread may watch its own switches without any capability, as long as it leaves the kernel's own work out. */
void doctor_check_perf(struct doctor_check *check, const struct doctor_machine *machine)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_SW_DUMMY,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .context_switch = 1,
        .sample_id_all = 1,
    };
    attributes.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_TID;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, (unsigned long)PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
        perf_refused(check, machine, errno);
        return;
    }
    struct perf_event_mmap_page *page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        doctor_find(check, DOCTOR_LACKING, "the ring of perf_event_open(2): %s", strerror(errno));
        doctor_advise(check, errno == EPERM ? "sudo sysctl kernel.perf_event_mlock_kb=1024" : "");
        close(fd);
        return;
    }
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    unsigned switches = records_count(page, page_bytes, PERF_RECORD_SWITCH);
    struct kernelside_lack lack;
    if (switches >= 2 && switchevents_try(&lack) == 0)
        doctor_find(check, DOCTOR_OK, "the switches of one's own threads can be seen");
    else if (switches >= 2)
        doctor_find(check, DOCTOR_LACKING, "%s", lack.why);
    else
        doctor_find(check, DOCTOR_LACKING, "perf_event_open(2) works, but a sleep left %u records of switches",
                    switches);
    munmap(page, 2 * page_bytes);
    close(fd);
}

/* ---- the scheduler's counters ------------------------------------------------------------------------------------ */

void doctor_check_schedstat(struct doctor_check *check, const struct doctor_machine *machine)
{
    (void)machine;
    unsigned long long ran = 0, waited = 0, times = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (!file) {
        doctor_find(check, DOCTOR_LACKING, "/proc/thread-self/schedstat: %s", strerror(errno));
        doctor_advise(check, "use a kernel that was built with CONFIG_SCHED_INFO=y (CONFIG_TASK_DELAY_ACCT or "
                             "CONFIG_SCHEDSTATS), with /proc mounted");
        return;
    }
    int fields = fscanf(file, "%llu %llu %llu", &ran, &waited, &times);
    fclose(file);
    if (fields == 3 && times > 0) {
        doctor_find(check, DOCTOR_OK, "the kernel counts how long each thread ran and waited for a CPU");
        return;
    }
    doctor_find(check, DOCTOR_LACKING, "/proc/thread-self/schedstat counts nothing");
    doctor_advise(check, "use a kernel that was built with CONFIG_SCHED_INFO=y");
}
