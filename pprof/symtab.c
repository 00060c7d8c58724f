/* Symbol tables: every function of the object by address, one name for each address. */
#define _GNU_SOURCE
#include "symtab.h"

#include "trace/ascending.h"

#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t start, size; /* size 0: reaches to the next */
    const char *name;     /* in the Elf's string table */
    unsigned rank;        /* of several at one address the highest is kept */
};

struct symtab {
    size_t count;
    struct entry entries[];
};

/* One address may have many names (read, __read, __libc_read): prefer what a person would write. */
static unsigned entry_rank(const GElf_Sym *symbol, const char *name)
{
    unsigned rank = 0;
    if (GELF_ST_TYPE(symbol->st_info) != STT_NOTYPE)
        rank += 8;
    if (GELF_ST_BIND(symbol->st_info) != STB_LOCAL)
        rank += 4;
    if (name[0] != '_')
        rank += 2;
    else if (name[1] != '_')
        rank += 1;
    return rank;
}

static int entry_compare(const void *a_pointer, const void *b_pointer)
{
    const struct entry *a = a_pointer, *b = b_pointer;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1;
    return strcmp(a->name, b->name);
}

static Elf_Scn *find_section(Elf *elf, GElf_Word type, GElf_Shdr *header)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)))
        if (gelf_getshdr(section, header) && header->sh_type == type)
            return section;
    return NULL;
}

static bool is_code(Elf *elf, const GElf_Sym *symbol)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    if (type == STT_FUNC || type == STT_GNU_IFUNC)
        return symbol->st_shndx != SHN_UNDEF;
    if (type != STT_NOTYPE || symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
        return false;
    /* Assembly often leaves the type out. */
    GElf_Shdr header;
    Elf_Scn *section = elf_getscn(elf, symbol->st_shndx);
    return section && gelf_getshdr(section, &header) && (header.sh_flags & SHF_EXECINSTR);
}

struct symtab *symtab_open(Elf *elf, bool dynamic)
{
    GElf_Shdr header;
    Elf_Scn *section = find_section(elf, dynamic ? SHT_DYNSYM : SHT_SYMTAB, &header);
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    size_t entry_bytes = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
    if (!data || !data->d_buf || entry_bytes == 0 || data->d_size / entry_bytes == 0) {
        errno = ENOENT;
        return NULL;
    }
    /* Bounded by what was read from the file, not by what its head claims. */
    size_t total = data->d_size / entry_bytes;
    if (total > INT_MAX)
        total = INT_MAX;
    struct symtab *symtab = malloc(sizeof *symtab + total * sizeof symtab->entries[0]);
    if (!symtab)
        return NULL;
    symtab->count = 0;
    for (size_t i = 0; i < total; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol) || !is_code(elf, &symbol))
            continue;
        const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
        if (!name || !*name)
            continue;
        symtab->entries[symtab->count++] = (struct entry){
            .start = symbol.st_value, .size = symbol.st_size, .name = name, .rank = entry_rank(&symbol, name)
        };
    }
    if (symtab->count == 0) {
        free(symtab);
        errno = ENOENT;
        return NULL;
    }
    qsort(symtab->entries, symtab->count, sizeof symtab->entries[0], entry_compare);
    size_t kept = 1;
    for (size_t i = 1; i < symtab->count; i++)
        if (symtab->entries[i].start != symtab->entries[kept - 1].start)
            symtab->entries[kept++] = symtab->entries[i];
    symtab->count = kept;
    return symtab;
}

void symtab_close(struct symtab *symtab) { free(symtab); }

const char *symtab_find(const struct symtab *symtab, uint64_t object_address)
{
    const struct entry *entry = ASCENDING_UPTO(symtab->entries, symtab->count, start, object_address);
    if (!entry)
        return NULL;
    return entry->size == 0 || object_address - entry->start < entry->size ? entry->name : NULL;
}
