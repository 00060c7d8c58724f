/* What BPF programs cost for each run, as the kernel's own statistics count it, beside an empty one on the same hook at
 * the same time: what the counting itself costs is in both. Prints "PROGRAM RUNS NS" lines, NS for each run; the empty
 * ones are called empty_HOOK. Status 4: not allowed here.
 *
 *     kernel_runs MILLISECONDS PROGRAM... */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRAMS_MAX 64

struct program {
    int fd;
    char name[32];
    unsigned long long runs, ns;
};

static struct program programs[PROGRAMS_MAX];
static size_t program_count;

static void refused(const char *what)
{
    fprintf(stderr, "kernel_runs: %s: %s\n", what, strerror(errno));
    exit(4);
}

static void program_add(int fd, const char *name)
{
    struct program *program = &programs[program_count++];
    program->fd = fd;
    snprintf(program->name, sizeof program->name, "%s", name);
}

static int info_read(int fd, struct bpf_prog_info *info)
{
    __u32 bytes = sizeof *info;
    memset(info, 0, sizeof *info);
    return bpf_obj_get_info_by_fd(fd, info, &bytes);
}

static void empty_attach(const char *hook)
{
    const struct bpf_insn nothing[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
        { .code = BPF_JMP | BPF_EXIT },
    };
    char name[16], shown[32];
    int type = libbpf_find_vmlinux_btf_id(hook, BPF_TRACE_RAW_TP);
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP,
                .attach_btf_id = type > 0 ? (__u32)type : 0);
    snprintf(name, sizeof name, "empty");
    int fd = type > 0 ? bpf_prog_load(BPF_PROG_TYPE_TRACING, name, "GPL", nothing, 2, &options) : -1;
    if (fd < 0 || bpf_raw_tracepoint_open(NULL, fd) < 0) /* attached until this process ends */
        refused(hook);
    snprintf(shown, sizeof shown, "empty_%s", hook);
    program_add(fd, shown);
}

static bool is_named(char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static void loaded_find(char *const *names)
{
    struct bpf_prog_info info;
    for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0 && program_count < PROGRAMS_MAX;) {
        int fd = bpf_prog_get_fd_by_id(id);
        if (fd >= 0 && info_read(fd, &info) == 0 && is_named(names, info.name))
            program_add(fd, info.name);
        else if (fd >= 0)
            close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    long ms = atol(argv[1]);
    struct bpf_prog_info info;
    libbpf_set_print(NULL);
    if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
        refused("statistics of BPF programs");
    loaded_find(argv + 2);
    empty_attach("sched_switch");
    empty_attach("sched_waking");
    for (size_t i = 0; i < program_count; i++)
        if (info_read(programs[i].fd, &info) == 0) {
            programs[i].runs = info.run_cnt;
            programs[i].ns = info.run_time_ns;
        }
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
    for (size_t i = 0; i < program_count; i++) {
        if (info_read(programs[i].fd, &info))
            continue;
        unsigned long long runs = info.run_cnt - programs[i].runs, ns = info.run_time_ns - programs[i].ns;
        printf("%s %llu %.1f\n", programs[i].name, runs, runs ? (double)ns / (double)runs : 0.0);
    }
    return 0;
}
