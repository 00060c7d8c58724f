/* Children whose schedule is forced, by one CPU and by what they wait for: what tests of the kernel's side watch. */
#ifndef GMPT_OFFCPU_CHILDREN_H
#define GMPT_OFFCPU_CHILDREN_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/* What the child tells: first where its words lie, then, when it is done, what it counted. */
struct report {
    int64_t thread_m_offset;
    uint32_t m_word_offset;
    uint32_t tid[2];
    uint32_t cpu;              /* to which thread 0 moves */
    uint64_t begin_ns, end_ns; /* of thread 0 */
    uint64_t switches;         /* that it lost the CPU in between, as the kernel counts */
    uint64_t sleeps;           /* times that it slept */
    uint64_t late_ns;          /* in all, from when it was to wake until it did */
    unsigned mistaken;         /* times that the kernel counted more than that as waiting */
    uint64_t g[2];
    int end[2]; /* that G i reads from */
};

extern int go[2], told[2]; /* pipes: parent to child, child to parent */
extern struct report report;
extern long rounds; /* of an exchange */

uint64_t now_ns(void); /* by CLOCK_MONOTONIC */
/* The calling thread, to the CPU of that number among those that this process may have. */
bool pin_to_number(unsigned number, const cpu_set_t *all);

/* What each does is said where it is. Each tells first, and goes on when it is told to. */
void child_plain(void);
void child_hogs(void);
void child_sleeper(void);
void child_moved(void);
void child_moved_asleep(void);
void child_starts(void);
void child_unseen(void);
void child_computes(void);
void child_exec(void);
void child_gs(void);

#endif
