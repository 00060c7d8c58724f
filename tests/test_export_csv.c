/* gmptrace export --format=csv: each table of one small trace, whole. */
#include "exported.h"
#include "harness.h"

#include <string.h>

/* The table of tests/traces/export.txt is what is expected. */
static void table_is(const char *table, const char *expected)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=%s --every=0ns", table), 0);
    ck_assert_str_eq(exported_out, expected);
    ck_assert_str_eq(exported_err, "");
}

TEST(export_csv, slices_follow_each_other)
{
    table_is("slices", "g,function,state,reason,object,bounded,site,place,p,begin_ns,end_ns,duration_ns,ended\n"
                       "1,0x10,runnable,,,,,,,10,20,10,1\n"
                       "1,0x10,running,,,,,,0,20,50,30,1\n"
                       "2,0x20,runnable,,,,,,,30,55,25,1\n"
                       "3,0x30,runnable,,,,,,,60,70,10,1\n"
                       "2,0x20,running,,,,,,0,55,100,45,1\n"
                       "1,0x10,waiting,chan receive,0xc0,0,2,0x1021,,50,100,50,1\n"
                       "3,0x30,running,,,,,,1,70,110,40,1\n"
                       "1,0x10,runnable,,,,,,,100,120,20,1\n"
                       "1,0x10,running,,,,,,1,120,200,80,1\n"
                       "2,0x20,blocking call,,,,3,0x1031,,100,200,100,1\n"
                       "2,0x20,running,,,,,,0,200,220,20,1\n"
                       "3,0x30,waiting,sleep,,1,4,0x1041,,110,1000,890,0\n");
}

TEST(export_csv, goroutines_with_names_and_labels_that_want_quotes)
{
    table_is("goroutines", "g,parent,function,name,labels,site,place,begin_ns,end_ns,lifetime_ns,ended,state\n"
                           "1,,0x10,,\"tenant=a, \"\"b\"\"\",,,10,200,190,1,dead\n"
                           "2,1,0x20,\"conn, 7\",\"tenant=a, \"\"b\"\"\",1,0x1011,30,220,190,1,dead\n"
                           "3,2,0x30,,\"tenant=a, \"\"b\"\"\",1,0x1011,60,1000,940,0,waiting\n");
}

TEST(export_csv, wakeups_say_who_how_long_and_how_late)
{
    table_is("wakeups", "time_ns,g,function,waker,waker_function,reason,object,site,place,waited_ns,ran,latency_ns\n"
                        "100,1,0x10,3,0x30,chan receive,0xc0,2,0x1021,50,1,20\n");
}

TEST(export_csv, sites_have_the_most_time_first)
{
    table_is("sites", "kind,reason,site,place,count,total_ns,max_ns\n"
                      "start,,1,0x1011,2,1130,940\n"
                      "start,,,,1,190,190\n"
                      "wait,sleep,4,0x1041,1,890,890\n"
                      "wait,chan receive,2,0x1021,1,50,50\n"
                      "call,,3,0x1031,1,100,100\n");
}

TEST(export_csv, counters_have_every_change)
{
    table_is("counters", "time_ns,running,runnable,blocking_call,preempted,waiting\n"
                         "10,0,1,0,0,0\n"
                         "20,1,0,0,0,0\n"
                         "30,1,1,0,0,0\n"
                         "50,0,1,0,0,1\n"
                         "55,1,0,0,0,1\n"
                         "60,1,1,0,0,1\n"
                         "70,2,0,0,0,1\n"
                         "100,1,1,1,0,0\n"
                         "110,0,1,1,0,1\n"
                         "120,1,0,1,0,1\n"
                         "200,1,0,0,0,1\n"
                         "220,0,0,0,0,1\n");
}

TEST(export_csv, spans_may_overlap)
{
    table_is("spans", "kind,task,parent,name,g,end_g,begin_ns,end_ns,duration_ns,ended\n"
                      "region,1,,request,2,2,70,90,20,1\n"
                      "task,1,,request,1,1,40,150,110,1\n"
                      "region,,,\"say \"\"hi\"\"\",2,2,80,210,130,1\n");
}

TEST(export_csv, messages_keep_their_line_ends)
{
    table_is("messages", "time_ns,g,task,category,text\n"
                         "95,2,1,\"say \"\"hi\"\"\",\"ello world\n"
                         "\"\n");
}

TEST(export_csv, threads_and_the_ps_they_had)
{
    table_is("threads", "tid,p,begin_ns,end_ns,duration_ns\n"
                        "71,1,65,205,140\n"
                        "70,0,0,1000,1000\n");
}

TEST(export_csv, slices_is_the_table_unless_another_is_named)
{
    exported_golden("hello");
    ck_assert_int_eq(
        exported_run("$GMPTRACE export --format=csv > a && $GMPTRACE export --format=csv --table=slices > b && "
                     "cmp a b && test -s a"),
        0);
}

TEST(export_csv, a_window_cuts_what_crosses_it)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --from=60ns --to=110ns"), 0);
    ck_assert_str_eq(exported_out,
                     "g,function,state,reason,object,bounded,site,place,p,begin_ns,end_ns,duration_ns,ended\n"
                     "3,0x30,runnable,,,,,,,60,70,10,1\n"
                     "2,0x20,running,,,,,,0,60,100,40,1\n"
                     "1,0x10,waiting,chan receive,0xc0,0,2,0x1021,,60,100,40,1\n"
                     "3,0x30,running,,,,,,1,70,110,40,0\n"
                     "1,0x10,runnable,,,,,,,100,110,10,0\n"
                     "2,0x20,blocking call,,,,3,0x1031,,100,110,10,0\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=goroutines --from=60ns --to=110ns"), 0);
    exported_has(exported_out, ",60,110,50,0,runnable\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=counters --every=0ns --from=60ns --to=110ns"),
                     0);
    ck_assert_str_eq(exported_out, "time_ns,running,runnable,blocking_call,preempted,waiting\n"
                                   "60,1,1,0,0,1\n"
                                   "70,2,0,0,0,1\n"
                                   "100,1,1,1,0,0\n");
}

TEST(export_csv, a_step_of_the_counters_has_its_last_value)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=counters --every=50ns"), 0);
    ck_assert_str_eq(exported_out, "time_ns,running,runnable,blocking_call,preempted,waiting\n"
                                   "30,1,1,0,0,0\n"
                                   "70,2,0,0,0,1\n"
                                   "120,1,0,1,0,1\n"
                                   "220,0,0,0,0,1\n");
}

static void kernel_table_is(const char *table, const char *expected)
{
    exported_golden("kernel");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=%s", table), 0);
    ck_assert_str_eq(exported_out, expected);
}

TEST(export_csv, times_without_a_cpu_say_why_and_who_had_it)
{
    kernel_table_is("offcpu", "tid,g,function,doing,why,call,object,begin_ns,able_ns,end_ns,duration_ns,queued_ns,"
                              "ended,cpu_from,cpu_to,by,by_pid,woken_by,waker,waker_g,site,place\n"
                              "71,,,no goroutine,starting,,,40,40,60,20,20,1,,,,,,,,,\n"
                              "70,1,0x10,running,preempted,,,100,100,150,50,50,1,0,0,ffmpeg,9,,,,,\n"
                              "71,2,0x20,running,blocked,futex,0xf0,120,180,185,65,5,1,0,1,,,thread,70,1,3,0x1030\n"
                              "70,1,0x10,blocking call,blocked,read,,220,270,280,60,10,1,0,0,ffmpeg,9,interrupt,,,,\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=offcpu --from=130ns --to=275ns"), 0);
    exported_has(exported_out, "70,1,0x10,running,preempted,,,130,130,150,20,20,1,");
    exported_has(exported_out, "70,1,0x10,blocking call,blocked,read,,220,270,275,55,5,0,");
}

TEST(export_csv, what_the_kernel_counts_of_threads)
{
    exported_golden("usages");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=usages"), 0);
    ck_assert_str_eq(exported_out, "time_ns,tid,span_ns,ran_ns,queued_ns,times\n"
                                   "100,70,100,60,30,2\n"
                                   "200,70,100,10,0,1\n"
                                   "250,71,150,9223372036854775807,7,9\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv --table=usages --from=101ns --to=250ns"), 0);
    ck_assert_str_eq(exported_out, "time_ns,tid,span_ns,ran_ns,queued_ns,times\n200,70,100,10,0,1\n");
}

TEST(export_csv, times_on_a_cpu_say_where_nobody_knows_their_ends)
{
    kernel_table_is("oncpu", "tid,cpu,begin_ns,end_ns,duration_ns,ended\n"
                             "71,,60,120,60,1\n"
                             "70,0,150,220,70,1\n"
                             "70,0,280,1000,720,0\n"
                             "71,1,185,1000,815,0\n");
}
