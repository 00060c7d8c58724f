/* gmptrace export --format=chrome: one small trace, whole. */
#include "exported.h"
#include "harness.h"

#include <string.h>

TEST(export_chrome, all_that_a_trace_has)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o -"), 0);
    ck_assert_str_eq(
        exported_out,
        "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
        "{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"processors\"}},\n"
        "{\"ph\":\"M\",\"pid\":2,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"goroutines\"}},\n"
        "{\"ph\":\"M\",\"pid\":3,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"threads\"}},\n"
        "{\"ph\":\"M\",\"pid\":4,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"tasks\"}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":1,\"ts\":0.010,\"dur\":0.010,\"name\":\"runnable\",\"cat\":\"goroutine\"},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":1,\"ts\":0.020,\"dur\":0.030,\"name\":\"running\",\"cat\":\"goroutine\","
        "\"args\":{\"p\":0}},\n"
        "{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"thread_name\",\"args\":{\"name\":\"P0\"}},\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":0,\"ts\":0.020,\"dur\":0.030,\"name\":\"0x10\",\"cat\":\"processor\",\"args\":"
        "{\"g\":1}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":2,\"ts\":0.030,\"dur\":0.025,\"name\":\"runnable\",\"cat\":\"goroutine\"},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":3,\"ts\":0.060,\"dur\":0.010,\"name\":\"runnable\",\"cat\":\"goroutine\"},\n"
        "{\"ph\":\"b\",\"pid\":2,\"tid\":2,\"ts\":0.070,\"cat\":\"region\",\"id\":\"G2 "
        "0\",\"name\":\"request\",\"args\":{\"task\":1}},\n"
        "{\"ph\":\"e\",\"pid\":2,\"tid\":2,\"ts\":0.090,\"cat\":\"region\",\"id\":\"G2 0\",\"name\":\"request\"},\n"
        "{\"ph\":\"i\",\"pid\":2,\"tid\":2,\"ts\":0.095,\"name\":\"say "
        "\\\"hi\\\"\",\"cat\":\"message\",\"s\":\"t\",\"args\":{\"task\":1,\"text\":\"ello world\\u000a\"}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":2,\"ts\":0.055,\"dur\":0.045,\"name\":\"running\",\"cat\":\"goroutine\","
        "\"args\":{\"p\":0}},\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":0,\"ts\":0.055,\"dur\":0.045,\"name\":\"0x20\",\"cat\":\"processor\",\"args\":"
        "{\"g\":2}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":1,\"ts\":0.050,\"dur\":0.050,\"name\":\"chan "
        "receive\",\"cat\":\"goroutine\",\"args\":{\"at\":\"0x1021\",\"object\":\"0xc0\",\"bounded\":false}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":3,\"ts\":0.070,\"dur\":0.040,\"name\":\"running\",\"cat\":\"goroutine\","
        "\"args\":{\"p\":1}},\n"
        "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":\"P1\"}},\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":0.070,\"dur\":0.040,\"name\":\"0x30\",\"cat\":\"processor\",\"args\":"
        "{\"g\":3}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":1,\"ts\":0.100,\"dur\":0.020,\"name\":\"runnable\",\"cat\":\"goroutine\"},\n"
        "{\"ph\":\"s\",\"pid\":2,\"tid\":3,\"ts\":0.100,\"id\":1,\"name\":\"wakes\",\"cat\":\"wakeup\"},\n"
        "{\"ph\":\"f\",\"pid\":2,\"tid\":1,\"ts\":0.120,\"id\":1,\"bp\":\"e\",\"name\":\"wakes\",\"cat\":\"wakeup\"},\n"
        "{\"ph\":\"b\",\"pid\":4,\"tid\":0,\"ts\":0.040,\"cat\":\"task\",\"id\":\"task "
        "1\",\"name\":\"request\",\"args\":{\"task\":1,\"parent\":0,\"g\":1}},\n"
        "{\"ph\":\"e\",\"pid\":4,\"tid\":0,\"ts\":0.150,\"cat\":\"task\",\"id\":\"task 1\",\"name\":\"request\"},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":1,\"ts\":0.120,\"dur\":0.080,\"name\":\"running\",\"cat\":\"goroutine\","
        "\"args\":{\"p\":1}},\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":0.120,\"dur\":0.080,\"name\":\"0x10\",\"cat\":\"processor\",\"args\":"
        "{\"g\":1}},\n"
        "{\"ph\":\"M\",\"pid\":2,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":\"G1 0x10\"}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":2,\"ts\":0.100,\"dur\":0.100,\"name\":\"blocking "
        "call\",\"cat\":\"goroutine\",\"args\":{\"at\":\"0x1031\"}},\n"
        "{\"ph\":\"X\",\"pid\":3,\"tid\":71,\"ts\":0.065,\"dur\":0.140,\"name\":\"P1\",\"cat\":\"thread\"},\n"
        "{\"ph\":\"b\",\"pid\":2,\"tid\":2,\"ts\":0.080,\"cat\":\"region\",\"id\":\"G2 1\",\"name\":\"say "
        "\\\"hi\\\"\",\"args\":{\"task\":0}},\n"
        "{\"ph\":\"e\",\"pid\":2,\"tid\":2,\"ts\":0.210,\"cat\":\"region\",\"id\":\"G2 1\",\"name\":\"say "
        "\\\"hi\\\"\"},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":2,\"ts\":0.200,\"dur\":0.020,\"name\":\"running\",\"cat\":\"goroutine\","
        "\"args\":{\"p\":0}},\n"
        "{\"ph\":\"X\",\"pid\":1,\"tid\":0,\"ts\":0.200,\"dur\":0.020,\"name\":\"0x20\",\"cat\":\"processor\",\"args\":"
        "{\"g\":2}},\n"
        "{\"ph\":\"M\",\"pid\":2,\"tid\":2,\"name\":\"thread_name\",\"args\":{\"name\":\"G2 conn, 7 (0x20)\"}},\n"
        "{\"ph\":\"X\",\"pid\":2,\"tid\":3,\"ts\":0.110,\"dur\":0.890,\"name\":\"sleep\",\"cat\":\"goroutine\","
        "\"args\":{\"at\":\"0x1041\",\"object\":\"0x0\",\"bounded\":true}},\n"
        "{\"ph\":\"X\",\"pid\":3,\"tid\":70,\"ts\":0.000,\"dur\":1.000,\"name\":\"P0\",\"cat\":\"thread\"},\n"
        "{\"ph\":\"C\",\"pid\":1,\"tid\":0,\"ts\":0.220,\"name\":\"goroutines\",\"args\":{\"running\":0,\"runnable\":0,"
        "\"blocking call\":0,\"running without a P\":0,\"waiting\":1}},\n"
        "{\"ph\":\"M\",\"pid\":2,\"tid\":3,\"name\":\"thread_name\",\"args\":{\"name\":\"G3 0x30\"}}\n"
        "],\"otherData\":{\"command\":\"./prog "
        "-x\",\"host\":\"box\",\"pid\":7,\"start_realtime_ns\":\"1700000000000000000\",\"start_monotonic_ns\":"
        "\"500000\"}}\n");
    ck_assert(sample_json_valid_decimals(exported_out));
    ck_assert_str_eq(exported_err, "");
}

TEST(export_chrome, threads_on_cpus_and_off_are_a_process_of_their_own)
{
    exported_golden("kernel");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o - | grep '\"pid\":5'"), 0);
    ck_assert_str_eq(
        exported_out,
        "{\"ph\":\"M\",\"pid\":5,\"tid\":0"
        ",\"name\":\"process_name\",\"args\":{\"name\":\"threads on CPUs\"}},\n"
        "{\"ph\":\"M\",\"pid\":5,\"tid\":71,\"name\":\"thread_name\",\"args\":{\"name\":\"M71\"}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":71,\"ts\":0.040,\"dur\":0.020"
        ",\"name\":\"in the run queue\",\"cat\":\"runqueue\",\"args\":{\"g\":0}},\n"
        "{\"ph\":\"M\",\"pid\":5,\"tid\":70,\"name\":\"thread_name\",\"args\":{\"name\":\"M70\"}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":70,\"ts\":0.100,\"dur\":0.050"
        ",\"name\":\"preempted\",\"cat\":\"runqueue\",\"args\":{\"g\":1,\"by\":\"ffmpeg (process 9)\"}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":71,\"ts\":0.060,\"dur\":0.060"
        ",\"name\":\"on a CPU\",\"cat\":\"oncpu\",\"args\":{}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":71,\"ts\":0.120,\"dur\":0.060"
        ",\"name\":\"futex\",\"cat\":\"offcpu\",\"args\":{\"g\":2}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":71,\"ts\":0.180,\"dur\":0.005"
        ",\"name\":\"in the run queue\",\"cat\":\"runqueue\",\"args\":{\"g\":2}},\n"
        "{\"ph\":\"s\",\"pid\":5,\"tid\":70,\"ts\":0.180,\"id\":1"
        ",\"name\":\"wakes\",\"cat\":\"wakeup\"},\n"
        "{\"ph\":\"f\",\"pid\":5,\"tid\":71,\"ts\":0.185,\"id\":1,\"bp\":\"e\""
        ",\"name\":\"wakes\",\"cat\":\"wakeup\"},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":70,\"ts\":0.150,\"dur\":0.070"
        ",\"name\":\"on a CPU\",\"cat\":\"oncpu\",\"args\":{\"cpu\":0}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":70,\"ts\":0.220,\"dur\":0.050"
        ",\"name\":\"read\",\"cat\":\"offcpu\",\"args\":{\"g\":1}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":70,\"ts\":0.270,\"dur\":0.010"
        ",\"name\":\"in the run queue\",\"cat\":\"runqueue\",\"args\":{\"g\":1,\"by\":\"ffmpeg (process 9)\"}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":70,\"ts\":0.280,\"dur\":0.720"
        ",\"name\":\"on a CPU, then not told\",\"cat\":\"oncpu\",\"args\":{\"cpu\":0}},\n"
        "{\"ph\":\"X\",\"pid\":5,\"tid\":71,\"ts\":0.185,\"dur\":0.815"
        ",\"name\":\"on a CPU, then not told\",\"cat\":\"oncpu\",\"args\":{\"cpu\":1}},\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o -"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
}

TEST(export_chrome, what_the_kernel_counts_of_threads_is_a_counter_of_each)
{
    exported_golden("usages");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o -"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
    exported_has(exported_out, "\"ts\":0.000,\"name\":\"M70 %\",\"args\":{\"on a CPU\":60,\"in the run queue\":30}}");
    exported_has(exported_out, "\"ts\":0.100,\"name\":\"M70 %\",\"args\":{\"on a CPU\":10,\"in the run queue\":0}}");
}

TEST(export_chrome, nothing_is_valid_json_too)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome --from=1h -o -"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
    ck_assert_ptr_null(strstr(exported_out, "\"X\""));
}

TEST(export_chrome, places_have_names)
{
    exported_sample(&(struct sample_options){ .leaks = 2 });
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o -"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
    exported_has(exported_out,
                 "\"name\":\"chan send\",\"cat\":\"goroutine\",\"args\":{\"at\":\"sample_worker sample.c:");
    exported_has(exported_out, "\"name\":\"G2 sample_worker\"");
}

/* Whatever a program calls its things, the output is JSON. */
TEST(export_chrome, names_of_any_bytes_are_escaped)
{
    exported_golden("user");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=chrome -o -"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
}
