/* See cpusamples.h. Memory is bounded by the distinct stacks, which the reader keeps anyway. */
#include "cpusamples.h"

#include "timesum.h"

#include <errno.h>
#include <stdlib.h>

/* Stops at the largest number: only a damaged file gets there. */
static void count_sum(uint64_t *sum, uint64_t count)
{
    if (__builtin_add_overflow(*sum, count, sum))
        *sum = UINT64_MAX;
}

static struct cpusamples_stack *stack_of(struct cpusamples *samples, uint32_t index)
{
    uint64_t hash = table_mix(index);
    struct cpusamples_stack *stack = table_find(&samples->stacks, hash, NULL, NULL);
    if (stack)
        return stack;
    stack = calloc(1, sizeof *stack);
    if (!stack)
        return NULL;
    stack->stack = index;
    if (table_insert(&samples->stacks, hash, stack)) {
        free(stack);
        return NULL;
    }
    return stack;
}

int cpusamples_add(struct cpusamples *samples, const struct gmpt_event *event)
{
    if (event->type == GMPT_EVENT_cpu_sample_lost)
        count_sum(&samples->lost, event->cpu_sample_lost.count);
    if (event->type != GMPT_EVENT_cpu_sample)
        return 0;
    int64_t cpu_ns = (int64_t)event->cpu_sample.cpu_ns;
    struct cpusamples_stack *stack = stack_of(samples, (uint32_t)event->cpu_sample.stack);
    if (!stack)
        return -ENOMEM;
    stack->count++;
    timesum_add(&stack->cpu_ns, cpu_ns);
    samples->count++;
    timesum_add(&samples->cpu_ns, cpu_ns);
    if (event->cpu_sample.g == 0) {
        samples->scheduler++;
        timesum_add(&samples->scheduler_ns, cpu_ns);
    }
    return 0;
}

static int stack_compare(const void *a_arg, const void *b_arg)
{
    const struct cpusamples_stack *a = a_arg, *b = b_arg;
    if (a->cpu_ns != b->cpu_ns)
        return a->cpu_ns < b->cpu_ns ? 1 : -1;
    return a->stack < b->stack ? -1 : a->stack > b->stack;
}

struct cpusamples_stack *cpusamples_list(const struct cpusamples *samples, size_t *count)
{
    *count = 0;
    if (samples->stacks.count == 0)
        return NULL;
    struct cpusamples_stack *list = calloc(samples->stacks.count, sizeof *list);
    if (!list)
        return NULL;
    for (size_t i = 0; i <= samples->stacks.mask; i++) {
        const struct cpusamples_stack *stack = samples->stacks.slots[i].entry;
        if (stack)
            list[(*count)++] = *stack;
    }
    qsort(list, *count, sizeof *list, stack_compare);
    return list;
}

void cpusamples_clear(struct cpusamples *samples)
{
    for (size_t i = 0; samples->stacks.slots && i <= samples->stacks.mask; i++)
        free(samples->stacks.slots[i].entry);
    table_clear(&samples->stacks);
    *samples = (struct cpusamples){ 0 };
}
