/* TABLE, as several parts of the page's data have it: [floor, key, weight, error, key, weight, error, ...]. Keys that
 * show the same have one number, and their weights and errors add up. */
#include "report_parts.h"

#include <errno.h>
#include <inttypes.h>

int report_topk_write(FILE *out, const struct topk *topk, int64_t (*number)(void *arg, uint32_t key), void *arg)
{
    struct topk merged = { 0 };
    for (uint32_t i = 0; i < topk->used; i++) {
        int64_t key = number(arg, topk->entries[i].key);
        if (key < 0)
            return -ENOMEM;
        uint32_t k = 0;
        while (k < merged.used && merged.entries[k].key != (uint32_t)key)
            k++;
        if (k == merged.used)
            merged.entries[merged.used++] = (struct topk_entry){ .key = (uint32_t)key };
        merged.entries[k].weight += topk->entries[i].weight;
        merged.entries[k].error += topk->entries[i].error;
    }
    fprintf(out, "[%" PRId64, topk_floor(topk));
    for (uint32_t i = 0; i < merged.used; i++)
        fprintf(out, ",%u,%" PRId64 ",%" PRId64, merged.entries[i].key, merged.entries[i].weight,
                merged.entries[i].error);
    fputc(']', out);
    return 0;
}
