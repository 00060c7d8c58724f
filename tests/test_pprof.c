/* gmptrace pprof, on traces made by hand: what is in the profile, and how the file gets to its place. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"

#include "pprof/profile.pb-c.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char out[1 << 16], err[1 << 14];

/* Runs a command in the test's directory, where the sample is gmptrace.data. */
static int run(const char *command)
{
    char full[1024];
    snprintf(full, sizeof full, "cd %s && %s", harness_tmpdir(), command);
    return harness_shell(full, out, sizeof out, err, sizeof err);
}

static void sample(const struct sample_options *options)
{
    char path[512];
    snprintf(path, sizeof path, "%s/gmptrace.data", harness_tmpdir());
    sample_write(path, options);
}

static void has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in:\n%s", part, text);
}

static Perftools__Profiles__Profile *profile_read(const char *name)
{
    static uint8_t bytes[1 << 20];
    char path[512];
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    gzFile file = gzopen(path, "r");
    ck_assert_msg(file != NULL, "%s is not there", name);
    int size = gzread(file, bytes, sizeof bytes);
    ck_assert_int_gt(size, 0);
    ck_assert_int_eq(gzclose(file), Z_OK);
    Perftools__Profiles__Profile *profile = perftools__profiles__profile__unpack(NULL, (size_t)size, bytes);
    ck_assert_ptr_nonnull(profile);
    return profile;
}

static void profile_free(Perftools__Profiles__Profile *profile)
{
    perftools__profiles__profile__free_unpacked(profile, NULL);
}

/* Makes a sample trace and its profile of this type. */
static Perftools__Profiles__Profile *profile_of(const struct sample_options *options, const char *type)
{
    char command[128];
    sample(options);
    snprintf(command, sizeof command, "$GMPTRACE pprof --type=%s -o out.pb.gz", type);
    ck_assert_int_eq(run(command), 0);
    return profile_read("out.pb.gz");
}

static const char *label(const Perftools__Profiles__Profile *profile, const Perftools__Profiles__Sample *one,
                         const char *key)
{
    for (size_t i = 0; i < one->n_label; i++)
        if (strcmp(profile->string_table[one->label[i]->key], key) == 0)
            return profile->string_table[one->label[i]->str];
    return NULL;
}

/* The outermost function of a frame. Ids are positions, as test_profile.c checks. */
static const char *function(const Perftools__Profiles__Profile *profile, const Perftools__Profiles__Sample *one,
                            size_t frame)
{
    ck_assert_uint_lt(frame, one->n_location_id);
    const Perftools__Profiles__Location *location = profile->location[one->location_id[frame] - 1];
    ck_assert_uint_gt(location->n_line, 0);
    return profile->string_table[profile->function[location->line[location->n_line - 1]->function_id - 1]->name];
}

static const Perftools__Profiles__Sample *sample_in_state(const Perftools__Profiles__Profile *profile,
                                                          const char *state)
{
    for (size_t i = 0; i < profile->n_sample; i++)
        if (strcmp(label(profile, profile->sample[i], "state"), state) == 0)
            return profile->sample[i];
    ck_abort_msg("no sample is %s", state);
    return NULL;
}

static int64_t total(const Perftools__Profiles__Profile *profile)
{
    int64_t sum = 0;
    for (size_t i = 0; i < profile->n_sample; i++)
        sum += profile->sample[i]->value[0];
    return sum;
}

static void has_comment(const Perftools__Profiles__Profile *profile, const char *words)
{
    for (size_t i = 0; i < profile->n_comment; i++)
        if (strstr(profile->string_table[profile->comment[i]], words))
            return;
    ck_abort_msg("no comment says '%s'", words);
}

/* ---- Contents ---------------------------------------------------------------------------------------------------- */

TEST(pprof, leak_counts_only_suspects)
{
    Perftools__Profiles__Profile *profile =
        profile_of(&(struct sample_options){ .leaks = 15, .healthy = 7, .done = 9 }, "leak");
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->type], "goroutineleak");
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->unit], "count");
    ck_assert_uint_eq(profile->n_sample, 1);
    ck_assert_int_eq(profile->sample[0]->value[0], 15);
    profile_free(profile);
}

TEST(pprof, goroutine_counts_all_that_live)
{
    Perftools__Profiles__Profile *profile =
        profile_of(&(struct sample_options){ .leaks = 15, .healthy = 7, .done = 9 }, "goroutine");
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->type], "goroutine");
    ck_assert_int_eq(total(profile), 1 + 15 + 7);
    profile_free(profile);
}

TEST(pprof, no_leak_is_an_empty_profile_and_no_finding)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .healthy = 3 }, "leak");
    ck_assert_uint_eq(profile->n_sample, 0);
    has(err, "0 suspected leaks in 0 samples");
    profile_free(profile);
}

TEST(pprof, no_leak_in_what_is_left_of_a_trace_proves_nothing)
{
    sample(&(struct sample_options){ .healthy = 3, .no_end = true });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak"), 3);
    has(err, "cannot tell whether goroutines leaked\n");
    profile_free(profile_read("leak.pb.gz"));
    sample(&(struct sample_options){ .leaks = 15, .no_end = true });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak"), 0);
    ck_assert_int_eq(run("$GMPTRACE pprof --type=goroutine"), 0);
}

TEST(pprof, waiting_goroutine_is_where_it_waits_leaf_first)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .leaks = 15 }, "leak");
    const Perftools__Profiles__Sample *one = profile->sample[0];
    ck_assert_uint_eq(one->n_location_id, 2);
    ck_assert_str_eq(function(profile, one, 0), "gmpt_sample_send");
    ck_assert_str_eq(function(profile, one, 1), "sample_worker");
    profile_free(profile);
}

TEST(pprof, running_goroutine_is_in_its_function)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .leaks = 2 }, "goroutine");
    const Perftools__Profiles__Sample *one = sample_in_state(profile, "running");
    ck_assert_int_eq(one->value[0], 1);
    ck_assert_uint_eq(one->n_location_id, 1);
    ck_assert_str_eq(function(profile, one, 0), "sample_starter");
    ck_assert_ptr_null(label(profile, one, "wait_reason"));
    ck_assert_ptr_null(label(profile, one, "created_by"));
    profile_free(profile);
}

TEST(pprof, labels_say_creator_reason_and_state)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .leaks = 15 }, "leak");
    const Perftools__Profiles__Sample *one = profile->sample[0];
    const char *creator = label(profile, one, "created_by");
    ck_assert_str_eq(label(profile, one, "state"), "waiting");
    ck_assert_str_eq(label(profile, one, "wait_reason"), "chan send");
    ck_assert_ptr_nonnull(creator);
    ck_assert_msg(strncmp(creator, "sample_starter sample.c:", 24) == 0 && atoi(creator + 24) > 0, "'%s'", creator);
    profile_free(profile);
}

TEST(pprof, without_modules_there_are_counts_and_addresses)
{
    Perftools__Profiles__Profile *profile =
        profile_of(&(struct sample_options){ .leaks = 15, .no_modules = true }, "leak");
    ck_assert_int_eq(total(profile), 15);
    ck_assert_uint_eq(profile->sample[0]->n_location_id, 2);
    ck_assert_uint_eq(profile->n_mapping, 0);
    ck_assert_uint_eq(profile->location[0]->n_line, 0);
    ck_assert_uint_ne(profile->location[0]->address, 0);
    profile_free(profile);
}

TEST(pprof, time_and_duration_are_the_traces)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .leaks = 5 }, "goroutine");
    ck_assert_int_eq(profile->time_nanos, 1700000000000000000);
    ck_assert_int_eq(profile->duration_nanos, 2000000000);
    profile_free(profile);
}

TEST(pprof, comments_name_command_and_host)
{
    Perftools__Profiles__Profile *profile =
        profile_of(&(struct sample_options){ .leaks = 5, .command = "./sample --port 80" }, "goroutine");
    ck_assert_uint_eq(profile->n_comment, 2);
    has_comment(profile, "command: ./sample --port 80");
    has_comment(profile, "host: testhost 6.1");
    profile_free(profile);
}

TEST(pprof, comments_tell_of_losses)
{
    Perftools__Profiles__Profile *profile = profile_of(&(struct sample_options){ .leaks = 5, .lost = 12 }, "goroutine");
    has_comment(profile, "lost: 12 events");
    profile_free(profile);
}

TEST(pprof, comments_tell_of_a_missing_end)
{
    Perftools__Profiles__Profile *profile =
        profile_of(&(struct sample_options){ .leaks = 5, .no_end = true }, "goroutine");
    has_comment(profile, "cut off");
    ck_assert_int_eq(total(profile), 6);
    profile_free(profile);
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

TEST(pprof, default_name_is_the_type)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak && $GMPTRACE pprof gmptrace.data && ls"), 0);
    ck_assert_str_eq(out, "gmptrace.data\ngoroutine.pb.gz\nleak.pb.gz\n");
}

TEST(pprof, last_line_says_what_was_written_and_what_to_run)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak"), 0);
    ck_assert_str_eq(out, "");
    ck_assert_str_eq(err, "[ gmptrace pprof: wrote 15 suspected leaks in 1 sample -> leak.pb.gz ]\n"
                          "Look at it with: go tool pprof -top leak.pb.gz\n");
}

TEST(pprof, dash_writes_the_same_bytes_to_standard_output)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("$GMPTRACE pprof -o file && $GMPTRACE pprof -o - > pipe && cmp file pipe"), 0);
    has(err, "-> standard output ]\n");
}

TEST(pprof, failed_run_leaves_the_old_file_alone)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("echo precious > old && $GMPTRACE pprof nowhere.data -o old"), 3);
    /* With no room for a whole file the part must go, and the old file must stay. The limit holds for the harness's
     * files too, so what is said comes through a pipe. */
    ck_assert_int_eq(run("words=$(ulimit -f 0; trap '' XFSZ; exec $GMPTRACE pprof -o old 2>&1); status=$?; "
                         "echo \"$words\" >&2; exit $status"),
                     4);
    has(err, "cannot write old: File too large");
    ck_assert_int_eq(run("cat old; ls"), 0);
    ck_assert_str_eq(out, "precious\ngmptrace.data\nold\n");
}

TEST(pprof, new_file_replaces_the_old_one_whole)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(
        run("echo old > file && umask 027 && $GMPTRACE pprof -o file && gzip -t < file && stat -c %a file"), 0);
    ck_assert_str_eq(out, "640\n");
}

TEST(pprof, link_stays_a_link)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("echo old > file && ln -s file link && $GMPTRACE pprof -o link && test -h link && "
                         "gzip -t < file"),
                     0);
}

TEST(pprof, fifo_is_written_and_not_replaced)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("mkfifo fifo && { cat fifo > copy & $GMPTRACE pprof -o fifo && wait && test -p fifo && "
                         "gzip -t < copy; }"),
                     0);
}

TEST(pprof, full_disk_is_the_machines_fault)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("test -c /dev/full && $GMPTRACE pprof -o - > /dev/full"), 4);
    has(err, "cannot write standard output: No space left on device");
}

/* ---- Usage ------------------------------------------------------------------------------------------------------- */

TEST(pprof, the_trace_is_never_its_own_output)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("cp gmptrace.data before && ln -s gmptrace.data link"), 0);
    ck_assert_int_eq(run("$GMPTRACE pprof -o gmptrace.data"), 2);
    ck_assert_int_eq(run("$GMPTRACE pprof link -o ./gmptrace.data"), 2);
    has(err, "would take the place of the trace");
    ck_assert_int_eq(run("cmp gmptrace.data before"), 0);
}

TEST(pprof, missing_trace_is_unusable_input)
{
    ck_assert_int_eq(run("$GMPTRACE pprof nowhere.data; s=$?; ls; exit $s"), 3);
    has(err, "gmptrace pprof: ");
    has(err, "nowhere.data");
    ck_assert_str_eq(out, "");
}

TEST(pprof, wrong_arguments_are_usage_errors)
{
    static const char *const arguments[] = { "--type=heap", "--type", "--bogus", "a b", "--stuck=soon", "-o ''" };
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        char command[128];
        snprintf(command, sizeof command, "$GMPTRACE pprof %s", arguments[i]);
        ck_assert_msg(run(command) == 2, "%s", arguments[i]);
        has(err, "; see gmptrace pprof --help\n");
    }
}

TEST(pprof, help_goes_to_standard_output)
{
    ck_assert_int_eq(run("$GMPTRACE pprof --help"), 0);
    has(out, "Usage: gmptrace pprof");
    has(out, "--type=leak");
    ck_assert_str_eq(err, "");
}
