/* site_latency FILE: how long goroutines were runnable before they ran, by the place in the program that started them.
 *
 * An example of a tool on the reader library, <gmptrace/trace.h>, which does all the hard parts: the events come in one
 * order that respects cause and effect, and after each event the library knows the state of every goroutine. So the
 * loop below asks only whether a goroutine has become runnable, or has stopped being so.
 *
 *     gmptrace record -o server.data -- ./server
 *     cc -O2 site_latency.c $(pkg-config --cflags --libs gmptrace-reader) -o site_latency
 *     ./site_latency server.data
 *
 *        times       p50       p99       max  started at
 *       193408    1.5 us     98 us    1.2 ms  /srv/server+0x5a31
 *
 * `addr2line -pfie /srv/server 0x5a31` then names the line; `gmptrace analyze` has such names by itself. */
#include <gmptrace/trace.h>

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Durations are counted in steps of a quarter of an octave, so that a quantile is at most 25 % too large. */
#define STEPS (64 * 4)

struct site {
    uint64_t times, step[STEPS];
    int64_t total_ns, max_ns;
    uint32_t stack;
};

/* By stack: the library numbers them from 1, each distinct one once, so the number is an index. 0 = not known. */
static struct site *sites;
static uint32_t site_count;

/* A goroutine that is runnable now. */
struct waiter {
    uint64_t g;
    int64_t since_ns;
};

static void *must(void *memory)
{
    if (memory)
        return memory;
    fprintf(stderr, "site_latency: out of memory\n");
    exit(1);
}

/* ---- Durations -------------------------------------------------------------------------------------------------- */

static unsigned step_of(int64_t ns)
{
    if (ns < 4)
        return ns > 0 ? (unsigned)ns : 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll((unsigned long long)ns);
    return octave * 4 + (unsigned)(ns >> (octave - 2) & 3);
}

/* The largest that falls into the step. */
static int64_t step_end(unsigned step)
{
    return step < 8 ? (int64_t)step : (int64_t)((uint64_t)(4 + step % 4 + 1) << (step / 4 - 2)) - 1;
}

static int64_t quantile(const struct site *site, double share)
{
    uint64_t below = 0;
    for (unsigned step = 0; step < STEPS; step++)
        if ((below += site->step[step]) >= (uint64_t)((double)site->times * share + 0.5) && below)
            return step_end(step) < site->max_ns ? step_end(step) : site->max_ns;
    return site->max_ns;
}

static const char *text(char buffer[16], int64_t ns)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    double value = (double)ns;
    int unit = 0;
    for (; unit < 3 && value >= 1000; unit++)
        value /= 1000;
    snprintf(buffer, 16, value < 10 && unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buffer;
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static struct site *site_of(uint32_t stack)
{
    if (stack >= site_count) {
        uint32_t count = stack * 2 + 16;
        sites = must(realloc(sites, count * sizeof *sites));
        memset(sites + site_count, 0, (count - site_count) * sizeof *sites);
        site_count = count;
    }
    sites[stack].stack = stack;
    return &sites[stack];
}

static int by_g(const void *a, const void *b)
{
    uint64_t x = ((const struct waiter *)a)->g, y = ((const struct waiter *)b)->g;
    return x < y ? -1 : x > y;
}

/* After an event about this goroutine. */
static void look(const struct gmpt_g *g, int64_t now_ns)
{
    static void *waiters; /* a tree, as tsearch(3) keeps it; as large as there are runnable goroutines */
    struct waiter key = { g->id, g->state_since_ns };
    struct waiter **found = tfind(&key, &waiters, by_g);
    if (g->state == GMPT_G_RUNNABLE && !found) {
        struct waiter *waiter = must(malloc(sizeof *waiter));
        *waiter = key;
        must(tsearch(waiter, &waiters, by_g));
    } else if (g->state != GMPT_G_RUNNABLE && found) {
        struct waiter *waiter = *found;
        struct site *site = site_of(g->create_stack);
        int64_t ns = now_ns > waiter->since_ns ? now_ns - waiter->since_ns : 0; /* clocks of CPUs differ a little */
        site->times++;
        site->step[step_of(ns)]++;
        site->total_ns += ns;
        if (ns > site->max_ns)
            site->max_ns = ns;
        tdelete(waiter, &waiters, by_g);
        free(waiter);
    }
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

/* A return address as object and address within it. */
static void print_place(const struct gmpt_trace *trace, uint64_t pc)
{
    for (size_t i = 0; i < gmpt_trace_module_count(trace); i++) {
        const struct gmpt_module *module = gmpt_trace_module(trace, i);
        if (pc > module->start && pc <= module->end) {
            printf("%s+0x%llx\n", module->path, (unsigned long long)(pc - 1 - module->bias));
            return;
        }
    }
    printf("0x%llx\n", (unsigned long long)pc);
}

static int longest_first(const void *a, const void *b)
{
    int64_t x = ((const struct site *)a)->total_ns, y = ((const struct site *)b)->total_ns;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void print(const struct gmpt_trace *trace)
{
    char p50[16], p99[16], max[16];
    if (site_count)
        qsort(sites, site_count, sizeof *sites, longest_first);
    printf("%10s %9s %9s %9s  started at\n", "times", "p50", "p99", "max");
    for (uint32_t i = 0; i < site_count; i++) {
        const struct site *site = &sites[i];
        if (!site->times)
            continue;
        printf("%10llu %9s %9s %9s  ", (unsigned long long)site->times, text(p50, quantile(site, 0.5)),
               text(p99, quantile(site, 0.99)), text(max, site->max_ns));
        /* The leaf lies in the function of the library that starts goroutines; its caller is what we want. */
        struct gmpt_stack stack = gmpt_trace_stack(trace, site->stack);
        if (stack.count)
            print_place(trace, stack.pc[stack.count > 1 ? 1 : 0]);
        else
            printf("(not known)\n");
    }
}

int main(int argc, char **argv)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    if (argc != 2) {
        fprintf(stderr, "usage: site_latency FILE\n");
        return 2;
    }
    struct gmpt_trace *trace = gmpt_trace_open(argv[1], &error);
    if (!trace) {
        fprintf(stderr, "site_latency: %s: %s\n", argv[1], error.message);
        return 1;
    }
    int result;
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        const struct gmpt_g *g = event.g ? gmpt_trace_g(trace, event.g) : NULL;
        if (g)
            look(g, event.time_ns);
    }
    print(trace);
    /* Events that were lost, or a file that is cut off, make figures wrong in ways that only the user can judge. */
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    if (counts->lost)
        fprintf(stderr, "site_latency: %llu events were lost\n", (unsigned long long)counts->lost);
    if (gmpt_trace_error_get(trace)->message[0])
        fprintf(stderr, "site_latency: %s\n", gmpt_trace_error_get(trace)->message);
    gmpt_trace_close(trace);
    free(sites);
    return result < 0;
}
