/* Makes and finds segments in tmpfs. See segfile.h. */
#define _GNU_SOURCE
#include "segfile.h"

#include "cli.h"

#include "trace/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NAME_START "gmptrace."
#define RANDOM_DIGITS 16
#define RING_BYTES_USUAL (16ull << 20)
#define SPARE_BYTES (64ull << 20) /* for what is not in rings, and for others */
#define PASSED_FD_LEAST 30 /* scripts take the low numbers for themselves */
#define PLACES 2

/* ---- Names ------------------------------------------------------------------------------------------------------ */

bool segfile_name(const char *path, pid_t *recorder)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strncmp(name, NAME_START, strlen(NAME_START)) != 0)
        return false;
    const char *digits = name + strlen(NAME_START);
    char *end;
    errno = 0;
    long pid = strtol(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '.' || errno || pid <= 0 || pid > INT32_MAX)
        return false;
    end++;
    if (strspn(end, "0123456789abcdef") != RANDOM_DIGITS)
        return false;
    end += RANDOM_DIGITS;
    *recorder = (pid_t)pid;
    return !*end || strcmp(end, " (deleted)") == 0;
}

static bool in_tmpfs(const char *path, struct statfs *fs) { return statfs(path, fs) == 0 && fs->f_type == TMPFS_MAGIC; }

/* The places that can be used. */
static int places_find(const char *places[PLACES])
{
    struct statfs fs;
    struct stat st;
    int count = 0;
    const char *own = getenv("XDG_RUNTIME_DIR");
    if (own && own[0] == '/' && in_tmpfs(own, &fs) && lstat(own, &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        places[count++] = own;
    if (in_tmpfs("/dev/shm", &fs))
        places[count++] = "/dev/shm";
    return count;
}

/* ---- Making one ------------------------------------------------------------------------------------------------- */

static uint64_t ring_bytes(void)
{
    const char *text = getenv("GMPT_RING_BYTES");
    char *end;
    uint64_t bytes = text ? strtoull(text, &end, 10) : 0;
    if (bytes == 0 || bytes > UINT32_MAX)
        return RING_BYTES_USUAL;
    return *end == 'K' ? bytes << 10 : *end == 'M' ? bytes << 20 : bytes;
}

/* What the program will write to at most, as far as is known here: it has a ring for each CPU, unless it is told
 * another number, and one more. */
static uint64_t bytes_wanted(void)
{
    cpu_set_t cpus;
    const char *text = getenv("GMPT_MAXPROCS");
    long count = text ? strtol(text, NULL, 10) : 0;
    if (count <= 0)
        count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    if (count > SEGMENT_MAX_PS)
        count = SEGMENT_MAX_PS;
    return ((uint64_t)count + 1) * ring_bytes() + SPARE_BYTES;
}

static int make_in(const char *place, char path[PATH_MAX])
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -1;
    int length =
        snprintf(path, PATH_MAX, "%s/" NAME_START "%d.%016llx", place, (int)getpid(), (unsigned long long)random);
    if (length >= PATH_MAX)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (fchmod(fd, 0600) == 0 && segment_in_tmpfs(fd))
        return fd;
    unlink(path);
    close(fd);
    return -1;
}

/* Returns the descriptor, without close-on-exec, or -1 when no place has room for what a program may write; path is ""
 * then. */
static int segfile_make(char path[PATH_MAX])
{
    const char *places[PLACES];
    int count = places_find(places);
    for (int i = 0; i < count; i++) {
        struct statfs fs;
        if (!in_tmpfs(places[i], &fs))
            continue;
        bool bounded = fs.f_blocks > 0; /* a tmpfs may be mounted without a limit */
        if (bounded && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < bytes_wanted())
            continue;
        int fd = make_in(places[i], path);
        if (fd >= 0)
            return fd;
    }
    path[0] = 0;
    return -1;
}

int segfile_passed(int fd) { return fcntl(fd, F_DUPFD, PASSED_FD_LEAST); }

int segfile_create(char path[PATH_MAX], int *passed_fd, int *own_fd)
{
    char name[32];
    int low = segfile_make(path);
    if (low < 0) {
        if (isatty(STDERR_FILENO))
            cli_error("no room in tmpfs: if this recorder is killed too, its last events cannot be recovered");
        low = memfd_create(SEGMENT_NAME, MFD_ALLOW_SEALING);
    }
    if (low < 0)
        return -errno;
    *passed_fd = segfile_passed(low);
    if (*passed_fd < 0)
        *passed_fd = low;
    else
        close(low);
    snprintf(name, sizeof name, "/proc/self/fd/%d", *passed_fd);
    *own_fd = open(name, O_RDWR | O_CLOEXEC);
    return *own_fd < 0 ? -errno : segment_lock(*own_fd);
}

/* ---- Finding them ----------------------------------------------------------------------------------------------- */

int segfile_open(const char *path)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || segment_in_tmpfs(fd))
        return fd;
    close(fd);
    errno = EPROTO;
    return -1;
}

int segfile_each(int (*fn)(const char *path, int *fd, void *arg), void *arg)
{
    const char *places[PLACES];
    int count = places_find(places), result = 0;
    for (int i = 0; result == 0 && i < count; i++) {
        DIR *dir = opendir(places[i]);
        struct dirent *entry;
        while (dir && result == 0 && (entry = readdir(dir))) {
            char path[PATH_MAX];
            struct stat st;
            pid_t recorder;
            if (!segfile_name(entry->d_name, &recorder) ||
                snprintf(path, sizeof path, "%s/%s", places[i], entry->d_name) >= (int)sizeof path)
                continue;
            int fd = segfile_open(path);
            if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid())
                result = fn(path, &fd, arg);
            if (fd >= 0)
                close(fd);
        }
        if (dir)
            closedir(dir);
    }
    return result;
}

bool segfile_is_left(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) { /* granted to the only opener */
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    struct segment segment; /* no leases here: by the process that it names */
    const char *why;
    if (segment_open(&segment, fd, &why))
        return true;
    pid_t pid = (pid_t)segment.pid;
    segment_close(&segment);
    return pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH);
}
