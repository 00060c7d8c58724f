/* Verdicts of proofs as a trace tells them: the last one of a G counts. */
#include "harness.h"

#include "trace/judgements.h"
#include "trace/segment.h"

static void judge(struct judgements *judgements, uint64_t g, int64_t at_ns, enum g_verdict verdict)
{
    struct gmpt_event event = { .type = GMPT_EVENT_go_judged, .time_ns = at_ns };
    event.go_judged.g = g;
    event.go_judged.verdict = verdict;
    ck_assert_int_eq(judgements_add(judgements, &event), 0);
}

TEST(judgements, the_last_verdict_of_a_goroutine_is_found)
{
    struct judgements judgements = { 0 };
    ck_assert_ptr_null(judgements_find(&judgements, 1));
    for (uint64_t g = 200; g > 0; g -= 2)
        judge(&judgements, g, 10, VERDICT_PROVEN);
    judge(&judgements, 100, 30, VERDICT_CYCLE);
    judge(&judgements, 100, 20, VERDICT_PROVEN);
    const struct judgement *found = judgements_find(&judgements, 100);
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(found->at_ns, 30);
    ck_assert(found->cycle);
    ck_assert_ptr_null(judgements_find(&judgements, 101));
    ck_assert_ptr_null(judgements_find(&judgements, 201));
    ck_assert_ptr_nonnull(judgements_find(&judgements, 2));
    judge(&judgements, 101, 40, VERDICT_PROVEN);
    ck_assert_int_eq(judgements_find(&judgements, 101)->at_ns, 40);
    judgements_free(&judgements);
}
