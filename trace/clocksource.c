/* See clocksource.h. */
#define _GNU_SOURCE
#include "clocksource.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void clocksource_look(struct clocksource *source)
{
    memset(source, 0, sizeof *source);
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, source->kernel, sizeof source->kernel - 1);
        source->kernel[length > 0 ? length : 0] = 0;
        source->kernel[strcspn(source->kernel, "\n")] = 0;
        close(fd);
    }
#if defined(__x86_64__)
    unsigned a, b, c, d = 0;
    source->invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
    source->tsc = source->invariant && (strcmp(source->kernel, "tsc") == 0 || strcmp(source->kernel, "kvm-clock") == 0);
#endif
}
