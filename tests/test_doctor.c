/* gmptrace doctor: what it says of machines that allow less than this one, which a process can make for itself: as a
 * user without capabilities, under filters of system calls, with a signal blocked. */
#define _GNU_SOURCE
#include "confined.h"
#include "harness.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

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

static int doctor_in(bool (*prepare)(void), const char *argument)
{
    return confined_run(prepare, getenv("GMPTRACE"), (char *[]){ "gmptrace", "doctor", (char *)argument, NULL }, text,
                        sizeof text);
}

static bool without_ptrace(void) { return confined_calls(SYS_ptrace, SYS_ptrace, SECCOMP_RET_ERRNO | EPERM); }

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
    int status = doctor_in(confined_as_nobody, "--json");
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
    int status = doctor_in(confined_without_bpf, "--json");
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
    int status = doctor_in(confined_killed_by_bpf, "--json");
    if (status < 0)
        SKIP("no filter of system calls can be set here");
    ck_assert_int_eq(status, 4);
    EXPECT_CHECK("bpf", "seccomp kills");
    EXPECT_CHECK("quota", "\"state\"");
}

TEST(doctor, without_bpf_and_perf_the_counters_are_left)
{
    int status = doctor_in(confined_without_bpf_and_perf, "--json");
    if (status < 0)
        SKIP("no filter of system calls can be set here");
    EXPECT_CHECK("perf", "\"lacking\"");
    if (strstr(check_of("schedstat"), "\"ok\""))
        ck_assert_ptr_nonnull(strstr(text, "\"tier\": \"proc\""));
    else
        ck_assert_ptr_nonnull(strstr(text, "\"tier\": \"off\""));
}

TEST(doctor, reading_and_stopping_others_are_two_questions)
{
    if (doctor_in(without_ptrace, "--json") < 0)
        SKIP("no filter of system calls can be set here");
    EXPECT_CHECK("stop", "\"lacking\"");
    EXPECT_CHECK("stop", "SYS_PTRACE");
    ck_assert_ptr_null(strstr(check_of("attach"), "stopping"));
}

TEST(doctor, one_with_capabilities_can_look_into_others_that_have_none)
{
    char out[16384], err[512];
    int status = harness_shell("[ \"$(id -u)\" = 0 ] && command -v setcap && command -v setpriv || exit 5; "
                               "d=$(mktemp -d) && chmod 755 $d && cp $GMPTRACE $d/g && "
                               "setcap cap_bpf,cap_perfmon+ep $d/g || exit 5; "
                               "setpriv --reuid=65534 --regid=65534 --clear-groups $d/g doctor --json; rm -r $d",
                               out, sizeof out, err, sizeof err);
    if (status == 5)
        SKIP("it takes root, setcap and setpriv");
    snprintf(text, sizeof text, "%s", out);
    if (doctor_in(confined_as_nobody, "--json") >= 0 && strstr(check_of("attach"), "\"ok\"")) {
        snprintf(text, sizeof text, "%s", out);
        EXPECT_CHECK("attach", "\"ok\"");
        EXPECT_CHECK("stop", "\"ok\"");
    }
}

TEST(doctor, a_blocked_signal_is_found)
{
    SKIP_UNDER_TSAN("ThreadSanitizer delivers signals late");
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
