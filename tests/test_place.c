/* File names as short as they can be without being mistaken for each other. */
#include "harness.h"

#include "cli/place.h"

#include <stdio.h>
#include <string.h>

static struct places *opened(const char *first, const char *second, const char *third)
{
    struct places *places = places_open(NULL, NULL);
    ck_assert_ptr_nonnull(places);
    place_look_file(places, first);
    place_look_file(places, second);
    place_look_file(places, third);
    return places;
}

TEST(place, a_file_goes_by_its_last_name)
{
    struct places *places = opened("/src/a/main.c", "/src/a/util.c", "/src/a/main.c");
    ck_assert_str_eq(place_file(places, "/src/a/main.c"), "main.c");
    ck_assert_str_eq(place_file(places, "util.c"), "util.c");
    places_close(places);
}

TEST(place, files_of_one_name_show_their_directory)
{
    struct places *places = opened("/src/a/main.c", "/src/b/main.c", "/src/b/other.c");
    ck_assert_str_eq(place_file(places, "/src/a/main.c"), "a/main.c");
    ck_assert_str_eq(place_file(places, "/src/b/main.c"), "b/main.c");
    ck_assert_str_eq(place_file(places, "/src/b/other.c"), "other.c");
    places_close(places);
}

TEST(place, more_of_the_path_is_shown_where_that_is_not_enough)
{
    struct places *places = opened("/one/a/main.c", "/two/a/main.c", "main.c");
    ck_assert_str_eq(place_file(places, "/one/a/main.c"), "one/a/main.c");
    ck_assert_str_eq(place_file(places, "/two/a/main.c"), "two/a/main.c");
    ck_assert_str_eq(place_file(places, "main.c"), "main.c");
    places_close(places);
}

TEST(place, only_whole_names_are_compared)
{
    struct places *places = opened("/src/domain.c", "/src/main.c", "/src/x");
    ck_assert_str_eq(place_file(places, "/src/main.c"), "main.c");
    ck_assert_str_eq(place_file(places, "/src/domain.c"), "domain.c");
    places_close(places);
}

TEST(place, a_path_that_ends_in_a_slash_does_no_harm)
{
    struct places *places = opened("/a/", "/b/", "");
    place_file(places, "/a/");
    place_file(places, "/b/");
    place_file(places, "");
    places_close(places);
}

/* The runtime's own function at the root of the main G's stack; the program is recorded for real. */
TEST(place, the_function_that_calls_the_programs_start_is_not_shown)
{
    static char out[1 << 16];
    char command[1024];
    const char *directory = harness_tmpdir();
    snprintf(command, sizeof command, "$GMPTRACE record -o %s/y.data $BUILD/tests/programs/yielders 2 2", directory);
    ck_assert_int_eq(harness_shell(command, NULL, 0, NULL, 0), 0);
    snprintf(command, sizeof command, "$GMPTRACE analyze --json %s/y.data", directory);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    ck_assert_msg(strstr(out, "\"function\": \"start\"") != NULL, "%s", out);
    ck_assert_msg(strstr(out, "\"function\": \"main\"") != NULL, "%s", out);
    ck_assert_msg(strstr(out, "main_g") == NULL, "%s", out);
    snprintf(command, sizeof command, "$GMPTRACE script %s/y.data", directory);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, NULL, 0), 0);
    ck_assert_msg(strstr(out, "fn=main\n") != NULL, "%s", out);
}
