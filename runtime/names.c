/* A small reader of ELF symbol tables. See names.h. */
#define _GNU_SOURCE
#include "names.h"

#include "modules.h"
#include "tracepoint.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_SLOTS 4096u
#define CACHE_PROBES 8u

struct image {
    const uint8_t *bytes; /* NULL = not mapped */
    size_t size;
    bool tried;
};

struct names {
    struct image images[SEGMENT_MAX_MODULES];
    struct entry {
        uint64_t address; /* 0 = free */
        struct name name;
    } cache[CACHE_SLOTS]; /* what was asked for before: a table is searched from end to end */
    bool refreshed;       /* the list of modules has been brought up to date */
};

static bool inside(size_t size, uint64_t offset, uint64_t length) { return offset <= size && length <= size - offset; }

/* The section headers of a 64-bit file of this machine's byte order, or NULL. */
static const Elf64_Shdr *sections(const uint8_t *image, size_t bytes, uint32_t *count)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
    if (bytes < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff % 8 != 0 ||
        !inside(bytes, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)))
        return NULL;
    *count = header->e_shnum;
    return (const Elf64_Shdr *)(image + header->e_shoff);
}

static const char *find_in_table(const uint8_t *image, size_t bytes, const Elf64_Shdr *table, const Elf64_Shdr *strings,
                                 uint64_t address)
{
    if (!inside(bytes, table->sh_offset, table->sh_size) || table->sh_offset % 8 != 0 ||
        !inside(bytes, strings->sh_offset, strings->sh_size))
        return NULL;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(image + table->sh_offset);
    uint64_t count = table->sh_size / sizeof *symbols;
    for (uint64_t i = 0; i < count; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        unsigned type = ELF64_ST_TYPE(symbol->st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF ||
            address < symbol->st_value || address - symbol->st_value >= symbol->st_size ||
            symbol->st_name >= strings->sh_size)
            continue;
        const char *name = (const char *)image + strings->sh_offset + symbol->st_name;
        if (*name && memchr(name, 0, strings->sh_size - symbol->st_name))
            return name;
    }
    return NULL;
}

const char *names_find_in_image(const uint8_t *image, size_t bytes, uint64_t address)
{
    uint32_t count;
    const Elf64_Shdr *headers = sections(image, bytes, &count);
    if (!headers)
        return NULL;
    static const uint32_t types[] = { SHT_SYMTAB, SHT_DYNSYM };
    for (int t = 0; t < 2; t++) {
        for (uint32_t i = 0; i < count; i++) {
            if (headers[i].sh_type != types[t] || headers[i].sh_link >= count)
                continue;
            const char *name = find_in_table(image, bytes, &headers[i], &headers[headers[i].sh_link], address);
            if (name)
                return name;
        }
    }
    return NULL;
}

/* The build ID of the file, or false when it has none. */
static bool build_id(const uint8_t *image, size_t bytes, const uint8_t **id, uint32_t *length)
{
    uint32_t count;
    const Elf64_Shdr *headers = sections(image, bytes, &count);
    for (uint32_t i = 0; headers && i < count; i++) {
        if (headers[i].sh_type != SHT_NOTE || !inside(bytes, headers[i].sh_offset, headers[i].sh_size))
            continue;
        const uint8_t *note = image + headers[i].sh_offset;
        const Elf64_Nhdr *head = (const Elf64_Nhdr *)note;
        if (headers[i].sh_offset % 4 == 0 && headers[i].sh_size >= sizeof *head + 4 && head->n_namesz == 4 &&
            head->n_type == NT_GNU_BUILD_ID && head->n_descsz <= headers[i].sh_size - sizeof *head - 4) {
            *id = note + sizeof *head + 4;
            *length = head->n_descsz;
            return true;
        }
    }
    return false;
}

/* Maps the module's file. One that was replaced since it was loaded would give wrong names: none are better. */
static void image_open(struct image *image, const struct segment_module *module)
{
    int errno_before = errno;
    image->tried = true;
    int fd = open(module->path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fd >= 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > 0) {
        const uint8_t *bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            const uint8_t *id = NULL;
            uint32_t length = 0;
            bool has_id = build_id(bytes, (size_t)stat.st_size, &id, &length);
            bool same = !module->build_id_bytes || (has_id && length >= module->build_id_bytes &&
                                                    memcmp(id, module->build_id, module->build_id_bytes) == 0);
            if (same) {
                image->bytes = bytes;
                image->size = (size_t)stat.st_size;
            } else {
                munmap((void *)(uintptr_t)bytes, (size_t)stat.st_size);
            }
        }
    }
    if (fd >= 0)
        close(fd);
    errno = errno_before;
}

struct names *names_open(void)
{
    void *names = mmap(NULL, sizeof(struct names), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return names == MAP_FAILED ? NULL : names;
}

void names_close(struct names *names)
{
    if (!names)
        return;
    for (uint32_t i = 0; i < SEGMENT_MAX_MODULES; i++)
        if (names->images[i].bytes)
            munmap((void *)(uintptr_t)names->images[i].bytes, names->images[i].size);
    munmap(names, sizeof *names);
}

static int64_t module_of(uint64_t address)
{
    uint32_t count = load_acquire(&trace_segment.header->module_count);
    for (uint32_t i = 0; i < count && i < SEGMENT_MAX_MODULES; i++)
        if (address >= trace_segment.modules[i].start && address < trace_segment.modules[i].end)
            return i;
    return -1;
}

/* Where the address is in the cache, or where it is to be entered. */
static struct entry *cached(struct names *names, uint64_t address)
{
    uint32_t slot = (uint32_t)(address * 0x9e3779b97f4a7c15ull >> 32);
    for (uint32_t i = 0; i < CACHE_PROBES; i++) {
        struct entry *entry = &names->cache[(slot + i) % CACHE_SLOTS];
        if (entry->address == address || entry->address == 0)
            return entry;
    }
    return &names->cache[slot % CACHE_SLOTS];
}

void names_find(struct names *names, uint64_t address, struct name *name)
{
    struct entry *entry = names ? cached(names, address) : NULL;
    if (entry && address && entry->address == address) {
        *name = entry->name;
        return;
    }
    *name = (struct name){ .offset = address };
    int64_t index = module_of(address);
    if (index < 0 && names && !names->refreshed) {
        names->refreshed = true;
        modules_note(); /* loaded since the start */
        index = module_of(address);
    }
    if (index >= 0) {
        const struct segment_module *module = &trace_segment.modules[index];
        name->module = module->path;
        name->offset = address - module->bias;
        if (names) {
            struct image *image = &names->images[index];
            if (!image->tried)
                image_open(image, module);
            if (image->bytes)
                name->function = names_find_in_image(image->bytes, image->size, name->offset);
        }
    }
    if (entry) {
        entry->address = address;
        entry->name = *name;
    }
}
