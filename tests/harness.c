/* Collects the tests that TEST() registers, runs those that SUITE and CASE select, and lets Check sum up. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct harness_test *tests; /* ordered by suite, then by place in the source */
static char run_dir[] = "/tmp/gmptrace-check-XXXXXX";

void harness_register(struct harness_test *test)
{
    struct harness_test **place = &tests;
    while (*place && strcmp((*place)->suite, test->suite) <= 0)
        place = &(*place)->next;
    test->next = *place;
    *place = test;
}

void harness_skip(const char *test, const char *format, ...)
{
    char path[sizeof run_dir + 16], reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/skipped", run_dir);
    FILE *file = fopen(path, "a");
    if (file) {
        fprintf(file, "SKIP %s: %s\n", test, reason);
        fclose(file);
    }
}

const char *harness_tmpdir(void)
{
    static char path[sizeof run_dir + 32];
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/tXXXXXX", run_dir); /* not by its pid: in a long run they come again */
        if (!mkdtemp(path))
            ck_abort_msg("mkdtemp %s: %s", path, strerror(errno));
    }
    return path;
}

static void slurp(const char *path, char *buffer, size_t size)
{
    if (!buffer || size == 0)
        return;
    buffer[0] = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    size_t length = fread(buffer, 1, size - 1, file);
    buffer[length] = 0;
    fclose(file);
}

int harness_shell(const char *command, char *out, size_t out_size, char *err, size_t err_size)
{
    char out_path[256], err_path[256];
    snprintf(out_path, sizeof out_path, "%s/.stdout", harness_tmpdir());
    snprintf(err_path, sizeof err_path, "%s/.stderr", harness_tmpdir());
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "r", stdin) || !freopen(out_path, "w", stdout) || !freopen(err_path, "w", stderr))
            _exit(126);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    slurp(out_path, out, out_size);
    slurp(err_path, err, err_size);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool selected(const char *filter, const char *name)
{
    return !filter || !*filter || strstr(name, filter);
}

/* Whether EXCEPT, suites with commas between them, leaves this one out. */
static bool excepted(const char *list, const char *suite)
{
    size_t length = strlen(suite);
    for (const char *at = list; at && (at = strstr(at, suite)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

int main(void)
{
    const char *suite_filter = getenv("SUITE"), *case_filter = getenv("CASE");
    if (!mkdtemp(run_dir)) {
        perror("mkdtemp");
        return 1;
    }
    SRunner *runner = NULL;
    Suite *suite = NULL;
    const char *suite_name = "";
    int count = 0;
    for (struct harness_test *test = tests; test; test = test->next) {
        if (!selected(suite_filter, test->suite) || !selected(case_filter, test->test->name) ||
            excepted(getenv("EXCEPT"), test->suite))
            continue;
        if (strcmp(suite_name, test->suite) != 0) {
            suite = suite_create(suite_name = test->suite);
            if (!runner)
                runner = srunner_create(suite);
            else
                srunner_add_suite(runner, suite);
        }
        TCase *tcase = tcase_create(test->test->name);
        tcase_set_timeout(tcase, test->timeout_seconds);
        tcase_add_test(tcase, test->test);
        suite_add_tcase(suite, tcase);
        count++;
    }
    if (count == 0) {
        fprintf(stderr, "no test matches SUITE=%s CASE=%s\n", suite_filter ? suite_filter : "",
                case_filter ? case_filter : "");
        return 1;
    }
    /* Silent at first: Check's own summary is to be the last word, after what was skipped. */
    srunner_run_all(runner, CK_SILENT);

    char path[sizeof run_dir + 16], command[sizeof run_dir + 16], line[640];
    snprintf(path, sizeof path, "%s/skipped", run_dir);
    FILE *skipped = fopen(path, "r");
    while (skipped && fgets(line, sizeof line, skipped))
        fputs(line, stdout);
    if (skipped)
        fclose(skipped);
    fflush(stdout);
    srunner_print(runner, getenv("VERBOSE") ? CK_VERBOSE : CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    snprintf(command, sizeof command, "rm -rf %s", run_dir);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", run_dir);
    return failed ? 1 : 0;
}
