/* gmptrace export --format=sqlite: exact sums, and each query that the manual page has. */
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sqlite3 *db;

static void database_open(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/gmptrace.sqlite", harness_tmpdir());
    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
}

static void exported(const char *golden)
{
    exported_golden(golden);
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite --every=0ns"), 0);
    database_open();
}

/* All rows of a query: columns with | between them, a line each, NULL as -. */
static const char *rows(const char *query)
{
    static char text[1 << 14];
    sqlite3_stmt *statement;
    size_t used = 0;
    int result;
    text[0] = 0;
    ck_assert_msg(sqlite3_prepare_v2(db, query, -1, &statement, NULL) == SQLITE_OK, "%s: %s", query,
                  sqlite3_errmsg(db));
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *value = (const char *)sqlite3_column_text(statement, i);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "|" : "", value ? value : "-");
            ck_assert_uint_lt(used, sizeof text);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "\n");
        ck_assert_uint_lt(used, sizeof text);
    }
    ck_assert_int_eq(result, SQLITE_DONE);
    sqlite3_finalize(statement);
    return text;
}

#define ROWS(query, expected) ck_assert_str_eq(rows(query), expected)

/* ---- Exactness --------------------------------------------------------------------------------------------------- */

/* No hole, no overlap, and the sum is the life: of each G, to the nanosecond. */
static void lives_add_up(void)
{
    ROWS("SELECT g, lifetime_ns, sum(duration_ns) FROM goroutines JOIN slices USING(g) GROUP BY g"
         " HAVING lifetime_ns <> sum(duration_ns)",
         "");
    ROWS("SELECT g, lifetime_ns FROM time_by_state"
         " WHERE lifetime_ns <> running_ns + runnable_ns + waiting_ns + other_ns",
         "");
    ROWS("SELECT s.g, s.end_ns, n.begin_ns FROM (SELECT g, begin_ns, end_ns, rowid AS id,"
         " lead(rowid) OVER (PARTITION BY g ORDER BY rowid) AS next FROM slices) s JOIN slices n ON n.rowid = s.next"
         " WHERE s.end_ns <> n.begin_ns",
         "");
    ROWS("SELECT g FROM slices WHERE end_ns < begin_ns OR duration_ns <> end_ns - begin_ns", "");
    ROWS("SELECT g.g FROM goroutines g JOIN (SELECT g, min(begin_ns) AS b, max(end_ns) AS e FROM slices GROUP BY g) s"
         " USING(g) WHERE s.b <> g.begin_ns OR s.e <> g.end_ns",
         "");
    ck_assert_str_ne(rows("SELECT g FROM goroutines LIMIT 1"), "");
}

TEST(export_sqlite, slices_add_up_to_the_life_of_each)
{
    static const char *const traces[] = { "export", "hello", "kernel", "loss", "preempt", "retake", "user" };
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        exported(traces[i]);
        lives_add_up();
        sqlite3_close(db);
    }
}

TEST(export_sqlite, lives_are_those_of_the_trace)
{
    exported("export");
    ROWS("SELECT g, begin_ns, end_ns, ended FROM goroutines ORDER BY g", "1|10|200|1\n2|30|220|1\n3|60|1000|0\n");
    sqlite3_close(db);
    exported("preempt");
    ROWS("SELECT state, sum(duration_ns) FROM slices WHERE g = 1 GROUP BY state ORDER BY state",
         "runnable|26100\nrunning|22100\nrunning without a P|29600\n");
    sqlite3_close(db);
}

TEST(export_sqlite, a_real_recording_adds_up_too)
{
    ck_assert_int_eq(exported_run("$GMPTRACE record -o gmptrace.data -- $BUILD/tests/programs/yielders"), 0);
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite"), 0);
    database_open();
    lives_add_up();
    /* What analyze counts: every time that a runnable G began to run. */
    char times[32];
    snprintf(times, sizeof times, "%.30s", rows("SELECT count(*) FROM latencies"));
    times[strcspn(times, "\n")] = 0;
    ck_assert_int_eq(exported_run("$GMPTRACE analyze --json"), 0);
    char part[64];
    snprintf(part, sizeof part, "\"count\": %s,", times);
    exported_has(exported_out, part);
    sqlite3_close(db);
}

TEST(export_sqlite, a_window_adds_up_as_well)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite --from=60ns --to=110ns"), 0);
    database_open();
    lives_add_up();
    ROWS("SELECT g, lifetime_ns, ended FROM goroutines ORDER BY g", "1|50|0\n2|50|0\n3|50|0\n");
    sqlite3_close(db);
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

TEST(export_sqlite, tables_have_what_the_trace_has)
{
    exported("export");
    ROWS("SELECT * FROM goroutines ORDER BY g", "1|-|0x10|-|-|10|200|190|1|dead\n2|1|0x20|conn, 7|1|30|220|190|1|dead\n"
                                                "3|2|0x30|-|1|60|1000|940|0|waiting\n");
    ROWS("SELECT * FROM labels WHERE g = 2", "2|tenant|a, \"b\"\n");
    ROWS("SELECT * FROM slices WHERE g = 1", "1|runnable|-|-|-|-|-|10|20|10|1|-\n1|running|-|-|-|-|0|20|50|30|1|-\n"
                                             "1|waiting|chan receive|192|0|2|-|50|100|50|1|-\n"
                                             "1|runnable|-|-|-|-|-|100|120|20|1|-\n"
                                             "1|running|-|-|-|-|1|120|200|80|1|-\n");
    ROWS("SELECT * FROM wakeups", "100|1|3|chan receive|192|2|50|1|20|-\n");
    ROWS("SELECT * FROM tasks", "1|-|request|1|1|40|150|110|1\n");
    ROWS("SELECT * FROM regions", "2|1|request|70|90|20|1\n2|-|say \"hi\"|80|210|130|1\n");
    ROWS("SELECT * FROM messages", "95|2|1|say \"hi\"|ello world\n\n");
    ROWS("SELECT * FROM threads", "71|1|65|205|140\n70|0|0|1000|1000\n");
    ROWS("SELECT * FROM counters WHERE time_ns IN (70, 220)", "70|2|0|0|0|1\n220|0|0|0|0|1\n");
    ROWS("SELECT site, place FROM sites ORDER BY site", "1|0x1011\n2|0x1021\n3|0x1031\n4|0x1041\n");
    ROWS("SELECT value FROM meta WHERE key IN ('command', 'events', 'pid', 'start_realtime_ns', 'whole') ORDER BY key",
         "./prog -x\n27\n7\n1700000000000000000\n1\n");
    sqlite3_close(db);
}

TEST(export_sqlite, sites_have_their_whole_stacks)
{
    exported_sample(&(struct sample_options){ .leaks = 1 });
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite"), 0);
    database_open();
    ROWS("SELECT function, file LIKE '%sample.c', line > 0 FROM sites JOIN slices USING(site) WHERE state = 'waiting'"
         " AND g = 2",
         "sample_worker|1|1\n");
    ROWS("SELECT depth, f.function, f.address <> 0, module IS NOT NULL FROM frames f JOIN slices s USING(site)"
         " WHERE s.g = 2 AND depth = 0",
         "0|sample_worker|1|1\n");
    sqlite3_close(db);
}

/* ---- The queries of gmptrace-export.1 ---------------------------------------------------------------------------- */

/* The manual has the query, word for word. */
static const char *documented(const char *query)
{
    size_t size;
    char *manual = (char *)tracefile_slurp("cli/gmptrace-export.1", &size);
    ck_assert_msg(strstr(manual, query) != NULL, "the manual has no '%s'", query);
    free(manual);
    return rows(query);
}

TEST(export_sqlite, wait_sites_have_the_most_time_first)
{
    exported("export");
    ck_assert_str_eq(documented("SELECT * FROM wait_sites LIMIT 10"),
                     "waiting|sleep|0x1041|1|890|890\nblocking call|-|0x1031|1|100|100\n"
                     "waiting|chan receive|0x1021|1|50|50\n");
    sqlite3_close(db);
}

TEST(export_sqlite, latency_by_site_says_how_late)
{
    exported("export");
    ck_assert_str_eq(documented("SELECT function, started_at, times, p99_ns, max_ns FROM latency_by_site LIMIT 10"),
                     "0x20|0x1011|1|25|25\n0x10|-|2|20|20\n0x30|0x1011|1|10|10\n");
    ROWS("SELECT average_ns, p50_ns FROM latency_by_site WHERE function = '0x10'", "15.0|10\n");
    sqlite3_close(db);
}

TEST(export_sqlite, longest_waits_come_first)
{
    exported("export");
    ck_assert_str_eq(documented("SELECT * FROM longest_waits WHERE reason LIKE 'chan%' LIMIT 10"),
                     "1|0x10|chan receive|0|0x1021|50|50\n");
    ROWS("SELECT g, reason, bounded, duration_ns FROM longest_waits", "3|sleep|1|890\n1|chan receive|0|50\n");
    sqlite3_close(db);
}

TEST(export_sqlite, who_woke_whom_is_by_function)
{
    exported("export");
    ck_assert_str_eq(documented("SELECT * FROM who_woke_whom LIMIT 10"), "0x30|0x10|chan receive|1|50|20\n");
    sqlite3_close(db);
    exported("user"); /* nobody did: from the ring of no P */
    ROWS("SELECT waker, woken, reason, times FROM who_woke_whom", "-|0x10|sleep|1\n");
    sqlite3_close(db);
}

TEST(export_sqlite, lock_holders_are_by_owner_and_by_where_they_let_go)
{
    exported("contention");
    ROWS("SELECT * FROM lock_holders",
         "mutex lock|-|-|0x20|0x1021|1|820|820\nmutex lock|0x10|-|0x20|0x1021|2|110|60\n");
    ROWS("SELECT owner, count(*) FROM slices WHERE reason = 'mutex lock' GROUP BY owner", "-|1\n1|2\n");
    sqlite3_close(db);
}

TEST(export_sqlite, time_by_state_is_what_each_did)
{
    exported("export");
    ck_assert_str_eq(documented("SELECT * FROM time_by_state ORDER BY running_ns DESC LIMIT 10"),
                     "1|0x10|190|110|30|50|0\n2|0x20|190|65|25|0|100\n3|0x30|940|40|10|890|0\n");
    ck_assert_str_eq(documented("SELECT depth, function, file, line FROM frames WHERE site = 3 ORDER BY depth"),
                     "0|-|-|-\n");
    sqlite3_close(db);
}

TEST(export_sqlite, what_the_kernel_did_with_threads)
{
    exported("kernel");
    ROWS("SELECT * FROM offcpu",
         "71|-|no goroutine|starting|-|-|40|40|60|20|20|1|-|-|-|-|-|-|-|-\n"
         "70|1|running|preempted|-|-|100|100|150|50|50|1|0|0|ffmpeg|9|-|-|-|-\n"
         "71|2|running|blocked|futex|240|120|180|185|65|5|1|0|1|-|-|thread|70|1|3\n"
         "70|1|blocking call|blocked|read|-|220|270|280|60|10|1|0|0|ffmpeg|9|interrupt|-|-|-\n");
    ROWS("SELECT * FROM oncpu", "71|-|60|120|60|1\n70|0|150|220|70|1\n70|0|280|1000|720|0\n71|1|185|1000|815|0\n");
    ck_assert_str_eq(documented("SELECT * FROM stopped_by LIMIT 10"), "ffmpeg|9|2|60|50|1\n-|-|1|5|5|1\n");
    ck_assert_str_eq(documented("SELECT * FROM blocked_at LIMIT 10"),
                     "running|futex|0x20|0x1030|1|60|60\nblocking call|read|0x10|-|1|50|50\n");
    ck_assert_str_eq(documented("SELECT * FROM thread_wakes LIMIT 10"),
                     "70|71|futex|240|1|5|5|1\n");
    ck_assert_str_eq(documented("SELECT * FROM kernel_time ORDER BY run_queued_ns DESC LIMIT 10"),
                     "1|0x10|230|0|50|40|50|10|10|0\n2|0x20|165|60|5|0|0|0|40|0\n");
    ROWS("SELECT g FROM kernel_time JOIN goroutines USING(g) WHERE lifetime_ns <> on_cpu_ns + run_blocked_ns +"
         " run_queued_ns + call_on_cpu_ns + call_blocked_ns + call_queued_ns + runnable_ns + waiting_ns",
         "");
    ROWS("SELECT value FROM meta WHERE key = 'kernel_tier'", "bpf\n");
    sqlite3_close(db);
    exported("export"); /* the kernel was not asked */
    ROWS("SELECT * FROM kernel_time", "");
    ROWS("SELECT value FROM meta WHERE key = 'kernel_tier'", "off\n");
    sqlite3_close(db);
}

TEST(export_sqlite, what_the_kernel_counts_of_threads)
{
    exported("usages");
    ROWS("SELECT tid, sum(span_ns), sum(queued_ns), sum(times) FROM usages GROUP BY tid", "70|200|30|3\n71|150|7|9\n");
    ROWS("SELECT value FROM meta WHERE key = 'kernel_tier'", "proc\n");
    sqlite3_close(db);
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

TEST(export_sqlite, standard_output_has_a_database_too)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite -o - | cat > gmptrace.sqlite"), 0);
    database_open();
    lives_add_up();
    ROWS("PRAGMA integrity_check", "ok\n");
    sqlite3_close(db);
}

TEST(export_sqlite, a_full_disk_leaves_what_was_there)
{
    exported_sample(&(struct sample_options){ .leaks = 3000 });
    ck_assert_int_eq(exported_run("echo precious > gmptrace.sqlite && words=$(ulimit -f 100; trap '' XFSZ; "
                                  "exec $GMPTRACE export --format=sqlite 2>&1); status=$?; echo \"$words\" >&2; "
                                  "cat gmptrace.sqlite; ls; exit $status"),
                     4);
    ck_assert_str_eq(exported_out, "precious\ngmptrace.data\ngmptrace.sqlite\n");
    exported_has(exported_err, "cannot write gmptrace.sqlite: ");
}
