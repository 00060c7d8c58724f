/* The latency histogram's buckets. */
#include "harness.h"

#include "runtime/latency.h"

TEST(latency, a_bucket_begins_where_it_says)
{
    for (int i = 0; i < GMPT_LATENCY_BUCKETS; i++) {
        ck_assert_uint_eq(latency_bucket((uint64_t)gmpt_latency_bucket_ns(i)), (unsigned)i);
        if (i > 0) {
            ck_assert_int_gt(gmpt_latency_bucket_ns(i), gmpt_latency_bucket_ns(i - 1));
            ck_assert_uint_eq(latency_bucket((uint64_t)gmpt_latency_bucket_ns(i) - 1), (unsigned)i - 1);
        }
    }
}

TEST(latency, the_last_bucket_has_no_upper_limit)
{
    ck_assert_uint_eq(latency_bucket(UINT64_MAX), GMPT_LATENCY_BUCKETS - 1);
    ck_assert_int_gt(gmpt_latency_bucket_ns(GMPT_LATENCY_BUCKETS - 1), 600000000000);
    ck_assert_int_eq(gmpt_latency_bucket_ns(1000), gmpt_latency_bucket_ns(GMPT_LATENCY_BUCKETS - 1));
}
