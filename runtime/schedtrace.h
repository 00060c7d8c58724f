/* GMPT_DEBUG=schedtrace=N[,scheddetail=1]: Go's SCHED lines, with its fields where there is such a thing here. */
#ifndef GMPT_SCHEDTRACE_H
#define GMPT_SCHEDTRACE_H

#include <stdint.h>

/* By sysmon: writes what is due by now. */
void schedtrace_check(int64_t now_ns);

#endif
