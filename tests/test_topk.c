#include "harness.h"

#include "trace/topk.h"

TEST(topk, is_exact_while_all_have_room)
{
    struct topk topk = { 0 };
    for (int round = 0; round < 3; round++)
        for (uint32_t key = 1; key <= TOPK_ROOM; key++)
            topk_add(&topk, key, key);
    for (uint32_t i = 0; i < TOPK_ROOM; i++) {
        ck_assert_int_eq(topk.entries[i].weight, 3 * topk.entries[i].key);
        ck_assert_int_eq(topk.entries[i].error, 0);
    }
    ck_assert_int_eq(topk_floor(&topk), 0);
}

TEST(topk, bounds_every_weight_and_keeps_the_sum)
{
    struct topk topk = { 0 };
    int64_t truth[100] = { 0 }, sum = 0, kept = 0;
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint32_t key = (random & 3) == 0 ? 7 : (uint32_t)(random >> 8) % 100;
        int64_t weight = (int64_t)(random >> 40) % 50 + 1;
        truth[key] += weight;
        sum += weight;
        topk_add(&topk, key, weight);
    }
    for (uint32_t key = 0; key < 100; key++) {
        const struct topk_entry *entry = NULL;
        for (uint32_t i = 0; i < topk.used; i++)
            if (topk.entries[i].key == key)
                entry = &topk.entries[i];
        if (entry) {
            kept += entry->weight;
            ck_assert_int_ge(entry->weight, truth[key]);
            ck_assert_int_le(entry->weight - entry->error, truth[key]);
        } else {
            ck_assert_int_le(truth[key], topk_floor(&topk));
        }
    }
    ck_assert_int_eq(kept, sum);
    ck_assert_int_gt(topk_floor(&topk), 0);
}
