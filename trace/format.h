/* The file: byte layout, what is valid, and how it is read.
 *
 * All numbers are little endian. A file is a head and then frames.
 *
 *   head, 64 bytes
 *     0   8  magic "GMPTRACE"
 *     8   4  format version (2); a reader refuses any other by its number
 *    12   4  head size in bytes (64); frames start there
 *    16   8  file size in bytes when it was finished, 0 until then
 *    24   8  records in it when it was finished
 *    32   8  duration in ns when it was finished
 *    40  20  reserved, 0
 *    60   4  check of bytes 0-59 (format_check)
 *
 *   frame
 *     0   4  magic "GFRM"
 *     4   4  stored size: bytes of zstd data that follow this frame head
 *     8   4  raw size: bytes that they unpack to, at most FORMAT_FRAME_MAX
 *    12   4  check of bytes 0-11 (format_check)
 *    16      zstd data, with its own XXH64 checksum of the content
 *
 *   a frame's content is a run of sections: one byte kind, LEB128 size, then that many bytes
 *
 * A frame holds the records of a tenth of a second, or some 100 KiB of them when that is less, so that a cut or a bad
 * block costs no more. It stands by itself: it starts with a clock section, and every stack and entry of the dictionary
 * that its events name is in this frame or an earlier one. The first frame also has the info and schema sections. The
 * last has an end section. A reader skips a section of a kind that it does not know.
 *
 *   kind           content (numbers are LEB128 unless said)
 *   clock          ticks, monotonic ns, realtime ns, each 8 bytes
 *   info           lines "key value\n": pid, p_count, clock (tsc|monotonic), maxprocs, quota_cpus, attached, command,
 *                  host, version
 *   schema         lines "event CODE NAME KIND:FIELD ..." for every event, so that an older reader can skip new ones
 *   module         start, end, bias, build id size, build id bytes, path (to the section's end)
 *   stacks         ring, ordinal of the first, then for each: count, addresses (leaf first)
 *   events         ring, sub-buffer sequence, offset in it, size of the records there, base ticks, current G, its
 *                  transition number, tid, lost so far, records, then these in columns (columns.h)
 *   dictionary     number of the first, then for each: kind (1 string, 2 label set), count, then count bytes, or count
 *                  pairs of strings, key and value, by their numbers
 *   end            exit kind, exit code, rings, then for each ring: emitted, lost, stacks lost
 *
 *   record         in the ring: one byte code, LEB128 ticks since the record before it (or the base), then its fields
 *                  in LEB128. In the file the codes, the times, and each field of each event are a column. The times
 *                  are those of the ring, to the tick.
 *
 * "Offset in the sub-buffer" is 0 for its first part; a sub-buffer that is drained while it is being filled comes as
 * several events sections, in order, each with the state at its own start. The next offset is this one and the size; a
 * hole in the offsets or in the sequence is a gap. A section has what the recorder found in one sub-buffer, so some
 * 10,000 records when much goes on.
 *
 * Reading: check the head; then for each frame check its head, unpack, walk the sections. A frame that is cut short
 * ends the file: all before it is good. A frame whose check fails is damage, reported with its offset; the reader looks
 * for the next frame magic with a valid check and goes on with a gap. Nothing is allocated by a size in the file before
 * it is bounded. */
#ifndef GMPT_FORMAT_H
#define GMPT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAGIC "GMPTRACE"
#define FORMAT_VERSION 2
#define FORMAT_HEAD_BYTES 64
#define FORMAT_FRAME_MAGIC 0x4d524647u /* "GFRM" */
#define FORMAT_FRAME_HEAD_BYTES 16
#define FORMAT_FRAME_MAX (16u << 20)

#define FORMAT_EXIT_KIND_MAX 3 /* of the end section; see gmpt_trace_info */

enum format_section {
    FORMAT_CLOCK = 1,
    FORMAT_INFO = 2,
    FORMAT_SCHEMA = 3,
    FORMAT_MODULE = 4,
    FORMAT_STACKS = 5,
    FORMAT_EVENTS = 6,
    FORMAT_END = 7,
    FORMAT_DICTIONARY = 8,
};

/* FNV-1a, 32 bits (Fowler, Noll, Vo): enough to tell a head from chance bytes; the content has zstd's own checksum. */
static inline uint32_t format_check(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

#endif
