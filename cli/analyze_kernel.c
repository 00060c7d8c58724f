/* What analyze tells of the kernel's side: a section, and a member of the JSON object. */
#include "analyze.h"
#include "cli.h"
#include "kernelwords.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS_SHOWN 4
#define FAULT_PLACES_SHOWN 10

static const char *const loss_names[GMPT_KERNEL_LOSSES] = { "intervals", "starts", "ends",   "notes",   "words",
                                                            "halves",    "usages", "slices", "samples", "faults",
                                                            "places" };

/* "0", or each kind apart: an interval of which a half is lost is one that nobody has counted. */
static const char *lost_words(const struct kerneltime *kernel, char *words, size_t size)
{
    const struct {
        uint64_t count;
        const char *one, *many;
    } kinds[] = {
        { kernel->lost[GMPT_KERNEL_LOST_INTERVALS] + kernel->lost[GMPT_KERNEL_LOST_NOTES], "interval", "intervals" },
        { kernel->lost[GMPT_KERNEL_LOST_HALVES], "half of one", "halves of such" },
        { kernel->lost[GMPT_KERNEL_LOST_STARTS] + kernel->lost[GMPT_KERNEL_LOST_ENDS], "start or end of a thread",
          "starts and ends of threads" },
        { kernel->lost[GMPT_KERNEL_LOST_SLICES], "turn of who had a CPU", "turns of who had a CPU" },
        { kernel->lost[GMPT_KERNEL_LOST_PLACES], "place of an interval", "places of intervals" },
    };
    char count[32];
    size_t used = 0;
    snprintf(words, size, "0");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && used < size; i++)
        if (kinds[i].count)
            used +=
                (size_t)snprintf(words + used, size - used, "%s%s %s", used ? ", " : "",
                                 cli_count(count, kinds[i].count), kinds[i].count == 1 ? kinds[i].one : kinds[i].many);
    return words;
}

/* A time without a CPU is told when it is over. */
static void open_print(const struct kerneltime *kernel)
{
    const struct kerneltime_open *open = &kernel->open;
    char a[32], b[16], c[16], of_gs[96] = "";
    if (!open->threads)
        return;
    if (open->running_ns || open->in_call_ns)
        snprintf(of_gs, sizeof of_gs, "; so of the times on a CPU up to %s, and %s of calls, may have been without one",
                 cli_duration(b, open->running_ns), cli_duration(c, open->in_call_ns));
    cli_wrap(2, "  not told: what %s thread%s that had not ended did after %s last got a CPU%s",
             cli_count(a, open->threads), cli_plural(open->threads), open->threads == 1 ? "it" : "they", of_gs);
}

static void sum_print(const char *name, const struct kerneltime_sum *sum, int64_t whole_ns)
{
    char a[32], b[16], c[16], d[16] = "";
    if (whole_ns >= 0)
        cli_duration(d, whole_ns - sum->blocked_ns - sum->queued_ns);
    printf("  %-32s %9s %11s %9s %9s\n", name, d, cli_count(a, sum->times), cli_duration(b, sum->blocked_ns),
           cli_duration(c, sum->queued_ns));
}

static void neighbours_print(const struct analyze *analyze)
{
    const struct kerneltime *kernel = &analyze->analysis->kernel;
    size_t rows = analyze->rows ? analyze->rows : NEIGHBOURS_SHOWN;
    char a[32], b[16], name[KERNELWORDS_PROGRAM_BYTES];
    if (kernel->throttled.times)
        printf("  stopped as a CPU quota was used up: %s times, for %s\n", cli_count(a, kernel->throttled.times),
               cli_duration(b, kernel->throttled.queued_ns));
    for (size_t i = 0; i < kernel->neighbour_count && i < rows; i++) {
        const struct kerneltime_neighbour *neighbour = kernel->neighbours[i];
        if (i == 0)
            printf("  %-52s %11s %9s\n", "in queue, by who had the CPU for most of it", "times", "for");
        printf("    %-50s %11s %9s\n", kernelwords_program(neighbour->pid, neighbour->name, kernel->pid, name),
               cli_count(a, neighbour->times), cli_duration(b, neighbour->taken_ns));
    }
    if (kernel->neighbour_count > rows)
        printf("    and %s more\n", cli_count(a, kernel->neighbour_count - rows));
}

static void blocked_print(const struct analyze *analyze)
{
    const struct distributions *blocked = &analyze->analysis->kernel.blocked;
    char a[32], b[16], c[16], call[KERNELWORDS_CALL_BYTES], at[PLACE_TEXT_BYTES], name[PLACE_TEXT_BYTES + 64],
        text[CLI_COLUMNS * 4 + 1];
    for (size_t i = 0; i < blocked->table.count && i < analyze->rows; i++) {
        const struct distribution *entry = blocked->list[i];
        if (i == 0)
            printf("  %-42s %11s %9s %9s\n", "blocked with a P", "times", "for", "longest");
        snprintf(name, sizeof name, "%s %s", kernelwords_call((int32_t)entry->key.kind - 1, call),
                 place_of_stack(analyze->load.places, at, entry->key.stack, entry->key.fn));
        printf("    %-40s %11s %9s %9s\n", cli_text(text, sizeof text, name, 40), cli_count(a, entry->histogram.count),
               cli_duration(b, entry->histogram.total), cli_duration(c, entry->histogram.max));
    }
}

struct fault_row {
    char at[PLACE_TEXT_BYTES];
    uint64_t count, most_per_s;
};

static int fault_row_compare(const void *a_arg, const void *b_arg)
{
    const struct fault_row *a = a_arg, *b = b_arg;
    return a->count != b->count ? (a->count > b->count ? -1 : 1) : strcmp(a->at, b->at);
}

/* Several ways lead to one place. Returns how many places there are. */
static size_t fault_rows_find(const struct analyze *analyze, struct fault_row rows[FAULT_PLACES_SHOWN])
{
    const struct pagefaults *faults = &analyze->analysis->kernel.faults;
    char at[PLACE_TEXT_BYTES];
    size_t row_count = 0, row;
    for (size_t i = 0; i < faults->sites.table.count; i++) {
        const struct distribution *site = faults->sites.list[i];
        if ((uint64_t)site->histogram.total < faults->count / 100)
            break;
        place_of_stack(analyze->load.places, at, site->key.fn ? 0 : site->key.stack, site->key.fn);
        for (row = 0; row < row_count && strcmp(rows[row].at, at) != 0; row++)
            ;
        if (row == FAULT_PLACES_SHOWN || (row == row_count && row >= analyze->rows))
            continue;
        if (row == row_count) {
            rows[row_count++] = (struct fault_row){ .count = 0 };
            memcpy(rows[row].at, at, sizeof at);
        }
        rows[row].count += (uint64_t)site->histogram.total;
        rows[row].most_per_s += rate_peak(&site->rate, PAGEFAULTS_WINDOW_NS);
    }
    qsort(rows, row_count, sizeof *rows, fault_row_compare);
    return row_count;
}

/* Of the places those that have a hundredth or more of all, and so many at most. All are counted; of many, the place of
 * some is told, chosen at random. */
static void faults_print(const struct analyze *analyze)
{
    const struct pagefaults *faults = &analyze->analysis->kernel.faults;
    struct fault_row rows[FAULT_PLACES_SHOWN];
    char a[32], b[32], text[CLI_COLUMNS * 4 + 1];
    uint64_t left = faults->count;
    size_t count = fault_rows_find(analyze, rows);
    if (left)
        printf("  %-53s %10s\n", "page faults", cli_count(a, left));
    for (size_t i = 0; i < count; i++) {
        left -= rows[i].count < left ? rows[i].count : left;
        printf("    %-51s %10s  about, up to %s a second\n", cli_text(text, sizeof text, rows[i].at, 51),
               cli_count(a, rows[i].count), cli_count(b, rows[i].most_per_s));
    }
    if (left && analyze->rows)
        printf("    %-51s %10s\n", "elsewhere", cli_count(a, left));
}

static void usage_print(const struct kerneltime *kernel)
{
    const struct kerneltime_usage *usage = &kernel->usage;
    uint64_t unknown = kernel->lost[GMPT_KERNEL_LOST_USAGES];
    char a[16], b[16], c[16], d[32];
    cli_wrap(2, "  all threads together, in %s: on a CPU %s, in the kernel's queue %s, %s times",
             cli_duration(a, usage->span_ns), cli_duration(b, usage->ran_ns), cli_duration(c, usage->queue_ns),
             cli_count(d, usage->slices));
    if (unknown)
        printf("  what %s thread%s did between the last figure and the end is not known\n", cli_count(d, unknown),
               cli_plural(unknown));
}

void analyze_kernel(const struct analyze *analyze)
{
    const struct analysis *analysis = analyze->analysis;
    const struct kerneltime *kernel = &analysis->kernel;
    char lost[256], since[16], b[16];
    if (!kernel->seen && !analyze->rows)
        return;
    if (!kernel->seen) {
        puts("\nThe kernel's side: not recorded (gmptrace record --kernel)");
        return;
    }
    putchar('\n');
    cli_wrap(2, "The kernel's side, by %s, from %s on; %s lost, times within %s", kernelwords_tier(kernel->tier),
             cli_duration(since, kernel->since_ns), lost_words(kernel, lost, sizeof lost),
             cli_duration(b, kernel->error_ns));
    if (kernel->usage.span_ns)
        usage_print(kernel);
    if (kernel->tier < GMPT_KERNEL_PERF) {
        puts("  not known: which goroutines that met, each time without a CPU, and who had it");
        return;
    }
    printf("  %-32s %9s %11s %9s %9s\n", "", "on a CPU", "times off", "blocked", "in queue");
    sum_print("goroutines that ran", &kernel->sums[KERNELTIME_RUNNING], analysis_ran_ns(analysis));
    sum_print("goroutines in blocking calls", &kernel->sums[KERNELTIME_IN_CALL], analysis->state_ns[GMPT_G_SYSCALL]);
    sum_print("threads with no goroutine", &kernel->sums[KERNELTIME_SCHEDULER], -1);
    if (kernel->sums[KERNELTIME_NOT_KNOWN].times)
        sum_print("not known", &kernel->sums[KERNELTIME_NOT_KNOWN], -1);
    open_print(kernel);
    neighbours_print(analyze);
    faults_print(analyze);
    if (kernel->tier < GMPT_KERNEL_BPF)
        puts("  not known: how long who was blocked was in queue then, the system calls, who\n"
             "  had the CPU, and who woke a thread; goroutines are those of our own trace");
    if (analyze->rows)
        blocked_print(analyze);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void sum_json(const char *name, const struct kerneltime_sum *sum)
{
    printf(", \"%s\": {\"times\": %" PRIu64 ", \"blocked_ns\": %" PRId64 ", \"queued_ns\": %" PRId64
           ", \"unsplit_ns\": %" PRId64 "}",
           name, sum->times, sum->blocked_ns, sum->queued_ns, sum->unsplit_ns);
}

static void neighbours_json(const struct kerneltime *kernel)
{
    fputs(",\n   \"neighbours\": [", stdout);
    for (size_t i = 0; i < kernel->neighbour_count; i++) {
        const struct kerneltime_neighbour *neighbour = kernel->neighbours[i];
        printf("%s\n    {\"pid\": %" PRIu32 ", \"name\": ", i ? "," : "", neighbour->pid);
        cli_json_string(stdout, neighbour->name);
        printf(", \"own\": %s, \"times\": %" PRIu64 ", \"taken_ns\": %" PRId64 ", \"worst_ns\": %" PRId64
               ", \"worst_end_ns\": %" PRId64 ", \"worst_goroutine\": %" PRIu64 "}",
               neighbour->pid == kernel->pid ? "true" : "false", neighbour->times, neighbour->taken_ns,
               neighbour->worst_ns, neighbour->worst_end_ns, neighbour->worst_g);
    }
    fputs(kernel->neighbour_count ? "\n   ]" : "]", stdout);
}

static void blocked_json(const struct analyze *analyze)
{
    const struct distributions *blocked = &analyze->analysis->kernel.blocked;
    struct places *places = analyze->load.places;
    char call[KERNELWORDS_CALL_BYTES];
    fputs(",\n   \"blocked\": [", stdout);
    for (size_t i = 0; i < blocked->table.count; i++) {
        const struct distribution *entry = blocked->list[i];
        int32_t number = (int32_t)entry->key.kind - 1;
        printf("%s\n    {\"call\": %" PRId32 ", \"call_name\": ", i ? "," : "", number);
        cli_json_string(stdout, kernelwords_call(number, call));
        printf(", \"times\": %" PRIu64 ", \"total_ns\": %" PRId64 ", \"longest_ns\": %" PRId64
               ", \"worst_end_ns\": %" PRId64 ", \"worst_goroutine\": %" PRIu64 ", \"function\": ",
               entry->histogram.count, entry->histogram.total, entry->histogram.max, entry->worst_end_ns,
               entry->worst_g);
        place_function_json(places, stdout, entry->key.fn);
        fputs(", \"stack\": ", stdout);
        place_json(places, stdout, entry->key.fn ? 0 : entry->key.stack);
        fputs(", \"create_stack\": ", stdout);
        place_json(places, stdout, entry->key.fn ? entry->key.stack : 0);
        putchar('}');
    }
    fputs(blocked->table.count ? "\n   ]" : "]", stdout);
}

static void stopped_json(const struct analyze *analyze)
{
    const struct distributions *stopped = &analyze->analysis->kernel.stopped;
    struct places *places = analyze->load.places;
    fputs(",\n   \"stopped\": [", stdout);
    for (size_t i = 0; i < stopped->table.count; i++) {
        const struct distribution *entry = stopped->list[i];
        printf("%s\n    {\"times\": %" PRIu64 ", \"queued_ns\": %" PRId64 ", \"longest_ns\": %" PRId64
               ", \"worst_end_ns\": %" PRId64 ", \"worst_goroutine\": %" PRIu64 ", \"function\": ",
               i ? "," : "", entry->histogram.count, entry->histogram.total, entry->histogram.max, entry->worst_end_ns,
               entry->worst_g);
        place_function_json(places, stdout, entry->key.fn);
        fputs(", \"create_stack\": ", stdout);
        place_json(places, stdout, entry->key.stack);
        putchar('}');
    }
    fputs(stopped->table.count ? "\n   ]" : "]", stdout);
}

static void faults_json(const struct analyze *analyze)
{
    const struct pagefaults *faults = &analyze->analysis->kernel.faults;
    struct places *places = analyze->load.places;
    printf(",\n   \"page_faults\": {\"count\": %" PRIu64 ", \"places\": [", faults->count);
    for (size_t i = 0; i < faults->sites.table.count; i++) {
        const struct distribution *site = faults->sites.list[i];
        printf("%s\n    {\"count\": %" PRId64 ", \"most_per_s\": %" PRIu64 ", \"most_begin_ns\": %" PRId64
               ", \"goroutine\": %" PRIu64 ", \"address\": \"0x%" PRIx64 "\", \"function\": ",
               i ? "," : "", site->histogram.total, rate_peak(&site->rate, PAGEFAULTS_WINDOW_NS),
               site->rate.peak_begin_ns, site->worst_g, site->worst_object);
        place_function_json(places, stdout, site->key.fn);
        fputs(", \"stack\": ", stdout);
        place_json(places, stdout, site->key.fn ? 0 : site->key.stack);
        fputs(", \"create_stack\": ", stdout);
        place_json(places, stdout, site->key.fn ? site->key.stack : 0);
        putchar('}');
    }
    fputs(faults->sites.table.count ? "\n   ]}" : "]}", stdout);
}

void analyze_kernel_json(const struct analyze *analyze)
{
    const struct kerneltime *kernel = &analyze->analysis->kernel;
    if (!kernel->seen) {
        fputs("  \"kernel\": null,\n", stdout);
        return;
    }
    printf("  \"kernel\": {\"tier\": \"%s\", \"others\": %s, \"since_ns\": %" PRId64 ", \"error_ns\": %" PRId64
           ", \"lost\": {",
           kernelwords_tier(kernel->tier), kernel->others ? "true" : "false", kernel->since_ns, kernel->error_ns);
    for (int what = 0; what < GMPT_KERNEL_LOSSES; what++)
        printf("%s\"%s\": %" PRIu64, what ? ", " : "", loss_names[what], kernel->lost[what]);
    putchar('}');
    sum_json("running", &kernel->sums[KERNELTIME_RUNNING]);
    sum_json("in_calls", &kernel->sums[KERNELTIME_IN_CALL]);
    sum_json("scheduler", &kernel->sums[KERNELTIME_SCHEDULER]);
    sum_json("not_known", &kernel->sums[KERNELTIME_NOT_KNOWN]);
    sum_json("preempted", &kernel->preempted);
    sum_json("throttled", &kernel->throttled);
    printf(", \"open\": {\"threads\": %" PRIu64 ", \"running_ns\": %" PRId64 ", \"in_calls_ns\": %" PRId64 "}",
           kernel->open.threads, kernel->open.running_ns, kernel->open.in_call_ns);
    printf(",\n   \"usage\": {\"span_ns\": %" PRId64 ", \"ran_ns\": %" PRId64 ", \"queued_ns\": %" PRId64
           ", \"slices\": %" PRIu64 "}",
           kernel->usage.span_ns, kernel->usage.ran_ns, kernel->usage.queue_ns, kernel->usage.slices);
    neighbours_json(kernel);
    stopped_json(analyze);
    blocked_json(analyze);
    faults_json(analyze);
    fputs("},\n", stdout);
}
