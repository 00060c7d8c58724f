/* A trace as an SQLite database: a table for each kind of thing, and views that answer the common questions.
 *
 * It is written in one transaction, without a journal: until it is whole the file is nobody's (outfile.h). SQLite
 * spills what does not fit into its page cache, and sorts indexes in files of its own, so memory does not grow with the
 * trace. The views are made by the schema below and described in gmptrace-export.1. */
#include "cli.h"
#include "export.h"
#include "kernelwords.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "PRAGMA journal_mode = OFF;"
    "PRAGMA synchronous = OFF;"
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA cache_size = -16384;"
    "PRAGMA application_id = 0x676d7074;"
    "PRAGMA user_version = 3;"
    "BEGIN;"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE goroutines(g INTEGER, parent INTEGER, function TEXT, name TEXT, site INTEGER, begin_ns INTEGER,"
    " end_ns INTEGER, lifetime_ns INTEGER, ended INTEGER, state TEXT);"
    "CREATE TABLE labels(g INTEGER, key TEXT, value TEXT);"
    "CREATE TABLE slices(g INTEGER, state TEXT, reason TEXT, object INTEGER, bounded INTEGER, site INTEGER, p INTEGER,"
    " begin_ns INTEGER, end_ns INTEGER, duration_ns INTEGER, ended INTEGER, owner INTEGER);"
    "CREATE TABLE wakeups(time_ns INTEGER, g INTEGER, waker INTEGER, reason TEXT, object INTEGER, site INTEGER,"
    " waited_ns INTEGER, ran INTEGER, latency_ns INTEGER, waker_site INTEGER);"
    "CREATE TABLE sites(site INTEGER PRIMARY KEY, function TEXT, file TEXT, line INTEGER, place TEXT);"
    "CREATE TABLE frames(site INTEGER, depth INTEGER, function TEXT, file TEXT, line INTEGER, module TEXT,"
    " address INTEGER, PRIMARY KEY(site, depth)) WITHOUT ROWID;"
    "CREATE TABLE tasks(task INTEGER, parent INTEGER, name TEXT, g INTEGER, end_g INTEGER, begin_ns INTEGER,"
    " end_ns INTEGER, duration_ns INTEGER, ended INTEGER);"
    "CREATE TABLE regions(g INTEGER, task INTEGER, name TEXT, begin_ns INTEGER, end_ns INTEGER, duration_ns INTEGER,"
    " ended INTEGER);"
    "CREATE TABLE messages(time_ns INTEGER, g INTEGER, task INTEGER, category TEXT, text TEXT);"
    "CREATE TABLE threads(tid INTEGER, p INTEGER, begin_ns INTEGER, end_ns INTEGER, duration_ns INTEGER);"
    "CREATE TABLE samples(time_ns INTEGER, g INTEGER, tid INTEGER, p INTEGER, site INTEGER, cpu_ns INTEGER);"
    "CREATE TABLE offcpu(tid INTEGER, g INTEGER, doing TEXT, why TEXT, call TEXT, object INTEGER, begin_ns INTEGER,"
    " able_ns INTEGER, end_ns INTEGER, duration_ns INTEGER, queued_ns INTEGER, ended INTEGER, cpu_from INTEGER,"
    " cpu_to INTEGER, by TEXT, by_pid INTEGER, woken_by TEXT, waker INTEGER, waker_g INTEGER, site INTEGER);"
    "CREATE TABLE oncpu(tid INTEGER, cpu INTEGER, begin_ns INTEGER, end_ns INTEGER, duration_ns INTEGER,"
    " ended INTEGER);"
    "CREATE TABLE usages(time_ns INTEGER, tid INTEGER, span_ns INTEGER, ran_ns INTEGER, queued_ns INTEGER,"
    " times INTEGER);"
    "CREATE TABLE counters(time_ns INTEGER, running INTEGER, runnable INTEGER, blocking_call INTEGER,"
    " preempted INTEGER, waiting INTEGER);"

    /* Where Gs wait, or call what blocks: the places with the most time first. */
    "CREATE VIEW wait_sites AS"
    " SELECT state, reason, place, count(*) AS waits, sum(duration_ns) AS total_ns, max(duration_ns) AS max_ns"
    " FROM slices LEFT JOIN sites USING(site) WHERE state IN ('waiting', 'blocking call')"
    " GROUP BY state, reason, place ORDER BY total_ns DESC, place;"

    /* Each time that a G was runnable, and from where it was started. */
    "CREATE VIEW latencies AS"
    " SELECT s.g AS g, s.begin_ns AS begin_ns, s.duration_ns AS latency_ns, gs.function AS function, c.place AS "
    "started_at"
    " FROM slices s JOIN goroutines gs ON gs.g = s.g LEFT JOIN sites c ON c.site = gs.site"
    " WHERE s.state = 'runnable' AND s.ended;"

    /* How late the Gs from each place run. */
    "CREATE VIEW latency_by_site AS"
    " SELECT function, started_at, count(*) AS times, avg(latency_ns) AS average_ns,"
    " min(CASE WHEN share >= 0.5 THEN latency_ns END) AS p50_ns,"
    " min(CASE WHEN share >= 0.99 THEN latency_ns END) AS p99_ns, max(latency_ns) AS max_ns"
    " FROM (SELECT *, row_number() OVER (PARTITION BY function, started_at ORDER BY latency_ns) * 1.0 /"
    " count(*) OVER (PARTITION BY function, started_at) AS share FROM latencies)"
    " GROUP BY function, started_at ORDER BY max_ns DESC, function;"

    "CREATE VIEW longest_waits AS"
    " SELECT s.g AS g, gs.function AS function, s.reason AS reason, s.bounded AS bounded, place, s.begin_ns AS "
    "begin_ns,"
    " s.duration_ns AS duration_ns FROM slices s LEFT JOIN goroutines gs ON gs.g = s.g"
    " LEFT JOIN sites ON sites.site = s.site"
    " WHERE s.state = 'waiting' ORDER BY s.duration_ns DESC, s.g, s.begin_ns;"

    /* Who woke whom, by function; a waker of NULL is a timer or the network poller. */
    "CREATE VIEW who_woke_whom AS"
    " SELECT w.function AS waker, g.function AS woken, u.reason AS reason, count(*) AS times,"
    " sum(u.waited_ns) AS waited_ns, max(u.latency_ns) AS max_latency_ns"
    " FROM wakeups u LEFT JOIN goroutines w ON w.g = u.waker LEFT JOIN goroutines g ON g.g = u.g"
    " GROUP BY w.function, g.function, u.reason ORDER BY times DESC, waker, woken, reason;"

    /* Who has the locks that others wait for, and where they are let go: the holders that cost most first. A NULL is
     * not known; of where they are let go also that nobody has. */
    "CREATE VIEW lock_holders AS"
    " SELECT s.reason AS reason, h.function AS holder, w.place AS released_at, g.function AS waiter,"
    " q.place AS waited_at, count(*) AS waits, sum(s.duration_ns) AS waited_ns, max(s.duration_ns) AS max_ns"
    " FROM slices s LEFT JOIN goroutines h ON h.g = s.owner LEFT JOIN goroutines g ON g.g = s.g"
    " LEFT JOIN wakeups u ON u.g = s.g AND u.time_ns = s.end_ns LEFT JOIN sites w ON w.site = u.waker_site"
    " LEFT JOIN sites q ON q.site = s.site"
    " WHERE s.reason IN ('mutex lock', 'rwmutex read lock', 'rwmutex lock')"
    " GROUP BY s.reason, s.owner, h.function, w.place, g.function, q.place"
    " ORDER BY waited_ns DESC, holder, released_at;"

    /* Where CPU time goes, by the samples: the functions with the most first; self: in the function itself, total: in
     * what it calls as well. */
    "CREATE VIEW cpu_by_function AS"
    " SELECT function, sum(self_ns) AS self_ns, sum(total_ns) AS total_ns, sum(self) AS samples FROM"
    " (SELECT f.function AS function, s.cpu_ns * max(f.depth = 0) AS self_ns, s.cpu_ns AS total_ns,"
    " max(f.depth = 0) AS self FROM samples s JOIN frames f USING(site) GROUP BY s.rowid, f.function)"
    " GROUP BY function ORDER BY self_ns DESC, total_ns DESC, function;"

    /* Who had the CPU while threads with goroutines could run and got none, but for a quota: who took most first. Each
     * time counts for who had the CPU for most of it. A pid of NULL is not known. */
    "CREATE VIEW stopped_by AS"
    " SELECT by AS program, by_pid AS pid, count(*) AS times, sum(queued_ns) AS queued_ns, max(queued_ns) AS max_ns,"
    " count(DISTINCT g) AS goroutines FROM offcpu"
    " WHERE g IS NOT NULL AND queued_ns > 0 AND why <> 'throttled'"
    " GROUP BY by, by_pid ORDER BY sum(queued_ns) DESC, by, by_pid;"

    /* Where goroutines block their threads, and in what: a call of NULL is none, or not known. */
    "CREATE VIEW blocked_at AS"
    " SELECT doing, call, function, place, count(*) AS times, sum(duration_ns - coalesce(queued_ns, 0)) AS blocked_ns,"
    " max(duration_ns - coalesce(queued_ns, 0)) AS max_ns FROM"
    " (SELECT o.*, gs.function AS function, sites.place AS place FROM offcpu o JOIN goroutines gs USING(g)"
    " LEFT JOIN sites ON sites.site = o.site WHERE o.why = 'blocked')"
    " GROUP BY doing, call, function, place ORDER BY sum(duration_ns - coalesce(queued_ns, 0)) DESC, call, function;"

    /* Which thread wakes which, where it waits for a futex, and how late the kernel lets it run. */
    "CREATE VIEW thread_wakes AS"
    " SELECT waker, tid, call, object, count(*) AS times, sum(queued_ns) AS queued_ns, max(queued_ns) AS max_ns,"
    " sum(cpu_from <> cpu_to) AS moved FROM offcpu WHERE waker IS NOT NULL AND why = 'blocked'"
    " GROUP BY waker, tid, call, object ORDER BY times DESC, waker, tid;"

    /* What each G did with its life, and what the kernel did with its thread meanwhile: blocked, or could run and got
     * no CPU. Where that is not known apart, it is blocked. What is under way at the end is not told. There is nothing
     * where the tier does not tell of single times. */
    "CREATE VIEW kernel_time AS"
    " SELECT g, function, running_ns - run_blocked_ns - run_queued_ns AS on_cpu_ns, run_blocked_ns, run_queued_ns,"
    " calls_ns - call_blocked_ns - call_queued_ns AS call_on_cpu_ns, call_blocked_ns, call_queued_ns,"
    " runnable_ns, waiting_ns FROM (SELECT g, function, lifetime_ns,"
    " coalesce(sum(CASE WHEN s.state IN ('running', 'running without a P') THEN duration_ns END), 0) AS running_ns,"
    " coalesce(sum(CASE WHEN s.state = 'blocking call' THEN duration_ns END), 0) AS calls_ns,"
    " coalesce(sum(CASE WHEN s.state = 'runnable' THEN duration_ns END), 0) AS runnable_ns,"
    " coalesce(sum(CASE WHEN s.state = 'waiting' THEN duration_ns END), 0) AS waiting_ns"
    " FROM goroutines JOIN slices s USING(g) GROUP BY g) LEFT JOIN (SELECT gs.g AS g,"
    " coalesce(sum(CASE WHEN o.doing = 'running' THEN o.duration_ns - coalesce(o.queued_ns, 0) END), 0)"
    " AS run_blocked_ns,"
    " coalesce(sum(CASE WHEN o.doing = 'running' THEN o.queued_ns END), 0) AS run_queued_ns,"
    " coalesce(sum(CASE WHEN o.doing = 'blocking call' THEN o.duration_ns - coalesce(o.queued_ns, 0) END), 0)"
    " AS call_blocked_ns,"
    " coalesce(sum(CASE WHEN o.doing = 'blocking call' THEN o.queued_ns END), 0) AS call_queued_ns"
    " FROM goroutines gs LEFT JOIN offcpu o USING(g) GROUP BY gs.g) USING(g)"
    " WHERE EXISTS (SELECT 1 FROM meta WHERE key = 'kernel_tier' AND value IN ('perf', 'bpf')) ORDER BY g;"

    /* What each G did with its life. */
    "CREATE VIEW time_by_state AS"
    " SELECT g, function, lifetime_ns,"
    " coalesce(sum(CASE WHEN s.state = 'running' THEN duration_ns END), 0) AS running_ns,"
    " coalesce(sum(CASE WHEN s.state = 'runnable' THEN duration_ns END), 0) AS runnable_ns,"
    " coalesce(sum(CASE WHEN s.state = 'waiting' THEN duration_ns END), 0) AS waiting_ns,"
    " coalesce(sum(CASE WHEN s.state NOT IN ('running', 'runnable', 'waiting') THEN duration_ns END), 0) AS other_ns"
    " FROM goroutines gs JOIN slices s USING(g) GROUP BY g ORDER BY g;";

static const char indexes[] = "CREATE INDEX goroutines_g ON goroutines(g);"
                              "CREATE INDEX slices_g ON slices(g, begin_ns);"
                              "CREATE INDEX wakeups_g ON wakeups(g, time_ns);"
                              "CREATE INDEX wakeups_waker ON wakeups(waker);"
                              "CREATE INDEX labels_g ON labels(g);"
                              "COMMIT;";

enum insert {
    INSERT_META,
    INSERT_G,
    INSERT_LABEL,
    INSERT_SLICE,
    INSERT_WAKEUP,
    INSERT_SITE,
    INSERT_FRAME,
    INSERT_TASK,
    INSERT_REGION,
    INSERT_MESSAGE,
    INSERT_THREAD,
    INSERT_COUNTER,
    INSERT_SAMPLE,
    INSERT_OFFCPU,
    INSERT_ONCPU,
    INSERT_USAGE,
    INSERTS
};

static const char *const inserts[INSERTS] = {
    [INSERT_META] = "INSERT OR REPLACE INTO meta VALUES(?,?)",
    [INSERT_G] = "INSERT INTO goroutines VALUES(?,?,?,?,?,?,?,?,?,?)",
    [INSERT_LABEL] = "INSERT INTO labels VALUES(?,?,?)",
    [INSERT_SLICE] = "INSERT INTO slices VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    [INSERT_WAKEUP] = "INSERT INTO wakeups VALUES(?,?,?,?,?,?,?,?,?,?)",
    [INSERT_SITE] = "INSERT INTO sites VALUES(?,?,?,?,?)",
    [INSERT_FRAME] = "INSERT INTO frames VALUES(?,?,?,?,?,?,?)",
    [INSERT_TASK] = "INSERT INTO tasks VALUES(?,?,?,?,?,?,?,?,?)",
    [INSERT_REGION] = "INSERT INTO regions VALUES(?,?,?,?,?,?,?)",
    [INSERT_MESSAGE] = "INSERT INTO messages VALUES(?,?,?,?,?)",
    [INSERT_THREAD] = "INSERT INTO threads VALUES(?,?,?,?,?)",
    [INSERT_SAMPLE] = "INSERT INTO samples VALUES(?,?,?,?,?,?)",
    [INSERT_OFFCPU] = "INSERT INTO offcpu VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [INSERT_ONCPU] = "INSERT INTO oncpu VALUES(?,?,?,?,?,?)",
    [INSERT_USAGE] = "INSERT INTO usages VALUES(?,?,?,?,?,?)",
    [INSERT_COUNTER] = "INSERT INTO counters VALUES(?,?,?,?,?,?)",
};

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *insert[INSERTS];
    uint8_t *sites; /* a bit for each stack that was named */
    size_t sites_room;
};

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static int failed(struct export *export)
{
    struct sqlite *sqlite = export->state;
    int code = sqlite3_errcode(sqlite->db), error = sqlite3_system_errno(sqlite->db);
    if (code == SQLITE_NOMEM)
        return -ENOMEM;
    if (code == SQLITE_FULL && !error)
        error = ENOSPC;
    if (!error)
        snprintf(export->message, sizeof export->message, "SQLite: %s", sqlite3_errmsg(sqlite->db));
    return error ? -error : -EIO;
}

/* A row in the making: its columns in order. Text is not copied; it must live until row_end. */
struct row {
    sqlite3_stmt *insert;
    int column;
    bool out_of_memory;
};

static struct row row_begin(struct export *export, enum insert insert)
{
    struct sqlite *sqlite = export->state;
    return (struct row){ .insert = sqlite->insert[insert] };
}

static void number(struct row *row, int64_t value) { sqlite3_bind_int64(row->insert, ++row->column, value); }
static void null(struct row *row) { sqlite3_bind_null(row->insert, ++row->column); }

/* 0 = none, which is NULL. */
static void reference(struct row *row, uint64_t value)
{
    if (value)
        number(row, (int64_t)value);
    else
        null(row);
}

static void text(struct row *row, const char *value)
{
    row->out_of_memory |= value == NULL;
    sqlite3_bind_text(row->insert, ++row->column, value, -1, SQLITE_STATIC);
}

static void text_or_null(struct row *row, const char *value)
{
    if (value && *value)
        text(row, value);
    else
        null(row);
}

static int row_end(struct export *export, struct row *row)
{
    if (row->out_of_memory)
        return -ENOMEM;
    sqlite3_step(row->insert);
    return sqlite3_reset(row->insert) == SQLITE_OK ? 0 : failed(export);
}

/* A stack as a reference to sites; it is named at the end. */
static void site(struct export *export, struct row *row, uint32_t stack)
{
    struct sqlite *sqlite = export->state;
    if (stack > gmpt_trace_stack_count(export->trace))
        stack = 0;
    if (stack / 8 >= sqlite->sites_room) {
        size_t room = sqlite->sites_room ? sqlite->sites_room * 2 : 256;
        while (room <= stack / 8)
            room *= 2;
        uint8_t *sites = realloc(sqlite->sites, room);
        if (!sites) {
            row->out_of_memory = true;
            return;
        }
        memset(sites + sqlite->sites_room, 0, room - sqlite->sites_room);
        sqlite->sites = sites;
        sqlite->sites_room = room;
    }
    sqlite->sites[stack / 8] |= (uint8_t)(1 << stack % 8);
    reference(row, stack);
}

/* Reason and object of a wait. */
static void wait_of(struct row *row, const struct export_slice *wait)
{
    if (wait->state != GMPT_G_WAITING) {
        null(row);
        null(row);
        return;
    }
    text(row, gmpt_wait_reason_words(wait->reason));
    reference(row, wait->object);
}

/* ---- What is told ------------------------------------------------------------------------------------------------ */

static int sqlite_open(struct export *export)
{
    struct sqlite *sqlite = export->state = calloc(1, sizeof *sqlite);
    if (!sqlite)
        return -ENOMEM;
    if (sqlite3_open_v2(export->path, &sqlite->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return sqlite->db ? failed(export) : -ENOMEM;
    if (sqlite3_exec(sqlite->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return failed(export);
    for (int i = 0; i < INSERTS; i++)
        if (sqlite3_prepare_v3(sqlite->db, inserts[i], -1, SQLITE_PREPARE_PERSISTENT, &sqlite->insert[i], NULL) !=
            SQLITE_OK)
            return failed(export);
    return 0;
}

static int sqlite_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    struct row row = row_begin(export, INSERT_SLICE);
    number(&row, (int64_t)g->id);
    text(&row, export_state_name(slice->state));
    wait_of(&row, slice);
    if (slice->state == GMPT_G_WAITING)
        number(&row, slice->bounded);
    else
        null(&row);
    site(export, &row, slice->stack);
    if (slice->p >= 0)
        number(&row, slice->p);
    else
        null(&row);
    number(&row, slice->begin_ns);
    number(&row, slice->end_ns);
    number(&row, slice->end_ns - slice->begin_ns);
    number(&row, slice->ended);
    reference(&row, slice->owner);
    return row_end(export, &row);
}

static int sqlite_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    struct row row = row_begin(export, INSERT_WAKEUP);
    number(&row, wakeup->time_ns);
    number(&row, (int64_t)g->id);
    reference(&row, wakeup->waker);
    wait_of(&row, &wakeup->wait);
    site(export, &row, wakeup->wait.stack);
    number(&row, wakeup->wait.end_ns - wakeup->wait.begin_ns);
    number(&row, wakeup->ran);
    number(&row, wakeup->latency_ns);
    site(export, &row, wakeup->waker_stack);
    return row_end(export, &row);
}

static int sqlite_g_over(struct export *export, struct export_g *g)
{
    const struct gmpt_g *known = gmpt_trace_g(export->trace, g->id);
    struct row row = row_begin(export, INSERT_G);
    number(&row, (int64_t)g->id);
    reference(&row, known ? known->parent : 0);
    text(&row, export_g_function(export, g->id));
    text_or_null(&row, gmpt_trace_string(export->trace, known ? known->name : 0));
    site(export, &row, known ? known->create_stack : 0);
    number(&row, g->begin_ns);
    number(&row, g->end_ns);
    number(&row, g->end_ns - g->begin_ns);
    number(&row, g->ended);
    text(&row, g->ended ? "dead" : export_state_name(g->state));
    int result = row_end(export, &row);
    for (uint32_t i = 0; known && i < gmpt_trace_label_count(export->trace, known->labels) && !result; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(export->trace, known->labels, i);
        row = row_begin(export, INSERT_LABEL);
        number(&row, (int64_t)g->id);
        text(&row, label.key);
        text(&row, label.value);
        result = row_end(export, &row);
    }
    return result;
}

static int sqlite_span(struct export *export, struct export_g *g, const struct span *span)
{
    struct row row = row_begin(export, span->task ? INSERT_TASK : INSERT_REGION);
    (void)g;
    if (span->task) {
        number(&row, (int64_t)span->id);
        reference(&row, span->parent);
    } else {
        number(&row, (int64_t)span->g);
        reference(&row, span->id);
    }
    text(&row, gmpt_trace_string(export->trace, span->name));
    if (span->task) {
        reference(&row, span->g);
        reference(&row, span->end_g);
    }
    number(&row, span->begin_ns);
    number(&row, span->end_ns);
    number(&row, span->end_ns - span->begin_ns);
    number(&row, span->ended);
    return row_end(export, &row);
}

static int sqlite_message(struct export *export, struct export_g *g, const struct gmpt_event *event)
{
    struct row row = row_begin(export, INSERT_MESSAGE);
    (void)g;
    number(&row, event->time_ns);
    number(&row, (int64_t)event->g);
    reference(&row, event->user_log.task);
    text(&row, gmpt_trace_string(export->trace, event->user_log.category));
    text(&row, gmpt_trace_log_text(export->trace, NULL));
    return row_end(export, &row);
}

static int sqlite_sample(struct export *export, const struct export_sample *sample)
{
    struct row row = row_begin(export, INSERT_SAMPLE);
    number(&row, sample->time_ns);
    reference(&row, sample->g);
    number(&row, (int64_t)sample->tid);
    if (sample->p >= 0)
        number(&row, sample->p);
    else
        null(&row);
    site(export, &row, sample->stack);
    number(&row, sample->cpu_ns);
    return row_end(export, &row);
}

static int sqlite_hold(struct export *export, const struct export_hold *hold)
{
    struct row row = row_begin(export, INSERT_THREAD);
    number(&row, (int64_t)hold->tid);
    number(&row, hold->p);
    number(&row, hold->begin_ns);
    number(&row, hold->end_ns);
    number(&row, hold->end_ns - hold->begin_ns);
    return row_end(export, &row);
}

static void number_if(struct row *row, bool known, int64_t value)
{
    if (known)
        number(row, value);
    else
        null(row);
}

static int sqlite_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    const struct kernel_interval *told = off->told;
    char call[KERNELWORDS_CALL_BYTES];
    struct row row = row_begin(export, INSERT_OFFCPU);
    number(&row, (int64_t)thread->tid);
    reference(&row, off->g);
    text_or_null(&row, export_doing_name(off->doing));
    text(&row, export_why_name(told->why));
    text_or_null(&row, told->call >= 0 ? kernelwords_call(told->call, call) : NULL);
    reference(&row, export_off_object(told));
    number(&row, off->begin_ns);
    number_if(&row, told->able_known, off->able_ns);
    number(&row, off->end_ns);
    number(&row, off->end_ns - off->begin_ns);
    number_if(&row, told->able_known, off->end_ns - off->able_ns);
    number(&row, off->ended);
    number_if(&row, told->by_known, told->cpu_from);
    number_if(&row, told->by_known, told->cpu_to);
    text_or_null(&row, told->most.name);
    reference(&row, told->most.pid);
    text_or_null(&row, export_woken_name(told));
    reference(&row, kernelintervals_named(&told->waker) ? told->waker.tid : 0);
    reference(&row, told->waker.g);
    site(export, &row, told->stack);
    return row_end(export, &row);
}

static int sqlite_oncpu(struct export *export, struct export_thread *thread, const struct export_oncpu *on)
{
    struct row row = row_begin(export, INSERT_ONCPU);
    number(&row, (int64_t)thread->tid);
    number_if(&row, on->cpu_known, on->cpu);
    number(&row, on->begin_ns);
    number(&row, on->end_ns);
    number(&row, on->end_ns - on->begin_ns);
    number(&row, on->until_known);
    return row_end(export, &row);
}

static int sqlite_usage(struct export *export, struct export_thread *thread, const struct export_usage *usage)
{
    struct row row = row_begin(export, INSERT_USAGE);
    number(&row, usage->time_ns);
    number(&row, (int64_t)thread->tid);
    number(&row, usage->span_ns);
    number(&row, usage->ran_ns);
    number(&row, usage->queued_ns);
    number(&row, usage->slices);
    return row_end(export, &row);
}

static int sqlite_counts(struct export *export, const struct export_counts *counts)
{
    struct row row = row_begin(export, INSERT_COUNTER);
    number(&row, counts->time_ns);
    number(&row, (int64_t)counts->gs[GMPT_G_RUNNING]);
    number(&row, (int64_t)counts->gs[GMPT_G_RUNNABLE]);
    number(&row, (int64_t)counts->gs[GMPT_G_SYSCALL]);
    number(&row, (int64_t)counts->gs[GMPT_G_PREEMPTED]);
    number(&row, (int64_t)counts->gs[GMPT_G_WAITING]);
    return row_end(export, &row);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int site_write(struct export *export, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    size_t count = place_frames(export->places, stack, frames);
    struct row row = row_begin(export, INSERT_SITE);
    number(&row, stack);
    text_or_null(&row, count ? frames[0].function : NULL);
    text_or_null(&row, count ? frames[0].file : NULL);
    reference(&row, count && frames[0].line > 0 ? (uint64_t)frames[0].line : 0);
    text(&row, captions_stack(export->captions, stack));
    int result = row_end(export, &row);
    for (size_t i = 0; i < count && !result; i++) {
        row = row_begin(export, INSERT_FRAME);
        number(&row, stack);
        number(&row, (int64_t)i);
        text_or_null(&row, frames[i].function);
        text_or_null(&row, frames[i].file);
        reference(&row, frames[i].line > 0 ? (uint64_t)frames[i].line : 0);
        text_or_null(&row, frames[i].module);
        number(&row, (int64_t)frames[i].address);
        result = row_end(export, &row);
    }
    return result;
}

static int meta_text(struct export *export, const char *key, const char *value)
{
    struct row row = row_begin(export, INSERT_META);
    text(&row, key);
    text(&row, value);
    return row_end(export, &row);
}

static int meta_write(struct export *export)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(export->trace);
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(export->trace);
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        { "pid", info->pid },
        { "maxprocs", info->maxprocs },
        { "start_realtime_ns", info->start_realtime_ns },
        { "start_monotonic_ns", info->start_monotonic_ns },
        { "duration_ns", info->duration_ns },
        { "whole", info->whole },
        { "events", (int64_t)counts->kept },
        { "lost", (int64_t)counts->lost },
        { "gaps", (int64_t)counts->gaps },
        { "resynced", (int64_t)counts->resynced },
        { "violations", (int64_t)counts->violations },
    };
    int result = meta_text(export, "command", info->command);
    if (!result)
        result = meta_text(export, "host", info->host);
    if (!result)
        result = meta_text(export, "kernel_tier", kernelwords_tier(export->kernel_tier));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && !result; i++) {
        struct row row = row_begin(export, INSERT_META);
        text(&row, numbers[i].key);
        number(&row, numbers[i].value);
        result = row_end(export, &row);
    }
    return result;
}

static int sqlite_finish(struct export *export)
{
    struct sqlite *sqlite = export->state;
    int result = meta_write(export);
    for (size_t stack = 1; stack < sqlite->sites_room * 8 && !result; stack++)
        if (sqlite->sites[stack / 8] & 1 << stack % 8)
            result = site_write(export, (uint32_t)stack);
    if (!result && sqlite3_exec(sqlite->db, indexes, NULL, NULL, NULL) != SQLITE_OK)
        result = failed(export);
    return result;
}

static void sqlite_close(struct export *export)
{
    struct sqlite *sqlite = export->state;
    if (!sqlite)
        return;
    for (int i = 0; i < INSERTS; i++)
        sqlite3_finalize(sqlite->insert[i]);
    sqlite3_close(sqlite->db);
    free(sqlite->sites);
    free(sqlite);
}

const struct export_format export_sqlite = {
    .name = "sqlite",
    .output = "gmptrace.sqlite",
    .binary = true,
    .wants_path = true,
    .open = sqlite_open,
    .slice = sqlite_slice,
    .wakeup = sqlite_wakeup,
    .g_over = sqlite_g_over,
    .span = sqlite_span,
    .message = sqlite_message,
    .sample = sqlite_sample,
    .hold = sqlite_hold,
    .oncpu = sqlite_oncpu,
    .usage = sqlite_usage,
    .offcpu = sqlite_offcpu,
    .counts = sqlite_counts,
    .finish = sqlite_finish,
    .close = sqlite_close,
};
