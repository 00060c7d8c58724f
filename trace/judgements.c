/* Verdicts of proofs, in the order of their Gs once they are asked for. See judgements.h. */
#include "judgements.h"

#include "segment.h"

#include <errno.h>
#include <stdlib.h>

int judgements_add(struct judgements *judgements, const struct gmpt_event *event)
{
    if (judgements->count == judgements->room) {
        size_t room = judgements->room ? judgements->room * 2 : 64;
        struct judgement *list = realloc(judgements->list, room * sizeof *list);
        if (!list)
            return -ENOMEM;
        judgements->list = list;
        judgements->room = room;
    }
    judgements->list[judgements->count++] = (struct judgement){
        .g = event->go_judged.g, .at_ns = event->time_ns, .cycle = event->go_judged.verdict == VERDICT_CYCLE
    };
    judgements->ordered = false;
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct judgement *a = left, *b = right;
    if (a->g != b->g)
        return a->g < b->g ? -1 : 1;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

const struct judgement *judgements_find(struct judgements *judgements, uint64_t g)
{
    if (!judgements->ordered && judgements->count)
        qsort(judgements->list, judgements->count, sizeof *judgements->list, compare);
    judgements->ordered = true;
    size_t low = 0, high = judgements->count;
    while (low < high) { /* the first of a later G */
        size_t middle = low + (high - low) / 2;
        if (judgements->list[middle].g > g)
            high = middle;
        else
            low = middle + 1;
    }
    return low && judgements->list[low - 1].g == g ? &judgements->list[low - 1] : NULL;
}

void judgements_free(struct judgements *judgements) { free(judgements->list); }
