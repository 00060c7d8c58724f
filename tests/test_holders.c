/* Where Ms are, by small traces: what contradicts itself is found, and what only comes late is not. */
#include "harness.h"
#include "story.h"

#include <stdlib.h>
#include <string.h>

#define PROC_START(delta, tid) #delta " proc_start tid=" #tid "\n"

TEST(holders, an_m_that_sleeps_has_no_p)
{
    story_check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
                           START(1, 2) "9000000 go_exit\n" RING(2, 500) "0 m_park tid=70\n" END,
                       0, 0, 1);
}

TEST(holders, an_m_has_one_p)
{
    story_check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
                           START(1, 2) "9000000 go_exit\n" RING(1, 500) PROC_START(0, 70) END,
                       0, 0, 1);
}

TEST(holders, a_p_that_was_given_up_in_time_is_no_matter_when_that_comes_late)
{
    /* Ring 0 waits for G 2, so that its proc_stop of 105 comes after the m_park of 500. */
    story_check(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) START(2, 2) EXIT
                "1 proc_stop\n9000000 proc_start tid=71\n" RING(1, 600) CREATE(2) RING(2, 500) "0 m_park tid=70\n" END,
                "P0 - proc_start tid=70\n- - m_park tid=70\n" S_CREATE(P1, 2) S_START(P0, 2, 2)
                    S_EXIT(P0, 2) "P0 - proc_stop\nP0 - proc_start tid=71\n");
}

TEST(holders, an_m_that_slept_before_it_had_the_p_may_go_on)
{
    /* Ring 2 waits for G 2, so that its m_park of 100 comes after the proc_start of 200. */
    story_check(TRACEFILE_HEAD FRAME(20000000) RING(0, 200) PROC_START(
                    0, 70) "900 go_create g=2 fn=0x10 stack=0\n"
                           "9000000 proc_stop\n" RING(2, 50) "0 go_unblock g=2 seq=4\n50 m_park tid=70\n" RING(1, 2000)
                               START(2, 2) BLOCK END,
                "P0 - proc_start tid=70\n" S_CREATE(P0, 2) S_START(P1, 2, 2) S_BLOCK(P1, 2)
                    S_UNBLOCK(-, 2, 4) "- - m_park tid=70\nP0 - proc_stop\n");
}

TEST(holders, a_p_that_was_taken_leaves_its_m_free)
{
    story_check(
        TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
            START(1, 2) "1 syscall_begin stack=0\n" RING(
                2, 200) "0 proc_retake p=0 g=1\n1 syscall_exit g=1 seq=4\n1 m_park tid=70\n" EVENTS(0, 1, 9000000, 0, 0)
                PROC_START(0, 71) END,
        "P0 - proc_start tid=70\n" S_CREATE(P0, 1)
            S_START(P0, 1, 2) "P0 G1 syscall_begin stack=0\n- G1 proc_retake p=0 g=1\n- G1 syscall_exit g=1 seq=4\n"
                              "- - m_park tid=70\nP0 - proc_start tid=71\n");
}

TEST(holders, an_m_that_spins_runs_no_g)
{
    story_check_counts(TRACEFILE_HEAD FRAME(1000) RING(0, 100) PROC_START(0, 70) "1 m_spin\n" CREATE(1)
                           START(1, 2) "1 m_spin\n" EXIT END,
                       0, 0, 1);
}

TEST(holders, an_m_that_is_made_is_the_one_on_its_p)
{
    story_check_counts(TRACEFILE_HEAD FRAME(1000) RING(0, 100)
                           PROC_START(0, 70) "1 m_create tid=70\n1 m_create tid=71\n" END,
                       0, 0, 1);
}

TEST(holders, where_an_m_is_after_losses_is_not_known)
{
    story_check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(
                           0, 70) "1 lost count=3 span_ticks=1\n"
                                  "9000000 go_create g=1 fn=0x10 stack=0\n" RING(2, 500) "0 m_park tid=70\n" END,
                       1, 0, 0);
}
