/* gmptrace pprof, on traces made by hand: what is in the profile, and how the file gets to its place. */
#define _GNU_SOURCE
#include "gentrace.h"
#include "harness.h"
#include "sample.h"
#include "shell.h"
#include "tracefile.h"

#include "pprof/profile.pb-c.h"
#include "pprof/tally.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char out[1 << 18], err[1 << 14];

/* Runs a command in the test's directory, where the sample is gmptrace.data. */
static int run(const char *command)
{
    char full[2048];
    snprintf(full, sizeof full, "cd %s && %s", harness_tmpdir(), command);
    return harness_shell(full, out, sizeof out, err, sizeof err);
}

static void sample(const struct sample_options *options)
{
    char path[512];
    snprintf(path, sizeof path, "%s/gmptrace.data", harness_tmpdir());
    sample_write(path, options);
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
    shell_has(err, "0 suspected leaks in 0 samples");
    profile_free(profile);
}

TEST(pprof, no_leak_in_what_is_left_of_a_trace_proves_nothing)
{
    sample(&(struct sample_options){ .healthy = 3, .no_end = true });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak"), 3);
    shell_has(err, "cannot tell whether goroutines leaked\n");
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

/* ---- The types --------------------------------------------------------------------------------------------------- */

/* Two Gs: G1 holds the lock that G2 waits for, from 30 to 90, and wakes it. */
static const char lock_trace[] = TRACEFILE_HEAD
    "frame\nclock 0 0 1700000000000000000\nstring 1 tenant\nstring 2 acme\nstring 3 worker\nlabels 4 1=2\n"
    "stack 0 1 0x1011 0x1021\nstack 1 1 0x1031 0x1041\nstack 0 2 0x1051\n"
    "frame\nclock 200 200 1700000000000000200\n"
    "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
    "5 go_create g=1 fn=0x2000 stack=0\n5 go_start g=1 seq=2\n"
    "5 go_labels g=1 labels=4\n5 go_create g=2 fn=0x3000 stack=1\n"
    "70 go_unblock g=2 seq=4 by=1 stack=1\n30 syscall_begin stack=2\n40 syscall_end\n"
    "10 go_block reason=sleep object=0x0 bounded=1 stack=1 owner=0\n"
    "events ring=1 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
    "25 go_start g=2 seq=2\n1 go_name g=2 name=3\n"
    "4 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=0\n"
    "20 proc_steal from=0 count=3\n"
    "45 go_start g=2 seq=5\n15 go_preempt\n10 go_start g=2 seq=7\nend 0 0\n";

/* Runs on the trace of this text, which is not gmptrace.data; arguments follow the name of the file. */
static int run_text(const char *text, const char *arguments)
{
    char command[768];
    snprintf(command, sizeof command, "$GMPTRACE pprof %s %s", tracefile_build(text), arguments);
    return run(command);
}

static Perftools__Profiles__Profile *profile_of_lock(const char *arguments)
{
    char full[512];
    snprintf(full, sizeof full, "%s -o out.pb.gz", arguments);
    ck_assert_msg(run_text(lock_trace, full) == 0, "%s", err);
    return profile_read("out.pb.gz");
}

static void expect_values(const Perftools__Profiles__Profile *profile, const char *first_type, int64_t first,
                          const char *second_type, int64_t second)
{
    int64_t sums[2] = { 0, 0 };
    ck_assert_uint_eq(profile->n_sample_type, second_type ? 2 : 1);
    ck_assert_str_eq(profile->string_table[profile->sample_type[0]->type], first_type);
    if (second_type)
        ck_assert_str_eq(profile->string_table[profile->sample_type[1]->type], second_type);
    for (size_t i = 0; i < profile->n_sample; i++)
        for (size_t k = 0; k < profile->n_sample_type; k++)
            sums[k] += profile->sample[i]->value[k];
    ck_assert_int_eq(sums[0], first);
    ck_assert_int_eq(sums[1], second);
}

TEST(pprof, every_type_of_one_small_trace)
{
    static const struct {
        const char *type, *first_type;
        int64_t first;
        const char *second_type;
        int64_t second;
    } cases[] = {
        { "goroutine", "goroutine", 2, NULL, 0 },
        { "leak", "goroutineleak", 0, NULL, 0 },
        { "block", "contentions", 1, "delay", 60 },
        { "mutex", "contentions", 1, "delay", 60 },
        { "net", "waits", 0, "delay", 0 },
        { "sleep", "sleeps", 1, "time", 30 },
        { "syscall", "calls", 1, "time", 40 },
        { "sched", "waits", 4, "delay", 5 + 5 + 5 + 10 },
        { "preempt", "preemptions", 1, "delay", 10 },
        { "create", "goroutines", 2, NULL, 0 },
        { "steal", "steals", 1, "goroutines", 3 },
        { "wall", "wall", 195 + 180, NULL, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "--type=%s", cases[i].type);
        Perftools__Profiles__Profile *profile = profile_of_lock(arguments);
        expect_values(profile, cases[i].first_type, cases[i].first, cases[i].second_type, cases[i].second);
        ck_assert_int_eq(profile->period, 1);
        ck_assert_int_eq(profile->duration_nanos, 200);
        profile_free(profile);
    }
}

TEST(pprof, a_mutex_sample_is_where_the_lock_was_released_and_says_who_waited)
{
    Perftools__Profiles__Profile *profile = profile_of_lock("--type=mutex");
    ck_assert_uint_eq(profile->n_sample, 1);
    const Perftools__Profiles__Sample *one = profile->sample[0];
    ck_assert_uint_eq(one->n_location_id, 2);
    ck_assert_uint_eq(profile->location[one->location_id[0] - 1]->address, 0x1010);
    ck_assert_str_eq(label(profile, one, "wait_reason"), "mutex lock");
    ck_assert_str_eq(label(profile, one, "tenant"), "acme");
    ck_assert_str_eq(label(profile, one, "goroutine_name"), "worker");
    ck_assert_ptr_nonnull(strstr(label(profile, one, "waited_by"), "0x3000"));
    ck_assert_str_eq(profile->string_table[profile->default_sample_type], "delay");
    has_comment(profile, "shown where a lock was released");
    profile_free(profile);
    profile = profile_of_lock("--type=block");
    one = profile->sample[0];
    ck_assert_uint_eq(profile->location[one->location_id[0] - 1]->address, 0x1030);
    ck_assert_ptr_nonnull(strstr(label(profile, one, "woken_by"), "0x2000"));
    profile_free(profile);
}

TEST(pprof, a_window_cuts_exactly_and_has_its_own_time)
{
    Perftools__Profiles__Profile *profile = profile_of_lock("--type=block --from 40ns --to 75ns");
    expect_values(profile, "contentions", 1, "delay", 35);
    ck_assert_int_eq(profile->time_nanos, 1700000000000000040);
    ck_assert_int_eq(profile->duration_nanos, 35);
    profile_free(profile);
    profile = profile_of_lock("--type=block --from 90ns");
    expect_values(profile, "contentions", 0, "delay", 0);
    ck_assert_int_eq(profile->duration_nanos, 110);
    profile_free(profile);
}

TEST(pprof, goroutines_of_a_moment)
{
    Perftools__Profiles__Profile *profile = profile_of_lock("--at 50ns");
    ck_assert_int_eq(total(profile), 2);
    const Perftools__Profiles__Sample *one = sample_in_state(profile, "waiting");
    ck_assert_str_eq(label(profile, one, "wait_reason"), "mutex lock");
    profile_free(profile);
    profile = profile_of_lock("--at 7ns");
    ck_assert_int_eq(total(profile), 1);
    profile_free(profile);
    profile = profile_of_lock("--at 200ns");
    ck_assert_int_eq(total(profile), 2);
    profile_free(profile);
    ck_assert_int_eq(run_text(lock_trace, "--at 201ns"), 2);
    shell_has(err, "the trace ends after 200 ns, before --at 201 ns");
}

TEST(pprof, a_filter_chooses)
{
    ck_assert_int_eq(run_text(lock_trace, "--type=wall --format=folded --filter 'name=worker and state!=running'"), 0);
    ck_assert_str_eq(out, "0x1040;0x1030;[mutex lock] 60\n0x1040;0x1030;[runnable] 5\n0x3000;[runnable] 10\n");
    ck_assert_int_eq(run_text(lock_trace, "--type=wall --format=folded --filter 'dur>40ns and label.tenant=acme'"), 0);
    ck_assert_str_eq(out, "0x1040;0x1030;[mutex lock] 60\n0x2000;[running] 105\n0x3000;[running] 80\n");
    ck_assert_int_eq(run_text(lock_trace, "--type=wall --filter 'name=worker and'"), 2);
    shell_has(err, "--filter, column 16: a comparison is missing at the end");
}

TEST(pprof, folded_shows_the_users_functions)
{
    sample(&(struct sample_options){ .leaks = 3 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=folded"), 0);
    ck_assert_str_eq(out, "sample_worker;gmpt_sample_send 5399934000\n");
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=folded -o f.txt && cat f.txt"), 0);
    ck_assert_str_eq(out, "sample_worker;gmpt_sample_send 5399934000\n");
    shell_has(err, "wrote 3 waits of 5.40 s in 1 sample -> f.txt ]\n");
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=folded --filter 'function~_send and g!=2'"), 0);
    ck_assert_str_eq(out, "sample_worker;gmpt_sample_send 3499946000\n");
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=folded --filter 'function=other'"), 0);
    ck_assert_str_eq(out, "");
}

TEST(pprof, text_is_a_table)
{
    sample(&(struct sample_options){ .leaks = 3 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=text"), 0);
    ck_assert_str_eq(out, "delay: 5.40 s\n"
                          "      flat  flat%        cum   cum%  function\n"
                          "    5.40 s 100.0%     5.40 s 100.0%  gmpt_sample_send\n"
                          "      0 ns   0.0%     5.40 s 100.0%  sample_worker\n");
    ck_assert_int_eq(run("$GMPTRACE pprof --type=leak --format=text --stuck=100ms"), 0);
    shell_has(out, "goroutineleak: 3 in all\n");
}

TEST(pprof, speedscope_is_json_with_files)
{
    sample(&(struct sample_options){ .leaks = 3 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block --format=speedscope"), 0);
    ck_assert(sample_json_valid(out));
    shell_has(out, "\"weights\":[5399934000]");
    shell_has(out, "{\"name\":\"sample_worker\",\"file\":\"");
    shell_has(out, "tests/sample.c\",\"line\":");
}

static bool have_go_pprof(void)
{
    harness_shell("go tool pprof -h", out, sizeof out, err, sizeof err);
    return strstr(out, "usage:") || strstr(err, "usage:") || strstr(err, "Produce output") ||
           strstr(out, "Produce output");
}

/* pprof with these arguments on go.pb.gz: it ends well, and warns of nothing. */
static void go_shows(const char *go, const char *arguments)
{
    char command[512];
    snprintf(command, sizeof command, "%s %s go.pb.gz", go, arguments);
    ck_assert_msg(run(command) == 0 && !err[0], "%s: %s", command, err);
}

TEST_TIMEOUT(pprof, go_takes_every_type_without_a_warning, 300)
{
    char command[512], wanted[64];
    bool leak_seen = false;
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    bool graphviz = run("command -v dot") == 0;
    struct gentrace made = gentrace_make(7, 1500);
    const char *path = tracefile_build(made.text);
    free(made.text);
    sample(&(struct sample_options){ .leaks = 15, .done = 3 });
    for (size_t i = 0; !leak_seen || i % 2; i++) {
        const struct tally_type *type = tally_type_at(i / 2);
        const char *name = type ? type->name : "leak";
        leak_seen = !type;
        snprintf(command, sizeof command, "$GMPTRACE pprof %s --type=%s -o go.pb.gz", i % 2 ? path : "gmptrace.data",
                 name);
        int status = run(command);
        ck_assert_msg(status == 0 || (!type && status == 3), "%s: %s", command, err);
        /* The made-up program has no file, of which pprof would warn. */
        const char *go = i % 2 ? "go tool pprof -symbolize=none" : "go tool pprof";
        go_shows(go, "-top");
        snprintf(wanted, sizeof wanted, "Type: %s\n", type ? type->values[type->shown].type : "goroutineleak");
        shell_has(out, wanted);
        go_shows(go, "-raw");
        shell_has(out, "[dflt]");
        bool empty = !strstr(out, "Locations\n     1: ");
        go_shows(go, "-traces");
        if (!empty)
            go_shows(go, "-peek=.");
        if (!graphviz)
            continue;
        snprintf(command, sizeof command, "%s -svg -output=go.svg go.pb.gz 2>&1", go);
        ck_assert_msg(run(command) == 0 && strcmp(out, "Generating report in go.svg\n") == 0, "%s", out);
    }
}

TEST(pprof, go_lists_the_line_that_waits)
{
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block -o go.pb.gz"), 0);
    go_shows("go tool pprof", "-list=sample_worker");
    shell_has(out, "ROUTINE ======================== sample_worker in ");
    shell_has(out, "tests/sample.c");
}

/* On a port of its own choice, which it says once it listens or is about to: both are waited for. */
TEST(pprof, go_serves_it_to_a_browser)
{
    if (!have_go_pprof())
        SKIP("no go tool pprof");
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("$GMPTRACE pprof --type=block -o go.pb.gz"), 0);
    static const char script[] =
        ":; go tool pprof -no_browser -http=127.0.0.1: go.pb.gz 2> said & server=$!;"
        " for i in $(seq 200); do url=$(sed -n 's/^Serving web UI on //p' said); [ -n \"$url\" ] && break; sleep 0.1;"
        " done; fetch='curl -sf --retry 20 --retry-connrefused --retry-delay 1';"
        " $fetch \"$url/ui/top\" > top; status=$?; $fetch \"$url/ui/flamegraph\" > flame; status=$((status + $?));"
        " kill $(pgrep -P $server) $server; cat said >&2; exit $status";
    ck_assert_msg(run(script) == 0, "%s", err);
    ck_assert_int_eq(run("grep -q sample_worker top && grep -q sample_worker flame"), 0);
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
    shell_has(err, "-> standard output ]\n");
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
    shell_has(err, "cannot write old: File too large");
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
    shell_has(err, "cannot write standard output: No space left on device");
}

/* ---- Usage ------------------------------------------------------------------------------------------------------- */

TEST(pprof, the_trace_is_never_its_own_output)
{
    sample(&(struct sample_options){ .leaks = 15 });
    ck_assert_int_eq(run("cp gmptrace.data before && ln -s gmptrace.data link"), 0);
    ck_assert_int_eq(run("$GMPTRACE pprof -o gmptrace.data"), 2);
    ck_assert_int_eq(run("$GMPTRACE pprof link -o ./gmptrace.data"), 2);
    shell_has(err, "would take the place of the trace");
    ck_assert_int_eq(run("cmp gmptrace.data before"), 0);
}

TEST(pprof, missing_trace_is_unusable_input)
{
    ck_assert_int_eq(run("$GMPTRACE pprof nowhere.data; s=$?; ls; exit $s"), 3);
    shell_has(err, "gmptrace pprof: ");
    shell_has(err, "nowhere.data");
    ck_assert_str_eq(out, "");
}

TEST(pprof, wrong_arguments_are_usage_errors)
{
    static const char *const arguments[] = { "--type=heap",
                                             "--type",
                                             "--bogus",
                                             "a b",
                                             "--stuck=soon",
                                             "-o ''",
                                             "--type=block --at 1s",
                                             "--type=leak --at 1s",
                                             "--from 1s",
                                             "--type=leak --to 1s",
                                             "--type=leak --filter g=1",
                                             "--type=steal --filter g=1",
                                             "--type=block --from 2s --to 2s",
                                             "--type=block --from soon",
                                             "--at 5",
                                             "--filter g",
                                             "--format=xml" };
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        char command[256];
        snprintf(command, sizeof command, "$GMPTRACE pprof %s", arguments[i]);
        ck_assert_msg(run(command) == 2, "%s", arguments[i]);
        shell_has(err, "; see gmptrace pprof --help\n");
    }
}

TEST(pprof, help_goes_to_standard_output)
{
    ck_assert_int_eq(run("$GMPTRACE pprof --help"), 0);
    shell_has(out, "Usage: gmptrace pprof");
    shell_has(out, "--type=leak");
    ck_assert_str_eq(err, "");
}
