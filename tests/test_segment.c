/* Laying the segment out, and opening what others have laid out, honestly or not. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static struct segment target, outside;
static const char *why;

static void create(uint32_t p_count)
{
    ck_assert_int_eq(segment_create(&target, -1, p_count, 2 * SUBBUFFER_BYTES, 100), 0);
    target.header->clock = SEGMENT_CLOCK_MONOTONIC;
}

static void destroy(void)
{
    close(target.fd);
    segment_close(&target);
}

static int reopen(void)
{
    int result = segment_open(&outside, target.fd, &why);
    if (result == 0)
        segment_close(&outside);
    return result;
}

TEST(segment, both_sides_see_the_same)
{
    create(3);
    segment_publish(&target);
    ck_assert_int_eq(segment_open(&outside, target.fd, &why), 0);
    ck_assert_uint_eq(outside.p_count, 3);
    ck_assert_uint_eq(outside.ring_count, 4);
    ck_assert_uint_eq(outside.subbuffers, 2);
    ck_assert_uint_eq(outside.registry_slots, 100);
    ck_assert_uint_eq(outside.clock, SEGMENT_CLOCK_MONOTONIC);
    ck_assert_uint_eq(outside.pid, (uint32_t)getpid());
    ck_assert_uint_eq(outside.stacks_words, target.stacks_words);
    target.registry[99].parent = 4711;
    segment_stacks(&target, 3)[1] = 4712;
    target.modules[SEGMENT_MAX_MODULES - 1].bias = 4713;
    segment_subbuffer(&target, 3, 1)->base_ticks = 4714;
    store_relaxed(&target.rings[3].lost, 4715);
    store_relaxed(&outside.header->tracing, 1);
    ck_assert_uint_eq(outside.registry[99].parent, 4711);
    ck_assert_uint_eq(segment_stacks(&outside, 3)[1], 4712);
    ck_assert_uint_eq(outside.modules[SEGMENT_MAX_MODULES - 1].bias, 4713);
    ck_assert_uint_eq(segment_subbuffer(&outside, 3, 1)->base_ticks, 4714);
    ck_assert_uint_eq(load_relaxed(&outside.rings[3].lost), 4715);
    ck_assert_uint_eq(load_relaxed(&target.header->tracing), 1);
    segment_close(&outside);
    destroy();
}

TEST(segment, tables_do_not_overlap)
{
    create(5);
    const struct segment_header *h = target.header;
    ck_assert_uint_ge(h->controls_offset, sizeof *h);
    ck_assert_uint_ge(h->modules_offset, h->controls_offset + h->ring_count * sizeof(struct segment_ring));
    ck_assert_uint_ge(h->registry_offset, h->modules_offset + SEGMENT_MAX_MODULES * sizeof(struct segment_module));
    ck_assert_uint_ge(h->dictionary_offset, h->registry_offset + h->registry_slots * sizeof(struct g_slot));
    ck_assert_uint_ge(h->stacks_offset, h->dictionary_offset + h->dictionary_words * 8);
    ck_assert_uint_ge(h->rings_offset, h->stacks_offset + h->ring_count * h->stacks_words * 8);
    ck_assert_uint_ge(h->total_bytes, h->rings_offset + (uint64_t)h->ring_count * h->subbuffers * SUBBUFFER_BYTES);
    destroy();
}

TEST(segment, what_was_not_published_yet_says_again)
{
    int fd = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EAGAIN);
    ck_assert_int_eq(ftruncate(fd, 1 << 20), 0); /* sized, but not sealed */
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EAGAIN);
    close(fd);
    create(1);
    ck_assert_int_eq(reopen(), -EAGAIN);
    segment_publish(&target);
    ck_assert_int_eq(reopen(), 0);
    destroy();
}

TEST(segment, other_files_are_refused)
{
    char path[256];
    snprintf(path, sizeof path, "%s/plain", harness_tmpdir());
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EPROTO);
    ck_assert_ptr_nonnull(why);
    close(fd);
    ck_assert_int_lt(segment_open(&outside, 999, &why), 0);
    fd = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(ftruncate(fd, 100), 0);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EPROTO);
    close(fd);
}

TEST(segment, it_cannot_be_shrunk)
{
    create(1);
    ck_assert_int_eq(ftruncate(target.fd, 4096), -1);
    ck_assert_int_eq(errno, EPERM);
    destroy();
}

TEST(segment, arguments_out_of_range_are_refused)
{
    static const struct {
        uint32_t p_count;
        size_t ring_bytes;
        uint32_t slots;
    } wrong[] = {
        { 0, 2 * SUBBUFFER_BYTES, 1 },        { 257, 2 * SUBBUFFER_BYTES, 1 }, { 1, SUBBUFFER_BYTES, 1 },
        { 1, 3 * SUBBUFFER_BYTES, 1 },        { 1, 0, 1 },                     { 1, 2 * SUBBUFFER_BYTES + 1, 1 },
        { 1, 2048ull * SUBBUFFER_BYTES, 1 },  { 1, 2 * SUBBUFFER_BYTES, 0 },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(segment_create(&target, -1, wrong[i].p_count, wrong[i].ring_bytes, wrong[i].slots), -EINVAL);
}

TEST(segment, a_claimed_memfd_is_busy_and_left_alone)
{
    create(2);
    segment_publish(&target);
    struct segment second;
    ck_assert_int_eq(segment_create(&second, target.fd, 1, 2 * SUBBUFFER_BYTES, 1), -EBUSY);
    ck_assert_int_eq(segment_open(&outside, target.fd, &why), 0);
    ck_assert_uint_eq(outside.p_count, 2);
    segment_close(&outside);
    destroy();
}

TEST(segment, a_recorders_empty_memfd_is_laid_out)
{
    int fd = memfd_create("recorder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(segment_create(&target, fd, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    ck_assert_int_eq(target.fd, fd);
    segment_publish(&target);
    ck_assert_int_eq(reopen(), 0);
    destroy();
}

/* A new file in tmpfs, or -1. */
static int tmpfs_file(mode_t mode)
{
    char path[] = "/dev/shm/gmptrace-test-XXXXXX";
    struct statfs fs;
    int fd = statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd >= 0) {
        fchmod(fd, mode);
        unlink(path);
    }
    return fd;
}

TEST(segment, a_private_file_in_tmpfs_needs_no_seal)
{
    int fd = tmpfs_file(0600);
    if (fd < 0)
        SKIP("/dev/shm is no tmpfs");
    ck_assert(segment_in_tmpfs(fd));
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EAGAIN);
    ck_assert_int_eq(segment_create(&target, fd, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    ck_assert_int_eq(segment_open(&outside, fd, &why), -EAGAIN);
    segment_publish(&target);
    ck_assert_int_eq(reopen(), 0);
    fchmod(fd, 0620);
    ck_assert(!segment_in_tmpfs(fd));
    ck_assert_int_eq(reopen(), -EPROTO);
    destroy();
}

TEST(segment, files_that_others_may_write_are_refused)
{
    int fd = tmpfs_file(0602);
    if (fd < 0)
        SKIP("/dev/shm is no tmpfs");
    ck_assert_int_lt(segment_create(&target, fd, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    ck_assert(!segment_in_tmpfs(memfd_create("mine", MFD_ALLOW_SEALING)));
    close(fd);
}

TEST(segment, one_that_is_cut_off_is_lived_through)
{
    int fd = tmpfs_file(0600);
    if (fd < 0)
        SKIP("/dev/shm is no tmpfs");
    ck_assert_int_eq(segment_create(&target, fd, 1, 2 * SUBBUFFER_BYTES, 1), 0);
    segment_publish(&target);
    ck_assert_int_eq(segment_open(&outside, fd, &why), 0);
    segment_guard(&outside);
    store_relaxed(&outside.rings[0].opened, 5);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_uint_eq(load_relaxed(&outside.rings[0].opened), 0);
    ck_assert_uint_eq(segment_subbuffer(&outside, 1, 1)->magic, 0);
    segment_close(&outside);
    destroy();
}

/* Each of these is one lie in an otherwise honest header. */
#define LIE(claim, assignment)                                                                                         \
    TEST(segment, claim)                                                                                               \
    {                                                                                                                  \
        create(2);                                                                                                     \
        struct segment_header *h = target.header;                                                                      \
        segment_publish(&target);                                                                                      \
        ck_assert_int_eq(reopen(), 0);                                                                                 \
        assignment;                                                                                                    \
        ck_assert_int_eq(reopen(), -EPROTO);                                                                           \
        ck_assert_ptr_nonnull(why);                                                                                    \
        destroy();                                                                                                     \
    }

LIE(another_magic_is_refused, store_relaxed(&h->magic, SEGMENT_MAGIC + 1))
LIE(another_version_is_refused, h->version++)
LIE(another_size_is_refused, h->total_bytes -= 4096)
LIE(an_unknown_clock_is_refused, h->clock = 2)
LIE(no_ps_are_refused, (h->p_count = 0, h->ring_count = 1))
LIE(too_many_ps_are_refused, (h->p_count = 257, h->ring_count = 258))
LIE(a_ring_too_many_is_refused, h->ring_count++)
LIE(sub_buffers_that_are_no_power_of_two_are_refused, h->subbuffers = 3)
LIE(no_sub_buffers_are_refused, h->subbuffers = 0)
LIE(too_many_sub_buffers_are_refused, h->subbuffers = 2048)
LIE(rings_that_reach_outside_are_refused, h->subbuffers = 4)
LIE(rings_that_begin_outside_are_refused, h->rings_offset = h->total_bytes + 64)
LIE(an_offset_that_overflows_is_refused, h->rings_offset = UINT64_MAX - 63)
LIE(an_offset_that_is_not_aligned_is_refused, h->registry_offset += 8)
LIE(controls_outside_are_refused, h->controls_offset = h->total_bytes - 64)
LIE(modules_outside_are_refused, h->modules_offset = h->total_bytes - 4096)
LIE(a_registry_that_is_too_large_is_refused, h->registry_slots = UINT32_MAX)
LIE(stack_tables_that_are_too_large_are_refused, h->stacks_words = UINT64_MAX / 8)
LIE(stack_tables_that_reach_outside_are_refused, h->stacks_words = 1u << 27)

TEST(segment, random_headers_are_refused_or_lie_inside)
{
    uint64_t state = 88172645463325252u;
    int opened = 0;
    create(2);
    segment_publish(&target);
    struct segment_header honest;
    memcpy(&honest, target.header, sizeof honest);
    for (int round = 0; round < 20000; round++) {
        memcpy(target.header, &honest, sizeof honest);
        for (int change = 0; change < 2; change++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            size_t word = 2 + state % (sizeof honest / 8 - 2);
            uint64_t value = state >> (state >> 58);
            memcpy((uint64_t *)target.header + word, &value, sizeof value);
        }
        int result = segment_open(&outside, target.fd, &why);
        if (result == 0) {
            const uint8_t *end = outside.base + outside.bytes;
            ck_assert((uint8_t *)(outside.rings + outside.ring_count) <= end);
            ck_assert((uint8_t *)(outside.modules + SEGMENT_MAX_MODULES) <= end);
            ck_assert((uint8_t *)(outside.registry + outside.registry_slots) <= end);
            ck_assert((uint8_t *)segment_stacks(&outside, outside.ring_count) <= end);
            ck_assert((uint8_t *)segment_subbuffer(&outside, outside.ring_count - 1, UINT64_MAX) + SUBBUFFER_BYTES <=
                      end);
            opened++;
            segment_close(&outside);
        } else {
            ck_assert_int_eq(result, -EPROTO);
        }
    }
    ck_assert_int_gt(opened, 0);
    destroy();
}

TEST(segment, any_sequence_number_finds_a_sub_buffer_of_the_ring)
{
    create(1);
    for (uint64_t i = 0; i < 10; i++) {
        ck_assert_ptr_eq(segment_subbuffer(&target, 1, i), segment_subbuffer(&target, 1, i + 2));
        ck_assert_ptr_eq(segment_subbuffer(&target, 1, UINT64_MAX - i), segment_subbuffer(&target, 1, (i + 1) % 2));
    }
    destroy();
}
