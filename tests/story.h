/* Small traces as text, and what is to come out of them. A tick is a nanosecond; stories are compared without times. */
#ifndef GMPT_TEST_STORY_H
#define GMPT_TEST_STORY_H

#include "tracefile.h"

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

/* The trace reads as this story, without a gap and without a contradiction. */
void story_check(const char *text, const char *wanted);
/* Reading it counts so many of these. */
void story_check_counts(const char *text, uint64_t gaps, uint64_t resynced, uint64_t violations);
/* The same; the caller frees the result's events. */
struct tracefile_result story_counted(const char *text, uint64_t gaps, uint64_t resynced, uint64_t violations);

#endif
