/* What a process can take from itself, so that a program that it starts then finds less than this machine has. */
#ifndef GMPT_CONFINED_H
#define GMPT_CONFINED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONFINED_USER 61003 /* that nobody needs to have entered anywhere */

/* Each returns whether it could. Both calls get this answer (SECCOMP_RET_...) from now on. */
bool confined_calls(unsigned first, unsigned second, unsigned action);
bool confined_without_bpf(void);
bool confined_killed_by_bpf(void);
bool confined_without_bpf_and_perf(void);
bool confined_as_nobody(void); /* another user, without capabilities */
bool confined_without_btf(void); /* in a mount namespace of its own */
/* Such a user where kernel.perf_event_paranoid is 3, as some distributions have it: as root, in such a namespace, in
 * which that file says so, with the answer that perf_event_open then gives. */
bool confined_by_paranoid_perf(void);

/* Runs a program with these arguments in a process in which prepare (NULL: nothing) was called; all that it prints goes
 * to text. Its file is opened before, for it may lie where that user cannot go. Returns its exit status, or -1 when
 * prepare could not. */
int confined_run(bool (*prepare)(void), const char *program, char *const argv[], char *text, size_t size);

#endif
