/* What hostile input may reach, as functions of bytes. libFuzzer calls them (libfuzzer.c, make fuzz), and so does a
 * test with the corpus and mutations of it (tests/test_fuzz_seeds.c).
 *
 * Each may refuse its input, but neither crash nor hang nor take memory without bound; what breaks a promise of the
 * code behind it ends the process. The corpus lies in fuzz/corpus/NAME, that of `text` in tests/traces. */
#ifndef GMPT_TARGETS_H
#define GMPT_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* A trace file as it is. Its checks keep most mutations from going deep. */
void fuzz_file(const uint8_t *data, size_t size);

/* A trace file's frames, unpacked: for each its size (4 bytes, little endian; cut to what there is) and its content.
 * The file around them is made here, with checks that hold. */
void fuzz_sections(const uint8_t *data, size_t size);

/* A target's shared memory, as the recorder sees it. The first byte tells the number of Ps; then come steps of one byte
 * kind (enum fuzz_step): the recorder's next tick, or bytes that the target writes into a table: offset in the table (4
 * bytes), size (2 bytes), and the bytes. */
void fuzz_segment(const uint8_t *data, size_t size);
enum fuzz_step {
    FUZZ_HEADER,
    FUZZ_CONTROLS,
    FUZZ_MODULES,
    FUZZ_DICTIONARY,
    FUZZ_STACKS,
    FUZZ_RINGS,
    FUZZ_TICK,
    FUZZ_STEPS
};

/* A trace as text; see trace/text.h. */
void fuzz_text(const uint8_t *data, size_t size);

/* Reads a trace with all that is behind the reader; fd is at any offset and stays open. Returns 1 when the trace is
 * whole, 0 when not or when it is none. */
int fuzz_trace_read(int fd);

/* An empty file in memory, which stays the same for the whole process. */
int fuzz_scratch(void);

#endif
