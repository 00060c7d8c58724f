/* Trace files made by hand, byte by byte, for tests of what no writer would write. */
#ifndef GMPT_RAWFILE_H
#define GMPT_RAWFILE_H

#include "tracefile.h"

/* A head with its check, then room. Returns its size. */
size_t head_make(uint8_t *bytes, uint32_t version);
/* A frame with this content at p. Returns its size. */
size_t frame_make(uint8_t *p, size_t room, const uint8_t *content, size_t size);
/* Appends a section to a frame's content. Returns the first byte after it. */
uint8_t *section_make(uint8_t *p, unsigned kind, const void *body, size_t size);
/* The numbers of an events section up to its columns, of records that took two bytes each in the ring. */
uint8_t *events_begin(uint8_t *p, uint32_t ring, uint64_t sequence, uint64_t base_ticks, uint32_t count);

/* Reads a file of these bytes, and a file of one frame with this content. */
struct tracefile_result read_bytes(const uint8_t *bytes, size_t size);
struct tracefile_result read_content(const uint8_t *content, size_t size);

#endif
