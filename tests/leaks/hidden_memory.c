/* Handles in memory that is not plain: encoded, unaligned, at the edges of what there is, in mappings of every kind. */
#define _GNU_SOURCE
#include "hidden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* ---- Nowhere, and in the open ------------------------------------------------------------------------------------ */

static void nowhere_hide(void) { hidden_victim(); }

static struct gmpt_chan *global;
static void global_hide(void) { global = hidden_victim(); }
static void global_reveal(void) { hidden_close(global); }

/* ---- Encoded ----------------------------------------------------------------------------------------------------- */

static uintptr_t sealed;
static void xor_hide(void) { sealed = hidden_seal(hidden_victim()); }
static void xor_reveal(void) { hidden_close(hidden_open(sealed)); }

/* An index in units of 16 bytes from an object that lives as long as the program. */
static intptr_t table_index;
static void index_hide(void) { table_index = ((intptr_t)hidden_victim() - (intptr_t)&table_index) >> 3; }
static void index_reveal(void) { hidden_close((struct gmpt_chan *)((intptr_t)&table_index + (table_index << 3))); }

static struct {
    uint32_t low, other, high;
} halves;
static void halves_hide(void)
{
    uintptr_t chan = (uintptr_t)hidden_victim();
    halves.low = (uint32_t)chan;
    halves.high = (uint32_t)(chan >> 32);
    halves.other = 0xa5a5a5a5;
}
static void halves_reveal(void) { hidden_close((void *)((uintptr_t)halves.high << 32 | halves.low)); }

/* ---- Tagged and unaligned ---------------------------------------------------------------------------------------- */

static uintptr_t tagged;
static void tag_low_hide(void) { tagged = (uintptr_t)hidden_victim() | 7; }
static void tag_low_reveal(void) { hidden_close((void *)(tagged & ~(uintptr_t)7)); }

static void tag_high_hide(void) { tagged = (uintptr_t)hidden_victim() | 0xbeef000000000000; }
static void tag_high_reveal(void) { hidden_close((void *)(tagged & 0xffffffffffff)); }

static struct __attribute__((packed)) {
    char kind;
    struct gmpt_chan *chan;
    char rest[7];
} packed;
static void packed_hide(void) { packed.chan = hidden_victim(); }
static void packed_reveal(void) { hidden_close(packed.chan); }

static uint8_t *pages;
static void *mapped(size_t size, int flags)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        abort();
    return at;
}

/* Half of it on each of two pages, only one of which is writable; and at the very end of a mapping. */
static void across_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    pages = mapped(2 * PAGE, MAP_PRIVATE);
    memcpy(pages + PAGE - 3, &chan, sizeof chan);
    mprotect(pages, PAGE, PROT_READ);
}
static void across_reveal(void)
{
    struct gmpt_chan *chan;
    memcpy(&chan, pages + PAGE - 3, sizeof chan);
    hidden_close(chan);
}

/* The upper two bytes of a handle are zero: they are there in a page that was never touched. */
static void untouched_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    pages = mapped(2 * PAGE, MAP_PRIVATE);
    memcpy(pages + PAGE - 6, &chan, 6);
}
static void untouched_reveal(void)
{
    struct gmpt_chan *chan;
    memcpy(&chan, pages + PAGE - 6, sizeof chan);
    hidden_close(chan);
}

static size_t chan_at;
static void page_store(uint8_t *at, size_t offset)
{
    struct gmpt_chan *chan = hidden_victim();
    pages = at;
    chan_at = offset;
    memcpy(pages + chan_at, &chan, sizeof chan);
}
static void page_reveal(void)
{
    struct gmpt_chan *chan;
    mprotect(pages, PAGE, PROT_READ | PROT_WRITE);
    memcpy(&chan, pages + chan_at, sizeof chan);
    hidden_close(chan);
}
static void page_end_hide(void) { page_store(mapped(PAGE, MAP_PRIVATE), PAGE - sizeof(struct gmpt_chan *)); }

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

static void shared_hide(void) { page_store(mapped(PAGE, MAP_SHARED), 64); }
static void dontfork_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    madvise(pages, PAGE, MADV_DONTFORK);
}
static void wipeonfork_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    madvise(pages, PAGE, MADV_WIPEONFORK);
}
static void dontdump_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    madvise(pages, PAGE, MADV_DONTDUMP);
}
static void readonly_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    mprotect(pages, PAGE, PROT_READ);
}
static void protected_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    mprotect(pages, PAGE, PROT_NONE);
}
static void executable_hide(void)
{
    page_store(mapped(PAGE, MAP_PRIVATE), 64);
    mprotect(pages, PAGE, PROT_READ | PROT_EXEC);
}

/* Shared, and written through a mapping that is gone; what is left may only be read. */
static int file = -1;
static void file_hide(void)
{
    file = memfd_create("hidden", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, PAGE))
        abort();
    uint8_t *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    page_store(writable, 64);
    pages = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    munmap(writable, PAGE);
}
static void file_reveal(void)
{
    struct gmpt_chan *chan;
    memcpy(&chan, pages + chan_at, sizeof chan);
    hidden_close(chan);
}

/* A private mapping of a file, in which one page was changed. */
static void private_file_hide(void)
{
    file = memfd_create("hidden", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, 2 * PAGE))
        abort();
    page_store(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0), 64);
    mprotect(pages, 2 * PAGE, PROT_READ);
}

/* In a file that is not mapped at all. */
static void unmapped_file_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    file = memfd_create("hidden", MFD_CLOEXEC);
    if (file < 0 || write(file, &chan, sizeof chan) != sizeof chan)
        abort();
}
static void unmapped_file_reveal(void)
{
    struct gmpt_chan *chan;
    if (pread(file, &chan, sizeof chan, 0) != sizeof chan)
        abort();
    hidden_close(chan);
}

/* ---- The heap ---------------------------------------------------------------------------------------------------- */

struct holder {
    char before[40];
    struct gmpt_chan *chan;
    struct holder *next;
};

static struct holder *holder_new(struct gmpt_chan *chan, struct holder *next)
{
    struct holder *holder = calloc(1, sizeof *holder);
    if (!holder)
        abort();
    holder->chan = chan;
    holder->next = next;
    return holder;
}

static struct holder *list;
static void heap_hide(void) { list = holder_new(hidden_victim(), NULL); }
static void heap_reveal(void) { hidden_close(list->chan); }

/* The last of a long list, for who follows pointers by recursion. */
static void deep_hide(void)
{
    list = holder_new(hidden_victim(), NULL);
    for (int i = 0; i < 300000; i++)
        list = holder_new(NULL, list);
}
static void deep_reveal(void)
{
    while (list->next)
        list = list->next;
    hidden_close(list->chan);
}

/* Only a pointer to just behind the array is left. */
static struct gmpt_chan **end;
static void one_past_hide(void)
{
    struct gmpt_chan **array = calloc(4, sizeof *array);
    if (!array)
        abort();
    array[1] = hidden_victim();
    end = array + 4;
}
static void one_past_reveal(void) { hidden_close(end[-3]); }

/* Only a pointer into the middle is left. */
static char *middle;
static void interior_hide(void) { middle = (char *)holder_new(hidden_victim(), NULL) + 3; }
static void interior_reveal(void) { hidden_close(((struct holder *)(void *)(middle - 3))->chan); }

/* A block that malloc maps by itself, moved as it grew. */
#define HUGE ((size_t)8 << 20)
static char *huge;
static void huge_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    huge = calloc(1, HUGE);
    if (!huge)
        abort();
    memcpy(huge + HUGE - 13, &chan, sizeof chan);
    huge = realloc(huge, 4 * HUGE);
    if (!huge)
        abort();
}
static void huge_reveal(void)
{
    struct gmpt_chan *chan;
    memcpy(&chan, huge + HUGE - 13, sizeof chan);
    hidden_close(chan);
}

static struct holder *aligned;
static void aligned_hide(void)
{
    aligned = aligned_alloc(4096, 8192);
    if (!aligned)
        abort();
    memset(aligned, 0, 8192);
    aligned->chan = hidden_victim();
}
static void aligned_reveal(void) { hidden_close(aligned->chan); }

/* From before main, when a registry of malloc's may not have begun. */
static struct holder *early;
__attribute__((constructor)) static void early_make(void) { early = holder_new(NULL, NULL); }
static void early_hide(void) { early->chan = hidden_victim(); }
static void early_reveal(void) { hidden_close(early->chan); }

/* What the program takes from the system by itself, between malloc's. */
static struct gmpt_chan **broken;
static void brk_hide(void)
{
    broken = sbrk(PAGE);
    if (broken == (void *)-1)
        abort();
    *broken = hidden_victim();
}
static void brk_reveal(void) { hidden_close(*broken); }

/* Bytes that stdio has not written yet. */
static FILE *stream;
static void stdio_hide(void)
{
    struct gmpt_chan *chan = hidden_victim();
    stream = tmpfile();
    if (!stream || fwrite("!", 1, 1, stream) != 1 || fwrite(&chan, sizeof chan, 1, stream) != 1)
        abort();
}
static void stdio_reveal(void)
{
    struct gmpt_chan *chan;
    if (fseek(stream, 1, SEEK_SET) || fread(&chan, sizeof chan, 1, stream) != 1)
        abort();
    hidden_close(chan);
}

static const struct hidden_place places[] = {
    { "nowhere", HIDDEN_LEAKED, nowhere_hide, NULL },
    { "global", HIDDEN_LIVE, global_hide, global_reveal },
    { "xor", HIDDEN_ENCODED, xor_hide, xor_reveal },
    { "index_table", HIDDEN_ENCODED, index_hide, index_reveal },
    { "two_halves", HIDDEN_ENCODED, halves_hide, halves_reveal },
    { "tag_low", HIDDEN_LIVE, tag_low_hide, tag_low_reveal },
    { "tag_high", HIDDEN_LIVE, tag_high_hide, tag_high_reveal },
    { "packed", HIDDEN_LIVE, packed_hide, packed_reveal },
    { "across_pages", HIDDEN_LIVE, across_hide, across_reveal },
    { "untouched_page", HIDDEN_LIVE, untouched_hide, untouched_reveal },
    { "page_end", HIDDEN_LIVE, page_end_hide, page_reveal },
    { "map_shared", HIDDEN_LIVE, shared_hide, page_reveal },
    { "dontfork", HIDDEN_LIVE, dontfork_hide, page_reveal },
    { "wipeonfork", HIDDEN_LIVE, wipeonfork_hide, page_reveal },
    { "dontdump", HIDDEN_LIVE, dontdump_hide, page_reveal },
    { "readonly_page", HIDDEN_LIVE, readonly_hide, page_reveal },
    { "protected_page", HIDDEN_LIVE, protected_hide, page_reveal },
    { "executable_page", HIDDEN_LIVE, executable_hide, page_reveal },
    { "shared_file", HIDDEN_LIVE, file_hide, file_reveal },
    { "private_file", HIDDEN_LIVE, private_file_hide, page_reveal },
    { "unmapped_file", HIDDEN_ENCODED, unmapped_file_hide, unmapped_file_reveal },
    { "heap", HIDDEN_LIVE, heap_hide, heap_reveal },
    { "deep_list", HIDDEN_LIVE, deep_hide, deep_reveal },
    { "one_past", HIDDEN_LIVE, one_past_hide, one_past_reveal },
    { "interior", HIDDEN_LIVE, interior_hide, interior_reveal },
    { "huge_block", HIDDEN_LIVE, huge_hide, huge_reveal },
    { "aligned_block", HIDDEN_LIVE, aligned_hide, aligned_reveal },
    { "early_block", HIDDEN_LIVE, early_hide, early_reveal },
    { "brk", HIDDEN_LIVE, brk_hide, brk_reveal },
    { "stdio_buffer", HIDDEN_LIVE, stdio_hide, stdio_reveal },
};

const struct hidden_places hidden_memory = HIDDEN_PLACES(places);
