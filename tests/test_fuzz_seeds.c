/* What `make fuzz` looks for with libFuzzer, for every machine: each of its targets with its corpus, and with mutations
 * of it that are the same in each run. A target tells of a fault by ending the process. */
#define _GNU_SOURCE
#include "harness.h"

#include "fuzz/targets.h"

#include <dirent.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX 64
#define MUTATIONS 1200 /* of each target */

struct seed {
    uint8_t *bytes;
    size_t size;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return limit ? random_state % limit : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static struct seed seed_read(const char *directory, const char *name)
{
    char path[512];
    struct seed seed = { NULL, 0 };
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    seed.size = (size_t)ftell(file);
    rewind(file);
    seed.bytes = malloc(seed.size + 1);
    ck_assert_ptr_nonnull(seed.bytes);
    ck_assert_uint_eq(fread(seed.bytes, 1, seed.size, file), seed.size);
    fclose(file);
    return seed;
}

/* In the order of their names, so that every run is alike. */
static void seeds_read(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, by_name);
    ck_assert_msg(count >= 0, "%s cannot be read", directory);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            ck_assert_uint_lt(seed_count, SEEDS_MAX);
            seeds[seed_count++] = seed_read(directory, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    ck_assert_uint_gt(seed_count, 0);
}

/* A number that lengths, counts and offsets like to break on, at any place and of any width. */
static void number_splice(uint8_t *bytes, size_t size)
{
    static const uint64_t numbers[] = { 0,          1,          0x7f,       0x80,       0xff,      0xffff,    0x10000,
                                        0x7fffffff, 0x80000000, 0xffffffff, 1ull << 62, INT64_MAX, UINT64_MAX };
    uint64_t number = htole64(numbers[random_below(sizeof numbers / sizeof numbers[0])]);
    size_t width = (size_t)1 << random_below(4);
    if (width <= size)
        memcpy(bytes + random_below(size - width + 1), &number, width);
}

/* Copies a piece of any seed over a part of this one. */
static void piece_splice(uint8_t *bytes, size_t size)
{
    const struct seed *from = &seeds[random_below(seed_count)];
    size_t length = 1 + random_below(64);
    if (length <= size && length <= from->size)
        memcpy(bytes + random_below(size - length + 1), from->bytes + random_below(from->size - length + 1), length);
}

static size_t seed_mutate(uint8_t *bytes, size_t size)
{
    for (uint64_t changes = 1 + random_below(4); changes && size; changes--) {
        switch (random_below(6)) {
        case 0:
            size = random_below(size + 1);
            break;
        case 1:
            number_splice(bytes, size);
            break;
        case 2:
            piece_splice(bytes, size);
            break;
        case 3:
            bytes[random_below(size)] = (uint8_t)random_below(256);
            break;
        default:
            bytes[random_below(size)] ^= (uint8_t)(1u << random_below(8));
        }
    }
    return size;
}

static void seeds_run(const char *directory, void (*target)(const uint8_t *data, size_t size))
{
    random_state = 0x9e3779b97f4a7c15ull;
    seeds_read(directory);
    for (size_t i = 0; i < seed_count; i++)
        target(seeds[i].bytes, seeds[i].size);
    for (int i = 0; i < MUTATIONS; i++) {
        const struct seed *seed = &seeds[random_below(seed_count)];
        uint8_t *bytes = malloc(seed->size + 1); /* of its own, so that a sanitizer sees what lies beyond its end */
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, seed->bytes, seed->size);
        target(bytes, seed_mutate(bytes, seed->size));
        free(bytes);
    }
    for (size_t i = 0; i < seed_count; i++)
        free(seeds[i].bytes);
    seed_count = 0;
}

TEST(fuzz_seeds, hostile_files_do_no_harm) { seeds_run("fuzz/corpus/file", fuzz_file); }
TEST(fuzz_seeds, hostile_sections_do_no_harm) { seeds_run("fuzz/corpus/sections", fuzz_sections); }
TEST(fuzz_seeds, hostile_segments_do_no_harm) { seeds_run("fuzz/corpus/segment", fuzz_segment); }
TEST(fuzz_seeds, hostile_texts_do_no_harm) { seeds_run("tests/traces", fuzz_text); }
