/* How many Ps: the quota's line, the environment, the affinity mask. */
#define _GNU_SOURCE
#include "harness.h"

#include "runtime/start.h"

#include <sched.h>
#include <stdlib.h>

TEST(maxprocs, a_quota_is_rounded_up_to_whole_cpus)
{
    ck_assert_int_eq(maxprocs_parse_quota("150000 100000\n"), 2);
    ck_assert_int_eq(maxprocs_parse_quota("100000 100000\n"), 1);
    ck_assert_int_eq(maxprocs_parse_quota("100001 100000\n"), 2);
    ck_assert_int_eq(maxprocs_parse_quota("1 100000\n"), 1);
    ck_assert_int_eq(maxprocs_parse_quota("400000 50000"), 8);
}

TEST(maxprocs, no_quota_is_no_limit)
{
    ck_assert_int_eq(maxprocs_parse_quota("max 100000\n"), 0);
    ck_assert_int_eq(maxprocs_parse_quota("-1 100000\n"), 0);
}

TEST(maxprocs, nonsense_is_no_limit)
{
    ck_assert_int_eq(maxprocs_parse_quota(""), 0);
    ck_assert_int_eq(maxprocs_parse_quota("\n"), 0);
    ck_assert_int_eq(maxprocs_parse_quota("100000"), 0);
    ck_assert_int_eq(maxprocs_parse_quota("100000 0"), 0);
    ck_assert_int_eq(maxprocs_parse_quota("0 100000"), 0);
    ck_assert_int_eq(maxprocs_parse_quota("four two"), 0);
}

TEST(maxprocs, a_huge_quota_is_cut_to_the_most_ps)
{
    ck_assert_int_eq(maxprocs_parse_quota("1000000000000 100000"), PS_MAX);
    ck_assert_int_eq(maxprocs_parse_quota("9223372036854775807 100000"), PS_MAX);
    ck_assert_int_eq(maxprocs_parse_quota("9223372036854775807 1"), PS_MAX);
}

TEST(maxprocs, the_environment_decides)
{
    setenv("GMPT_MAXPROCS", "3", 1);
    ck_assert_int_eq(maxprocs_choose(), 3);
    setenv("GMPT_MAXPROCS", "1", 1);
    ck_assert_int_eq(maxprocs_choose(), 1);
    setenv("GMPT_MAXPROCS", "256", 1);
    ck_assert_int_eq(maxprocs_choose(), 256);
}

TEST(maxprocs, what_is_no_number_of_ps_is_refused)
{
    static const char *const wrong[] = { "0", "257", "-1", "two", "2x", "99999999999999999999", "1.5" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("GMPT_MAXPROCS", wrong[i], 1);
        ck_assert_msg(maxprocs_choose() == -EINVAL, "GMPT_MAXPROCS=%s was taken", wrong[i]);
    }
}

TEST(maxprocs, an_empty_variable_is_none)
{
    unsetenv("GMPT_MAXPROCS");
    int without = maxprocs_choose();
    setenv("GMPT_MAXPROCS", "", 1);
    ck_assert_int_eq(maxprocs_choose(), without);
    ck_assert_int_ge(without, 1);
}

TEST(maxprocs, the_affinity_mask_is_the_upper_limit)
{
    cpu_set_t all, one;
    unsetenv("GMPT_MAXPROCS");
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    ck_assert_int_le(maxprocs_choose(), CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(maxprocs_choose(), 1);
}
