/* leaks_judge corpus|hidden [ROUNDS [NAME...]], leaks_judge random FIRST LAST, leaks_judge churn PROOFS: runs the
 * programs of known leaks with the heap as root, walked and noted (judge.h), on one P and on two, and prints what was
 * found, what was not, and what was found wrongly. HEAP and PROCS in the environment choose some of these: HEAP=root
 * PROCS=2.
 *
 * Status 1 when a G that goes on was said to have leaked, or a program is not what it says it is. */
#define _GNU_SOURCE
#include "judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256
#define WAYS (2 * JUDGE_HEAPS)
#define TEXT_BYTES 16384

struct runs {
    const char *program;
    const char *second; /* of the job */
    enum judge_heap heap;
    int procs;
    struct judge_count count;
    uint64_t changing; /* jobs that said something else in another round */
};

static char text[TEXT_BYTES], before[TEXT_BYTES];

static bool chosen(const char *variable, const char *value)
{
    const char *wanted = getenv(variable);
    return !wanted || strcmp(wanted, value) == 0;
}

/* The program's own list. */
static size_t names_read(const char *program, char names[][64])
{
    char command[512];
    size_t count = 0;
    snprintf(command, sizeof command, "%s/tests/leaks/%s list", getenv("BUILD") ? getenv("BUILD") : "build/gcc",
             program);
    FILE *list = popen(command, "r");
    while (list && count < NAMES_MAX && fscanf(list, "%63s", names[count]) == 1)
        count++;
    if (list)
        pclose(list);
    return count;
}

/* The same program again and again: what it says in each round is to be the same. */
static int rounds_run(struct runs *runs, const char *name, int rounds)
{
    struct judge_job job = { runs->program, name, runs->second, runs->heap, runs->procs, 0 };
    bool changes = false;
    for (int i = 0; i < rounds; i++) {
        int result = judge_run(&job, &runs->count, text, sizeof text);
        if (result) {
            fprintf(stderr, "leaks_judge: cannot run %s %s: %s\n", runs->program, name, strerror(-result));
            return result;
        }
        if (i == 0 || strcmp(text, before))
            fputs(text, stdout);
        changes |= i > 0 && strcmp(text, before) != 0;
        memcpy(before, text, sizeof before);
    }
    runs->changing += changes;
    return 0;
}

static void runs_print(const struct runs *runs)
{
    const struct judge_count *count = &runs->count;
    uint64_t found = count->proven + count->cycle;
    printf("%-12s %-8s heap %-6s P=%d: %5" PRIu64 " proofs (%" PRIu64 " inconclusive, %" PRIu64
           " unfollowed), %6" PRIu64 " leaked: %" PRIu64
           " proven, %" PRIu64 " in cycles (%.1f %%), %" PRIu64 " stuck, %" PRIu64 " missed; %" PRIu64 " live: %" PRIu64
           " WRONG, %" PRIu64 " assumed; %" PRIu64 " change, %" PRIu64 " broken\n",
           runs->program, runs->second ? runs->second : "", judge_heap_words[runs->heap], runs->procs,
           count->proofs, count->inconclusive, count->unfollowed, count->leaked, count->proven, count->cycle,
           count->leaked ? 100.0 * (double)found / (double)count->leaked : 0.0, count->stuck, count->missed,
           count->live, count->wrong, count->assumed, runs->changing, count->broken);
    fflush(stdout);
}

/* Runs all names in all ways; returns whether something was wrong. */
static bool names_run(const char *program, const char *second, char names[][64], size_t count, int rounds)
{
    bool bad = false;
    for (int way = 0; way < WAYS; way++) {
        struct runs runs = { .program = program, .second = second, .heap = way / 2, .procs = 1 + way % 2 };
        if (!chosen("HEAP", judge_heap_words[runs.heap]) || !chosen("PROCS", runs.procs == 1 ? "1" : "2"))
            continue;
        for (size_t i = 0; i < count; i++)
            if (rounds_run(&runs, names[i], rounds))
                return true;
        runs_print(&runs);
        bad |= runs.count.wrong || runs.count.broken;
    }
    return bad;
}

static bool churn_run(int proofs)
{
    bool bad = false;
    for (int way = 0; way < WAYS; way++) {
        struct runs runs = { .program = "leaks_churn", .heap = way / 2, .procs = 1 + way % 2 };
        struct judge_job job = {
            .program = runs.program, .heap = runs.heap, .procs = runs.procs, .proofs = proofs
        };
        if (!chosen("HEAP", judge_heap_words[runs.heap]) || !chosen("PROCS", runs.procs == 1 ? "1" : "2"))
            continue;
        if (judge_run(&job, &runs.count, text, sizeof text))
            return true;
        fputs(text, stdout);
        runs_print(&runs);
        bad |= runs.count.wrong || runs.count.broken;
    }
    return bad;
}

static bool seeds_run(uint64_t first, uint64_t last)
{
    bool bad = false;
    for (int way = 0; way < WAYS; way++) {
        struct runs runs = { .program = "leaks_random", .heap = way / 2, .procs = 1 + way % 2 };
        if (!chosen("HEAP", judge_heap_words[runs.heap]) || !chosen("PROCS", runs.procs == 1 ? "1" : "2"))
            continue;
        for (uint64_t seed = first; seed <= last; seed++) {
            char name[32];
            snprintf(name, sizeof name, "%" PRIu64, seed);
            if (rounds_run(&runs, name, 1))
                return true;
        }
        runs_print(&runs);
        bad |= runs.count.wrong || runs.count.broken;
    }
    return bad;
}

int main(int argc, char **argv)
{
    static char names[NAMES_MAX][64];
    int rounds = argc > 2 ? atoi(argv[2]) : 1;
    if (argc == 4 && strcmp(argv[1], "random") == 0)
        return seeds_run(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
    if (argc == 3 && strcmp(argv[1], "churn") == 0)
        return churn_run(atoi(argv[2]));
    bool corpus = argc > 1 && strcmp(argv[1], "corpus") == 0;
    if (!corpus && (argc < 2 || strcmp(argv[1], "hidden") != 0)) {
        fprintf(stderr, "usage: leaks_judge corpus|hidden [ROUNDS [NAME...]], leaks_judge random FIRST LAST, or "
                        "leaks_judge churn PROOFS\n");
        return 2;
    }
    const char *program = corpus ? "leaks_corpus" : "leaks_hidden";
    size_t count = argc > 3 ? 0 : names_read(program, names);
    for (int i = 3; i < argc && count < NAMES_MAX; i++)
        snprintf(names[count++], sizeof names[0], "%s", argv[i]);
    bool bad = names_run(program, corpus ? "leak" : NULL, names, count, rounds);
    if (corpus)
        bad |= names_run(program, "repaired", names, count, rounds);
    return bad;
}
