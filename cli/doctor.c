/* gmptrace doctor: what this machine, kernel, container and user allow, found out by trying, and how to get what lacks.
 */
#define _GNU_SOURCE
#include "cli.h"
#include "doctorcheck.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The checks -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *purpose;
    doctor_check_fn *run;
} checks[] = {
    { "btf", "the kernel's own types, for bpf", doctor_check_btf },
    { "bpf", "each switch of a thread, with its goroutine, and who took its CPU", doctor_check_bpf },
    { "perf", "each switch of a thread", doctor_check_perf },
    { "schedstat", "how long each thread ran, and waited for a CPU", doctor_check_schedstat },
    { "clock", "the time of events", doctor_check_clock },
    { "memory", "what a program writes its events to", doctor_check_memory },
    { "attach", "record, ps and dump with -p", doctor_check_attach },
    { "stop", "stacks of goroutines that run, in dump -p", doctor_check_dump },
    { "signal", "interrupting a goroutine that computes", doctor_check_signal },
    { "guard", "stacks that cannot overflow into others", doctor_check_guard },
    { "core", "dump of a program that crashed", doctor_check_core },
    { "quota", "CPU time of the cgroup", doctor_check_quota },
};
#define CHECKS (sizeof checks / sizeof checks[0])

/* How much the kernel tells of a program's threads; a better one has what those below it have. */
static const struct {
    const char *name; /* as record --kernel has it */
    const char *check; /* that decides */
    const char *purpose;
} tiers[] = {
    { "bpf", "bpf", "each switch of a thread, with its goroutine, and who took its CPU" },
    { "perf", "perf", "each switch of a thread" },
    { "proc", "schedstat", "how long each thread ran, and waited for a CPU" },
};
#define TIERS (sizeof tiers / sizeof tiers[0])

struct doctor {
    struct doctor_machine machine;
    struct doctor_check *checks; /* CHECKS of them, shared with the processes that try */
};

void doctor_find(struct doctor_check *check, enum doctor_state state, const char *format, ...)
{
    va_list args;
    check->state = state;
    va_start(args, format);
    vsnprintf(check->found, sizeof check->found, format, args);
    va_end(args);
}

void doctor_advise(struct doctor_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->fix, sizeof check->fix, format, args);
    va_end(args);
}

static void check_run(struct doctor_check *check, const struct doctor_machine *machine, doctor_check_fn *run)
{
    int status = 0;
    doctor_find(check, DOCTOR_LACKING, "the check did not end");
    pid_t pid = fork();
    if (pid == 0) {
        run(check, machine);
        _exit(0);
    }
    if (pid < 0) {
        doctor_find(check, DOCTOR_LACKING, "no process could be started to try it: %s", strerror(errno));
        return;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
        doctor_find(check, DOCTOR_LACKING, "seccomp kills a process that tries it");
        doctor_advise(check, "another seccomp profile: docker run --security-opt seccomp=PROFILE; in a systemd unit "
                             "SystemCallFilter=");
    } else if (!WIFEXITED(status)) {
        doctor_find(check, DOCTOR_LACKING, "trying it was ended by signal %d", WTERMSIG(status));
    }
}

/* Shared with the process that tries; NULL: no memory. */
static struct doctor_check *checks_map(size_t count)
{
    size_t bytes = count * sizeof(struct doctor_check);
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

void doctor_try(struct doctor_check *check, const struct doctor_machine *machine, const char *name)
{
    struct doctor_check *shared = checks_map(1);
    *check = (struct doctor_check){ .name = name, .state = DOCTOR_LACKING };
    for (size_t i = 0; shared && i < CHECKS; i++) {
        if (strcmp(checks[i].name, name) != 0)
            continue;
        shared->name = checks[i].name;
        shared->purpose = checks[i].purpose;
        check_run(shared, machine, checks[i].run);
        *check = *shared;
    }
    if (shared)
        munmap(shared, sizeof *shared);
}

/* ---- The machine ------------------------------------------------------------------------------------------------- */

static void status_read(struct doctor_machine *machine)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned number;
        sscanf(line, "CapEff: %" SCNx64, &machine->capabilities);
        if (sscanf(line, "Seccomp: %u", &number) == 1)
            machine->seccomp = number != 0;
        if (sscanf(line, "NoNewPrivs: %u", &number) == 1)
            machine->no_new_privileges = number != 0;
    }
    if (file)
        fclose(file);
}

/* The first namespace maps every user onto itself. */
static bool in_user_namespace(void)
{
    unsigned inside = 0, outside = 0, count = UINT32_MAX;
    FILE *file = fopen("/proc/self/uid_map", "re");
    int fields = file ? fscanf(file, "%u %u %u", &inside, &outside, &count) : 0;
    if (file)
        fclose(file);
    return fields == 3 && (inside != 0 || outside != 0 || count != UINT32_MAX);
}

/* "none [integrity] confidentiality": the one in brackets. */
static void lockdown_read(char *mode, size_t size)
{
    char line[128] = "";
    FILE *file = fopen("/sys/kernel/security/lockdown", "re");
    if (file && fgets(line, sizeof line, file)) {
        char *begin = strchr(line, '['), *end = begin ? strchr(begin, ']') : NULL;
        if (end)
            snprintf(mode, size, "%.*s", (int)(end - begin - 1), begin + 1);
    }
    if (file)
        fclose(file);
}

void doctor_machine_read(struct doctor_machine *machine)
{
    struct utsname name;
    memset(machine, 0, sizeof *machine);
    if (uname(&name) == 0) {
        snprintf(machine->release, sizeof machine->release, "%s", name.release);
        snprintf(machine->architecture, sizeof machine->architecture, "%s", name.machine);
    }
    machine->user = geteuid();
    status_read(machine);
    machine->namespace_only = in_user_namespace();
    lockdown_read(machine->lockdown, sizeof machine->lockdown);
    if (readlink("/proc/self/exe", machine->program, sizeof machine->program - 1) < 0)
        snprintf(machine->program, sizeof machine->program, "$(command -v gmptrace)");
}

bool doctor_may(const struct doctor_machine *machine, unsigned capability)
{
    return machine->capabilities >> capability & 1;
}

/* ---- What is said ------------------------------------------------------------------------------------------------ */

static const char *const state_words[] = {
    [DOCTOR_OK] = "ok", [DOCTOR_LIMITED] = "limited", [DOCTOR_LACKING] = "lacking"
};

static const struct doctor_check *check_named(const struct doctor *doctor, const char *name)
{
    size_t i = 0;
    while (strcmp(checks[i].name, name) != 0)
        i++;
    return &doctor->checks[i];
}

/* The best tier that there is, or TIERS. */
static size_t tier_find(const struct doctor *doctor)
{
    size_t tier = 0;
    while (tier < TIERS && check_named(doctor, tiers[tier].check)->state == DOCTOR_LACKING)
        tier++;
    return tier;
}

static const char *tier_name(size_t tier) { return tier < TIERS ? tiers[tier].name : "off"; }

static unsigned lacking_count(const struct doctor *doctor)
{
    unsigned count = 0;
    for (size_t i = 0; i < CHECKS; i++)
        count += doctor->checks[i].state == DOCTOR_LACKING;
    return count;
}

static void text_print(const struct doctor *doctor)
{
    const struct doctor_machine *machine = &doctor->machine;
    size_t tier = tier_find(doctor);
    cli_wrap(2, "Linux %s, %s, user %u%s%s%s%s", machine->release, machine->architecture, machine->user,
             machine->namespace_only ? " of a user namespace" : "", machine->seccomp ? ", under seccomp" : "",
             machine->lockdown[0] ? ", lockdown: " : "", machine->lockdown);
    cli_wrap(2, "The most that the kernel tells here: %s (%s)", tier_name(tier),
             tier < TIERS ? tiers[tier].purpose : "nothing of threads; goroutines are seen all the same");
    putchar('\n');
    for (size_t i = 0; i < CHECKS; i++) {
        const struct doctor_check *check = &doctor->checks[i];
        cli_wrap(21, "%-9s  %-9s %s", state_words[check->state], check->name, check->found);
        if (check->state == DOCTOR_OK)
            continue;
        cli_wrap(21, "%21sfor: %s", "", check->purpose);
        if (check->fix[0])
            cli_wrap(21, "%21sdo:  %s", "", check->fix);
    }
}

static void json_member(const char *before, const char *name, const char *text)
{
    printf("%s\"%s\": ", before, name);
    cli_json_string(stdout, text);
}

static void json_member_or_null(const char *before, const char *name, const char *text)
{
    if (text[0])
        json_member(before, name, text);
    else
        printf("%s\"%s\": null", before, name);
}

static void json_print(const struct doctor *doctor)
{
    const struct doctor_machine *machine = &doctor->machine;
    json_member("{\"version\": 1,\n ", "kernel", machine->release);
    json_member(", ", "architecture", machine->architecture);
    json_member_or_null(", ", "lockdown", machine->lockdown);
    printf(",\n \"user\": %u, \"capabilities\": \"%016" PRIx64 "\"", machine->user, machine->capabilities);
    printf(", \"user_namespace\": %s, \"seccomp\": %s, \"no_new_privileges\": %s",
           machine->namespace_only ? "true" : "false", machine->seccomp ? "true" : "false",
           machine->no_new_privileges ? "true" : "false");
    json_member(",\n ", "tier", tier_name(tier_find(doctor)));
    printf(", \"lacking\": %u,\n \"checks\": [", lacking_count(doctor));
    for (size_t i = 0; i < CHECKS; i++) {
        const struct doctor_check *check = &doctor->checks[i];
        json_member(i ? ",\n  {" : "\n  {", "name", check->name);
        json_member(", ", "state", state_words[check->state]);
        json_member(",\n   ", "purpose", check->purpose);
        json_member(",\n   ", "found", check->found);
        json_member_or_null(",\n   ", "fix", check->fix);
        putchar('}');
    }
    puts("\n ]}");
}

static int doctor_run(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
    bool json = false;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'j')
            return cli_usage_option(option, argv);
        json = true;
    }
    if (optind < argc)
        return cli_usage("it takes no argument, such as '%s'", argv[optind]);
    struct doctor doctor;
    doctor_machine_read(&doctor.machine);
    doctor.checks = checks_map(CHECKS);
    if (!doctor.checks) {
        cli_error("no memory: %s", strerror(errno));
        return CLI_MACHINE;
    }
    for (size_t i = 0; i < CHECKS; i++) {
        doctor.checks[i].name = checks[i].name;
        doctor.checks[i].purpose = checks[i].purpose;
        check_run(&doctor.checks[i], &doctor.machine, checks[i].run);
    }
    if (json)
        json_print(&doctor);
    else
        text_print(&doctor);
    return cli_flush(lacking_count(&doctor) ? CLI_MACHINE : CLI_OK);
}

const struct cli_command command_doctor = {
    .name = "doctor",
    .summary = "what this machine and user allow, and how to get the rest",
    .help = "Usage: gmptrace doctor [--json]\n"
            "Tries what gmptrace can use of this machine, kernel and container, as this user,\n"
            "and says of what lacks what it is for and how to get it.\n\n"
            "  --json          all of that as one JSON object\n"
            "  --help          this text\n"
            "  --version       which gmptrace this is\n\n"
            "Exit status: 0 nothing lacks; 2 wrong usage; 4 something lacks, or the output\n"
            "cannot be written.\n",
    .run = doctor_run,
};
