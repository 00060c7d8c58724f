/* Memory of free stacks goes back to the system.
 *
 * A stack that has been used keeps its pages when its G ends, since the next G will want them at once: a first touch
 * costs a microsecond a page, a reuse some nanoseconds. What has not been wanted for a whole window of
 * RECLAIM_WINDOW_NS (the fewest seats that lay in a class's store at any moment of it) is surplus, and sysmon releases
 * it, a slice at a time. When the system says that tasks wait for memory (PSI, of the cgroup or of the machine: more
 * than RECLAIM_PRESSURE hundredths of a per cent of the last 10 s), all that is in the stores is surplus.
 * gmpt_free_os_memory releases all that is free, at once. The seats stay; the guards do, too. */
#ifndef GMPT_RECLAIM_H
#define GMPT_RECLAIM_H

#include <stdint.h>

#define RECLAIM_WINDOW_NS 10000000000
#define RECLAIM_PRESSURE 1000

/* By sysmon, at every look: takes a few 100 us at the most. */
void reclaim_look(int64_t now_ns);

/* The share of the last 10 s in which some task waited, in hundredths of a per cent, from the text of a PSI file; -1
 * when it is not one. */
int reclaim_parse_pressure(const char *text);

#endif
