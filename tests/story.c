#include "story.h"

#include "harness.h"

#include <stdlib.h>

void story_check(const char *text, const char *wanted)
{
    char *story = tracefile_story(text);
    ck_assert_str_eq(story, wanted);
    free(story);
    struct tracefile_result result = tracefile_run(text);
    ck_assert_uint_eq(result.counts.violations, 0);
    ck_assert_uint_eq(result.counts.resynced, 0);
    ck_assert_uint_eq(result.counts.gaps, 0);
    free(result.events);
}

struct tracefile_result story_counted(const char *text, uint64_t gaps, uint64_t resynced, uint64_t violations)
{
    struct tracefile_result result = tracefile_run(text);
    ck_assert_msg(
        result.counts.gaps == gaps && result.counts.resynced == resynced && result.counts.violations == violations,
        "gaps %llu resynced %llu violations %llu:\n%s", (unsigned long long)result.counts.gaps,
        (unsigned long long)result.counts.resynced, (unsigned long long)result.counts.violations, result.events);
    return result;
}

void story_check_counts(const char *text, uint64_t gaps, uint64_t resynced, uint64_t violations)
{
    free(story_counted(text, gaps, resynced, violations).events);
}
