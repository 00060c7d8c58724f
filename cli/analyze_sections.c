/* The sections that are shown when they are asked for: tables of what analysis/ has found, widest 80 columns. */
#include "analyze.h"
#include "cli.h"

#include "trace/machines.h"

#include <inttypes.h>
#include <string.h>

#define ROWS 12
#define NAME_WIDTH_MIN 30
#define COUNT_WIDTH_MAX 11 /* "999,999,999"; what a table of smaller ones leaves of it is for the names */
#define COUNT_WIDTH_MIN 5  /* "count" */

enum naming {
    BY_START,  /* function, and where it was started */
    BY_LINE,   /* the stack, or function and start where there is none */
    BY_REASON, /* the wait's reason and the stack */
    BY_OWNER,  /* the stack, and who had it */
    BY_TIER,   /* how it was stopped, and the function */
};

static const char *key_text(const struct analyze *analyze, const struct distribution_key *key, enum naming naming,
                            char *text, size_t size, int width)
{
    struct places *places = analyze->load.places;
    struct place_frame frames[PLACE_FRAMES_MAX];
    char at[PLACE_TEXT_BYTES], fn[PLACE_TEXT_BYTES], name[PLACE_TEXT_BYTES * 3];
    bool framed = place_frames(places, key->stack, frames) > 0;
    bool nothing = !key->fn && !key->stack && !key->by_fn;
    if (nothing)
        snprintf(name, sizeof name, "(not known)");
    else if (naming == BY_START || naming == BY_TIER || (naming == BY_LINE && key->fn))
        snprintf(name, sizeof name, "%s%s%s%s%s", naming == BY_TIER ? analyze_tier(key->kind) : "",
                 naming == BY_TIER ? ": " : "", place_function(places, fn, key->fn), framed ? " from " : "",
                 framed ? place_of_frame(places, at, &frames[0]) : "");
    else if (framed)
        snprintf(name, sizeof name, "%s", place_of_call(places, at, &frames[0]));
    else
        snprintf(name, sizeof name, "%s (line not known)", place_function(places, fn, key->fn));
    if (naming == BY_REASON) {
        char whole[sizeof name + 40];
        snprintf(whole, sizeof whole, "%s %s", gmpt_wait_reason_words((enum gmpt_wait_reason)key->kind), name);
        return cli_text(text, size, whole, width);
    }
    if (naming == BY_OWNER && key->by_fn) {
        char whole[sizeof name + PLACE_TEXT_BYTES];
        snprintf(whole, sizeof whole, "%s < %s", name, place_function(places, fn, key->by_fn));
        return cli_text(text, size, whole, width);
    }
    return cli_text(text, size, name, width);
}

static int count_width_of(const struct distributions *set, size_t rows)
{
    char count[32];
    size_t most = COUNT_WIDTH_MIN;
    for (size_t i = 0; i < set->table.count && i < rows && most < COUNT_WIDTH_MAX; i++) {
        size_t width = strlen(cli_count(count, histogram_latency(&set->list[i]->histogram).count));
        most = width > most ? width : most;
    }
    return most < COUNT_WIDTH_MAX ? (int)most : COUNT_WIDTH_MAX;
}

static void table_print(const struct analyze *analyze, const char *title, const struct distributions *set,
                        enum naming naming)
{
    size_t count = set->table.count, rows = analyze->rows ? analyze->rows : ROWS;
    char text[CLI_COLUMNS * 4 + 1], a[32], b[16], c[16], d[16], e[16];
    int count_width = count_width_of(set, rows), name_width = NAME_WIDTH_MIN + COUNT_WIDTH_MAX - count_width;
    printf("\n%-*s %*s %8s %8s %8s %8s\n", name_width + 2, title, count_width, "count", "total", "p50", "p99", "max");
    if (count == 0)
        puts("  none");
    for (size_t i = 0; i < count && i < rows; i++) {
        const struct distribution *entry = set->list[i];
        struct summary_latency latency = histogram_latency(&entry->histogram);
        printf("  %-*s %*s %8s %8s %8s %8s\n", name_width,
               key_text(analyze, &entry->key, naming, text, sizeof text, name_width), count_width,
               cli_count(a, latency.count), cli_duration(b, entry->histogram.total), cli_duration(c, latency.p50_ns),
               cli_duration(d, latency.p99_ns), cli_duration(e, latency.max_ns));
    }
    if (count > rows)
        printf("  and %s more\n", cli_count(a, count - rows));
}

static void time_print(const struct analyze *analyze)
{
    static const struct {
        enum gmpt_g_state state;
        const char *name;
    } states[] = { { GMPT_G_RUNNING, "running" },
                   { GMPT_G_PREEMPTED, "without a P" },
                   { GMPT_G_RUNNABLE, "runnable" },
                   { GMPT_G_SYSCALL, "in a call" },
                   { GMPT_G_WAITING, "waiting" } };
    static const char levels[] = " .:-=+*#%@";
    const struct overtime *overtime = analyze->analysis->overtime;
    char a[16];
    if (!overtime) {
        puts("\nStates over time: not known how long the trace is");
        return;
    }
    double width_ns = (double)overtime_width_ns(overtime);
    printf("\nStates over time: goroutines on average, each column %s\n", cli_duration(a, overtime_width_ns(overtime)));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        int64_t most_ns = 0;
        char bar[ANALYSIS_COLUMNS + 1] = "";
        for (unsigned column = 0; column < ANALYSIS_COLUMNS; column++)
            if (overtime_ns(overtime, states[i].state, column) > most_ns)
                most_ns = overtime_ns(overtime, states[i].state, column);
        for (unsigned column = 0; column < ANALYSIS_COLUMNS; column++) {
            int64_t ns = overtime_ns(overtime, states[i].state, column);
            size_t level = most_ns ? (size_t)((double)ns / (double)most_ns * (sizeof levels - 2) + 0.5) : 0;
            bar[column] = levels[ns && !level ? 1 : level];
        }
        printf("  %-11s|%s|\n  %-11s at most %.1f\n", states[i].name, bar, "", (double)most_ns / width_ns);
    }
}

static void latency_print(const struct analyze *analyze)
{
    table_print(analyze, "Scheduling latency by start", &analyze->analysis->lateness.starts, BY_START);
    puts("  (quantiles are at most 1.6 % above the truth; all else is exact)");
}

static void lines_print(const struct analyze *analyze)
{
    table_print(analyze, "Latency after waiting at", &analyze->analysis->lateness.lines, BY_LINE);
}

static void waits_print(const struct analyze *analyze)
{
    table_print(analyze, "Waits", &analyze->analysis->waits.sites, BY_REASON);
}

static void locks_print(const struct analyze *analyze)
{
    table_print(analyze, "Locks: waiter < owner", &analyze->analysis->waits.locks, BY_OWNER);
}

static void calls_print(const struct analyze *analyze)
{
    const struct distributions *calls = &analyze->analysis->calls.sites;
    char a[32], b[32];
    uint64_t lost = 0, all = 0;
    for (size_t i = 0; i < calls->table.count; i++) {
        lost += calls->list[i]->marked;
        all += calls->list[i]->histogram.count;
    }
    table_print(analyze, "Blocking calls", calls, BY_LINE);
    printf("  %s of %s lost their P meanwhile\n", cli_count(a, lost), cli_count(b, all));
}

static void steals_print(const struct analyze *analyze)
{
    const struct processors *processors = &analyze->analysis->processors;
    uint32_t shown = processors->top < 8 ? processors->top : 8;
    char a[32];
    puts("\nSteals: goroutines that a P (line) took from another (column)");
    if (!processors->steals) {
        puts("  none");
        return;
    }
    printf("  %-5s", "");
    for (uint32_t from = 0; from < shown; from++)
        printf(" %6s%" PRIu32, "P", from);
    printf(" %9s\n", "all");
    for (uint32_t p = 0; p < shown; p++) {
        printf("  P%-4" PRIu32, p);
        for (uint32_t from = 0; from < shown; from++)
            printf(" %7s", cli_count(a, processors->steals[(size_t)p * PROCESSORS_MAX + from]));
        printf(" %9s\n", cli_count(a, processors->ps[p].stolen));
    }
    if (processors->top > shown)
        printf("  and %" PRIu32 " more (--json)\n", processors->top - shown);
}

static void preemptions_print(const struct analyze *analyze)
{
    table_print(analyze, "Preempted after running for", &analyze->analysis->runs.preempted, BY_TIER);
}

static void processors_print(const struct analyze *analyze)
{
    const struct processors *processors = &analyze->analysis->processors;
    int64_t length_ns = analyze->analysis->end_ns - analyze->analysis->options.from_ns;
    size_t rows = analyze->rows ? analyze->rows : ROWS;
    char a[32], b[16], c[16];
    printf("\n%-12s %12s %10s %8s %10s %8s %12s\n", "Processors", "runs", "ran Gs", "", "held", "", "stolen");
    for (uint32_t p = 0; p < processors->top && p < rows; p++) {
        const struct processor *processor = &processors->ps[p];
        double length = length_ns > 0 ? (double)length_ns : 1;
        printf("  P%-9" PRIu32 " %12s %10s %6.1f %% %10s %6.1f %%", p, cli_count(a, processor->runs),
               cli_duration(b, processor->busy_ns), 100 * (double)processor->busy_ns / length,
               cli_duration(c, processor->held_ns), 100 * (double)processor->held_ns / length);
        printf(" %12s\n", cli_count(a, processor->stolen));
    }
    if (processors->top > rows)
        printf("  and %" PRIu32 " more\n", processors->top - (uint32_t)rows);
    printf("  Gs could run while a P idled for %s, for %s at the longest\n", cli_duration(b, processors->starved_ns),
           cli_duration(c, processors->starved_worst_ns));
}

static void threads_print(const struct analyze *analyze)
{
    const struct machine_totals *totals = machines_totals(summary_machines(analyze->load.summary));
    char a[32], b[32], c[32], d[32];
    puts("\nThreads (Ms)");
    printf("  seen %s   made %s   held a P %s\n", cli_count(a, totals->seen), cli_count(b, totals->created),
           cli_count(c, totals->held));
    printf("  parked %s times, for %s   woken %s times\n", cli_count(a, totals->parks),
           cli_duration(b, totals->parked_ns), cli_count(c, totals->unparks));
    printf("  looked for work %s times, for %s\n", cli_count(a, totals->spins), cli_duration(b, totals->spinning_ns));
    printf("  polls of the network %s, asleep in them for %s, which made %s goroutines run\n",
           cli_count(a, totals->polls), cli_duration(b, totals->polling_ns), cli_count(c, totals->polled_gs));
    printf("  from being woken to having a P: p50 %s   p90 %s   p99 %s   max %s\n",
           cli_duration(a, totals->waking.p50_ns), cli_duration(b, totals->waking.p90_ns),
           cli_duration(c, totals->waking.p99_ns), cli_duration(d, totals->waking.max_ns));
}

static void lifetimes_print(const struct analyze *analyze)
{
    table_print(analyze, "Lifetimes of those that ended", &analyze->analysis->lives.starts, BY_START);
}

static void wakeups_print(const struct analyze *analyze)
{
    const struct wakeups *wakeups = &analyze->analysis->wakeups;
    uint64_t futile = 0;
    char a[32], b[32];
    for (size_t i = 0; i < wakeups->futile.table.count; i++)
        futile += wakeups->futile.list[i]->histogram.count;
    table_print(analyze, "Woken in vain, and ran for", &wakeups->futile, BY_REASON);
    printf("  %s of %s wake-ups from locks, conditions, semaphores and sockets\n", cli_count(a, futile),
           cli_count(b, wakeups->woken));
}

static void chains_print(const struct analyze *analyze)
{
    const struct chains *chains = &analyze->analysis->chains;
    struct places *places = analyze->load.places;
    char a[32], b[32], c[32], fn[PLACE_TEXT_BYTES], at[PLACE_TEXT_BYTES], line[PLACE_TEXT_BYTES * 3],
        text[CLI_COLUMNS * 4 + 1];
    puts("\nLongest chains of who had to wait for whose work");
    if (!chains->longest[0].length_ns)
        puts("  none");
    for (size_t i = 0; i < CHAINS_SHOWN && chains->longest[i].length_ns; i++) {
        const struct chain *chain = &chains->longest[i];
        uint64_t first = chain->hops > CHAIN_HOPS ? chain->hops - CHAIN_HOPS : 0;
        printf("  %zu. %s, of which it ran for %s, through %s goroutine%s, up to G%" PRIu64 "\n", i + 1,
               cli_duration(a, chain->length_ns), cli_duration(c, chain->ran_ns), cli_count(b, chain->hops),
               cli_plural(chain->hops), chain->g);
        if (first)
            puts("       ...");
        for (uint64_t n = first; n < chain->hops; n++) {
            const struct chain_hop *hop = &chain->last[n % CHAIN_HOPS];
            snprintf(line, sizeof line, "G%" PRIu64 " %s%s%s", hop->g,
                     hop->fn ? place_function(places, fn, hop->fn) : "(function not known)",
                     n + 1 < chain->hops ? ", woke the next " : "",
                     n + 1 < chain->hops ? place_of_stack(places, at, hop->stack, 0) : "");
            printf("       %9s  %s\n", cli_duration(a, hop->ns), cli_text(text, sizeof text, line, 61));
        }
    }
}

const struct analyze_section analyze_sections[] = {
    { "findings", "what is wrong, with evidence and where to look", true, analyze_findings },
    { "states", "the time of all goroutines, by what they did", true, analyze_states },
    { "scheduler", "latency in all, and what the scheduler did", true, analyze_scheduler },
    { "starts", "goroutines by function and where they were started", true, analyze_starts },
    { "own", "the program's tasks, regions and messages", true, analyze_own },
    { "cpu", "functions by CPU samples", true, analyze_cpu },
    { "kernel", "what the kernel did with the program's threads", true, analyze_kernel },
    { "leaks", "suspected leaks", true, analyze_suspects },
    { "time", "states over time", false, time_print },
    { "latency", "scheduling latency by where goroutines were started", false, latency_print },
    { "lines", "scheduling latency by the line that they had waited at", false, lines_print },
    { "waits", "where goroutines wait, and for what", false, waits_print },
    { "locks", "who waits for locks, and who had them", false, locks_print },
    { "calls", "blocking calls, and Ps lost in them", false, calls_print },
    { "preemptions", "who was made to stop, and how", false, preemptions_print },
    { "processors", "what each P did", false, processors_print },
    { "steals", "who took goroutines from whom", false, steals_print },
    { "threads", "what threads did", false, threads_print },
    { "lifetimes", "how long goroutines live", false, lifetimes_print },
    { "wakeups", "goroutines that were woken in vain", false, wakeups_print },
    { "chains", "the longest chains of work", false, chains_print },
    { NULL, NULL, false, NULL },
};
