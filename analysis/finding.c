#include "finding.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *unit;
} kinds[] = {
#define KIND(kind, name, unit) { name, unit },
    FINDING_KINDS(KIND)
#undef KIND
};

const char *finding_name(enum finding_kind kind) { return kinds[kind].name; }

const char *finding_unit(enum finding_kind kind) { return kinds[kind].unit; }

int finding_find(const char *name, size_t length)
{
    for (int kind = 0; kind < FINDING_KIND_COUNT; kind++)
        if (strlen(kinds[kind].name) == length && memcmp(kinds[kind].name, name, length) == 0)
            return kind;
    return -1;
}

void findings_add(struct findings *findings, const struct finding *finding)
{
    size_t same = 0, least = 0;
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->list[i].kind != finding->kind)
            continue;
        if (same == 0 || findings->list[i].value < findings->list[least].value)
            least = i;
        same++;
    }
    if (same < FINDINGS_EACH) {
        findings->list[findings->count++] = *finding;
        return;
    }
    findings->left_out[finding->kind]++;
    if (finding->value > findings->list[least].value)
        findings->list[least] = *finding;
}

static int finding_compare(const void *a_arg, const void *b_arg)
{
    const struct finding *a = a_arg, *b = b_arg;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    if (a->begin_ns != b->begin_ns)
        return a->begin_ns < b->begin_ns ? -1 : 1;
    return (a->g > b->g) - (a->g < b->g);
}

void findings_sort(struct findings *findings)
{
    qsort(findings->list, findings->count, sizeof findings->list[0], finding_compare);
}
