/* What a timeline tells: the Ms that hold Ps, counts, and that every slice is of a G that is told of once. */
#include "cli/timeline.h"
#include "harness.h"
#include "tracefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *told;
static char *text;

static int tell_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    (void)export;
    ck_assert_uint_eq(g->id, slice->g);
    fprintf(told, "G%d %s %d-%d%s\n", (int)g->id, export_slice_name(slice), (int)slice->begin_ns, (int)slice->end_ns,
            slice->ended ? "" : " on");
    return 0;
}

static int tell_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    (void)export;
    fprintf(told, "G%d woken by G%d from %s, %d late%s\n", (int)g->id, (int)wakeup->waker,
            export_slice_name(&wakeup->wait), (int)wakeup->latency_ns, wakeup->ran ? "" : ", never ran");
    return 0;
}

static int tell_g(struct export *export, struct export_g *g)
{
    (void)export;
    fprintf(told, "G%d %d-%d %s\n", (int)g->id, (int)g->begin_ns, (int)g->end_ns, g->ended ? "ended" : "goes on");
    return 0;
}

static int tell_hold(struct export *export, const struct export_hold *hold)
{
    (void)export;
    fprintf(told, "M%d P%d %d-%d\n", (int)hold->tid, hold->p, (int)hold->begin_ns, (int)hold->end_ns);
    return 0;
}

static int fail_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    (void)export;
    (void)g;
    (void)slice;
    return -ENOSPC;
}

/* What is told of a trace to a format with these functions, and the first error. */
static const char *tell(const char *canonical, const struct export_format *format,
                        const struct timeline_options *options, int *error)
{
    struct gmpt_trace_error open_error;
    struct gmpt_event event;
    size_t size;
    struct export export = { .trace = gmpt_trace_open(tracefile_build(canonical), &open_error), .format = format };
    ck_assert_ptr_nonnull(export.trace);
    told = open_memstream(&text, &size);
    struct timeline *timeline = timeline_open(&export, options);
    ck_assert_ptr_nonnull(timeline);
    *error = 0;
    while (!*error && gmpt_trace_next(export.trace, &event) > 0)
        *error = timeline_add(timeline, &event);
    if (!*error)
        *error = timeline_finish(timeline);
    timeline_close(timeline);
    timeline_close(NULL);
    gmpt_trace_close(export.trace);
    fclose(told);
    return text;
}

static const struct timeline_options whole = { .to_ns = TIMELINE_END };

/* P 0 goes from thread 7 to 8 by a retake, 8 then appears on P 1 without having left P 0, and G 1 gets other labels as
 * it runs. */
static const char trace_text[] = TRACEFILE_HEAD "frame\nclock 1000 1000 1700000000000000000\n"
                                                "string 1 a\nlabels 2 1=1\n"
                                                "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=7 lost=0\n"
                                                "  0 proc_start tid=7\n"
                                                "  10 go_create g=1 fn=0x10 stack=0\n"
                                                "  10 go_start g=1 seq=2\n"
                                                "  10 go_labels g=1 labels=2\n"
                                                "  10 go_create g=2 fn=0x20 stack=0\n"
                                                "  10 go_block reason=sleep object=0x0 bounded=1 stack=0 owner=0\n"
                                                "  50 proc_start tid=8\n"
                                                "events ring=1 sequence=0 offset=0 base=1150 g=0 seq=0 tid=8 lost=0\n"
                                                "  0 proc_start tid=8\n"
                                                "  10 go_start g=2 seq=2\n"
                                                "  10 go_exit\n"
                                                "  10 proc_stop\n"
                                                "events ring=2 sequence=0 offset=0 base=1070 g=0 seq=0 tid=9 lost=0\n"
                                                "  0 proc_retake p=0 g=1\n"
                                                "  20 go_unblock g=1 seq=4 by=0 stack=0\n"
                                                "frame\nclock 2000 2000 1700000000000001000\n"
                                                "end 1 0\nring 7 0 0\nring 4 0 0\nring 2 0 0\n";

TEST(timeline, threads_have_one_p_at_a_time)
{
    static const struct export_format format = { .hold = tell_hold };
    int error;
    ck_assert_str_eq(tell(trace_text, &format, &whole, &error), "M7 P0 0-70\nM8 P0 100-150\nM8 P1 150-180\n");
    ck_assert_int_eq(error, 0);
}

TEST(timeline, slices_wakeups_and_then_the_g)
{
    static const struct export_format format = { .slice = tell_slice, .wakeup = tell_wakeup, .g_over = tell_g };
    int error;
    ck_assert_str_eq(tell(trace_text, &format, &whole, &error), "G1 runnable 10-20\n"
                                                                "G1 running 20-50\n" /* whatever its labels are */
                                                                "G1 sleep 50-90\n"
                                                                "G2 runnable 40-160\n"
                                                                "G2 running 160-170\n"
                                                                "G2 40-170 ended\n"
                                                                "G1 runnable 90-1000 on\n"
                                                                "G1 woken by G0 from sleep, 910 late, never ran\n"
                                                                "G1 10-1000 goes on\n");
    ck_assert_int_eq(error, 0);
}

TEST(timeline, what_is_not_in_the_window_is_not_told)
{
    static const struct export_format format = { .slice = tell_slice, .wakeup = tell_wakeup, .g_over = tell_g };
    int error;
    ck_assert_str_eq(tell(trace_text, &format, &(struct timeline_options){ .from_ns = 165, .to_ns = 500 }, &error),
                     "G2 running 165-170\n"
                     "G2 165-170 ended\n"
                     "G1 runnable 165-500 on\n"
                     "G1 165-500 goes on\n");
}

TEST(timeline, an_error_of_the_format_ends_it)
{
    static const struct export_format format = { .slice = fail_slice };
    int error;
    tell(trace_text, &format, &whole, &error);
    ck_assert_int_eq(error, -ENOSPC);
}
