/* See frames.h. A frame's head is trusted once its check holds and its sizes are in bounds; its content once zstd's
 * checksum holds. After damage the search goes on a byte behind the head that failed, so that a frame that was
 * overwritten by a piece of another is found as well. */
#define _GNU_SOURCE
#include "frames.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define SEARCH_BYTES 65536
#define FRAME_ROOM_STEP 65536u /* frames differ a little in size; room in steps lets one serve the next */

struct frames_file {
    int fd;
    int64_t size, offset;
    struct frames_head head;
    enum frames_ending ending;
    int64_t missing;
    ZSTD_DCtx *zstd;
    uint8_t *stored;
    size_t stored_room;
    struct frame *free_frames;
};

void frames_error(struct gmpt_trace_error *error, int64_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->offset = offset;
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
}

const struct frames_head *frames_head(const struct frames_file *file) { return &file->head; }
int64_t frames_size(const struct frames_file *file) { return file->size; }
enum frames_ending frames_ending(const struct frames_file *file) { return file->ending; }
int64_t frames_missing(const struct frames_file *file) { return file->missing; }
int64_t frames_offset(const struct frames_file *file) { return file->offset; }

/* Reads size bytes at offset. Returns how many there are before the file's end, or -errno. */
static ssize_t file_read(const struct frames_file *file, int64_t offset, void *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(file->fd, (uint8_t *)buffer + done, size - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static uint32_t u32_get(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return le32toh(value);
}

static uint64_t u64_get(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return le64toh(value);
}

static int head_read(struct frames_file *file, struct gmpt_trace_error *error)
{
    uint8_t head[FORMAT_HEAD_BYTES];
    ssize_t got = file_read(file, 0, head, sizeof head);
    if (got < 0) {
        frames_error(error, 0, "cannot read it: %s", strerror((int)-got));
        return (int)got;
    }
    if (got == 0) {
        frames_error(error, 0, "the file is empty");
        return -EPROTO;
    }
    if (memcmp(head, FORMAT_MAGIC, got < 8 ? (size_t)got : 8) != 0) {
        frames_error(error, 0, "the file is not a gmptrace trace");
        return -EPROTO;
    }
    if (got < (ssize_t)sizeof head) {
        frames_error(error, got, "the file is cut off in its head: it has %zd of %zu bytes", got, sizeof head);
        return -EPROTO;
    }
    bool sound = format_check(head, FORMAT_HEAD_BYTES - 4) == u32_get(head + FORMAT_HEAD_BYTES - 4);
    uint32_t version = u32_get(head + 8), head_bytes = u32_get(head + 12);
    if (version != FORMAT_VERSION) {
        frames_error(error, 8, "the file has format version %u%s; this gmptrace reads version %u", version,
                     sound ? "" : " (if its head is not damaged)", FORMAT_VERSION);
        return -EPROTO;
    }
    if (head_bytes != FORMAT_HEAD_BYTES) {
        frames_error(error, 12, "the file's head is damaged: it says that it has %u bytes", head_bytes);
        return -EPROTO;
    }
    file->head.version = version;
    if (sound) {
        file->head.bytes = (int64_t)u64_get(head + 16);
        file->head.events = u64_get(head + 24);
        file->head.duration_ns = (int64_t)u64_get(head + 32);
    } else {
        frames_error(error, 0, "the file's head is damaged: its check does not hold");
    }
    file->offset = FORMAT_HEAD_BYTES;
    return 0;
}

struct frames_file *frames_open(const char *path, struct gmpt_trace_error *error)
{
    struct stat status;
    int result = 0;
    frames_error(error, -1, "%s", "");
    struct frames_file *file = calloc(1, sizeof *file);
    if (!file) {
        frames_error(error, -1, "out of memory");
        errno = ENOMEM;
        return NULL;
    }
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status)) {
        result = -errno;
        frames_error(error, -1, "cannot open it: %s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(status.st_mode)) {
        result = S_ISDIR(status.st_mode) ? -EISDIR : -EPROTO;
        frames_error(error, -1, "it is not a regular file");
        goto out;
    }
    file->size = status.st_size;
    if ((result = head_read(file, error)))
        goto out;
    if (!(file->zstd = ZSTD_createDCtx())) {
        result = -ENOMEM;
        frames_error(error, -1, "out of memory");
    }
out:
    if (result) {
        frames_close(file);
        errno = -result;
        return NULL;
    }
    return file;
}

void frames_close(struct frames_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    for (struct frame *frame; (frame = file->free_frames);) {
        file->free_frames = frame->next_free;
        free(frame);
    }
    ZSTD_freeDCtx(file->zstd);
    free(file->stored);
    free(file);
}

/* The first free frame with enough room, or a new one. Free ones that are too small go, so that they do not gather. */
static struct frame *frame_acquire(struct frames_file *file, size_t size)
{
    struct frame *frame;
    while ((frame = file->free_frames)) {
        file->free_frames = frame->next_free;
        if (frame->room >= size)
            break;
        free(frame);
    }
    if (!frame) {
        size_t room = (size + FRAME_ROOM_STEP - 1) / FRAME_ROOM_STEP * FRAME_ROOM_STEP;
        frame = malloc(sizeof *frame + room + FRAME_SPARE);
        if (!frame)
            return NULL;
        frame->room = room;
    }
    frame->file = file;
    frame->size = size;
    frame->users = 1;
    frame->parts = 0;
    frame->after_damage = false;
    return frame;
}

void frame_release(struct frame *frame)
{
    if (--frame->users)
        return;
    frame->next_free = frame->file->free_frames;
    frame->file->free_frames = frame;
}

static bool frame_head_sound(const uint8_t head[FORMAT_FRAME_HEAD_BYTES])
{
    uint32_t stored = u32_get(head + 4), raw = u32_get(head + 8);
    return u32_get(head) == FORMAT_FRAME_MAGIC && format_check(head, 12) == u32_get(head + 12) &&
           raw <= FORMAT_FRAME_MAX && stored <= ZSTD_compressBound(FORMAT_FRAME_MAX);
}

/* Moves file->offset to the next frame head at or after `from`. Returns 1, 0 when there is none, or -errno. */
static int frame_search(struct frames_file *file, int64_t from)
{
    uint8_t *window = malloc(SEARCH_BYTES);
    if (!window)
        return -ENOMEM;
    int result = 0;
    while (result == 0 && from + FORMAT_FRAME_HEAD_BYTES <= file->size) {
        ssize_t got = file_read(file, from, window, SEARCH_BYTES);
        if (got < FORMAT_FRAME_HEAD_BYTES) {
            result = got < 0 ? (int)got : 0;
            break;
        }
        size_t starts = (size_t)got - FORMAT_FRAME_HEAD_BYTES + 1;
        for (size_t i = 0; i < starts; i++) {
            if (window[i] == 'G' && frame_head_sound(window + i)) {
                file->offset = from + (int64_t)i;
                result = 1;
                break;
            }
        }
        from += (int64_t)starts;
    }
    free(window);
    return result;
}

/* Reads and unpacks the frame with this sound head. Returns 1, 0 when its content is damaged, or -errno. */
static int frame_unpack(struct frames_file *file, size_t stored, size_t raw, struct frame **out,
                        struct gmpt_trace_error *error)
{
    if (stored > file->stored_room) {
        free(file->stored);
        file->stored_room = 0;
        if (!(file->stored = malloc(stored)))
            return -ENOMEM;
        file->stored_room = stored;
    }
    ssize_t got = file_read(file, file->offset + FORMAT_FRAME_HEAD_BYTES, file->stored, stored);
    if (got < 0)
        return (int)got;
    if ((size_t)got < stored) {
        frames_error(error, file->offset, "the file became shorter while it was read");
        return 0;
    }
    struct frame *frame = frame_acquire(file, raw);
    if (!frame)
        return -ENOMEM;
    size_t unpacked = ZSTD_decompressDCtx(file->zstd, frame->bytes, raw, file->stored, stored);
    if (ZSTD_isError(unpacked) || unpacked != raw) {
        frames_error(error, file->offset, "the frame is damaged: %s",
                     ZSTD_isError(unpacked) ? ZSTD_getErrorName(unpacked) : "it unpacks to another size than it says");
        frame_release(frame);
        return 0;
    }
    memset(frame->bytes + raw, 0, FRAME_SPARE);
    frame->offset = file->offset;
    file->offset += FORMAT_FRAME_HEAD_BYTES + (int64_t)stored;
    *out = frame;
    return 1;
}

int frames_next(struct frames_file *file, struct frame **frame, struct gmpt_trace_error *error)
{
    bool damaged = false;
    while (file->ending == FRAMES_MORE) {
        uint8_t head[FORMAT_FRAME_HEAD_BYTES];
        int64_t left = file->size - file->offset;
        if (left <= 0) {
            file->ending = FRAMES_WHOLE;
            break;
        }
        ssize_t got = file_read(file, file->offset, head, sizeof head);
        if (got < 0)
            return (int)got;
        uint32_t magic = htole32(FORMAT_FRAME_MAGIC);
        if (got < (ssize_t)sizeof head && memcmp(head, &magic, got < 4 ? (size_t)got : 4) == 0) {
            file->missing = (int64_t)sizeof head - got;
            file->ending = FRAMES_CUT;
            break;
        }
        if (got < (ssize_t)sizeof head || !frame_head_sound(head)) {
            frames_error(error, file->offset, "the head of a frame is damaged");
        } else {
            size_t stored = u32_get(head + 4), raw = u32_get(head + 8);
            int64_t beyond = file->offset + FORMAT_FRAME_HEAD_BYTES + (int64_t)stored - file->size;
            if (beyond > 0) {
                file->missing = beyond;
                file->ending = FRAMES_CUT;
                break;
            }
            int result = frame_unpack(file, stored, raw, frame, error);
            if (result > 0)
                (*frame)->after_damage = damaged;
            if (result)
                return result;
        }
        damaged = true;
        int found = frame_search(file, file->offset + 1);
        if (found < 0)
            return found;
        if (!found)
            file->ending = FRAMES_DAMAGED;
    }
    return 0;
}
