/* Profiles as folded stacks. */
#include "harness.h"

#include "cli/folded.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct profile *profile, const char *leaf, const char *root, int64_t value, const char *label)
{
    const char *pseudo[] = { leaf, root };
    struct profile_label labels[] = { { .key = "tenant", .text = label } };
    struct profile_sample sample = {
        .pseudo = pseudo, .pseudo_count = root ? 2 : 1, .values = &value, .labels = labels, .label_count = 1
    };
    ck_assert_int_eq(profile_add_sample(profile, &sample), 0);
}

static void expect(struct profile *profile, const char *wanted)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    ck_assert_int_eq(folded_write(profile, 0, file), 0);
    fclose(file);
    ck_assert_str_eq(text, wanted);
    free(text);
    profile_close(profile);
}

TEST(folded, a_line_a_stack_from_the_root_on)
{
    struct profile *profile = profile_open(NULL, NULL, "wall", "nanoseconds");
    add(profile, "wait", "serve", 7, "a");
    add(profile, "alone", NULL, 5, "a");
    add(profile, "wait", "serve", 3, "b"); /* differs in its label only */
    add(profile, "work", "serve", 2, "b");
    expect(profile, "alone 5\nserve;wait 10\nserve;work 2\n");
}

TEST(folded, names_cannot_be_mistaken_for_more_than_one)
{
    struct profile *profile = profile_open(NULL, NULL, "wall", "nanoseconds");
    add(profile, "a;b\nc d", "r", 1, "x");
    expect(profile, "r;a:b?c d 1\n");
}

TEST(folded, what_is_nothing_has_no_line)
{
    struct profile *profile = profile_open(NULL, NULL, "wall", "nanoseconds");
    add(profile, "a", NULL, 0, "x");
    expect(profile, "");
    expect(profile_open(NULL, NULL, "wall", "nanoseconds"), "");
}

TEST(folded, sums_stop_at_the_largest_number)
{
    struct profile *profile = profile_open(NULL, NULL, "wall", "nanoseconds");
    add(profile, "a", NULL, INT64_MAX - 1, "x");
    add(profile, "a", NULL, 5, "y");
    expect(profile, "a 9223372036854775807\n");
}
