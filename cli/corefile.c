/* Reads core files. See corefile.h.
 *
 * The segment is found by its magic number at the start of a part, and copied to a memfd page by page, holes left
 * holes. The program keeps most of it out of its core files (MADV_DONTDUMP): what is left are the header, the list of
 * modules and the registry, as far as it was used. A table that is not there reads as zeros, so the words that say how
 * much of it is in use are set to say: nothing. */
#define _GNU_SOURCE
#include "corefile.h"

#include "cli.h"
#include "running.h"

#include "trace/ascending.h"
#include "trace/segment.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX (4u << 20)
#define NOTES_BYTES_MAX (256u << 20)
#define COPY_BYTES (1u << 20)
#define SEGMENT_BYTES_MAX (UINT64_C(1) << 40)

#if defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_X86_64
#endif

struct corefile_part {
    uint64_t address, offset, bytes; /* bytes that the file has */
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int part_order(const void *left, const void *right)
{
    const struct corefile_part *a = left, *b = right;
    return ORDER(a->address, b->address);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static const struct corefile_part *part_of(const struct corefile *core, uint64_t address)
{
    const struct corefile_part *part = ASCENDING_UPTO(core->parts, core->part_count, address, address);
    return part && address - part->address < part->bytes ? part : NULL;
}

static size_t file_read(int fd, uint64_t offset, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

size_t corefile_read(void *arg, uint64_t address, void *to, size_t bytes)
{
    const struct corefile *core = arg;
    size_t done = 0;
    while (done < bytes) {
        const struct corefile_part *part = part_of(core, address + done);
        if (!part)
            break;
        uint64_t into = address + done - part->address;
        size_t want = part->bytes - into < bytes - done ? (size_t)(part->bytes - into) : bytes - done;
        size_t got = file_read(core->fd, part->offset + into, (uint8_t *)to + done, want);
        done += got;
        if (got < want)
            break;
    }
    return done;
}

/* ---- Notes ------------------------------------------------------------------------------------------------------- */

static int thread_note(struct corefile *core, const uint8_t *text, size_t bytes)
{
    struct elf_prstatus status;
    if (bytes < sizeof status)
        return 0;
    memcpy(&status, text, sizeof status);
    struct corefile_thread *threads = realloc(core->threads, (core->thread_count + 1) * sizeof *threads);
    if (!threads)
        return -ENOMEM;
    core->threads = threads;
    threads[core->thread_count++] = (struct corefile_thread){ status.pr_pid, running_registers(&status.pr_reg) };
    if (core->thread_count == 1) /* the first is the one that ended it */
        core->signal = status.pr_cursig;
    return 0;
}

static void program_note(struct corefile *core, const uint8_t *text, size_t bytes)
{
    struct elf_prpsinfo info;
    if (bytes < sizeof info)
        return;
    memcpy(&info, text, sizeof info);
    core->pid = info.pr_pid;
    size_t length = strnlen(info.pr_psargs, sizeof info.pr_psargs);
    memcpy(core->command, info.pr_psargs, length);
    while (length && core->command[length - 1] == ' ')
        length--;
    core->command[length] = 0;
}

static int notes_read(struct corefile *core, uint64_t offset, uint64_t bytes)
{
    if (bytes > NOTES_BYTES_MAX)
        bytes = NOTES_BYTES_MAX;
    uint8_t *notes = malloc(bytes + 1);
    if (!notes)
        return -ENOMEM;
    uint64_t end = file_read(core->fd, offset, notes, bytes), at = 0;
    int result = 0;
    while (result == 0 && end - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        uint64_t name = at + sizeof note, text = name + ((note.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
        uint64_t next = text + ((note.n_descsz + UINT64_C(3)) & ~UINT64_C(3));
        if (text > end || note.n_descsz > end - text)
            break;
        bool ours = note.n_namesz == 5 && memcmp(notes + name, "CORE", 5) == 0;
        if (ours && note.n_type == NT_PRSTATUS)
            result = thread_note(core, notes + text, note.n_descsz);
        else if (ours && note.n_type == NT_PRPSINFO)
            program_note(core, notes + text, note.n_descsz);
        at = next < end ? next : end;
    }
    free(notes);
    return result;
}

/* ---- Headers ----------------------------------------------------------------------------------------------------- */

static void part_add(struct corefile *core, const GElf_Phdr *header)
{
    uint64_t there = header->p_offset < core->bytes ? core->bytes - header->p_offset : 0;
    uint64_t bytes = header->p_filesz < there ? header->p_filesz : there;
    core->missing_bytes += header->p_filesz - bytes;
    if (bytes > 0 && header->p_vaddr + bytes > header->p_vaddr)
        core->parts[core->part_count++] = (struct corefile_part){ header->p_vaddr, header->p_offset, bytes };
}

static const char *headers_read(struct corefile *core, Elf *elf)
{
    GElf_Ehdr header;
    size_t count;
    if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header) || header.e_type != ET_CORE)
        return "it is not a core file";
    if (header.e_machine != OWN_MACHINE || header.e_ident[EI_CLASS] != ELFCLASS64)
        return "it is a core file of another kind of machine";
    if (elf_getphdrnum(elf, &count) || count > PARTS_MAX)
        return "its headers are damaged";
    core->parts = calloc(count + 1, sizeof *core->parts);
    int result = core->parts ? 0 : -ENOMEM;
    for (size_t i = 0; result == 0 && i < count; i++) {
        GElf_Phdr part;
        if (!gelf_getphdr(elf, (int)i, &part))
            return "its headers are damaged or cut off";
        if (part.p_type == PT_LOAD)
            part_add(core, &part);
        else if (part.p_type == PT_NOTE)
            result = notes_read(core, part.p_offset, part.p_filesz);
    }
    if (result)
        return "there is not enough memory for it";
    qsort(core->parts, core->part_count, sizeof *core->parts, part_order);
    return NULL;
}

/* ---- The segment ------------------------------------------------------------------------------------------------- */

/* Copies the pages that have something. Returns 0 or -errno. */
static int range_copy(const struct corefile *core, uint64_t from, uint64_t offset, uint64_t bytes, uint8_t *buffer)
{
    uint64_t at = from, end = from + bytes;
    while (at < end) {
        off_t data = lseek(core->fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return 0;
        if (data > 0 && (uint64_t)data > at)
            at = (uint64_t)data & ~UINT64_C(4095);
        if (at >= end)
            return 0;
        size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        size_t got = file_read(core->fd, at, buffer, want);
        for (size_t page = 0; page < got; page += 4096) {
            static const uint8_t zeros[4096];
            size_t length = got - page < 4096 ? got - page : 4096;
            if (memcmp(buffer + page, zeros, length) != 0 &&
                pwrite(core->segment_fd, buffer + page, length, (off_t)(offset + (at - from) + page)) < 0)
                return -errno;
        }
        if (got < want)
            return 0;
        at += got;
    }
    return 0;
}

/* What says how much of the tables is in use, where the tables are not there. */
static void header_mend(const struct corefile *core, uint64_t base, struct segment_header *header)
{
    uint64_t words = load_relaxed(&header->dictionary_used);
    uint64_t dictionary = base + header->dictionary_offset;
    if (!part_of(core, dictionary) || (words && !part_of(core, dictionary + words * sizeof(uint64_t) - 1)))
        store_relaxed(&header->dictionary_used, 0);
    store_relaxed(&header->tracing, 0);
}

static int controls_mend(const struct corefile *core, uint64_t base, const struct segment_header *header)
{
    for (uint32_t i = 0; i < header->ring_count && i <= SEGMENT_MAX_PS; i++) {
        uint64_t at = header->controls_offset + i * sizeof(struct segment_ring) +
                      offsetof(struct segment_ring, stacks_used), none = 0;
        bool has = part_of(core, base + header->stacks_offset + i * header->stacks_words * sizeof(uint64_t));
        if (!has && at < header->total_bytes && pwrite(core->segment_fd, &none, sizeof none, (off_t)at) < 0)
            return -errno;
    }
    return 0;
}

static int segment_copy(struct corefile *core, uint64_t base, struct segment_header *header)
{
    uint8_t *buffer = malloc(COPY_BYTES);
    int result = buffer ? 0 : -ENOMEM;
    core->segment_fd = memfd_create("gmptrace core", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (core->segment_fd < 0 || ftruncate(core->segment_fd, (off_t)header->total_bytes))
        result = -errno;
    for (size_t i = 0; result == 0 && i < core->part_count; i++) {
        const struct corefile_part *part = &core->parts[i];
        uint64_t end = base + header->total_bytes;
        uint64_t from = part->address > base ? part->address : base;
        uint64_t until = part->address + part->bytes < end ? part->address + part->bytes : end;
        if (from < until)
            result = range_copy(core, part->offset + (from - part->address), from - base, until - from, buffer);
    }
    header_mend(core, base, header);
    if (result == 0 && pwrite(core->segment_fd, header, sizeof *header, 0) < 0)
        result = -errno;
    if (result == 0)
        result = controls_mend(core, base, header);
    if (result == 0 && fcntl(core->segment_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        result = -errno;
    free(buffer);
    return result;
}

/* Of several (a forked child has its parent's, too) the process's own, if it says who it is. Returns 1, or 0 when
 * there is none, or -errno. */
static int segment_find(struct corefile *core)
{
    for (int own = core->pid > 0; own >= 0; own--)
        for (size_t i = 0; i < core->part_count; i++) {
            struct segment_header header;
            uint64_t magic, base = core->parts[i].address;
            if (corefile_read(core, base, &magic, sizeof magic) < sizeof magic || magic != SEGMENT_MAGIC ||
                corefile_read(core, base, &header, sizeof header) < sizeof header ||
                header.total_bytes < sizeof header || header.total_bytes > SEGMENT_BYTES_MAX ||
                (own && header.pid != (uint32_t)core->pid))
                continue;
            int result = segment_copy(core, base, &header);
            return result ? result : 1;
        }
    return 0;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *why)
{
    cli_error("%s cannot be used: %s", path, why);
    return CLI_INPUT;
}

int corefile_open(struct corefile *core, const char *path)
{
    struct stat st;
    *core = (struct corefile){ .segment_fd = -1, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
    if (core->fd < 0 || fstat(core->fd, &st))
        return refuse(path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse(path, "it is not a regular file");
    core->bytes = (uint64_t)st.st_size;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(core->fd, ELF_C_READ, NULL);
    const char *why = elf ? headers_read(core, elf) : "it is not a core file";
    elf_end(elf);
    if (why)
        return refuse(path, why);
    int found = segment_find(core);
    if (found < 0)
        return refuse(path, strerror(-found));
    if (found == 0)
        return refuse(path, core->missing_bytes
                                ? "it is cut off (the limit on core files, or no room on the disk?), and what there is "
                                  "has no goroutines"
                                : "it has no goroutines: the program does not run the gmptrace runtime, or its core "
                                  "files are without shared memory (see coredump_filter in core(5))");
    return CLI_OK;
}

void corefile_close(struct corefile *core)
{
    if (core->fd >= 0)
        close(core->fd);
    if (core->segment_fd >= 0)
        close(core->segment_fd);
    free(core->threads);
    free(core->parts);
    *core = (struct corefile){ .fd = -1, .segment_fd = -1 };
}
