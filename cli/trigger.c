/* Reads --trigger, and says which goroutine did what it asks for. See trigger.h. */
#define _GNU_SOURCE
#include "trigger.h"

#include "cli.h"
#include "leaklook.h"

#include "pprof/symbolize.h"
#include "trace/duration.h"
#include "trace/events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- The command line ------------------------------------------------------------------------------------------- */

static int wrong(const char *text)
{
    return cli_usage("'%s' is no trigger such as runnable>50ms, waiting>2s, syscall>1s, leaked>30s, "
                     "waiting>2s:mutex,chan_send or waiting>2s@handle_order",
                     text);
}

static int reasons_parse(const char *whole, const char *text, size_t length, uint64_t *reasons)
{
    for (const char *at = text, *end = text + length; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        char name[32];
        size_t size = (size_t)((comma ? comma : end) - at);
        snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), at);
        int reason = event_reason_find(name);
        if (reason <= 0 || reason >= 64)
            return cli_usage("'%s': '%s' is no reason for a wait, such as chan_recv, mutex or net_read", whole, name);
        *reasons |= UINT64_C(1) << reason;
        at += size + 1;
    }
    return CLI_OK;
}

int trigger_parse(struct triggers *triggers, const char *text)
{
    static const struct {
        const char *word;
        enum g_state state;
        bool leaked;
    } states[] = { { "runnable", G_RUNNABLE, false },
                   { "waiting", G_WAITING, false },
                   { "syscall", G_SYSCALL, false },
                   { "leaked", G_WAITING, true } };
    struct watch_limit limit = { .state = G_IDLE };
    const char *function = strchr(text, '@'), *end = function ? function : text + strlen(text);
    const char *over = memchr(text, '>', (size_t)(end - text));
    const char *reasons = memchr(text, ':', (size_t)(end - text));
    if (triggers->count == WATCH_LIMITS_MAX)
        return cli_usage("there may be %d triggers", WATCH_LIMITS_MAX);
    for (size_t i = 0; over && i < sizeof states / sizeof states[0]; i++)
        if (strlen(states[i].word) == (size_t)(over - text) &&
            memcmp(text, states[i].word, (size_t)(over - text)) == 0) {
            limit.state = states[i].state;
            limit.leaked = states[i].leaked;
        }
    if (limit.state == G_IDLE || (function && !function[1]) ||
        duration_parse(over + 1, (size_t)((reasons ? reasons : end) - over - 1), &limit.ns))
        return wrong(text);
    if (reasons && limit.state != G_WAITING)
        return cli_usage("'%s': only waiting and leaked have reasons", text);
    int status = reasons ? reasons_parse(text, reasons + 1, (size_t)(end - reasons - 1), &limit.reasons) : CLI_OK;
    if (status)
        return status;
    triggers->functions[triggers->count] = function ? function + 1 : NULL;
    triggers->limits[triggers->count++] = limit;
    return CLI_OK;
}

/* ---- The program's names ---------------------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct gmpt_module *)a)->start, y = ((const struct gmpt_module *)b)->start;
    return x < y ? -1 : x > y;
}

/* Of the modules that there are by now. */
static struct symbolizer *names_open(const struct segment *segment)
{
    uint32_t said = load_acquire(&segment->header->module_count), count = 0;
    if (said > SEGMENT_MAX_MODULES)
        said = SEGMENT_MAX_MODULES;
    struct segment_module *copies = calloc(said + 1, sizeof *copies);
    struct gmpt_module *modules = calloc(said + 1, sizeof *modules);
    for (uint32_t i = 0; copies && modules && i < said; i++) {
        struct segment_module *copy = &copies[i];
        memcpy(copy, &segment->modules[i], sizeof *copy);
        copy->path[sizeof copy->path - 1] = 0;
        if (copy->end <= copy->start || copy->build_id_bytes > sizeof copy->build_id)
            continue;
        modules[count] = (struct gmpt_module){ .start = copy->start,
                                               .end = copy->end,
                                               .bias = copy->bias,
                                               .path = copy->path,
                                               .build_id_bytes = copy->build_id_bytes };
        memcpy(modules[count++].build_id, copy->build_id, sizeof copy->build_id);
    }
    if (modules)
        qsort(modules, count, sizeof *modules, by_start);
    struct symbolizer *symbolizer = copies && modules ? symbolizer_open_modules(modules, count) : NULL;
    free(copies);
    free(modules);
    return symbolizer;
}

static const struct symbol *symbol_of(struct triggers *triggers, const struct segment *segment, uint64_t address)
{
    uint32_t modules = load_acquire(&segment->header->module_count);
    if (!triggers->symbolizer || modules != triggers->modules) {
        symbolizer_close(triggers->symbolizer);
        triggers->symbolizer = names_open(segment);
        triggers->modules = modules;
    }
    return triggers->symbolizer && address ? symbolize(triggers->symbolizer, address) : NULL;
}

/* NULL = not known. */
static const char *function_name(struct triggers *triggers, const struct segment *segment, uint64_t fn)
{
    const struct symbol *symbol = symbol_of(triggers, segment, fn ? fn + 1 : 0);
    return symbol && symbol->count ? symbol->frames[symbol->count - 1].function : NULL;
}

static bool function_is(struct triggers *triggers, const struct segment *segment, const struct watch_found *found)
{
    const char *wanted = triggers->functions[found->limit];
    if (!wanted)
        return true;
    const char *name = function_name(triggers, segment, found->fn);
    return name && strcmp(name, wanted) == 0;
}

/* ---- Incidents -------------------------------------------------------------------------------------------------- */

static void say(struct triggers *triggers, const struct segment *segment, const struct watch_found *found,
                uint64_t others, char text[TRIGGER_TEXT_BYTES])
{
    char raw[256], name[512] = "", function[256], started[300] = "", length[16], count[32], more[64] = "";
    watch_name(segment, found->name, raw);
    if (raw[0]) {
        name[0] = ' ';
        name[1] = '"';
        cli_text(name + 2, sizeof name - 3, raw, 60);
        strcat(name, "\"");
    }
    const char *known = function_name(triggers, segment, found->fn);
    if (known && strcmp(known, "main_g") == 0 && !found->create_pc)
        known = "main"; /* where the runtime calls what gmpt_run was given */
    if (known)
        snprintf(function, sizeof function, "%s", known);
    else
        snprintf(function, sizeof function, "function 0x%llx", (unsigned long long)found->fn);
    const struct symbol *created = symbol_of(triggers, segment, found->create_pc);
    if (created && created->count && created->frames[0].file) {
        const char *slash = strrchr(created->frames[0].file, '/');
        snprintf(started, sizeof started, ", started at %.200s:%d", slash ? slash + 1 : created->frames[0].file,
                 created->frames[0].line);
    }
    enum g_state state = triggers->limits[found->limit].state;
    const char *what = state == G_RUNNABLE  ? "is runnable"
                       : state == G_SYSCALL ? "is in a blocking call"
                                            : gmpt_wait_reason_words((enum gmpt_wait_reason)found->reason);
    if (others)
        snprintf(more, sizeof more, ", as %s other%s since the last", cli_count(count, others), cli_plural(others));
    snprintf(text, TRIGGER_TEXT_BYTES, "G%llu%s, %s%s, %s%s for %s%s%s", (unsigned long long)found->id, name, function,
             started, state == G_WAITING ? "waits in " : "", what, cli_duration(length, found->for_ns),
             triggers->limits[found->limit].leaked ? ", and nothing can ever wake it" : "", more);
}

/* Gives the watch the proof that was asked for, once it is there, and asks for another when that is due. */
static void proofs_check(struct triggers *triggers, const struct segment *segment, int64_t now_ns)
{
    if (triggers->proof_is_due && segment_proof_is_done(segment, triggers->proof)) {
        triggers->proof_is_due = false;
        if (load_relaxed(&segment->header->proof_status) == PROOF_COMPLETE) {
            watch_give_proof(triggers->watch, triggers->proof);
        } else if (!triggers->no_proof_told) {
            triggers->no_proof_told = true;
            cli_error("whether goroutines have leaked cannot be told: %s; it will be tried again",
                      leak_proof_failure(load_relaxed(&segment->header->proof_status)));
        }
    }
    bool paused = triggers->asked_ns && now_ns - triggers->asked_ns < triggers->pause_ns;
    if (triggers->proof_is_due || paused || !watch_wants_proof(triggers->watch))
        return;
    triggers->proof = segment_ask_proof(segment);
    triggers->proof_is_due = true;
    triggers->asked_ns = now_ns;
}

bool triggers_check(struct triggers *triggers, const struct recorder *recorder, char text[TRIGGER_TEXT_BYTES])
{
    const struct segment *segment = recorder_segment(recorder);
    struct watch_found found, first = { .id = 0 };
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    if (!triggers->watch && !(triggers->watch = watch_open(segment, triggers->limits, triggers->count)))
        return false;
    proofs_check(triggers, segment, now_ns);
    bool paused = triggers->last_ns && now_ns - triggers->last_ns < triggers->pause_ns;
    while (watch_next(triggers->watch, now_ns, &found)) {
        if (!function_is(triggers, segment, &found))
            continue;
        if (paused || first.id)
            triggers->others++;
        else
            first = found;
    }
    if (!first.id)
        return false;
    say(triggers, segment, &first, triggers->others, text);
    triggers->others = 0;
    triggers->last_ns = now_ns;
    return true;
}

void triggers_close(struct triggers *triggers)
{
    watch_close(triggers->watch);
    symbolizer_close(triggers->symbolizer);
    triggers->watch = NULL;
    triggers->symbolizer = NULL;
}
