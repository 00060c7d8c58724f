/* A recording that goes over several files: their names, which are kept, and that each can be read by itself. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include "cli/cli.h"
#include "cli/rotation.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Names and sizes -------------------------------------------------------------------------------------------- */

TEST(rotation, sizes_have_units_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = { { "1K", 1 << 10 }, { "64M", 64 << 20 }, { "0G", 0 }, { "3T", 3ull << 40 } };
    static const char *const wrong[] = {
        "", "64", "M", "-1M", " 1M", "1.5M", "1MB", "1m", "99999999999999999999K", "18446744073709551615K"
    };
    uint64_t bytes;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(cli_parse_size(cases[i].text, &bytes), 0);
        ck_assert_uint_eq(bytes, cases[i].bytes);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(cli_parse_size(wrong[i], &bytes) == -EINVAL, "%s", wrong[i]);
}

static bool exists(const char *directory, unsigned number)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, number ? "%s/x.%u" : "%s/x", directory, number);
    return lstat(path, &st) == 0;
}

TEST(rotation, the_oldest_goes_and_what_is_not_ours_stays)
{
    enum { KEEP = 3, FILES = 9, FOREIGN = 2 };
    struct rotation rotation;
    char path[512];
    const char *directory = harness_tmpdir();
    snprintf(path, sizeof path, "%s/x", directory);
    ck_assert_int_eq(rotation_open(&rotation, path, 1 << 20, KEEP), 0);
    for (unsigned number = 0; number < FILES; number++) {
        const char *name = rotation_path(&rotation, number);
        const char *next = rotation_path(&rotation, number + 1); /* asked for before this one is done */
        ck_assert_ptr_nonnull(next);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        ck_assert_int_ge(fd, 0);
        rotation_begun(&rotation, number, fd);
        if (number == FOREIGN) {
            char other[520];
            snprintf(other, sizeof other, "%s.mine", name);
            ck_assert_int_eq(rename(name, other), 0);
            close(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600));
        }
        close(fd);
        rotation_done(&rotation);
        for (unsigned i = 0; i <= number; i++)
            ck_assert_int_eq(exists(directory, i), i + KEEP > number || i == FOREIGN);
    }
    rotation_close(&rotation);
}

TEST(rotation, sizes_and_numbers_that_cannot_be_are_wrong_usage)
{
    ck_assert_int_eq(shell_run("$R --max-size 1023K -- true"), 2);
    shell_has(shell_err, "'1023K' is no size of at least 1M");
    ck_assert_int_eq(shell_run("$R --max-size 64M --keep 0 -- true"), 2);
    shell_has(shell_err, "'0' is no number of files");
    ck_assert_int_eq(shell_run("$R --keep 3 -- true"), 2);
    shell_has(shell_err, "without --max-size");
    ck_assert_int_eq(shell_run("$R --max-size 64M -o /dev/null -- touch started"), 2);
    shell_has(shell_err, "'/dev/null' is no regular file");
    ck_assert_int_eq(shell_run("test -e started"), 1);
}

/* ---- Recordings ------------------------------------------------------------------------------------------------- */

struct reading {
    int attached;
    uint64_t before, created, ended;
};

static struct reading expect_whole(const char *name)
{
    struct reading reading = { 0 };
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char path[512];
    int result;
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s: %s", name, error.message);
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        reading.created += event.type == GMPT_EVENT_go_create;
        reading.ended += event.type == GMPT_EVENT_go_exit;
    }
    ck_assert_int_eq(result, 0);
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    ck_assert_msg(info->whole == 1, "%s", name);
    ck_assert_msg(counts->violations == 0, "%s: %llu", name, (unsigned long long)counts->violations);
    ck_assert_uint_eq(counts->emitted, counts->kept + counts->lost);
    reading.attached = info->attached;
    gmpt_trace_close(trace);
    return reading;
}

/* Goes on until the file is there, then ends the program by a signal. */
static int churn_until(const char *file, const char *options)
{
    return shell_run("GMPT_MAXPROCS=4 $R -o x %s -- $P/churn 1 10000000 >.out 2>.err & r=$!; "
                     "until [ -e %s ] || ! kill -0 $r 2>/dev/null; do sleep 0.05; done; kill -TERM $r; wait $r; s=$?; "
                     "cat .err >&2; exit $s",
                     options, file);
}

TEST_TIMEOUT(rotation, a_busy_program_is_followed_over_three_seams, 300)
{
    ck_assert_int_eq(churn_until("x.3", "--max-size 1M --keep 9"), 128 + 15);
    ck_assert_int_eq(shell_run("ls x x.1 x.2 x.3"), 0);
    static const char *const names[] = { "x", "x.1", "x.2", "x.3" };
    for (unsigned i = 0; i < 4; i++) {
        struct reading reading = expect_whole(names[i]);
        ck_assert_int_eq(reading.attached, i > 0);
        ck_assert_uint_gt(reading.created, 0);
    }
    ck_assert_int_eq(shell_run("stat -c %%a x x.3; "
                               "for f in x x.1 x.2; do [ $(stat -c %%s $f) -ge 1048576 ] || exit 5; done"),
                     0);
    shell_has(shell_out, "600\n600\n");
}

TEST_TIMEOUT(rotation, the_last_files_are_kept, 300)
{
    ck_assert_int_eq(churn_until("x.4", "--max-size 1M --keep 2 --stacks off"), 128 + 15);
    ck_assert_int_eq(shell_run("ls -A | grep -v '^[.]'"), 0);
    unsigned first = 0, second = 0;
    int end = 0; /* the signal may have come when the next one was full as well */
    ck_assert_msg(sscanf(shell_out, "x.%u x.%u %n", &first, &second, &end) == 2 && !shell_out[end], "%s", shell_out);
    ck_assert_uint_eq(second, first + 1);
    ck_assert_uint_ge(second, 4);
    char name[16];
    snprintf(name, sizeof name, "x.%u", second);
    ck_assert_int_eq(expect_whole(name).attached, 1);
}

TEST_TIMEOUT(rotation, a_next_file_that_cannot_be_leaves_the_first_whole, 300)
{
    static const char *const makers[] = { "mkdir x.1", "mkfifo x.1" }; /* nobody reads it: opening it would wait */
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        ck_assert_int_eq(shell_run("rm -rf x*; %s", makers[i]), 0);
        churn_until("x", "--max-size 1M");
        shell_has(shell_err, "cannot go on in 'x.1': File exists; the recording ends");
        expect_whole("x");
        ck_assert_int_eq(shell_run("ls -A | grep part"), 1);
    }
}

TEST_TIMEOUT(rotation, a_snapshots_name_that_is_taken_does_not_hold_the_recorder_up, 300)
{
    ck_assert_int_eq(shell_run("mkfifo x.2; "
                               "GMPT_MAXPROCS=2 $R -o x --flight 1M -- $P/churn 1 10000000 >.out 2>.err & r=$!; "
                               "until pgrep -P $r >/dev/null; do sleep 0.01; done; "
                               "until grep -q snapshot .err; do kill -USR2 $r || exit 97; sleep 0.05; done; "
                               "kill -TERM $r; wait $r; cat .err >&2; ls -A | grep part"),
                     1);
    shell_has(shell_err, "cannot write 'x.2': File exists; no snapshot");
    expect_whole("x");
}
