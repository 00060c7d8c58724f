/* The list of findings: names, order, and that the worst of each kind are kept. */
#include "harness.h"

#include "analysis/finding.h"

#include <string.h>

TEST(finding, each_kind_is_found_by_its_name)
{
    for (int kind = 0; kind < FINDING_KIND_COUNT; kind++) {
        const char *name = finding_name((enum finding_kind)kind);
        ck_assert_int_eq(finding_find(name, strlen(name)), kind);
        ck_assert_int_eq(finding_find(name, strlen(name) - 1), -1);
    }
    ck_assert_int_eq(finding_find("", 0), -1);
}

TEST(finding, the_worst_are_kept_and_the_rest_counted)
{
    static struct findings findings;
    for (int64_t value = 1; value <= 3 * FINDINGS_EACH; value++)
        findings_add(&findings, &(struct finding){ .kind = FINDING_HOG, .value = value });
    findings_add(&findings, &(struct finding){ .kind = FINDING_LATE, .value = 1 });
    findings_sort(&findings);
    ck_assert_uint_eq(findings.count, FINDINGS_EACH + 1);
    ck_assert_uint_eq(findings.left_out[FINDING_HOG], 2 * FINDINGS_EACH);
    for (int64_t i = 0; i < FINDINGS_EACH; i++)
        ck_assert_int_eq(findings.list[i].value, 3 * FINDINGS_EACH - i);
}

TEST(finding, severity_goes_before_kind)
{
    static struct findings findings;
    findings_add(&findings, &(struct finding){ .kind = FINDING_HOG, .severity = FINDING_NOTE });
    findings_add(&findings, &(struct finding){ .kind = FINDING_LATE, .severity = FINDING_ERROR });
    findings_sort(&findings);
    ck_assert_int_eq(findings.list[0].kind, FINDING_LATE);
}
