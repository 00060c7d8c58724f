/* The list of loaded objects in the segment. See modules.h. */
#define _GNU_SOURCE
#include "modules.h"

#include "lock.h"
#include "tracepoint.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct lock lock; /* of adding */
static ATOMIC(uint32_t) wanted;

static void copy_build_id(struct segment_module *module, const struct dl_phdr_info *info, const ElfW(Phdr) *header)
{
    const uint8_t *p = (const uint8_t *)(info->dlpi_addr + header->p_vaddr), *end = p + header->p_memsz;
    while (end - p >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)p;
        const uint8_t *name = p + sizeof *note;
        const uint8_t *value = name + ((note->n_namesz + 3) & ~3u);
        if (value > end || note->n_descsz > (size_t)(end - value))
            return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            module->build_id_bytes = note->n_descsz < 20 ? note->n_descsz : 20;
            memcpy(module->build_id, value, module->build_id_bytes);
            return;
        }
        p = value + ((note->n_descsz + 3) & ~3u);
    }
}

static bool module_known(uint64_t start)
{
    uint32_t count = load_relaxed(&trace_segment.header->module_count);
    for (uint32_t i = 0; i < count; i++)
        if (trace_segment.modules[i].start == start)
            return true;
    return false;
}

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    struct segment_module module = { .start = UINT64_MAX, .bias = info->dlpi_addr };
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && header->p_flags & PF_X) {
            uint64_t start = info->dlpi_addr + header->p_vaddr;
            module.start = start < module.start ? start : module.start;
            module.end = start + header->p_memsz > module.end ? start + header->p_memsz : module.end;
        } else if (header->p_type == PT_NOTE) {
            copy_build_id(&module, info, header);
        }
    }
    uint32_t count = load_relaxed(&trace_segment.header->module_count);
    if (module.start == UINT64_MAX || module_known(module.start) || count >= SEGMENT_MAX_MODULES)
        return 0;
    if (info->dlpi_name && *info->dlpi_name) {
        snprintf(module.path, sizeof module.path, "%s", info->dlpi_name);
    } else {
        ssize_t length = readlink("/proc/self/exe", module.path, sizeof module.path - 1);
        module.path[length > 0 ? length : 0] = 0;
    }
    trace_segment.modules[count] = module;
    store_release(&trace_segment.header->module_count, count + 1);
    return 0;
}

void modules_note(void)
{
    lock_acquire(&lock);
    dl_iterate_phdr(note_module, NULL);
    lock_release(&lock);
}

void modules_note_later(void) { store_relaxed(&wanted, 1); }

void modules_note_wanted(void)
{
    if (load_relaxed(&wanted) && exchange_acq_rel(&wanted, 0))
        modules_note();
}

bool modules_have(const uint64_t *pc, uint32_t count)
{
    uint32_t modules = load_acquire(&trace_segment.header->module_count);
    for (uint32_t i = 0; i < count; i++) {
        bool known = false;
        for (uint32_t j = 0; j < modules && !known; j++)
            known = pc[i] >= trace_segment.modules[j].start && pc[i] < trace_segment.modules[j].end;
        if (!known)
            return false;
    }
    return true;
}

void trace_describe_address(char *text, size_t size, uint64_t address)
{
    uint32_t count = load_acquire(&trace_segment.header->module_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct segment_module *module = &trace_segment.modules[i];
        if (address >= module->start && address < module->end) {
            snprintf(text, size, "%s+0x%llx", module->path, (unsigned long long)(address - module->bias));
            return;
        }
    }
    snprintf(text, size, "0x%llx", (unsigned long long)address);
}
