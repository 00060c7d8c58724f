/* Where Ms are, by small traces: what contradicts itself is found, and what only comes late is not.
 *
 * The traces are text; a tick is a nanosecond. Stories are compared without times. */
#include "harness.h"
#include "tracefile.h"

#include <stdlib.h>
#include <string.h>

#define EVENTS(ring, sequence, base, g, seq)                                                                           \
    "events ring=" #ring " sequence=" #sequence " offset=0 base=" #base " g=" #g " seq=" #seq " tid=1 lost=0\n"
#define RING(ring, base) EVENTS(ring, 0, base, 0, 0)
#define FRAME(ticks) "frame\nclock " #ticks " " #ticks " 1000\n"
#define END "end 1 0\n"
#define CREATE(g) "1 go_create g=" #g " fn=0x10 stack=0\n"
#define START(g, seq) "1 go_start g=" #g " seq=" #seq "\n"
#define UNBLOCK(g, seq) "1 go_unblock g=" #g " seq=" #seq " by=0 stack=0\n"
#define BLOCK "1 go_block reason=chan_recv object=0x5 bounded=0 stack=0 owner=0\n"
#define EXIT "1 go_exit\n"
/* As they come out. */
#define S_CREATE(p, g) #p " G" #g " go_create g=" #g " fn=0x10 stack=0\n"
#define S_START(p, g, seq) #p " G" #g " go_start g=" #g " seq=" #seq "\n"
#define S_UNBLOCK(p, g, seq) #p " G" #g " go_unblock g=" #g " seq=" #seq " by=0 stack=0\n"
#define S_BLOCK(p, g) #p " G" #g " go_block reason=chan_recv object=0x5 bounded=0 stack=0 owner=0\n"
#define S_EXIT(p, g) #p " G" #g " go_exit\n"

static void check_story(const char *text, const char *wanted)
{
    char *story = tracefile_story(text);
    ck_assert_str_eq(story, wanted);
    free(story);
    struct tracefile_result result = tracefile_run(text);
    ck_assert_uint_eq(result.counts.violations, 0);
    ck_assert_uint_eq(result.counts.resynced, 0);
    ck_assert_uint_eq(result.counts.gaps, 0);
    free(result.events);
}

static void check_counts(const char *text, uint64_t gaps, uint64_t resynced, uint64_t violations)
{
    struct tracefile_result result = tracefile_run(text);
    ck_assert_msg(
        result.counts.gaps == gaps && result.counts.resynced == resynced && result.counts.violations == violations,
        "gaps %llu resynced %llu violations %llu:\n%s", (unsigned long long)result.counts.gaps,
        (unsigned long long)result.counts.resynced, (unsigned long long)result.counts.violations, result.events);
    free(result.events);
}

#define PROC_START(delta, tid) #delta " proc_start tid=" #tid "\n"

TEST(holders, an_m_that_sleeps_has_no_p)
{
    check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
                     START(1, 2) "9000000 go_exit\n" RING(2, 500) "0 m_park tid=70\n" END,
                 0, 0, 1);
}

TEST(holders, an_m_has_one_p)
{
    check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
                     START(1, 2) "9000000 go_exit\n" RING(1, 500) PROC_START(0, 70) END,
                 0, 0, 1);
}

TEST(holders, a_p_that_was_given_up_in_time_is_no_matter_when_that_comes_late)
{
    /* Ring 0 waits for G 2, so that its proc_stop of 105 comes after the m_park of 500. */
    check_story(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) START(2, 2) EXIT
                "1 proc_stop\n9000000 proc_start tid=71\n" RING(1, 600) CREATE(2) RING(2, 500) "0 m_park tid=70\n" END,
                "P0 - proc_start tid=70\n- - m_park tid=70\n" S_CREATE(P1, 2) S_START(P0, 2, 2)
                    S_EXIT(P0, 2) "P0 - proc_stop\nP0 - proc_start tid=71\n");
}

TEST(holders, an_m_that_slept_before_it_had_the_p_may_go_on)
{
    /* Ring 2 waits for G 2, so that its m_park of 100 comes after the proc_start of 200. */
    check_story(TRACEFILE_HEAD FRAME(20000000) RING(0, 200) PROC_START(
                    0, 70) "900 go_create g=2 fn=0x10 stack=0\n"
                           "9000000 proc_stop\n" RING(2, 50) "0 go_unblock g=2 seq=4\n50 m_park tid=70\n" RING(1, 2000)
                               START(2, 2) BLOCK END,
                "P0 - proc_start tid=70\n" S_CREATE(P0, 2) S_START(P1, 2, 2) S_BLOCK(P1, 2)
                    S_UNBLOCK(-, 2, 4) "- - m_park tid=70\nP0 - proc_stop\n");
}

TEST(holders, a_p_that_was_taken_leaves_its_m_free)
{
    check_story(TRACEFILE_HEAD FRAME(20000000) RING(0, 100) PROC_START(0, 70) CREATE(1)
                    START(1, 2) "1 syscall_begin stack=0\n" RING(2, 200)
                        "0 proc_retake p=0 g=1\n1 syscall_exit g=1 seq=4\n1 m_park tid=70\n"
                        EVENTS(0, 1, 9000000, 0, 0) PROC_START(0, 71) END,
                "P0 - proc_start tid=70\n" S_CREATE(P0, 1) S_START(P0, 1, 2)
                "P0 G1 syscall_begin stack=0\n- G1 proc_retake p=0 g=1\n- G1 syscall_exit g=1 seq=4\n"
                "- - m_park tid=70\nP0 - proc_start tid=71\n");
}

TEST(holders, an_m_that_spins_runs_no_g)
{
    check_counts(TRACEFILE_HEAD FRAME(1000) RING(0, 100) PROC_START(0, 70) "1 m_spin\n" CREATE(1)
                     START(1, 2) "1 m_spin\n" EXIT END,
                 0, 0, 1);
}

TEST(holders, an_m_that_is_made_is_the_one_on_its_p)
{
    check_counts(TRACEFILE_HEAD FRAME(1000) RING(0, 100) PROC_START(0, 70) "1 m_create tid=70\n1 m_create tid=71\n" END,
                 0, 0, 1);
}

TEST(holders, where_an_m_is_after_losses_is_not_known)
{
    check_counts(TRACEFILE_HEAD FRAME(20000000) RING(0, 100)
                     PROC_START(0, 70) "1 lost count=3 span_ticks=1\n"
                                       "9000000 go_create g=1 fn=0x10 stack=0\n" RING(2, 500) "0 m_park tid=70\n" END,
                 1, 0, 0);
}
