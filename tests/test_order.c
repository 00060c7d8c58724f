/* One order out of many rings: cause before effect, resynchronising after losses, and finding contradictions. */
#include "harness.h"
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(order, time_decides_between_rings_that_do_not_depend)
{
    story_check(TRACEFILE_HEAD FRAME(1000) RING(0, 9) CREATE(1) "9 go_create g=3 fn=0x10 stack=0\n" RING(1, 14)
                    CREATE(2) "9 go_create g=4 fn=0x10 stack=0\n" END,
                S_CREATE(P0, 1) S_CREATE(P1, 2) S_CREATE(P0, 3) S_CREATE(P1, 4));
}

TEST(order, start_waits_for_create_though_its_clock_is_behind)
{
    story_check(TRACEFILE_HEAD FRAME(1000) RING(0, 100) CREATE(1) RING(1, 10) START(1, 2) EXIT END,
                S_CREATE(P0, 1) S_START(P1, 1, 2) S_EXIT(P1, 1));
}

TEST(order, unblock_waits_for_block)
{
    story_check(TRACEFILE_HEAD FRAME(1000) RING(0, 100) CREATE(1) START(1, 2) "90" BLOCK RING(1, 50) UNBLOCK(1, 4) END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) S_BLOCK(P0, 1) S_UNBLOCK(P1, 1, 4));
}

TEST(order, start_waits_for_unblock)
{
    story_check(TRACEFILE_HEAD FRAME(1000) RING(0, 10) CREATE(1) START(1, 2) BLOCK START(1, 5) EXIT RING(1, 500)
                    UNBLOCK(1, 4) END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) S_BLOCK(P0, 1) S_UNBLOCK(P1, 1, 4) S_START(P0, 1, 5) S_EXIT(P0, 1));
}

TEST(order, a_chain_over_three_rings_is_followed)
{
    story_check(TRACEFILE_HEAD FRAME(1000) RING(0, 300) CREATE(1) RING(1, 200) START(1, 2) CREATE(2) RING(2, 100)
                    START(2, 2) EXIT END,
                S_CREATE(P0, 1) S_START(P1, 1, 2) S_CREATE(P1, 2) S_START(-, 2, 2) S_EXIT(-, 2));
}

TEST(order, a_cause_that_comes_a_frame_later_is_awaited)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) START(1, 2) RING(1, 50) UNBLOCK(1, 4)
                    FRAME(200) "events ring=0 sequence=0 offset=9 base=30 g=1 seq=2 tid=1 lost=0\n" BLOCK FRAME(300)
                        END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) S_BLOCK(P0, 1) S_UNBLOCK(P1, 1, 4));
}

TEST(order, a_late_commit_does_not_stop_other_rings)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) RING(1, 20) START(2, 2) EXIT FRAME(200)
            RING(2, 5) "1 go_create g=2 fn=0x10 stack=0\n" EVENTS(0, 1, 110, 0, 0) CREATE(3) FRAME(300) END,
        0, 0, 0);
    ck_assert_uint_eq(result.event_count, 5);
    free(result.events);
}

TEST(order, records_after_the_snapshot_wait_for_the_next_frame)
{
    /* Ring 1 was drained before its record of 120 was there; ring 0, after it, already has its one of 150. */
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 9) CREATE(1) "140 go_create g=3 fn=0x10 stack=0\n" FRAME(200)
                    RING(1, 119) CREATE(2) FRAME(300) END,
                S_CREATE(P0, 1) S_CREATE(P1, 2) S_CREATE(P0, 3));
}

TEST(order, the_parts_of_a_subbuffer_are_one)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1)
                    START(1, 2) "events ring=0 sequence=0 offset=9 base=12 g=1 seq=2 tid=1 lost=0\n" EXIT FRAME(200)
                        EVENTS(0, 1, 90, 0, 0) CREATE(2) END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) S_EXIT(P0, 1) S_CREATE(P0, 2));
}

TEST(order, a_call_that_keeps_its_p)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1)
                    START(1, 2) "1 syscall_begin stack=0\n1 syscall_end\n" EXIT END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) "P0 G1 syscall_begin stack=0\nP0 G1 syscall_end\n" S_EXIT(P0, 1));
}

TEST(order, a_call_whose_p_is_retaken_ends_on_another)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) CREATE(2)
                    START(1, 2) "1 syscall_begin stack=0\n9 proc_start tid=2\n" START(2, 2)
                        EXIT RING(1, 5) "1 syscall_resume g=1 seq=4\n" EXIT END,
                S_CREATE(P0, 1) S_CREATE(P0, 2)
                    S_START(P0, 1, 2) "P0 G1 syscall_begin stack=0\nP1 G1 syscall_resume g=1 seq=4\n" S_EXIT(
                        P1, 1) "P0 - proc_start tid=2\n" S_START(P0, 2, 2) S_EXIT(P0, 2));
}

TEST(order, a_call_that_ends_without_a_p_makes_runnable)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) START(1, 2) "1 syscall_begin stack=0\n" RING(1, 5)
                    START(1, 5) EXIT RING(2, 40) "1 syscall_exit g=1 seq=4\n" END,
                S_CREATE(P0, 1)
                    S_START(P0, 1, 2) "P0 G1 syscall_begin stack=0\n- G1 syscall_exit g=1 seq=4\n" S_START(P1, 1, 5)
                        S_EXIT(P1, 1));
}

TEST(order, yield_and_preempt_make_runnable)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1)
                    START(1, 2) "1 go_yield\n" START(1, 4) "1 go_preempt\n" START(1, 6) EXIT END,
                S_CREATE(P0, 1)
                    S_START(P0, 1, 2) "P0 G1 go_yield\n" S_START(P0, 1, 4) "P0 G1 go_preempt\n" S_START(P0, 1, 6)
                        S_EXIT(P0, 1));
}

TEST(order, a_signal_makes_runnable)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) START(1, 2) "1 go_preempt_async\n" START(1, 4) EXIT END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) "P0 G1 go_preempt_async\n" S_START(P0, 1, 4) S_EXIT(P0, 1));
}

TEST(order, a_g_whose_p_was_taken_goes_on_with_another)
{
    /* Ring 1's clock is behind. */
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 20) CREATE(1) CREATE(2)
                    START(1, 2) "1 go_detach\n9 proc_start tid=2\n" START(2, 2)
                        EXIT RING(1, 5) "1 proc_start tid=1\n1 go_attach g=1 seq=4\n" EXIT END,
                "P1 - proc_start tid=1\n" S_CREATE(P0, 1) S_CREATE(P0, 2)
                    S_START(P0, 1, 2) "P0 G1 go_detach\nP1 G1 go_attach g=1 seq=4\n" S_EXIT(
                        P1, 1) "P0 - proc_start tid=2\n" S_START(P0, 2, 2) S_EXIT(P0, 2));
}

TEST(order, a_g_whose_p_was_taken_gets_it_back)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1)
                    START(1, 2) "1 go_detach\n1 proc_start tid=1\n1 go_attach g=1 seq=4\n" EXIT END,
                S_CREATE(P0, 1) S_START(
                    P0, 1, 2) "P0 G1 go_detach\nP0 - proc_start tid=1\nP0 G1 go_attach g=1 seq=4\n" S_EXIT(P0, 1));
}

TEST(order, a_g_whose_p_was_taken_and_that_finds_none_is_runnable)
{
    story_check(TRACEFILE_HEAD FRAME(100) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n" RING(1, 5) START(1, 5)
                    EXIT RING(2, 4) "1 go_attach_wait g=1 seq=4\n" END,
                S_CREATE(P0, 1) S_START(P0, 1, 2) "P0 G1 go_detach\n- G1 go_attach_wait g=1 seq=4\n" S_START(P1, 1, 5)
                    S_EXIT(P1, 1));
}

TEST(order, a_g_without_its_p_is_preempted)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(
        tracefile_build(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n" END), &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_PREEMPTED);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

TEST(order, transition_numbers_wrap)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(100) EVENTS(0, 0, 10, 1, 4294967294) BLOCK UNBLOCK(1, 0) START(1, 1) EXIT END, 0, 1, 0);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
}

/* ---- What is known of a G --------------------------------------------------------------------------------------- */

static int count_g(const struct gmpt_g *g, void *arg)
{
    ck_assert_int_ne(g->state, GMPT_G_DEAD);
    return ++*(int *)arg == 100;
}

TEST(order, a_gs_state_follows_its_events)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(
        tracefile_build(TRACEFILE_HEAD FRAME(0) "stack 0 1 0x1 0x2\n" RING(0, 10) CREATE(1)
                            START(1, 2) "1 go_create g=2 fn=0x20 stack=1\n"
                                        "1 go_block reason=mutex object=0x99 bounded=1 stack=1 owner=0\n" START(
                                            2, 2) "1 syscall_begin stack=1\n1 syscall_end\n" UNBLOCK(1, 4) EXIT END),
        &error);
    ck_assert_ptr_null(gmpt_trace_g(trace, 1));
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 1); /* create 1 */
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_RUNNABLE);
    ck_assert_uint_eq(gmpt_trace_g(trace, 1)->parent, 0);
    gmpt_trace_next(trace, &event); /* start 1 */
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_RUNNING);
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state_since_ns, 12);
    gmpt_trace_next(trace, &event); /* create 2 */
    ck_assert_uint_eq(gmpt_trace_g(trace, 2)->parent, 1);
    ck_assert_uint_eq(gmpt_trace_g(trace, 2)->fn, 0x20);
    ck_assert_uint_eq(gmpt_trace_g(trace, 2)->create_stack, event.go_create.stack);
    ck_assert_uint_eq(gmpt_trace_stack(trace, (uint32_t)event.go_create.stack).count, 2);
    ck_assert_int_eq(gmpt_trace_g(trace, 2)->created_ns, 13);
    gmpt_trace_next(trace, &event); /* block 1 */
    const struct gmpt_g *g = gmpt_trace_g(trace, 1);
    ck_assert_int_eq(g->state, GMPT_G_WAITING);
    ck_assert_int_eq(g->reason, GMPT_WAIT_mutex);
    ck_assert_uint_eq(g->wait_object, 0x99);
    ck_assert_int_eq(g->bounded, 1);
    ck_assert_uint_eq(g->wait_stack, 1);
    gmpt_trace_next(trace, &event); /* start 2 */
    gmpt_trace_next(trace, &event); /* syscall_begin */
    ck_assert_int_eq(gmpt_trace_g(trace, 2)->state, GMPT_G_SYSCALL);
    gmpt_trace_next(trace, &event); /* syscall_end */
    ck_assert_int_eq(gmpt_trace_g(trace, 2)->state, GMPT_G_RUNNING);
    gmpt_trace_next(trace, &event); /* unblock 1 */
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_RUNNABLE);
    ck_assert_uint_eq(gmpt_trace_g_count(trace), 2);
    gmpt_trace_next(trace, &event); /* exit 2: known until the next call, but not alive */
    ck_assert_int_eq(gmpt_trace_g(trace, 2)->state, GMPT_G_DEAD);
    ck_assert_uint_eq(gmpt_trace_g_count(trace), 1);
    int count = 0;
    ck_assert_int_eq(gmpt_trace_each_g(trace, count_g, &count), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 0);
    ck_assert_ptr_null(gmpt_trace_g(trace, 2));
    ck_assert_int_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

TEST(order, each_g_stops_when_told)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char text[16384];
    int used = snprintf(text, sizeof text, TRACEFILE_HEAD FRAME(0) RING(0, 10));
    for (int i = 1; i <= 200; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "1 go_create g=%d fn=0x1 stack=0\n", i);
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(text), &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    int count = 0;
    ck_assert_int_eq(gmpt_trace_each_g(trace, count_g, &count), 1);
    ck_assert_int_eq(count, 100);
    gmpt_trace_close(trace);
}

TEST(order, the_clocks_skew_of_a_g_that_moves_is_told)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(1000) RING(0, 100) CREATE(1) RING(1, 10) START(1, 2) "100" EXIT END, 0, 0, 0);
    ck_assert_int_eq(result.counts.skew_ns, 90);
    free(result.events);
}

/* ---- What the program says of itself ---------------------------------------------------------------------------- */

TEST(order, labels_pass_to_children_and_change_no_state)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(
        tracefile_build(TRACEFILE_HEAD FRAME(0) "string 1 key\nstring 2 value\nlabels 3 1=2\nstring 4 reader\n" RING(
            0, 10) CREATE(1) START(1, 2) "1 go_labels g=1 labels=3\n" CREATE(2) "1 go_labels g=1 labels=0\n"
                                                                                "1 go_name g=2 name=4\n" CREATE(3) END),
        &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    ck_assert_uint_eq(gmpt_trace_g(trace, 1)->labels, 0);
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_RUNNING);
    const struct gmpt_g *child = gmpt_trace_g(trace, 2);
    ck_assert_uint_eq(gmpt_trace_label_count(trace, child->labels), 1);
    ck_assert_str_eq(gmpt_trace_label(trace, child->labels, 0).key, "key");
    ck_assert_str_eq(gmpt_trace_label(trace, child->labels, 0).value, "value");
    ck_assert_str_eq(gmpt_trace_label(trace, child->labels, 1).key, "");
    ck_assert_str_eq(gmpt_trace_string(trace, child->name), "reader");
    ck_assert_uint_eq(gmpt_trace_g(trace, 3)->labels, 0);
    ck_assert_str_eq(gmpt_trace_string(trace, 3), ""); /* no string */
    ck_assert_str_eq(gmpt_trace_string(trace, 99), "");
    ck_assert_uint_eq(gmpt_trace_label_count(trace, 1), 0);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

TEST(order, labels_of_a_g_that_is_not_there_are_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) "1 go_labels g=7 labels=0\n" END, 0, 0, 1);
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) "1 go_name g=0 name=0\n" END, 0, 0, 1);
}

TEST(order, what_a_g_says_is_about_it)
{
    story_check(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1)
                    START(1, 2) "1 user_region_begin task=0 name=0\n1 user_task_end task=4\n" EXIT
                                "1 user_task_end task=5\n" END,
                S_CREATE(P0, 1)
                    S_START(P0, 1, 2) "P0 G1 user_region_begin task=0 name=0\n"
                                      "P0 G1 user_task_end task=4\n" S_EXIT(P0, 1) "P0 - user_task_end task=5\n");
}

static void check_log(const char *records, const char *wanted)
{
    char text[4096];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    size_t bytes = 0;
    snprintf(text, sizeof text, TRACEFILE_HEAD FRAME(0) RING(0, 10) "%s" END, records);
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(text), &error);
    while (gmpt_trace_next(trace, &event) > 0 && event.type != GMPT_EVENT_user_log)
        ;
    ck_assert_str_eq(gmpt_trace_log_text(trace, &bytes), wanted);
    ck_assert_uint_eq(bytes, strlen(wanted));
    gmpt_trace_close(trace);
}

#define LOG_TEXT(a, b) "1 user_log_text a=" a " b=" b " c=0x0 d=0x0\n"
#define LOG(bytes) "1 user_log task=0 category=0 bytes=" #bytes "\n"

TEST(order, a_messages_text_is_put_together)
{
    check_log(LOG_TEXT("0x64636261", "0x65") LOG(5), "abcde");
    check_log(LOG_TEXT("0x67666564636261", "0x0") LOG_TEXT("0x68", "0x0") LOG(8), "abcdefgh");
    check_log(LOG(0), "");
}

TEST(order, a_message_has_the_text_right_before_it_only)
{
    check_log(LOG_TEXT("0x61", "0x0") CREATE(1) LOG_TEXT("0x62", "0x0") LOG(1), "b");
    check_log(LOG_TEXT("0x61", "0x0") LOG_TEXT("0x62", "0x0") LOG(1), "a"); /* not more than it says */
    check_log(LOG_TEXT("0x61", "0x0") LOG(400), "a");
}

TEST(order, a_messages_text_has_a_limit)
{
    char text[32768];
    int used = 0;
    for (int i = 0; i < 100; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "1 user_log_text a=0x61616161616161 b=0xffffffffffffffff c=0x61616161616161 d=0x61\n");
    snprintf(text + used, sizeof text - (size_t)used, LOG(2900));
    char whole[65536];
    snprintf(whole, sizeof whole, TRACEFILE_HEAD FRAME(0) RING(0, 10) "%s" END, text);
    struct gmpt_trace_error error;
    struct gmpt_event event;
    size_t bytes;
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(whole), &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    gmpt_trace_log_text(trace, &bytes);
    ck_assert_uint_eq(bytes, GMPT_LOG_BYTES_MAX);
    gmpt_trace_close(trace);
}

/* ---- Losses ----------------------------------------------------------------------------------------------------- */

TEST(order, after_a_lost_record_the_head_of_the_part_tells_who_runs)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2)
                          BLOCK EVENTS(0, 1, 100, 2, 7) "0 lost count=9 span_ticks=50\n" EXIT END "ring 13 9 0\n",
                      1, 1, 0);
    ck_assert_ptr_nonnull(strstr(result.events, "P0 G2 go_exit"));
    ck_assert_ptr_nonnull(strstr(result.events, "P0 - lost count=9 span_ticks=50"));
    ck_assert_uint_eq(result.counts.lost, 9);
    ck_assert_uint_eq(result.counts.kept, 4);
    ck_assert_uint_eq(result.counts.emitted, result.counts.kept + result.counts.lost);
    free(result.events);
}

/* G1 was unblocked on ring 0 after what is the last there. */
#define AFTER_THE_LAST TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) BLOCK RING(1, 500) START(1, 5) EXIT END

TEST(order, what_is_lost_after_the_last_of_a_ring_explains_what_does_not_fit_then)
{
    struct tracefile_result result = story_counted(AFTER_THE_LAST "ring 4 1 0\nring 2 0 0\n", 1, 1, 0);
    ck_assert_uint_eq(result.counts.lost, 1);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
    result = story_counted(AFTER_THE_LAST "ring 3 0 0\nring 2 0 0\n", 0, 0, 1);
    free(result.events);
    /* Of a ring that lost all. */
    result = story_counted(AFTER_THE_LAST "ring 3 0 0\nring 2 0 0\nring 1 1 0\n", 1, 1, 0);
    free(result.events);
}

TEST(order, what_does_not_fit_before_a_ring_s_last_record_is_not_explained_by_what_is_lost_after_it)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1)
                          RING(1, 20) "1 proc_steal from=1 count=1\n" EVENTS(0, 1, 100, 0, 0) START(1, 2)
                              BLOCK EVENTS(1, 1, 200, 0, 0) START(1, 5) EXIT END "ring 4 1 0\nring 3 0 0\n",
                      1, 1, 1);
    free(result.events);
}

TEST(order, a_hole_in_the_subbuffers_is_a_gap_and_nobodys_bug)
{
    struct tracefile_result result = story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2)
                                                       EVENTS(0, 2, 100, 0, 0) START(1, 7) EXIT END,
                                                   1, 1, 0);
    ck_assert_uint_eq(result.event_count, 4);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
}

TEST(order, a_hole_in_the_offsets_is_a_gap)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1)
                          START(1, 2) "events ring=0 sequence=0 offset=20 base=40 g=1 seq=4 tid=1 lost=0\n" EXIT END,
                      1, 1, 0);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
}

TEST(order, a_hole_that_the_head_explains_needs_no_guess)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1)
                          START(1, 2) "events ring=0 sequence=0 offset=20 base=40 g=1 seq=2 tid=1 lost=0\n" EXIT END,
                      1, 0, 0);
    free(result.events);
}

TEST(order, gs_from_a_hole_become_known)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) EVENTS(0, 5, 100, 0, 0) START(77, 12) BLOCK END, 1, 1, 0);
    ck_assert_uint_eq(result.gs_alive, 2);
    ck_assert_ptr_nonnull(strstr(result.events, "P0 G77 go_block"));
    free(result.events);
}

TEST(order, a_loss_on_one_ring_holds_the_others_up_for_one_frame_only)
{
    /* The block before unblock 4 is lost. Ring 1 must not hold its records back until the end. */
    char *story = tracefile_story(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) EVENTS(0, 3, 60, 0, 0)
                                      CREATE(8) RING(1, 50) UNBLOCK(1, 4) CREATE(9) FRAME(100) FRAME(200)
                                          EVENTS(0, 4, 250, 0, 0) CREATE(10) FRAME(300) FRAME(400) END);
    ck_assert_str_eq(story, S_CREATE(P0, 1) S_START(P0, 1, 2) S_CREATE(P0, 8) S_UNBLOCK(P1, 1, 4) S_CREATE(P1, 9)
                                S_CREATE(P0, 10));
    free(story);
}

TEST(order, after_a_loss_time_steps_back_by_a_millisecond_at_most)
{
    /* The block before unblock 4 is lost; ring 0 has a record every half millisecond. */
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) EVENTS(0, 3, 60, 0, 0)
                          CREATE(8) "500000 proc_limit count=1\n"
                                    "500000 proc_limit count=1\n"
                                    "500000 proc_limit count=1\n"
                                    "500000 proc_limit count=1\n" RING(1, 50) UNBLOCK(1, 4) FRAME(100000000) END,
                      1, 1, 0);
    ck_assert_ptr_nonnull(strstr(result.events, "0.000500061 P0 - proc_limit count=1\n"
                                                "0.000000051 P1 G1 go_unblock g=1 seq=4 by=0 stack=0\n0.001000061 P0"));
    free(result.events);
}

TEST(order, after_a_gap_the_order_is_exact_again)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) EVENTS(0, 3, 60, 0, 0) START(1, 9) BLOCK FRAME(100)
            FRAME(200) EVENTS(0, 4, 350, 0, 0) START(1, 12) EXIT RING(1, 380) UNBLOCK(1, 11) FRAME(500) END,
        1, 1, 0);
    ck_assert_ptr_nonnull(
        strstr(result.events, "go_unblock g=1 seq=11 by=0 stack=0\n0.000000351 P0 G1 go_start g=1 seq=12"));
    free(result.events);
}

TEST(order, an_old_number_after_a_gap_changes_nothing)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) EVENTS(
                                                   0, 3, 60, 0, 0) START(1, 9) BLOCK UNBLOCK(1, 4) END),
                                               &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    ck_assert_int_eq(gmpt_trace_g(trace, 1)->state, GMPT_G_WAITING);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->resynced, 2);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

TEST(order, a_recording_that_starts_in_the_middle_has_no_gap)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) EVENTS(0, 40, 10, 5, 100) BLOCK START(6, 3) EXIT END, 0, 2, 0);
    ck_assert_ptr_nonnull(strstr(result.events, "P0 G5 go_block"));
    free(result.events);
}

/* ---- Contradictions --------------------------------------------------------------------------------------------- */

TEST(order, a_start_without_a_create_is_a_violation)
{
    struct tracefile_result result = story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) START(1, 2) EXIT END, 0, 0, 1);
    ck_assert_uint_eq(result.event_count, 2);
    free(result.events);
}

TEST(order, a_second_create_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) CREATE(1) END, 0, 0, 1);
}

TEST(order, a_skipped_number_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 3) EXIT END, 0, 0, 1);
}

TEST(order, a_number_used_twice_is_a_violation)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) RING(1, 20) START(1, 2) END, 0, 0, 1);
    ck_assert_uint_eq(result.event_count, 3);
    free(result.events);
}

TEST(order, unblocking_a_runnable_g_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) UNBLOCK(1, 2) END, 0, 0, 1);
}

TEST(order, a_block_without_a_current_g_is_a_violation)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) BLOCK BLOCK END, 0, 0, 1);
    ck_assert_ptr_nonnull(strstr(result.events, "P0 - go_block"));
    free(result.events);
}

TEST(order, the_end_of_a_call_that_never_began_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 syscall_end\n" END, 0, 0, 1);
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) "1 syscall_exit g=1 seq=2\n" END, 0, 0, 1);
}

TEST(order, attaching_a_g_that_has_its_p_is_a_violation)
{
    story_check_counts(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) RING(1, 20) "1 go_attach g=1 seq=3\n" END, 0, 0, 1);
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2)
                           RING(2, 20) "1 go_attach_wait g=1 seq=3\n" END,
                       0, 0, 1);
}

TEST(order, a_second_attach_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n" RING(
                           1, 20) "1 go_attach g=1 seq=4\n" RING(2, 30) "1 go_attach_wait g=1 seq=4\n" END,
                       0, 0, 1);
}

TEST(order, taking_a_p_without_a_g_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) "1 go_detach\n" END, 0, 0, 1);
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n1 go_detach\n" END, 0, 0,
                       1);
}

TEST(order, a_g_without_a_p_makes_no_transition_but_to_attach)
{
    static const char *const records[] = { "1 go_yield\n", "1 go_preempt_async\n", "1 go_exit\n",
                                           "1 syscall_begin stack=0\n",
                                           "1 go_block reason=mutex object=0x5 bounded=0 stack=0 owner=0\n" };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n%s" END,
                 records[i]);
        story_check_counts(text, 0, 0, 1);
    }
}

TEST(order, a_start_of_a_g_without_a_p_is_a_violation)
{
    story_check_counts(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 go_detach\n" RING(1, 20) START(1, 4) END, 0, 0, 1);
}

TEST(order, a_lost_detach_is_guessed)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2)
            EVENTS(0, 1, 100, 0, 0) "0 lost count=1 span_ticks=0\n" RING(1, 120) "1 go_attach g=1 seq=4\n" EXIT END,
        1, 1, 0);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
}

TEST(order, stopping_a_p_under_a_running_g_is_a_violation)
{
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "1 proc_stop\n" END, 0, 0, 1);
    story_check_counts(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) CREATE(2) START(1, 2) START(2, 2) END, 0, 0, 1);
}

TEST(order, g_0_is_nobody)
{
    struct tracefile_result result =
        story_counted(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(0) START(0, 2) EXIT UNBLOCK(0, 1) END, 0, 0, 4);
    ck_assert_uint_eq(result.gs_alive, 0);
    ck_assert_uint_eq(result.event_count, 4);
    free(result.events);
}

TEST(order, a_violation_is_found_seconds_later_not_at_the_end)
{
    char *story = tracefile_story(TRACEFILE_HEAD FRAME(0) RING(0, 10) START(5, 2) FRAME(1000000000) FRAME(4000000000)
                                      RING(1, 4500000000) CREATE(9) FRAME(5000000000) END);
    ck_assert_str_eq(story, S_START(P0, 5, 2) S_CREATE(P1, 9));
    free(story);
}

TEST(order, one_violation_does_not_breed_more)
{
    struct tracefile_result result = story_counted(
        TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 4) BLOCK UNBLOCK(1, 6) START(1, 7) EXIT END, 0, 0, 1);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
}

TEST(order, every_record_of_nonsense_comes_out_once)
{
    uint64_t random = 0x2545f4914f6cdd1d;
    char text[65536];
    for (int round = 0; round < 100; round++) {
        unsigned records = 0;
        int used = snprintf(text, sizeof text, TRACEFILE_HEAD);
        for (int part = 0; part < 12; part++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            used +=
                snprintf(text + used, sizeof text - (size_t)used,
                         "frame\nclock %d %d 0\nevents ring=%u sequence=%u offset=0 base=%u g=%u seq=1 tid=1 lost=0\n",
                         part * 50, part * 50, (unsigned)(random % 3), part / 3, part * 40 + (unsigned)(random >> 60),
                         (unsigned)(random >> 33) % 3);
            for (int i = 0; i < 15; i++, records++) {
                static const char *const kinds[] = {
                    "go_create g=%u fn=0x1 stack=%u\n",
                    "go_start g=%u seq=%u\n",
                    "go_unblock g=%u seq=%u by=0 stack=0\n",
                    "go_exit\n",
                    "go_yield\n",
                    "go_block reason=%u object=0x%x bounded=0 stack=0 owner=0\n",
                    "syscall_begin stack=%u\n",
                    "syscall_end\n",
                    "syscall_resume g=%u seq=%u\n",
                    "syscall_exit g=%u seq=%u\n",
                    "go_detach\n",
                    "go_attach g=%u seq=%u\n",
                    "go_attach_wait g=%u seq=%u\n",
                    "go_preempt_async\n",
                    "proc_start tid=%u\n",
                    "proc_stop\n",
                };
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                used += snprintf(text + used, sizeof text - (size_t)used, "%u ", (unsigned)(random >> 40) % 4);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                used += snprintf(text + used, sizeof text - (size_t)used, kinds[random % 16],
                                 (unsigned)(random >> 20) % 5, (unsigned)(random >> 30) % 6);
#pragma GCC diagnostic pop
            }
        }
        struct tracefile_result result = tracefile_run(text);
        ck_assert_int_eq(result.last_result, 0);
        ck_assert_uint_eq(result.event_count, records);
        ck_assert_uint_eq(result.counts.kept, records);
        free(result.events);
    }
}

/* ---- Recordings that attached ----------------------------------------------------------------------------------- */

#define ATTACHED_HEAD TRACEFILE_HEAD "attached 1\n"
#define WAS(g, seq, state) "0 go_was g=" #g " seq=" #seq " state=" #state " parent=1 fn=0x10 stack=0\n"
#define WAITED(g, ns) "0 go_waited g=" #g " reason=chan_recv object=0x5 bounded=0 waited_ns=" #ns " stack=0\n"
#define S_WAS(p, g, seq, state) #p " G" #g " go_was g=" #g " seq=" #seq " state=" #state " parent=1 fn=0x10 stack=0\n"
#define S_WAITED(p, g, ns)                                                                                             \
#p " G" #g " go_waited g=" #g " reason=chan_recv object=0x5 bounded=0 waited_ns=" #ns " stack=0\n"

TEST(order, attached_what_the_recorder_found_comes_first_and_explains_what_follows)
{
    story_check(ATTACHED_HEAD FRAME(100) EVENTS(0, 4, 110, 6, 3) WAS(6, 3, 2) UNBLOCK(5, 8) EXIT START(5, 9)
                    EXIT FRAME(100) RING(3, 100) WAS(5, 7, 3) WAITED(5, 900) FRAME(300) END,
                S_WAS(-, 5, 7, 3) S_WAITED(-, 5, 900) S_WAS(P0, 6, 3, 2) S_UNBLOCK(P0, 5, 8) S_EXIT(P0, 6)
                    S_START(P0, 5, 9) S_EXIT(P0, 5));
}

TEST(order, attached_a_g_in_a_call_keeps_its_p)
{
    story_check(ATTACHED_HEAD FRAME(100) EVENTS(0, 9, 110, 6, 3) WAS(6, 3, 4) "1 syscall_end\n" EXIT FRAME(300) END,
                S_WAS(P0, 6, 3, 4) "P0 G6 syscall_end\n" S_EXIT(P0, 6));
}

TEST(order, attached_a_transition_that_fell_between_is_made_up_for)
{
    story_check(ATTACHED_HEAD FRAME(100) RING(3, 100) WAS(5, 7, 3) FRAME(300) EVENTS(0, 1, 110, 0, 0) WAS(5, 8, 1)
                    START(5, 9) EXIT FRAME(400) END,
                S_WAS(-, 5, 7, 3) S_WAS(P0, 5, 8, 1) S_START(P0, 5, 9) S_EXIT(P0, 5));
}

TEST(order, attached_what_is_known_already_tells_nothing)
{
    story_check(ATTACHED_HEAD FRAME(100) RING(3, 100) WAS(5, 7, 3) WAITED(5, 10) FRAME(300) EVENTS(0, 1, 110, 0, 0)
                    WAS(5, 7, 3) WAITED(5, 20) UNBLOCK(5, 8) WAS(5, 7, 3) START(5, 9) EXIT FRAME(400) END,
                S_WAS(-, 5, 7, 3)
                    S_WAITED(-, 5, 10) "P0 - go_was g=5 seq=7 state=3 parent=1 fn=0x10 stack=0\n" S_WAITED(P0, 5, 20)
                        S_UNBLOCK(P0, 5, 8) "P0 - go_was g=5 seq=7 state=3 parent=1 fn=0x10 stack=0\n" S_START(P0, 5, 9)
                            S_EXIT(P0, 5));
}

TEST(order, attached_a_record_without_its_cause_is_still_a_violation)
{
    story_check_counts(ATTACHED_HEAD FRAME(100) EVENTS(0, 4, 110, 0, 0) START(5, 9) EXIT FRAME(300) END, 0, 0, 1);
    story_check_counts(ATTACHED_HEAD FRAME(100) EVENTS(0, 4, 110, 0, 0) WAS(5, 7, 1) START(5, 9) EXIT FRAME(300) END, 0,
                       0, 1);
}

TEST(order, attached_states_that_cannot_be_are_no_gs)
{
    story_check_counts(ATTACHED_HEAD FRAME(100) RING(3, 100) WAS(5, 7, 0) WAS(6, 7, 5) WAS(7, 1, 99) WAS(0, 1, 1)
                           FRAME(300) END,
                       0, 0, 4);
    story_check_counts(ATTACHED_HEAD FRAME(100) RING(3, 100) WAITED(5, 1) FRAME(300) END, 0, 0, 1);
}

/* ---- samples ---- */

TEST(order, a_sample_changes_no_state_and_is_about_a_g_that_is_there)
{
    story_check(
        TRACEFILE_HEAD FRAME(1000) RING(0, 10) CREATE(1)
            START(1, 2) "40 go_exit\n" RING(2, 30) "1 cpu_sample g=1 held=1 tid=7 ago_ticks=3 cpu_ns=10 stack=0\n"
                                                   "1 cpu_sample g=9 held=2 tid=7 ago_ticks=3 cpu_ns=10 stack=0\n"
                                                   "50 cpu_sample g=1 held=0 tid=7 ago_ticks=40 cpu_ns=10 stack=0\n"
                                                   "1 cpu_sample_lost tid=7 count=2\n" END,
        S_CREATE(P0, 1) S_START(P0, 1, 2) "- G1 cpu_sample g=1 held=1 tid=7 ago_ticks=3 cpu_ns=10 stack=0\n"
                                          "- - cpu_sample g=9 held=2 tid=7 ago_ticks=3 cpu_ns=10 stack=0\n" S_EXIT(
                                              P0, 1) "- - cpu_sample g=1 held=0 tid=7 ago_ticks=40 cpu_ns=10 stack=0\n"
                                                     "- - cpu_sample_lost tid=7 count=2\n");
}

TEST(order, what_a_sample_cannot_say_is_taken_for_none)
{
    story_check(TRACEFILE_HEAD FRAME(1000)
                    RING(2, 30) "1 cpu_sample g=0 held=3 tid=7 ago_ticks=0 cpu_ns=18446744073709551615 stack=77\n" END,
                "- - cpu_sample g=0 held=0 tid=7 ago_ticks=0 cpu_ns=9223372036854775807 stack=0\n");
}

TEST(order, who_computes_on_without_its_p_has_computed_all_along)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace =
        gmpt_trace_open(tracefile_build(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1) START(1, 2) "30 go_detach\n" RING(
                            1, 60) "1 go_attach g=1 seq=4\n9 go_yield\n1 go_start g=1 seq=6\n" END),
                        &error);
    const int64_t before_ns[] = { 0, 0, 30, 49, 0, 0 }; /* created, starts at 12, without P at 42, and has one at 61 */
    for (size_t i = 0; i < sizeof before_ns / sizeof before_ns[0]; i++) {
        ck_assert_int_eq(gmpt_trace_next(trace, &event), 1);
        ck_assert_int_eq(gmpt_trace_g(trace, 1)->ran_before_ns, before_ns[i]);
    }
    gmpt_trace_close(trace);
}

/* No G has the number 0, whatever lay where it is looked for. */
TEST(order, a_record_that_names_no_g_takes_none_that_has_ended)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(TRACEFILE_HEAD FRAME(0) RING(0, 10) CREATE(1024)
                                                                   START(1024, 2) EXIT START(0, 100) EXIT CREATE(5)
                                                                       CREATE(6) START(5, 2) EXIT START(6, 2) EXIT END),
                                               &error);
    while (gmpt_trace_next(trace, &event) > 0) {
        ck_assert_uint_le(gmpt_trace_g_count(trace), 3);
        if (event.type == GMPT_EVENT_go_start && event.go_start.g)
            ck_assert_uint_eq(event.g, event.go_start.g);
        ck_assert(!gmpt_trace_g(trace, 5) || gmpt_trace_g(trace, 5)->id == 5);
    }
    ck_assert_uint_gt(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}
