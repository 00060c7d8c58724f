/* Making spare segments, and taking one. See spares.h. */
#define _GNU_SOURCE
#include "spares.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SPARE_NAME SEGMENT_NAME " spare"
#define SPARE_LINK "/memfd:" SPARE_NAME
#define ROUNDS 10000 /* of a millisecond: so many processes may have come at once that the recorder is behind */

int spare_make(void)
{
    int fd = memfd_create(SPARE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int result = segment_lock(fd);
    if (result)
        close(fd);
    return result ? result : fd;
}

/* The directory of the recorder's descriptors, or NULL: nobody has spares for this process. */
static DIR *recorder_open_fds(void)
{
    const char *text = getenv(SPARES_ENV);
    char path[64], *end;
    long pid = text ? strtol(text, &end, 10) : 0;
    if (pid <= 0 || pid > INT32_MAX || *end)
        return NULL;
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    return opendir(path);
}

/* Returns 0 when one was taken; -ENOENT when there is none; *seen whether there is any, taken or not. */
static int round_claim(DIR *fds, struct segment *segment, uint32_t p_count, size_t ring_bytes, uint32_t registry_slots,
                       bool *seen)
{
    char link[64];
    rewinddir(fds);
    for (struct dirent *entry; (entry = readdir(fds));) {
        ssize_t length = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1);
        link[length > 0 ? length : 0] = 0;
        if (strncmp(link, SPARE_LINK, sizeof SPARE_LINK - 1) != 0)
            continue;
        int fd = openat(dirfd(fds), entry->d_name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        *seen = true;
        int result = segment_create(segment, fd, p_count, ring_bytes, registry_slots);
        if (result == 0)
            return 0;
        close(fd); /* it is another's, before or just now */
        if (result != -EBUSY && result != -EPERM)
            return result;
    }
    return -ENOENT;
}

int spare_claim(struct segment *segment, uint32_t p_count, size_t ring_bytes, uint32_t registry_slots)
{
    DIR *fds = recorder_open_fds();
    if (!fds)
        return -ENOENT;
    int result = -ENOENT;
    bool seen = true;
    for (int round = 0; result == -ENOENT && seen && round < ROUNDS; round++) {
        const struct timespec pause = { 0, round ? 1000000 : 0 };
        nanosleep(&pause, NULL);
        seen = false;
        result = round_claim(fds, segment, p_count, ring_bytes, registry_slots, &seen);
    }
    closedir(fds);
    if (result == 0)
        store_relaxed(&segment->header->hold_at_end, 1);
    return result;
}
