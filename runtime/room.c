/* When there is no room in tmpfs for a page of the segment. See room.h. */
#define _GNU_SOURCE
#include "room.h"

#include "tracepoint.h"

#include <signal.h>
#include <sys/mman.h>

static struct sigaction bus_before;

/* No room for a page of the segment that was never touched (segment.h). One of our own does as well for the program;
 * the outside cannot see what is on it, so nothing more is traced. */
static void on_bus(int signal, siginfo_t *info, void *context)
{
    const struct segment *segment = &trace_segment;
    uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)4095;
    if (segment->base && page - (uintptr_t)segment->base < segment->bytes &&
        mmap((void *)page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            MAP_FAILED) {
        store_relaxed(&segment->header->tracing, 0);
        return;
    }
    if (bus_before.sa_flags & SA_SIGINFO)
        bus_before.sa_sigaction(signal, info, context);
    else if (bus_before.sa_handler != SIG_DFL && bus_before.sa_handler != SIG_IGN)
        bus_before.sa_handler(signal);
    else
        sigaction(signal, &bus_before, NULL); /* the access is made again, and ends the program as it would have */
}

void room_watch(void)
{
    struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &bus_before);
}
