/* See rawfile.h. */
#include "rawfile.h"

#include "harness.h"
#include "trace/format.h"
#include "trace/leb.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct tracefile_result read_bytes(const uint8_t *bytes, size_t size)
{
    return tracefile_read(tracefile_write(bytes, size));
}

size_t head_make(uint8_t *bytes, uint32_t version)
{
    memset(bytes, 0, FORMAT_HEAD_BYTES);
    memcpy(bytes, FORMAT_MAGIC, 8);
    uint32_t words[2] = { htole32(version), htole32(FORMAT_HEAD_BYTES) };
    memcpy(bytes + 8, words, sizeof words);
    uint32_t check = htole32(format_check(bytes, 60));
    memcpy(bytes + 60, &check, 4);
    return FORMAT_HEAD_BYTES;
}

size_t frame_make(uint8_t *p, size_t room, const uint8_t *content, size_t size)
{
    size_t stored = ZSTD_compress(p + 16, room - 16, content, size, 1);
    ck_assert(!ZSTD_isError(stored));
    uint32_t words[3] = { htole32(FORMAT_FRAME_MAGIC), htole32((uint32_t)stored), htole32((uint32_t)size) };
    memcpy(p, words, 12);
    uint32_t check = htole32(format_check(p, 12));
    memcpy(p + 12, &check, 4);
    return 16 + stored;
}

uint8_t *section_make(uint8_t *p, unsigned kind, const void *body, size_t size)
{
    *p++ = (uint8_t)kind;
    p = leb_put(p, size);
    memcpy(p, body, size);
    return p + size;
}

uint8_t *events_begin(uint8_t *p, uint32_t ring, uint64_t sequence, uint64_t base_ticks, uint32_t count)
{
    uint64_t numbers[] = { ring, sequence, 0, 2 * count, base_ticks, 0, 0, 1, 0, count };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        p = leb_put(p, numbers[i]);
    return p;
}

struct tracefile_result read_content(const uint8_t *content, size_t size)
{
    size_t room = ZSTD_compressBound(size) + 256;
    uint8_t *bytes = malloc(room);
    size_t used = head_make(bytes, FORMAT_VERSION);
    used += frame_make(bytes + used, room - used, content, size);
    struct tracefile_result result = read_bytes(bytes, used);
    free(bytes);
    return result;
}
