/* See cputop.h. */
#include "cputop.h"

#include "cli.h"

#include "trace/cpusamples.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS_SHOWN 5
#define FUNCTION_COLUMNS 36

struct cputop_function {
    uint64_t count;
    int64_t cpu_ns;
    char name[];
};

struct cputop {
    struct table table;
    struct cputop_function **list; /* most CPU time first */
    size_t count;
};

static bool function_is(const void *entry, const void *key)
{
    return strcmp(((const struct cputop_function *)entry)->name, key) == 0;
}

static int function_add(struct cputop *top, const char *name, const struct cpusamples_stack *stack)
{
    uint64_t hash = 0;
    for (const char *c = name; *c; c++)
        hash = table_mix(hash ^ (unsigned char)*c);
    struct cputop_function *function = table_find(&top->table, hash, function_is, name);
    if (!function) {
        size_t bytes = strlen(name) + 1;
        function = calloc(1, sizeof *function + bytes);
        if (!function)
            return -ENOMEM;
        memcpy(function->name, name, bytes);
        if (table_insert(&top->table, hash, function)) {
            free(function);
            return -ENOMEM;
        }
    }
    function->count += stack->count;
    timesum_add(&function->cpu_ns, stack->cpu_ns);
    return 0;
}

static int function_compare(const void *a_arg, const void *b_arg)
{
    const struct cputop_function *a = *(struct cputop_function *const *)a_arg;
    const struct cputop_function *b = *(struct cputop_function *const *)b_arg;
    if (a->cpu_ns != b->cpu_ns)
        return a->cpu_ns < b->cpu_ns ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void top_clear(struct cputop *top)
{
    for (size_t i = 0; top->table.slots && i <= top->table.mask; i++)
        free(top->table.slots[i].entry);
    table_clear(&top->table);
    free(top->list);
}

/* Sums up by what was executed itself. Returns 0 or -ENOMEM; to be cleared either way. */
static int top_make(struct cputop *top, const struct load *load)
{
    size_t stack_count;
    struct cpusamples_stack *stacks = cpusamples_list(summary_samples(load->summary), &stack_count);
    int result = stacks || summary_samples(load->summary)->stacks.count == 0 ? 0 : -ENOMEM;
    *top = (struct cputop){ 0 };
    for (size_t i = 0; i < stack_count && !result; i++) {
        struct place_frame frames[PLACE_FRAMES_MAX];
        char place[PLACE_TEXT_BYTES];
        place_code(load->places, stacks[i].stack);
        size_t depth = place_frames(load->places, stacks[i].stack, frames);
        const char *name = depth == 0 ? "not known" : frames[0].function;
        result = function_add(top, name ? name : place_of_frame(load->places, place, &frames[0]), &stacks[i]);
    }
    free(stacks);
    if (result || top->table.count == 0)
        return result;
    top->list = calloc(top->table.count, sizeof *top->list);
    if (!top->list)
        return -ENOMEM;
    for (size_t i = 0; i <= top->table.mask; i++)
        if (top->table.slots[i].entry)
            top->list[top->count++] = top->table.slots[i].entry;
    qsort(top->list, top->count, sizeof top->list[0], function_compare);
    return 0;
}

void cputop_print(const struct load *load)
{
    const struct cpusamples *samples = summary_samples(load->summary);
    struct cputop top;
    char count[32], lost[48] = "", duration[16], name[4 * FUNCTION_COLUMNS + 1];
    if (samples->count == 0 && samples->lost == 0)
        return;
    if (samples->lost)
        snprintf(lost, sizeof lost, "; %s more found no room", cli_count(count, samples->lost));
    printf("\nCPU time by %s sample%s%s: %s", cli_count(count, samples->count), cli_plural(samples->count), lost,
           cli_duration(duration, samples->cpu_ns));
    if (samples->scheduler_ns)
        printf(", %s of it the scheduler's", cli_duration(duration, samples->scheduler_ns));
    putchar('\n');
    int result = top_make(&top, load);
    for (size_t i = 0; i < top.count && i < FUNCTIONS_SHOWN && !result; i++)
        printf("  %-*s %9s %6.1f %%\n", FUNCTION_COLUMNS,
               cli_text(name, sizeof name, top.list[i]->name, FUNCTION_COLUMNS),
               cli_duration(duration, top.list[i]->cpu_ns),
               samples->cpu_ns > 0 ? 100.0 * (double)top.list[i]->cpu_ns / (double)samples->cpu_ns : 0);
    if (top.count > FUNCTIONS_SHOWN && !result)
        printf("  and %s more; gmptrace pprof --type=cpu has them all\n",
               cli_count(count, top.count - FUNCTIONS_SHOWN));
    top_clear(&top);
}

void cputop_json(const struct load *load)
{
    const struct cpusamples *samples = summary_samples(load->summary);
    struct cputop top;
    printf("  \"cpu_samples\": {\"count\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"cpu_ns\": %" PRId64
           ", \"scheduler_ns\": %" PRId64 ", \"functions\": [",
           samples->count, samples->lost, samples->cpu_ns, samples->scheduler_ns);
    int result = top_make(&top, load);
    for (size_t i = 0; i < top.count && !result; i++) {
        printf("%s\n    {\"function\": ", i ? "," : "");
        cli_json_string(stdout, top.list[i]->name);
        printf(", \"samples\": %" PRIu64 ", \"self_ns\": %" PRId64 "}", top.list[i]->count, top.list[i]->cpu_ns);
    }
    fputs(top.count ? "\n  ]},\n" : "]},\n", stdout);
    top_clear(&top);
}
