/* See output.h. */
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define OUTPUT_BYTES (256 * 1024)

/* ---- Compression ------------------------------------------------------------------------------------------------- */

bool output_compresses(const char *path)
{
    size_t length = strlen(path);
    return length > 3 && strcmp(path + length - 3, ".gz") == 0;
}

static int gzip_errno; /* of what failed first; a stream keeps it no longer than zlib does */

static int gzip_failed(int result)
{
    if (!gzip_errno)
        gzip_errno = result == Z_MEM_ERROR ? ENOMEM : errno ? errno : EIO;
    return -1;
}

static ssize_t gzip_write(void *gzip, const char *bytes, size_t size)
{
    if (size == 0 || gzwrite(gzip, bytes, (unsigned)size) > 0)
        return (ssize_t)size;
    gzip_failed(Z_ERRNO);
    return 0; /* which is an error here */
}

static int gzip_close(void *gzip)
{
    errno = 0;
    int flushed = gzflush(gzip, Z_FINISH), result = flushed == Z_OK ? 0 : gzip_failed(flushed);
    int closed = gzclose(gzip);
    return result || closed == Z_OK ? result : gzip_failed(closed);
}

/* A stream that compresses into fd, which stays open. NULL with errno. */
static FILE *gzip_open(int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    gzFile gzip = own < 0 ? NULL : gzdopen(own, "wb1"); /* what is written is long and alike */
    if (!gzip) {
        if (own >= 0)
            close(own);
        return NULL;
    }
    FILE *stream = fopencookie(gzip, "w", (cookie_io_functions_t){ .write = gzip_write, .close = gzip_close });
    if (!stream)
        gzclose(gzip);
    return stream;
}

/* What must not stay behind when a signal ends us; NULL = nothing. */
static const char *volatile doomed[2];

static void ended_by_signal(int signal_number)
{
    for (int i = 0; i < 2; i++)
        if (doomed[i])
            unlink(doomed[i]);
    raise(signal_number); /* SA_RESETHAND: ends us now */
}

static void signals_watch(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = ended_by_signal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) }, before;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
}

/* A file that is there is doomed, and one that is doomed is there: no signal comes in between. */
static void signals_hold(sigset_t *before)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, before);
}

static void signals_release(const sigset_t *before) { sigprocmask(SIG_SETMASK, before, NULL); }

/* A fifo may take as long as it likes to be opened: signals are not held meanwhile. */
static int file_open(struct output *output, const char *path)
{
    struct stat st;
    sigset_t before;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return outfile_open(&output->file, path);
    signals_hold(&before);
    int result = outfile_open(&output->file, path);
    doomed[0] = result ? NULL : output->file.part_path;
    signals_release(&before);
    return result;
}

static int scratch_open(struct output *output)
{
    const char *directory = getenv("TMPDIR");
    sigset_t before;
    if (asprintf(&output->scratch, "%s/gmptrace-XXXXXX", directory && *directory ? directory : "/tmp") < 0) {
        output->scratch = NULL;
        return -ENOMEM;
    }
    signals_hold(&before);
    int fd = mkostemp(output->scratch, O_CLOEXEC), result = fd < 0 ? -errno : 0;
    doomed[1] = result ? NULL : output->scratch;
    signals_release(&before);
    if (!result)
        return close(fd) ? -errno : 0;
    free(output->scratch);
    output->scratch = NULL;
    return result;
}

int output_open(struct output *output, const char *path, bool by_path)
{
    signals_watch();
    *output = (struct output){ .standard = strcmp(path, "-") == 0, .fd = STDOUT_FILENO };
    if (!output->standard) {
        int result = file_open(output, path);
        if (result)
            return result;
        output->opened = true;
        output->fd = output->file.fd;
    }
    if (by_path)
        return !output->standard && output->file.part_path ? 0 : scratch_open(output);
    bool compressed = !output->standard && output_compresses(path);
    output->stream = output->standard ? stdout : compressed ? gzip_open(output->fd) : fdopen(output->fd, "w");
    output->apart = compressed;
    if (!output->stream)
        return -errno;
    setvbuf(output->stream, NULL, _IOFBF, OUTPUT_BYTES);
    return 0;
}

const char *output_scratch(const struct output *output)
{
    return output->stream ? NULL : output->scratch ? output->scratch : output->file.part_path;
}

static int copy(const char *from, int to)
{
    static char bytes[1 << 16];
    int fd = open(from, O_RDONLY | O_CLOEXEC), result = 0;
    if (fd < 0)
        return -errno;
    for (ssize_t got; !result && (got = read(fd, bytes, sizeof bytes)) != 0;) {
        if (got < 0 && errno != EINTR)
            result = -errno;
        for (ssize_t done = 0; got > 0 && done < got && !result;) {
            ssize_t wrote = write(to, bytes + done, (size_t)(got - done));
            if (wrote >= 0)
                done += wrote;
            else if (errno != EINTR)
                result = -errno;
        }
    }
    close(fd);
    return result;
}

int output_keep(struct output *output)
{
    int result = 0;
    errno = 0;
    if (output->stream && (fflush(output->stream) || ferror(output->stream)))
        result = errno ? -errno : -EIO;
    if (!result && output->apart) {
        fclose(output->stream);
        output->stream = NULL;
    }
    if (gzip_errno)
        result = -gzip_errno;
    if (!result && output->scratch)
        result = copy(output->scratch, output->fd);
    if (!result && !output->standard && output->file.part_path && fsync(output->fd) && errno != EINVAL)
        result = -errno;
    if (!result && !output->standard) {
        sigset_t before;
        signals_hold(&before);
        result = outfile_keep(&output->file);
        doomed[0] = output->file.part_path; /* NULL now, unless it failed */
        signals_release(&before);
    }
    return result;
}

void output_close(struct output *output)
{
    sigset_t before;
    signals_hold(&before);
    if (output->scratch) {
        unlink(output->scratch);
        free(output->scratch);
    }
    if (output->opened) {
        outfile_drop(&output->file);
        outfile_close(&output->file);
    }
    doomed[0] = doomed[1] = NULL;
    signals_release(&before);
    if (!output->opened)
        return;
    if (output->stream)
        fclose(output->stream);
    if (!output->stream || output->apart)
        close(output->fd);
}
