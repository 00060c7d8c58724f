/* "all goroutines are asleep": nothing can ever run again. See deadlock.c for why that is never said wrongly. */
#ifndef GMPT_DEADLOCK_H
#define GMPT_DEADLOCK_H

#include <stdbool.h>

/* By sysmon: whether every G waits for something that only another G could do. Cheap as long as anything moves. */
bool deadlock_found(void);
/* By sysmon: says so with a dump and ends the program with status 2, if it is so and GMPT_DEBUG=nodeadlock is not set;
 * for as long as the recorder wants it to stay, not yet. */
void deadlock_check(void);

#endif
