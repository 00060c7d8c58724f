/* Names of the system calls that threads usually block in, of the machine that this was built for. */
#ifndef GMPT_SYSCALLNAME_H
#define GMPT_SYSCALLNAME_H

#include <stdint.h>

/* "read"; NULL = not known. */
const char *syscall_name(int32_t call);

#endif
