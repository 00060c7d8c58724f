/* Known leaks, handles that are hidden, and random programs: what a proof says of them, one round of each.
 * tests/leaks/judge_all.sh is the long form. */
#include "leaks/judge.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

#define SEEDS 25
#define CHURN_PROOFS 20

static char text[65536];

#define PROOFS_NEEDED()                                                                                                \
    do {                                                                                                               \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("a sanitizer's allocator stands before the registry of chunks");                                      \
    } while (0)

static void judge(const struct judge_job *job, struct judge_count *count)
{
    if (judge_run(job, count, text, sizeof text))
        ck_abort_msg("cannot run %s %s", job->program, job->argument ? job->argument : "");
    if (count->wrong || count->broken)
        ck_abort_msg("%s", text);
}

/* One run of all that the program lists, on one P and on two in turn. */
static void judge_all(const char *program, const char *second, enum judge_heap heap, struct judge_count *count)
{
    char command[256], names[16384];
    int procs = 1;
    snprintf(command, sizeof command, "$BUILD/tests/leaks/%s list", program);
    ck_assert_int_eq(harness_shell(command, names, sizeof names, NULL, 0), 0);
    for (char *name = strtok(names, "\n"); name; name = strtok(NULL, "\n")) {
        struct judge_job job = { program, name, second, heap, procs, 0 };
        judge(&job, count);
        procs = 3 - procs;
    }
}

static void find_every_leak(enum judge_heap heap)
{
    struct judge_count count = { 0 };
    judge_all("leaks_corpus", "leak", heap, &count);
    ck_assert_uint_eq(count.proven + count.cycle, count.leaked);
    ck_assert_uint_ge(count.leaked, 400);
    ck_assert_uint_eq(count.unfollowed, 0);
}

TEST_TIMEOUT(leaks_corpus, every_known_leak_is_found_with_the_heap_walked, 300)
{
    PROOFS_NEEDED();
    find_every_leak(JUDGE_WALKED);
}

TEST_TIMEOUT(leaks_corpus, every_known_leak_is_found_with_the_heap_noted, 300)
{
    PROOFS_NEEDED();
    find_every_leak(JUDGE_NOTED);
}

/* Whether some group of the report begins so. */
static bool reported(const char *key, const char *name)
{
    char part[256];
    snprintf(part, sizeof part, "\"%s\": {\"function\": \"%s\"", key, name);
    return strstr(text, part) != NULL;
}

/* A line of `leaks_corpus sites`: NAME FUNCTION COUNT WAITS [or WAITS]. Returns how many leak, or -1. */
static int site_check(const char *line)
{
    char function[64], waits[64], others[64] = "-";
    int count;
    if (sscanf(line, "%*s %63s %d %63s or %63s", function, &count, waits, others) < 3)
        return -1;
    return reported("function", function) && (reported("waits_at", waits) || reported("waits_at", others)) ? count : -1;
}

TEST_TIMEOUT(leaks_corpus, check_tells_who_leaks_and_where_it_waits, 300)
{
    static const char *const names[] = { "mutex_heap", "timeout",          "cockroach_7504", "etcd_7902",
                                         "grpc_3017",  "kubernetes_26980", "moby_4951",      "hugo_3251" };
    char command[512], sites[4096], total[64];
    PROOFS_NEEDED();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int sum = 0;
        snprintf(command, sizeof command, "$BUILD/tests/leaks/leaks_corpus sites | grep '^%s '", names[i]);
        ck_assert_int_eq(harness_shell(command, sites, sizeof sites, NULL, 0), 0);
        snprintf(command, sizeof command, "$GMPTRACE check --json - -- $BUILD/tests/leaks/leaks_corpus %s leak",
                 names[i]);
        ck_assert_int_eq(harness_shell(command, text, sizeof text, NULL, 0), 1);
        for (char *line = strtok(sites, "\n"); line; line = strtok(NULL, "\n")) {
            int count = site_check(line);
            ck_assert_msg(count > 0, "%s\n%s", line, text);
            sum += count;
        }
        snprintf(total, sizeof total, "\"failing_goroutines\": %d,", sum);
        ck_assert_msg(strstr(text, total) != NULL, "%s: not %s\n%s", names[i], total, text);
    }
}

#define CHECK_JSON "$GMPTRACE check --json - -- $BUILD/tests/leaks/leaks_corpus %s leak"

TEST_TIMEOUT(leaks_corpus, check_says_what_its_verdicts_assume, 300)
{
    char line[256];
    PROOFS_NEEDED();
    snprintf(line, sizeof line, CHECK_JSON, "early_return");
    ck_assert_int_eq(harness_shell(line, text, sizeof text, NULL, 0), 1);
    ck_assert_ptr_nonnull(strstr(text, "keeps pointers as pointers"));
    ck_assert_ptr_null(strstr(text, "a cycle assumes"));
    snprintf(line, sizeof line, CHECK_JSON, "cockroach_10214");
    ck_assert_int_eq(harness_shell(line, text, sizeof text, NULL, 0), 1);
    ck_assert_ptr_nonnull(strstr(text, "a cycle assumes that a lock is unlocked by the goroutine"));
    ck_assert_ptr_null(strstr(text, "keeps pointers as pointers"));
    snprintf(line, sizeof line, CHECK_JSON, "no_leak_global");
    ck_assert_int_eq(harness_shell(line, text, sizeof text, NULL, 0), 0);
    ck_assert_ptr_null(strstr(text, "assumes"));
}

TEST_TIMEOUT(leaks_corpus, every_known_leak_is_at_least_stuck_with_the_heap_as_root, 300)
{
    PROOFS_NEEDED();
    struct judge_count count = { 0 };
    judge_all("leaks_corpus", "leak", JUDGE_ROOT, &count);
    ck_assert_uint_eq(count.missed, 0);
    ck_assert_uint_ge(10 * (count.proven + count.cycle), 8 * count.leaked);
}

TEST_TIMEOUT(leaks_corpus, nothing_is_said_of_the_repaired_twins, 300)
{
    PROOFS_NEEDED();
    for (enum judge_heap heap = JUDGE_WALKED; heap <= JUDGE_NOTED; heap++) {
        struct judge_count count = { 0 };
        judge_all("leaks_corpus", "repaired", heap, &count);
        ck_assert_uint_eq(count.proven + count.cycle + count.leaked, 0);
        ck_assert_uint_ge(count.proofs, 50);
    }
}

TEST_TIMEOUT(leaks_corpus, a_handle_that_is_hidden_keeps_its_waiter_alive, 600)
{
    PROOFS_NEEDED();
    for (enum judge_heap heap = 0; heap < JUDGE_HEAPS; heap++) {
        struct judge_count count = { 0 };
        judge_all("leaks_hidden", NULL, heap, &count);
        ck_assert_uint_ge(count.live, 80);
    }
}

TEST_TIMEOUT(leaks_corpus, random_programs_agree_with_what_their_proofs_say, 300)
{
    PROOFS_NEEDED();
    struct judge_count count = { 0 };
    for (int seed = 1; seed <= SEEDS; seed++) {
        char name[16];
        snprintf(name, sizeof name, "%d", seed);
        struct judge_job job = { "leaks_random", name, NULL, seed % JUDGE_HEAPS, 1 + seed / 2 % 2, 0 };
        judge(&job, &count);
    }
    ck_assert_uint_gt(count.leaked, 0);
    ck_assert_uint_gt(count.live, 0);
}

TEST_TIMEOUT(leaks_corpus, nothing_is_found_while_everything_moves, 300)
{
    PROOFS_NEEDED();
    struct judge_count count = { 0 };
    for (int heap = 0; heap < JUDGE_HEAPS; heap++) {
        struct judge_job job = { "leaks_churn", NULL, NULL, heap, 2, CHURN_PROOFS };
        judge(&job, &count);
    }
    ck_assert_uint_gt(count.proofs, 0);
    ck_assert_uint_gt(count.live, 0);
}
