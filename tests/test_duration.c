/* Durations as text. What the command line takes is in test_cli.c. */
#include "harness.h"

#include "trace/duration.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

TEST(duration, takes_as_much_of_the_text_as_it_is_given)
{
    int64_t ns;
    ck_assert_int_eq(duration_parse("5ms and", 3, &ns), 0);
    ck_assert_int_eq(ns, 5000000);
    ck_assert_int_eq(duration_parse("5ms and", 2, &ns), 0);
    ck_assert_int_eq(ns, 5 * 60000000000);
    ck_assert_int_eq(duration_parse("5ms and", 1, &ns), -EINVAL);
    ck_assert_int_eq(duration_parse("", 0, &ns), -EINVAL);
}

TEST(duration, is_exact_to_the_nanosecond)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        { "1.999999999s", 1999999999 },         { "1.9999999999s", 1999999999 },
        { "2.562047788h", 9223372036800 },      { "9223372036854775807ns", INT64_MAX },
        { "9223372036.854775807s", INT64_MAX }, { "0.000000000000000000000001h", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ns;
        ck_assert_int_eq(duration_parse(cases[i].text, strlen(cases[i].text), &ns), 0);
        ck_assert_int_eq(ns, cases[i].ns);
    }
}

TEST(duration, that_does_not_fit_is_refused)
{
    static const char *const cases[] = { "9223372036854775808ns", "9223372036.854775808s", "2562048h",
                                         "18446744073709551616ns" };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ns;
        ck_assert_int_eq(duration_parse(cases[i], strlen(cases[i]), &ns), -EINVAL);
    }
}
