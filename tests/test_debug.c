/* GMPT_DEBUG: what is set, what is refused and said. */
#include "harness.h"

#include "runtime/debug.h"

#include <string.h>

static char complaint[512];

static int parse(struct debug_settings *settings, const char *text)
{
    memset(settings, 0, sizeof *settings);
    return debug_parse(settings, text, complaint, sizeof complaint);
}

TEST(debug, items_are_set_by_name)
{
    struct debug_settings settings;
    ck_assert_int_eq(parse(&settings, "schedtrace=250,scheddetail=1"), 0);
    ck_assert_int_eq(settings.schedtrace, 250);
    ck_assert_int_eq(settings.scheddetail, 1);
    ck_assert_int_eq(settings.nodeadlock, 0);
    ck_assert_str_eq(complaint, "");
}

TEST(debug, a_name_alone_is_1_and_0_switches_off)
{
    struct debug_settings settings;
    ck_assert_int_eq(parse(&settings, "nodeadlock,blockcheck,blockcheck=0"), 0);
    ck_assert_int_eq(settings.nodeadlock, 1);
    ck_assert_int_eq(settings.blockcheck, 0);
}

TEST(debug, nothing_is_no_error)
{
    struct debug_settings settings;
    ck_assert_int_eq(parse(&settings, NULL), 0);
    ck_assert_int_eq(parse(&settings, ""), 0);
    ck_assert_int_eq(parse(&settings, ",,"), 0);
    ck_assert_str_eq(complaint, "");
}

TEST(debug, what_is_wrong_is_said_and_the_rest_is_used)
{
    struct debug_settings settings;
    ck_assert_int_eq(parse(&settings, "schedtrac=1,nodeadlock=1,schedtrace=-5,scheddetail=,=3"), 4);
    ck_assert_int_eq(settings.nodeadlock, 1);
    ck_assert_int_eq(settings.schedtrace, 0);
    ck_assert_int_eq(settings.scheddetail, 0);
    ck_assert_ptr_nonnull(strstr(complaint, "schedtrac=1 is not a setting\n"));
    ck_assert_ptr_nonnull(strstr(complaint, "schedtrace=-5 has no number"));
    ck_assert_ptr_nonnull(strstr(complaint, "scheddetail= has no number"));
    ck_assert_ptr_nonnull(strstr(complaint, "=3 is not a setting"));
    ck_assert_int_eq(parse(&settings, "schedtrace=99999999999999999999999"), 1);
    ck_assert_int_eq(settings.schedtrace, 0);
}

TEST(debug, complaints_are_cut_to_the_room)
{
    struct debug_settings settings = { 0 };
    char small[16];
    ck_assert_int_eq(debug_parse(&settings, "aaaaaaaaaaaaaaaaaaaaaaaaaaaa,b", small, sizeof small), 2);
    ck_assert_uint_lt(strlen(small), sizeof small);
}
