/* SIGQUIT, as Go has it: a dump of all Gs on standard error, and the end of the program with status 2.
 *
 * The handler sets a flag and wakes sysmon, which does the rest: it needs no P, so it works when every P is taken by
 * Gs that never come back. A second SIGQUIT, when the dump does not get through, ends the program at once. A program
 * that has a handler of its own before gmpt_run, or sets one later, keeps it. That the signal was ignored before does
 * not count, since a shell without job control does that to everything that it starts in the background. */
#ifndef GMPT_QUIT_H
#define GMPT_QUIT_H

#define QUIT_STATUS 2

void quit_start(void);
/* The runtime has ended: SIGQUIT does what it did before. */
void quit_stop(void);
/* By sysmon: ends the program if a SIGQUIT has come. */
void quit_check(void);

#endif
