/* Of more places with convoys than there is room for, the worst are kept, and the others counted. */
#include "harness.h"

#include "analysis/convoys.h"

#include <stdlib.h>

/* A window of one lock at one place, over the limit: a thousand waits end in it, one each step. */
static void window_of(struct convoys *convoys, uint32_t stack, int64_t begin_ns, int64_t step_ns)
{
    static struct stackalias alias;
    struct interval_g g = { .id = stack, .fn = 0x4000 };
    struct interval wait = {
        .g = &g, .state = GMPT_G_WAITING, .reason = GMPT_WAIT_mutex, .object = 0xc0, .stack = stack
    };
    for (int64_t i = 0; i < 1000; i++) {
        struct piece piece = {
            .interval = &wait, .g = &g, .begin_ns = begin_ns, .end_ns = begin_ns + i * step_ns, .alias = &alias
        };
        convoys_add(convoys, &piece);
    }
}

TEST(convoys, the_worst_places_are_kept_and_the_others_counted)
{
    struct convoys *convoys = calloc(1, sizeof *convoys);
    struct findings *findings = calloc(1, sizeof *findings);
    convoys->waiters_min = 1;
    /* Each place is worse than the one before, and the last comes twice. */
    for (uint32_t place = 1; place <= CONVOYS_PLACES + 10; place++)
        window_of(convoys, place, place * 1000000000ll, 1000 * place);
    window_of(convoys, CONVOYS_PLACES + 10, 1000000000000ll, 1000);
    convoys_finish(convoys, findings);
    findings_sort(findings);
    ck_assert_uint_eq(findings->count, FINDINGS_EACH);
    for (uint32_t i = 0; i < FINDINGS_EACH; i++)
        ck_assert_uint_gt(findings->list[i].stack, CONVOYS_PLACES + 10 - FINDINGS_EACH);
    ck_assert_uint_eq(findings->left_out[FINDING_CONVOY], CONVOYS_PLACES - FINDINGS_EACH + 10);
    for (uint32_t i = 0; i < FINDINGS_EACH; i++)
        if (findings->list[i].stack == CONVOYS_PLACES + 10)
            ck_assert_uint_eq(findings->list[i].times, 2);
    free(findings);
    free(convoys);
}
