/* See packets.h. */
#include "packets.h"

#include <errno.h>
#include <stdlib.h>

#define SEQUENCE 1

void packets_init(Perfetto__Protos__TracePacket *packet, uint32_t flags)
{
    perfetto__protos__trace_packet__init(packet);
    packet->has_trusted_packet_sequence_id = true;
    packet->trusted_packet_sequence_id = SEQUENCE;
    packet->has_sequence_flags = true;
    packet->sequence_flags = flags;
}

int packets_write(struct packets *packets, const Perfetto__Protos__TracePacket *packet)
{
    size_t size = perfetto__protos__trace_packet__get_packed_size(packet);
    if (size > packets->bytes_room) {
        uint8_t *bytes = realloc(packets->bytes, size + 4096);
        if (!bytes)
            return -ENOMEM;
        packets->bytes = bytes;
        packets->bytes_room = size + 4096;
    }
    perfetto__protos__trace_packet__pack(packet, packets->bytes);
    uint8_t head[12], *to = head;
    *to++ = 1 << 3 | 2; /* Trace.packet */
    for (uint64_t left = size;; left >>= 7) {
        *to++ = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
        if (left <= 127)
            break;
    }
    fwrite(head, 1, (size_t)(to - head), packets->out);
    fwrite(packets->bytes, 1, size, packets->out);
    return 0;
}

int packets_track(struct packets *packets, const struct packets_track *track)
{
    Perfetto__Protos__TrackDescriptor descriptor = PERFETTO__PROTOS__TRACK_DESCRIPTOR__INIT;
    Perfetto__Protos__CounterDescriptor counter = PERFETTO__PROTOS__COUNTER_DESCRIPTOR__INIT;
    Perfetto__Protos__TracePacket packet;
    descriptor.has_uuid = true;
    descriptor.uuid = track->uuid;
    descriptor.has_parent_uuid = true;
    descriptor.parent_uuid = track->parent;
    descriptor.name = (char *)track->name;
    descriptor.has_sibling_order_rank = track->rank >= 0;
    descriptor.sibling_order_rank = track->rank;
    if (track->kind != PACKETS_SLICES)
        descriptor.counter = &counter;
    counter.has_unit = track->kind == PACKETS_COUNT;
    counter.unit = PERFETTO__PROTOS__COUNTER_DESCRIPTOR__UNIT__UNIT_COUNT;
    packets_init(&packet, PACKETS_NEEDS_STATE);
    packet.track_descriptor = &descriptor;
    return packets_write(packets, &packet);
}

void packets_close(struct packets *packets) { free(packets->bytes); }
