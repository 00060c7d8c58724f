/* The packets of Perfetto's trace format (perfetto.proto), one after the other in a file, all of one sequence: what
 * each of them begins with, and those that tell of tracks. */
#ifndef GMPT_PACKETS_H
#define GMPT_PACKETS_H

#include "cli/perfetto.pb-c.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PACKETS_STATE_CLEARED 1
#define PACKETS_NEEDS_STATE 2

/* Zero-initialised but for `out`. */
struct packets {
    FILE *out;
    uint8_t *bytes; /* of the packet that is being written */
    size_t bytes_room;
};

struct packets_track {
    uint64_t uuid, parent;
    const char *name;
    int rank; /* among those of the same parent; -1 = it has none */
    enum { PACKETS_SLICES, PACKETS_COUNT, PACKETS_OTHER_VALUE } kind;
};

void packets_init(Perfetto__Protos__TracePacket *packet, uint32_t flags);
/* These return 0 or -ENOMEM; errors of writing are the stream's. */
int packets_write(struct packets *packets, const Perfetto__Protos__TracePacket *packet);
int packets_track(struct packets *packets, const struct packets_track *track);
void packets_close(struct packets *packets);

#endif
