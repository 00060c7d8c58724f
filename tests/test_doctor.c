/* gmptrace doctor: what it says of machines that allow less than this one, which a process can make for itself: as a
 * user without capabilities, under filters of system calls, with a signal blocked. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 61003

extern char **environ;

static char text[32768];

/* What a check says in the JSON, from its name to the next check's. */
static const char *check_of(const char *name)
{
    static char check[2048];
    char start[64];
    snprintf(start, sizeof start, "{\"name\": \"%s\"", name);
    const char *begin = strstr(text, start);
    ck_assert_msg(begin != NULL, "no check %s in:\n%s", name, text);
    snprintf(check, sizeof check, "%.*s", (int)strcspn(begin, "}"), begin);
    return check;
}

#define EXPECT_CHECK(name, words)                                                                                      \
    ck_assert_msg(strstr(check_of(name), (words)) != NULL, "no %s in:\n%s", (words), check_of(name))

/* Runs the command in a process in which prepare (NULL: nothing) was called; what it prints is in text. Returns its
 * exit status, or -1 when prepare could not. */
static int doctor_in(bool (*prepare)(void), const char *argument)
{
    int ends[2], status = 0;
    int program = open(getenv("GMPTRACE"), O_RDONLY | O_CLOEXEC); /* before a user who may not go there */
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(program, 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        if (prepare && !prepare())
            _exit(99);
        fexecve(program, (char *[]){ "gmptrace", "doctor", (char *)argument, NULL }, environ);
        _exit(98);
    }
    close(ends[1]);
    close(program);
    size_t length = 0;
    ssize_t got;
    while (length + 1 < sizeof text && (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 98, "%s", text);
    return WEXITSTATUS(status) == 99 ? -1 : WEXITSTATUS(status);
}

static bool filter_calls(unsigned first, unsigned second, unsigned action)
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

static bool without_bpf(void) { return filter_calls(SYS_bpf, SYS_bpf, SECCOMP_RET_ERRNO | EPERM); }
static bool killed_by_bpf(void) { return filter_calls(SYS_bpf, SYS_bpf, SECCOMP_RET_KILL_PROCESS); }
static bool without_both(void) { return filter_calls(SYS_bpf, SYS_perf_event_open, SECCOMP_RET_ERRNO | EPERM); }
static bool without_ptrace(void) { return filter_calls(SYS_ptrace, SYS_ptrace, SECCOMP_RET_ERRNO | EPERM); }

static bool as_nobody(void)
{
    return geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static bool with_blocked_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0;
}

TEST(doctor, status_says_whether_something_lacks)
{
    int status = doctor_in(NULL, "--json");
    ck_assert_int_eq(status, strstr(text, "\"state\": \"lacking\"") ? 4 : 0);
    ck_assert(!strstr(text, "\"lacking\": 0") == (status == 4));
}

TEST(doctor, what_is_limited_or_lacks_says_what_it_is_for)
{
    doctor_in(NULL, NULL);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        /* A path may be longer than a line, and then has one of its own. */
        ck_assert_msg(strlen(line) <= 80 || !strchr(line + strspn(line, " "), ' '), "%s", line);
        if (strncmp(line, "lacking ", 8) != 0 && strncmp(line, "limited ", 8) != 0)
            continue;
        do {
            line = strtok(NULL, "\n");
            ck_assert_ptr_nonnull(line);
        } while (!strstr(line, "for: ") && line[0] == ' ');
        ck_assert_ptr_nonnull(strstr(line, "for: "));
    }
}

TEST(doctor, a_user_without_capabilities_is_told_which_to_set)
{
    int status = doctor_in(as_nobody, "--json");
    if (status < 0)
        SKIP("only root can be another user");
    ck_assert_int_eq(status, 4);
    ck_assert_ptr_nonnull(strstr(text, "\"user\": 61003, \"capabilities\": \"0000000000000000\""));
    EXPECT_CHECK("bpf", "\"lacking\"");
    if (strstr(check_of("bpf"), "lacks CAP_BPF and CAP_PERFMON"))
        EXPECT_CHECK("bpf", "sudo setcap cap_bpf,cap_perfmon+ep /");
    else /* there is more that lacks */
        EXPECT_CHECK("bpf", "\"fix\": \"");
    ck_assert_ptr_null(strstr(text, "\"tier\": \"bpf\""));
}

TEST(doctor, a_filter_that_forbids_bpf_is_named)
{
    int status = doctor_in(without_bpf, "--json");
    if (status < 0)
        SKIP("no filter of system calls can be set here");
    ck_assert_int_eq(status, 4);
    ck_assert_ptr_nonnull(strstr(text, "\"seccomp\": true"));
    EXPECT_CHECK("bpf", "\"lacking\"");
    EXPECT_CHECK("bpf", "seccomp forbids bpf(2)");
    EXPECT_CHECK("bpf", "docker run --cap-add BPF --cap-add PERFMON");
    ck_assert_ptr_null(strstr(text, "\"tier\": \"bpf\""));
}

TEST(doctor, survives_a_filter_that_kills)
{
    int status = doctor_in(killed_by_bpf, "--json");
    if (status < 0)
        SKIP("no filter of system calls can be set here");
    ck_assert_int_eq(status, 4);
    EXPECT_CHECK("bpf", "seccomp kills");
    EXPECT_CHECK("quota", "\"state\"");
}

TEST(doctor, without_bpf_and_perf_the_counters_are_left)
{
    int status = doctor_in(without_both, "--json");
    if (status < 0)
        SKIP("no filter of system calls can be set here");
    EXPECT_CHECK("perf", "\"lacking\"");
    if (strstr(check_of("schedstat"), "\"ok\""))
        ck_assert_ptr_nonnull(strstr(text, "\"tier\": \"schedstat\""));
    else
        ck_assert_ptr_nonnull(strstr(text, "\"tier\": \"none\""));
}

TEST(doctor, reading_and_stopping_others_are_two_questions)
{
    if (doctor_in(without_ptrace, "--json") < 0)
        SKIP("no filter of system calls can be set here");
    EXPECT_CHECK("stop", "\"lacking\"");
    EXPECT_CHECK("stop", "SYS_PTRACE");
    ck_assert_ptr_null(strstr(check_of("attach"), "stopping"));
}

TEST(doctor, a_blocked_signal_is_found)
{
    ck_assert_int_eq(doctor_in(with_blocked_signal, "--json"), 4);
    EXPECT_CHECK("signal", "SIGURG is blocked");
    doctor_in(NULL, "--json");
    EXPECT_CHECK("signal", "\"ok\"");
}

TEST(doctor, json_is_as_its_schema_says)
{
    static const char validate[] =
        "/usr/bin/python3 -c 'import json, jsonschema, sys; v = jsonschema.Draft202012Validator; "
        "s = json.load(open(\"schema/doctor.schema.json\")); v.check_schema(s); v(s).validate(json.load(sys.stdin))'";
    char command[512];
    if (harness_shell("/usr/bin/python3 -c 'from jsonschema import Draft202012Validator'", NULL, 0, NULL, 0) != 0)
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    snprintf(command, sizeof command, "$GMPTRACE doctor --json | %s 2>&1", validate);
    ck_assert_msg(harness_shell(command, text, sizeof text, NULL, 0) == 0, "%s", text);
    snprintf(command, sizeof command, "$GMPTRACE doctor --json | sed s/purpose/porpoise/ | %s 2>&1", validate);
    ck_assert_int_ne(harness_shell(command, text, sizeof text, NULL, 0), 0);
}

TEST(doctor, arguments_are_refused)
{
    ck_assert_int_eq(doctor_in(NULL, "--jsn"), 2);
    ck_assert_int_eq(doctor_in(NULL, "now"), 2);
}
