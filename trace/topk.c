#include "topk.h"

static struct topk_entry *lightest(struct topk *topk)
{
    struct topk_entry *least = &topk->entries[0];
    for (uint32_t i = 1; i < topk->used; i++)
        if (topk->entries[i].weight < least->weight)
            least = &topk->entries[i];
    return least;
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;
    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

void topk_add(struct topk *topk, uint32_t key, int64_t weight)
{
    for (uint32_t i = 0; i < topk->used; i++)
        if (topk->entries[i].key == key) {
            topk->entries[i].weight = sum(topk->entries[i].weight, weight);
            topk->entries[i].count++;
            return;
        }
    if (topk->used < TOPK_ROOM) {
        topk->entries[topk->used++] = (struct topk_entry){ key, 1, weight, 0 };
        return;
    }
    struct topk_entry *least = lightest(topk);
    *least = (struct topk_entry){ key, 1, sum(least->weight, weight), least->weight };
    if (topk->replaced < UINT32_MAX)
        topk->replaced++;
}

int64_t topk_floor(const struct topk *topk)
{
    int64_t least = INT64_MAX;
    if (!topk->replaced)
        return 0;
    for (uint32_t i = 0; i < topk->used; i++)
        if (topk->entries[i].weight < least)
            least = topk->entries[i].weight;
    return least;
}
