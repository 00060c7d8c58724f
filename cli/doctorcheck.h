/* What gmptrace doctor finds out: one question of the machine each, answered by trying.
 *
 * A check runs in a process of its own, so that it may change its credentials and signals, and may be killed: seccomp
 * does that in some sandboxes. It fills its struct doctor_check, which both processes share. */
#ifndef GMPT_DOCTORCHECK_H
#define GMPT_DOCTORCHECK_H

#include <stdbool.h>
#include <stdint.h>

enum doctor_state {
    DOCTOR_OK,
    DOCTOR_LIMITED, /* it works, with a bound or a price that `found` names */
    DOCTOR_LACKING,
};

struct doctor_check {
    const char *name;
    const char *purpose; /* what gmptrace has of it */
    enum doctor_state state;
    char found[256];
    char fix[384]; /* "" = there is nothing to be done */
};

/* What is the same for all checks, read once. */
struct doctor_machine {
    char release[65], architecture[65]; /* of the kernel, the CPU */
    char lockdown[32];                  /* "none", "integrity", "confidentiality"; "" = the kernel has no such thing */
    unsigned user;
    uint64_t capabilities;  /* effective; bit 38 is CAP_PERFMON, 39 CAP_BPF */
    bool namespace_only;    /* they count inside a user namespace only */
    bool seccomp;           /* a filter watches this process's system calls */
    bool no_new_privileges; /* so a file's capabilities would not be given */
    char program[4096];     /* this command's file */
};

void doctor_machine_read(struct doctor_machine *machine);
bool doctor_may(const struct doctor_machine *machine, unsigned capability);

/* Runs the check of this name. */
void doctor_try(struct doctor_check *check, const struct doctor_machine *machine, const char *name);

/* For the checks: set state and found, and what is to be done about it. */
void doctor_find(struct doctor_check *check, enum doctor_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_advise(struct doctor_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef void doctor_check_fn(struct doctor_check *check, const struct doctor_machine *machine);

/* The kernel's side: cli/doctor_kernel.c. */
doctor_check_fn doctor_check_btf, doctor_check_bpf, doctor_check_perf, doctor_check_schedstat;
/* What the runtime and the other commands want: cli/doctor_process.c. */
doctor_check_fn doctor_check_clock, doctor_check_memory, doctor_check_attach, doctor_check_dump, doctor_check_signal,
    doctor_check_guard, doctor_check_core, doctor_check_quota;

#endif
