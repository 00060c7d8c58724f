/* One table of a trace as CSV: a header line, then a line a row, fields quoted as RFC 4180 has it where they need it.
 * Lines end with a line feed alone. Units are in the names of the columns; what is not known is empty. */
#include "cli.h"
#include "export.h"
#include "kernelwords.h"

#include "trace/table.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum site_kind { SITE_START, SITE_WAIT, SITE_CALL };

struct site {
    enum site_kind kind;
    enum gmpt_wait_reason reason;
    uint32_t stack;
    uint64_t count;
    int64_t total_ns, max_ns;
};

struct csv {
    struct table sites;
};

static const char *const headers[EXPORT_TABLES] = {
    [EXPORT_SLICES] = "g,function,state,reason,object,bounded,site,place,p,begin_ns,end_ns,duration_ns,ended",
    [EXPORT_GOROUTINES] = "g,parent,function,name,labels,site,place,begin_ns,end_ns,lifetime_ns,ended,state",
    [EXPORT_WAKEUPS] = "time_ns,g,function,waker,waker_function,reason,object,site,place,waited_ns,ran,latency_ns",
    [EXPORT_SITES] = "kind,reason,site,place,count,total_ns,max_ns",
    [EXPORT_COUNTERS] = "time_ns,running,runnable,blocking_call,preempted,waiting",
    [EXPORT_SPANS] = "kind,task,parent,name,g,end_g,begin_ns,end_ns,duration_ns,ended",
    [EXPORT_MESSAGES] = "time_ns,g,task,category,text",
    [EXPORT_THREADS] = "tid,p,begin_ns,end_ns,duration_ns",
    [EXPORT_SAMPLES] = "time_ns,g,function,tid,p,site,place,cpu_ns",
    [EXPORT_OFFCPU] = ("tid,g,function,doing,why,call,object,begin_ns,able_ns,end_ns,duration_ns,queued_ns,ended,"
                       "cpu_from,cpu_to,by,by_pid,woken_by,waker,waker_g,site,place"),
    [EXPORT_ONCPU] = "tid,cpu,begin_ns,end_ns,duration_ns,ended",
    [EXPORT_USAGES] = "time_ns,tid,span_ns,ran_ns,queued_ns,times",
};

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

static void text_put(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* After a comma. Returns 0, or -ENOMEM for text NULL. */
static int field_put(FILE *out, const char *text)
{
    fputc(',', out);
    if (!text)
        return -ENOMEM;
    text_put(out, text);
    return 0;
}

/* Number and text of a stack: two fields. */
static int place_put(struct export *export, uint32_t stack)
{
    if (!stack) {
        fputs(",,", export->out);
        return 0;
    }
    fprintf(export->out, ",%" PRIu32, stack);
    return field_put(export->out, captions_stack(export->captions, stack));
}

/* Reason and object of a wait: two fields. */
static void wait_put(struct export *export, const struct export_slice *wait)
{
    if (wait->state != GMPT_G_WAITING) {
        fputs(",,", export->out);
        return;
    }
    fprintf(export->out, ",%s,", gmpt_wait_reason_words(wait->reason));
    if (wait->object)
        fprintf(export->out, "0x%" PRIx64, wait->object);
}

/* ---- What is told ------------------------------------------------------------------------------------------------ */

static int csv_open(struct export *export)
{
    export->state = calloc(1, sizeof(struct csv));
    fprintf(export->out, "%s\n", headers[export->table]);
    return export->state ? 0 : -ENOMEM;
}

static bool site_equal(const void *entry, const void *key_arg)
{
    const struct site *site = entry, *key = key_arg;
    return site->kind == key->kind && site->reason == key->reason && site->stack == key->stack;
}

static int site_count(struct export *export, enum site_kind kind, enum gmpt_wait_reason reason, uint32_t stack,
                      int64_t ns)
{
    struct csv *csv = export->state;
    struct site key = { .kind = kind, .reason = reason, .stack = stack };
    uint64_t hash = table_mix((uint64_t)stack << 16 | (uint64_t)reason << 8 | (uint64_t)kind);
    struct site *site = table_find(&csv->sites, hash, site_equal, &key);
    if (!site) {
        site = malloc(sizeof *site);
        if (!site)
            return -ENOMEM;
        *site = key;
        if (table_insert(&csv->sites, hash, site)) {
            free(site);
            return -ENOMEM;
        }
    }
    site->count++;
    timesum_add(&site->total_ns, ns);
    if (ns > site->max_ns)
        site->max_ns = ns;
    return 0;
}

static int slice_row(struct export *export, const struct export_slice *slice)
{
    FILE *out = export->out;
    fprintf(out, "%" PRIu64, slice->g);
    if (field_put(out, export_g_function(export, slice->g)))
        return -ENOMEM;
    fprintf(out, ",%s", export_state_name(slice->state));
    wait_put(export, slice);
    fputs(slice->state != GMPT_G_WAITING ? "," : slice->bounded ? ",1" : ",0", out);
    if (place_put(export, slice->stack))
        return -ENOMEM;
    fputc(',', out);
    if (slice->p >= 0)
        fprintf(out, "%" PRId32, slice->p);
    fprintf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d\n", slice->begin_ns, slice->end_ns,
            slice->end_ns - slice->begin_ns, slice->ended);
    return 0;
}

static int csv_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    (void)g;
    if (export->table == EXPORT_SLICES)
        return slice_row(export, slice);
    if (export->table != EXPORT_SITES || (slice->state != GMPT_G_WAITING && slice->state != GMPT_G_SYSCALL))
        return 0;
    bool waits = slice->state == GMPT_G_WAITING;
    return site_count(export, waits ? SITE_WAIT : SITE_CALL, waits ? slice->reason : GMPT_WAIT_none, slice->stack,
                      slice->end_ns - slice->begin_ns);
}

static int csv_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    FILE *out = export->out;
    (void)g;
    if (export->table != EXPORT_WAKEUPS)
        return 0;
    fprintf(out, "%" PRId64 ",%" PRIu64, wakeup->time_ns, wakeup->g);
    if (field_put(out, export_g_function(export, wakeup->g)))
        return -ENOMEM;
    if (wakeup->waker) {
        fprintf(out, ",%" PRIu64, wakeup->waker);
        if (field_put(out, wakeup->waker_fn ? captions_function(export->captions, wakeup->waker_fn) : "?"))
            return -ENOMEM;
    } else {
        fputs(",,", out);
    }
    wait_put(export, &wakeup->wait);
    if (place_put(export, wakeup->wait.stack))
        return -ENOMEM;
    fprintf(out, ",%" PRId64 ",%d,%" PRId64 "\n", wakeup->wait.end_ns - wakeup->wait.begin_ns, wakeup->ran,
            wakeup->latency_ns);
    return 0;
}

/* key=value of each label, with a comma between them. */
static int labels_put(struct export *export, uint32_t labels)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return -ENOMEM;
    for (uint32_t i = 0; i < gmpt_trace_label_count(export->trace, labels); i++) {
        struct gmpt_trace_label label = gmpt_trace_label(export->trace, labels, i);
        fprintf(memory, "%s%s=%s", i ? "," : "", label.key, label.value);
    }
    int result = fclose(memory) ? -ENOMEM : field_put(export->out, text);
    free(text);
    return result;
}

static int csv_g_over(struct export *export, struct export_g *g)
{
    FILE *out = export->out;
    const struct gmpt_g *known = gmpt_trace_g(export->trace, g->id);
    uint32_t stack = known ? known->create_stack : 0;
    if (export->table == EXPORT_SITES)
        return site_count(export, SITE_START, GMPT_WAIT_none, stack, g->end_ns - g->begin_ns);
    if (export->table != EXPORT_GOROUTINES)
        return 0;
    fprintf(out, "%" PRIu64 ",", g->id);
    if (known && known->parent)
        fprintf(out, "%" PRIu64, known->parent);
    if (field_put(out, export_g_function(export, g->id)) ||
        field_put(out, gmpt_trace_string(export->trace, known ? known->name : 0)) ||
        labels_put(export, known ? known->labels : 0) || place_put(export, stack))
        return -ENOMEM;
    fprintf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%s\n", g->begin_ns, g->end_ns, g->end_ns - g->begin_ns,
            g->ended, g->ended ? "dead" : export_state_name(g->state));
    return 0;
}

static int csv_span(struct export *export, struct export_g *g, const struct span *span)
{
    (void)g;
    FILE *out = export->out;
    if (export->table != EXPORT_SPANS)
        return 0;
    fprintf(out, "%s,", span->task ? "task" : "region");
    if (span->id)
        fprintf(out, "%" PRIu64, span->id);
    fputc(',', out);
    if (span->parent)
        fprintf(out, "%" PRIu64, span->parent);
    field_put(out, gmpt_trace_string(export->trace, span->name));
    fprintf(out, ",%" PRIu64 ",", span->g);
    if (span->end_g)
        fprintf(out, "%" PRIu64, span->end_g);
    fprintf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d\n", span->begin_ns, span->end_ns,
            span->end_ns - span->begin_ns, span->ended);
    return 0;
}

static int csv_message(struct export *export, struct export_g *g, const struct gmpt_event *event)
{
    FILE *out = export->out;
    (void)g;
    if (export->table != EXPORT_MESSAGES)
        return 0;
    fprintf(out, "%" PRId64 ",%" PRIu64 ",", event->time_ns, event->g);
    if (event->user_log.task)
        fprintf(out, "%" PRIu64, event->user_log.task);
    field_put(out, gmpt_trace_string(export->trace, event->user_log.category));
    field_put(out, gmpt_trace_log_text(export->trace, NULL));
    fputc('\n', out);
    return 0;
}

static int csv_sample(struct export *export, const struct export_sample *sample)
{
    FILE *out = export->out;
    if (export->table != EXPORT_SAMPLES)
        return 0;
    fprintf(out, "%" PRId64 ",", sample->time_ns);
    if (sample->g) {
        fprintf(out, "%" PRIu64, sample->g);
        if (field_put(out, export_g_function(export, sample->g)))
            return -ENOMEM;
    } else {
        fputc(',', out);
    }
    fprintf(out, ",%" PRIu64 ",", sample->tid);
    if (sample->p >= 0)
        fprintf(out, "%" PRId32, sample->p);
    if (place_put(export, sample->stack))
        return -ENOMEM;
    fprintf(out, ",%" PRId64 "\n", sample->cpu_ns);
    return 0;
}

static int csv_hold(struct export *export, const struct export_hold *hold)
{
    if (export->table == EXPORT_THREADS)
        fprintf(export->out, "%" PRIu64 ",%" PRId32 ",%" PRId64 ",%" PRId64 ",%" PRId64 "\n", hold->tid, hold->p,
                hold->begin_ns, hold->end_ns, hold->end_ns - hold->begin_ns);
    return 0;
}

/* 0 = empty. */
static void reference_put(FILE *out, uint64_t number)
{
    fputc(',', out);
    if (number)
        fprintf(out, "%" PRIu64, number);
}

static int csv_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    const struct kernel_interval *told = off->told;
    const char *doing = export_doing_name(off->doing), *woken = export_woken_name(told);
    char call[KERNELWORDS_CALL_BYTES];
    uint64_t object = export_off_object(told);
    FILE *out = export->out;
    if (export->table != EXPORT_OFFCPU)
        return 0;
    fprintf(out, "%" PRIu64, thread->tid);
    reference_put(out, off->g);
    if (field_put(out, off->g ? export_g_function(export, off->g) : ""))
        return -ENOMEM;
    fprintf(out, ",%s,%s,%s,", doing ? doing : "", export_why_name(told->why),
            told->call >= 0 ? kernelwords_call(told->call, call) : "");
    if (object)
        fprintf(out, "0x%" PRIx64, object);
    fprintf(out, ",%" PRId64 ",", off->begin_ns);
    if (told->able_known)
        fprintf(out, "%" PRId64, off->able_ns);
    fprintf(out, ",%" PRId64 ",%" PRId64 ",", off->end_ns, off->end_ns - off->begin_ns);
    if (told->able_known)
        fprintf(out, "%" PRId64, off->end_ns - off->able_ns);
    fprintf(out, ",%d", off->ended);
    if (told->by_known)
        fprintf(out, ",%" PRIu32 ",%" PRIu32, told->cpu_from, told->cpu_to);
    else
        fputs(",,", out);
    field_put(out, told->most.name);
    reference_put(out, told->most.pid);
    fprintf(out, ",%s", woken ? woken : "");
    reference_put(out, kernelintervals_named(&told->waker) ? told->waker.tid : 0);
    reference_put(out, told->waker.g);
    if (place_put(export, told->stack))
        return -ENOMEM;
    fputc('\n', out);
    return 0;
}

static int csv_oncpu(struct export *export, struct export_thread *thread, const struct export_oncpu *on)
{
    FILE *out = export->out;
    if (export->table != EXPORT_ONCPU)
        return 0;
    fprintf(out, "%" PRIu64 ",", thread->tid);
    if (on->cpu_known)
        fprintf(out, "%" PRIu32, on->cpu);
    fprintf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d\n", on->begin_ns, on->end_ns, on->end_ns - on->begin_ns,
            on->until_known);
    return 0;
}

static int csv_usage(struct export *export, struct export_thread *thread, const struct export_usage *usage)
{
    if (export->table == EXPORT_USAGES)
        fprintf(export->out, "%" PRId64 ",%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "\n",
                usage->time_ns, thread->tid, usage->span_ns, usage->ran_ns, usage->queued_ns, usage->slices);
    return 0;
}

static int csv_counts(struct export *export, const struct export_counts *counts)
{
    const uint64_t *gs = counts->gs;
    if (export->table == EXPORT_COUNTERS)
        fprintf(export->out, "%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
                counts->time_ns, gs[GMPT_G_RUNNING], gs[GMPT_G_RUNNABLE], gs[GMPT_G_SYSCALL], gs[GMPT_G_PREEMPTED],
                gs[GMPT_G_WAITING]);
    return 0;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int site_compare(const void *a_arg, const void *b_arg)
{
    const struct site *a = *(const struct site *const *)a_arg, *b = *(const struct site *const *)b_arg;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->total_ns != b->total_ns)
        return a->total_ns > b->total_ns ? -1 : 1;
    if (a->stack != b->stack)
        return a->stack < b->stack ? -1 : 1;
    return (a->reason > b->reason) - (a->reason < b->reason);
}

/* Sites with the most time first. */
static int csv_finish(struct export *export)
{
    static const char *const kinds[] = { [SITE_START] = "start", [SITE_WAIT] = "wait", [SITE_CALL] = "call" };
    struct csv *csv = export->state;
    size_t count = 0;
    int result = 0;
    if (!csv->sites.count)
        return 0;
    struct site **list = malloc(csv->sites.count * sizeof *list);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i <= csv->sites.mask; i++)
        if (csv->sites.slots[i].entry)
            list[count++] = csv->sites.slots[i].entry;
    qsort(list, count, sizeof *list, site_compare);
    for (size_t i = 0; i < count && !result; i++) {
        fprintf(export->out, "%s,%s", kinds[list[i]->kind],
                list[i]->kind == SITE_WAIT ? gmpt_wait_reason_words(list[i]->reason) : "");
        result = place_put(export, list[i]->stack);
        fprintf(export->out, ",%" PRIu64 ",%" PRId64 ",%" PRId64 "\n", list[i]->count, list[i]->total_ns,
                list[i]->max_ns);
    }
    free(list);
    return result;
}

static void csv_close(struct export *export)
{
    struct csv *csv = export->state;
    if (!csv)
        return;
    for (size_t i = 0; csv->sites.slots && i <= csv->sites.mask; i++)
        free(csv->sites.slots[i].entry);
    table_clear(&csv->sites);
    free(csv);
}

const struct export_format export_csv = {
    .name = "csv",
    .output = "-",
    .open = csv_open,
    .slice = csv_slice,
    .wakeup = csv_wakeup,
    .g_over = csv_g_over,
    .span = csv_span,
    .message = csv_message,
    .sample = csv_sample,
    .hold = csv_hold,
    .oncpu = csv_oncpu,
    .usage = csv_usage,
    .offcpu = csv_offcpu,
    .counts = csv_counts,
    .finish = csv_finish,
    .close = csv_close,
};
