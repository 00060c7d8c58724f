/* Profiles as a table of functions. */
#include "harness.h"

#include "cli/cli.h"
#include "cli/toptable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct profile_type delay = { "delay", "nanoseconds" }, count = { "goroutine", "count" };

static void add(struct profile *profile, const char *const *frames, size_t frame_count, int64_t value)
{
    struct profile_sample sample = { .pseudo = frames, .pseudo_count = frame_count, .values = &value };
    ck_assert_int_eq(profile_add_sample(profile, &sample), 0);
}

static char *written(struct profile *profile, const struct profile_type *type)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    ck_assert_int_eq(toptable_write(profile, type, 0, file), 0);
    fclose(file);
    profile_close(profile);
    return text;
}

TEST(toptable, shows_flat_and_cum_most_first)
{
    struct profile *profile = profile_open(NULL, NULL, delay.type, delay.unit);
    add(profile, (const char *const[]){ "wait", "serve" }, 2, 3000);
    add(profile, (const char *const[]){ "read", "serve" }, 2, 9000);
    add(profile, (const char *const[]){ "serve" }, 1, 0);
    char *text = written(profile, &delay);
    ck_assert_str_eq(text, "delay: 12.0 us\n"
                           "      flat  flat%        cum   cum%  function\n"
                           "   9.00 us  75.0%    9.00 us  75.0%  read\n"
                           "   3.00 us  25.0%    3.00 us  25.0%  wait\n"
                           "      0 ns   0.0%    12.0 us 100.0%  serve\n");
    free(text);
}

TEST(toptable, recursion_counts_once)
{
    struct profile *profile = profile_open(NULL, NULL, count.type, count.unit);
    add(profile, (const char *const[]){ "walk", "walk", "walk", "main" }, 4, 1234);
    char *text = written(profile, &count);
    ck_assert_str_eq(text, "goroutine: 1,234 in all\n"
                           "      flat  flat%        cum   cum%  function\n"
                           "     1,234 100.0%      1,234 100.0%  walk\n"
                           "         0   0.0%      1,234 100.0%  main\n");
    free(text);
}

TEST(toptable, nothing_is_a_head_only)
{
    char *text = written(profile_open(NULL, NULL, count.type, count.unit), &count);
    ck_assert_str_eq(text, "goroutine: 0 in all\n      flat  flat%        cum   cum%  function\n");
    free(text);
}

TEST(toptable, no_line_is_wider_than_the_terminal)
{
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct profile *profile = profile_open(NULL, NULL, count.type, count.unit);
    add(profile, (const char *const[]){ name, "\x1b[2J" }, 2, 1234567890);
    char *text = written(profile, &count);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert_msg(strlen(line) <= CLI_COLUMNS, "%s", line);
        ck_assert_ptr_null(strchr(line, 0x1b));
    }
    free(text);
}
