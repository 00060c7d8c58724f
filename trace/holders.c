/* Small arrays by P, to be searched by thread. See holders.h. */
#include "holders.h"

#include <string.h>

#define SLACK_NS 2000000 /* a record's time may step back by 1 ms: see struct gmpt_event */

void holders_init(struct holders *holders)
{
    memset(holders, 0, sizeof *holders);
    for (int i = 0; i < SECTION_RINGS_MAX; i++)
        holders->absent_ns[i] = INT64_MAX;
}

void holders_set(struct holders *holders, uint64_t p, uint64_t tid, int64_t now_ns)
{
    if (p >= SECTION_RINGS_MAX)
        return;
    if (tid && p >= holders->top)
        holders->top = (uint32_t)p + 1;
    holders->tid[p] = (uint32_t)tid;
    holders->since_ns[p] = now_ns;
    holders->absent_ns[p] = INT64_MAX;
}

void holders_elsewhere(struct holders *holders, uint64_t here, uint64_t tid, int64_t now_ns)
{
    if (tid == 0 || tid > UINT32_MAX)
        return;
    for (uint32_t i = 0; i < holders->top; i++)
        if (holders->tid[i] == tid && i != here && now_ns >= holders->since_ns[i] &&
            holders->absent_ns[i] == INT64_MAX && now_ns < INT64_MAX - SLACK_NS)
            holders->absent_ns[i] = now_ns + SLACK_NS;
}

uint32_t holders_find(const struct holders *holders, uint64_t tid)
{
    for (uint32_t i = 0; tid && i < holders->top; i++)
        if (holders->tid[i] == tid)
            return i + 1;
    return 0;
}
