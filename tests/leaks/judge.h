/* Runs a program of known leaks, has the proof of leaks made of it, and counts what was right.
 *
 * The programs tell what is true (leaks_corpus.c, leaks_hidden.c, leaks_random.c); the verdicts are read from the
 * program's segment, as every tool does. Who was said to have leaked, and goes on afterwards, is the worst there is. */
#ifndef GMPT_TEST_JUDGE_H
#define GMPT_TEST_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the program's proofs take malloc's memory. */
enum judge_heap {
    JUDGE_ROOT,     /* all of it as reachable */
    JUDGE_WALKED,   /* block by block, which they find by themselves */
    JUDGE_NOTED,    /* block by block, as the preloaded registry has noted them */
    JUDGE_HEAPS
};
extern const char *const judge_heap_words[JUDGE_HEAPS];

struct judge_job {
    const char *program;           /* leaks_corpus, leaks_hidden, leaks_random or leaks_churn, in $BUILD/tests/leaks */
    const char *argument, *second; /* second: leak or repaired, or NULL */
    enum judge_heap heap;
    int procs;
    int proofs; /* not 0: so many of a program in which all moves, and nothing leaks */
};

/* Of one proof or many: Gs, if it is not said otherwise. */
struct judge_count {
    uint64_t proofs;               /* that were complete */
    uint64_t inconclusive;         /* proofs that were not, also when asked again */
    uint64_t unfollowed;           /* of those that were, the ones that took some of the heap as reachable after all */
    uint64_t leaked;               /* that there were */
    uint64_t proven, cycle, stuck; /* of these, by what was found; stuck: no verdict, but no deadline either */
    uint64_t missed;               /* of these, what nothing was found of */
    uint64_t live;                 /* that had not leaked, and waited */
    uint64_t assumed;              /* of these, what was said to have leaked on an assumption that is named */
    uint64_t wrong;                /* of these, what was said to have leaked */
    uint64_t broken;               /* programs that did not do what they say they do */
};

/* Adds what comes of it, and explains all that is not as it should be, a line each, in text (cut to size), which so is
 * the same when a run is judged as another. Returns 0, or -errno when the program cannot be run. */
int judge_run(const struct judge_job *job, struct judge_count *count, char *text, size_t size);

#endif
