/* Lays the shared segment out on the target's side, and maps it with suspicion on the other. See segment.h. */
#define _GNU_SOURCE
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE_BYTES 4096u
#define STACK_TABLE_WORDS (512u * 1024) /* 4 MiB a ring, of which pages in use cost memory */
#define DICTIONARY_WORDS (512u * 1024)  /* 4 MiB, likewise */
#define TOTAL_BYTES_MAX (1ull << 40)

static uint64_t page_up(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static bool is_power_of_two(uint64_t value)
{
    return value && (value & (value - 1)) == 0;
}

bool segment_in_tmpfs(int fd)
{
    struct stat st;
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SEAL) || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return false; /* a memfd takes seals until it has this one; what is not in memory has none at all */
    bool of_friends = st.st_uid == 0 || st.st_uid == geteuid() || geteuid() == 0;
    return fs.f_type == TMPFS_MAGIC && S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 && of_friends;
}

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* fd -1: memory that nobody else sees. */
static int map(struct segment *segment, int fd, size_t bytes, int protection)
{
    int flags = MAP_NORESERVE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *base = mmap(NULL, bytes, protection, flags, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    segment->fd = fd;
    segment->base = base;
    segment->bytes = bytes;
    segment->header = base;
    return 0;
}

/* Sets the pointers and copies by a header whose fields are known to be good. */
static void point(struct segment *segment, const struct segment_header *header)
{
    segment->rings = (struct segment_ring *)(segment->base + header->controls_offset);
    segment->registry = (struct g_slot *)(segment->base + header->registry_offset);
    segment->modules = (struct segment_module *)(segment->base + header->modules_offset);
    segment->stacks = (uint64_t *)(segment->base + header->stacks_offset);
    segment->dictionary = (uint64_t *)(segment->base + header->dictionary_offset);
    segment->subbuffer_base = segment->base + header->rings_offset;
    segment->held = header->held_offset ? (uint64_t *)(segment->base + header->held_offset) : NULL;
    segment->ring_count = header->ring_count;
    segment->subbuffers = header->subbuffers;
    segment->p_count = header->p_count;
    segment->registry_slots = header->registry_slots;
    segment->stacks_words = header->stacks_words;
    segment->dictionary_words = header->dictionary_words;
}

int segment_create(struct segment *segment, int fd, uint32_t p_count, size_t ring_bytes, uint32_t registry_slots)
{
    uint64_t subbuffers = ring_bytes / SUBBUFFER_BYTES;
    if (p_count < 1 || p_count > SEGMENT_MAX_PS || ring_bytes % SUBBUFFER_BYTES || !is_power_of_two(subbuffers) ||
        subbuffers < 2 || subbuffers > 1024 || registry_slots < 1)
        return -EINVAL;

    struct segment_header layout = { .version = SEGMENT_VERSION,
                                     .pid = (uint32_t)getpid(),
                                     .p_count = p_count,
                                     .ring_count = p_count + 1,
                                     .subbuffers = (uint32_t)subbuffers,
                                     .registry_slots = registry_slots,
                                     .stacks_words = STACK_TABLE_WORDS,
                                     .dictionary_words = DICTIONARY_WORDS };
    uint64_t end = PAGE_BYTES;
    layout.controls_offset = end;
    end = page_up(end + layout.ring_count * sizeof(struct segment_ring));
    layout.modules_offset = end;
    end = page_up(end + SEGMENT_MAX_MODULES * sizeof(struct segment_module));
    layout.registry_offset = end;
    end = page_up(end + (uint64_t)registry_slots * sizeof(struct g_slot));
    layout.dictionary_offset = end;
    end = page_up(end + layout.dictionary_words * sizeof(uint64_t));
    layout.stacks_offset = end;
    end = page_up(end + layout.ring_count * layout.stacks_words * sizeof(uint64_t));
    layout.rings_offset = end;
    end = page_up(end + layout.ring_count * ring_bytes);
    layout.held_offset = end;
    end = page_up(end + (uint64_t)registry_slots * sizeof(uint64_t));
    layout.total_bytes = end;

    int error = 0;
    bool own = fd < 0;
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < layout.total_bytes) {
        /* To grow a file past the limit would end the program by SIGXFSZ. */
        if (!own)
            return -EFBIG;
        error = map(segment, -1, layout.total_bytes, READ_WRITE);
        goto mapped;
    }
    if (own) {
        fd = memfd_create(SEGMENT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
            return -errno;
    }
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size != 0) {
        error = -EBUSY; /* somebody else lives there */
        goto out;
    }
    bool sealable = !segment_in_tmpfs(fd);
    if (ftruncate(fd, (off_t)layout.total_bytes) < 0 ||
        (sealable && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)) {
        error = -errno;
        goto out;
    }
    error = map(segment, fd, layout.total_bytes, READ_WRITE);
mapped:
    if (error)
        goto out;
    /* The magic is the first word and is stored last: a reader that sees it sees the rest. */
    memcpy((uint8_t *)segment->header + sizeof(uint64_t), (uint8_t *)&layout + sizeof(uint64_t),
           sizeof layout - sizeof(uint64_t));
    point(segment, &layout);
    /* Nearly all of it is holes, which a core file would fill; who uses parts of registry or dictionary adds them. */
    madvise(segment->base + layout.registry_offset, segment->bytes - layout.registry_offset, MADV_DONTDUMP);
out:
    if (error && own && fd >= 0)
        close(fd);
    return error;
}

void segment_publish(struct segment *segment)
{
    store_release(&segment->header->magic, SEGMENT_MAGIC);
}

int segment_lock(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

void segment_unlock(int fd)
{
    struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    fcntl(fd, F_OFD_SETLK, &whole);
}

bool segment_is_locked(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_GETLK, &whole) < 0 || whole.l_type != F_UNLCK; /* not known: leave it to the recorder */
}

void segment_prepare_rings(const struct segment *segment, uint32_t p_count)
{
    size_t ring_bytes = (size_t)segment->subbuffers * SUBBUFFER_BYTES;
    size_t ps = p_count < segment->p_count ? p_count : segment->p_count;
    madvise(segment->subbuffer_base, ps * ring_bytes, MADV_POPULATE_WRITE);
    madvise(segment->subbuffer_base + segment->p_count * ring_bytes, ring_bytes, MADV_POPULATE_WRITE);
}

void segment_release_rings(const struct segment *segment)
{
    madvise(segment->subbuffer_base, (size_t)segment->ring_count * segment->subbuffers * SUBBUFFER_BYTES, MADV_REMOVE);
}

void segment_leave_out(const struct segment *segment, uint32_t frames, uint32_t events)
{
    store_relaxed(&segment->header->frames_left_out, frames);
    store_relaxed(&segment->header->events_left_out, events);
}

void segment_sample(const struct segment *segment, uint32_t hz) { store_relaxed(&segment->header->sample_hz, hz); }

uint32_t segment_ask_proof(const struct segment *segment)
{
    return fetch_add_acq_rel(&segment->header->proofs_asked, 1) + 1;
}

bool segment_proof_is_done(const struct segment *segment, uint32_t proof)
{
    return (int32_t)(load_acquire(&segment->header->proofs_done) - proof) >= 0; /* V */
}

uint32_t segment_next_epoch(const struct segment *segment, bool continues)
{
    uint32_t epoch = load_relaxed(&segment->header->epoch) + 1;
    if (epoch == 0)
        epoch = 1;
    store_relaxed(&segment->header->epoch, epoch);
    if (!continues)
        store_relaxed(&segment->header->first_epoch, epoch);
    return epoch;
}

static bool lies_inside(uint64_t offset, uint64_t count, uint64_t unit_bytes, uint64_t total_bytes)
{
    return offset % 64 == 0 && offset <= total_bytes && count <= (total_bytes - offset) / unit_bytes;
}

static const char *find_fault(const struct segment_header *header, uint64_t file_bytes)
{
    if (header->version != SEGMENT_VERSION)
        return "the program's runtime has another version of the shared segment";
    if (header->total_bytes != file_bytes)
        return "the segment's size is not what its header says";
    if (header->clock != SEGMENT_CLOCK_TSC && header->clock != SEGMENT_CLOCK_MONOTONIC)
        return "the segment names an unknown clock";
    if (header->p_count < 1 || header->p_count > SEGMENT_MAX_PS || header->ring_count != header->p_count + 1)
        return "the segment's number of Ps is out of range";
    if (!is_power_of_two(header->subbuffers) || header->subbuffers < 2 || header->subbuffers > 1024)
        return "the segment's ring size is out of range";
    if (header->stacks_words > (1u << 27))
        return "the segment's stack tables are out of range";
    if (header->dictionary_words > (1u << 27))
        return "the segment's dictionary is out of range";
    if (!lies_inside(header->controls_offset, header->ring_count, sizeof(struct segment_ring), file_bytes) ||
        !lies_inside(header->modules_offset, SEGMENT_MAX_MODULES, sizeof(struct segment_module), file_bytes) ||
        !lies_inside(header->registry_offset, header->registry_slots, sizeof(struct g_slot), file_bytes) ||
        !lies_inside(header->dictionary_offset, header->dictionary_words, 8, file_bytes) ||
        !lies_inside(header->stacks_offset, header->ring_count * header->stacks_words, 8, file_bytes) ||
        !lies_inside(header->rings_offset, (uint64_t)header->ring_count * header->subbuffers, SUBBUFFER_BYTES,
                     file_bytes) ||
        (header->held_offset && !lies_inside(header->held_offset, header->registry_slots, 8, file_bytes)))
        return "a table of the segment lies outside it";
    return NULL;
}

static int open_as(struct segment *segment, int fd, int protection, const char **why)
{
    struct stat st;
    *why = NULL;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return -EAGAIN;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || st.st_size < (off_t)PAGE_BYTES || (uint64_t)st.st_size > TOTAL_BYTES_MAX) {
        *why = "it is not a segment of the gmptrace runtime";
        return -EPROTO;
    }
    if (!(seals & F_SEAL_SHRINK) && !segment_in_tmpfs(fd)) {
        if (!(seals & F_SEAL_SEAL))
            return -EAGAIN; /* sized but not sealed yet */
        *why = "its segment is a file that others could cut off";
        return -EPROTO;
    }
    uint64_t magic;
    if (pread(fd, &magic, sizeof magic, 0) != (ssize_t)sizeof magic || magic == 0)
        return -EAGAIN; /* a page that is not there yet is better not touched: there may be no room for it */
    int error = map(segment, fd, (size_t)st.st_size, protection);
    if (error)
        return error;
    if (load_acquire(&segment->header->magic) == 0) {
        segment_close(segment);
        return -EAGAIN;
    }
    struct segment_header copy; /* checked and used from here: the target could change the original in between */
    memcpy(&copy, segment->header, sizeof copy);
    __asm__ volatile("" ::: "memory"); /* or the compiler may read the original again after the check */
    *why = load_relaxed(&copy.magic) != SEGMENT_MAGIC ? "it is not a segment of the gmptrace runtime"
                                                      : find_fault(&copy, (uint64_t)st.st_size);
    if (*why) {
        segment_close(segment);
        return -EPROTO;
    }
    segment->clock = copy.clock;
    segment->pid = copy.pid;
    point(segment, &copy);
    return 0;
}

int segment_open(struct segment *segment, int fd, const char **why)
{
    return open_as(segment, fd, READ_WRITE, why);
}

int segment_open_look(struct segment *segment, int fd, const char **why)
{
    return open_as(segment, fd, PROT_READ, why);
}

#define GUARDED_MAX 64

static struct {
    struct {
        uint8_t *volatile base; /* NULL: free */
        volatile size_t bytes;
    } segments[GUARDED_MAX];
    unsigned count;
    struct sigaction before;
} guarded;

static void on_bus(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    for (size_t i = 0; i < GUARDED_MAX; i++) {
        uint8_t *base = guarded.segments[i].base;
        size_t bytes = guarded.segments[i].bytes;
        if (base && (size_t)((uint8_t *)info->si_addr - base) < bytes &&
            mmap(base, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED)
            return;
    }
    sigaction(signal, &guarded.before, NULL); /* the access is made again, and ends as it would have */
}

void segment_guard(const struct segment *segment)
{
    struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < GUARDED_MAX; i++)
        if (!guarded.segments[i].base) {
            if (guarded.count++ == 0)
                sigaction(SIGBUS, &action, &guarded.before);
            guarded.segments[i].bytes = segment->bytes;
            guarded.segments[i].base = segment->base;
            return;
        }
}

static void unguard(const struct segment *segment)
{
    for (size_t i = 0; i < GUARDED_MAX; i++)
        if (guarded.segments[i].base == segment->base) {
            guarded.segments[i].base = NULL;
            if (--guarded.count == 0)
                sigaction(SIGBUS, &guarded.before, NULL);
            return;
        }
}

void segment_close(struct segment *segment)
{
    if (segment->base) {
        unguard(segment);
        munmap(segment->base, segment->bytes);
    }
    segment->base = NULL;
}
