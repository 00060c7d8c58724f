/* Files through blocking calls, and from a file to a socket. */
#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUCH (5u << 20)

static char path[300], path2[300];
static int fds[2];
static struct gmpt_waitgroup group;

static void name_paths(void)
{
    snprintf(path, sizeof path, "%s/file", harness_tmpdir());
    snprintf(path2, sizeof path2, "%s/moved", harness_tmpdir());
}

static int files(void *arg)
{
    char buffer[16];
    struct stat status;
    (void)arg;
    EXPECT_EQ(gmpt_open(path, O_RDWR, 0), -ENOENT);
    int fd = gmpt_open(path, O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0);
    EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(gmpt_pwrite(fd, "hello", 5, 3), 5);
    EXPECT_EQ(gmpt_pread(fd, buffer, sizeof buffer, 0), 8);
    EXPECT(memcmp(buffer, "\0\0\0hello", 8) == 0);
    EXPECT_EQ(gmpt_pread(fd, buffer, sizeof buffer, 100), 0);
    EXPECT_EQ(gmpt_fsync(fd), 0);
    EXPECT_EQ(gmpt_fdatasync(fd), 0);
    EXPECT_EQ(gmpt_ftruncate(fd, 4), 0);
    EXPECT_EQ(gmpt_fstat(fd, &status), 0);
    EXPECT_EQ(status.st_size, 4);
    EXPECT_EQ(gmpt_rename(path, path2), 0);
    EXPECT_EQ(gmpt_stat(path, &status), -ENOENT);
    EXPECT_EQ(gmpt_stat(path2, &status), 0);
    EXPECT_EQ(gmpt_unlink(path2), 0);
    EXPECT_EQ(gmpt_unlink(path2), -ENOENT);
    EXPECT_EQ(gmpt_close(fd), 0);
    EXPECT_EQ(gmpt_fsync(fd), -EBADF);
    EXPECT_EQ(gmpt_pread(fd, buffer, 1, 0), -EBADF);
    return 0;
}

TEST(file, files_are_opened_read_written_and_removed)
{
    name_paths();
    RUN(2, files);
}

TEST(file, files_on_one_p)
{
    name_paths();
    RUN(1, files);
}

/* A fifo's open waits for its other end: the P must go to the G that opens it. */
static void open_other_end(void *p)
{
    (void)p;
    int fd = gmpt_open(path, O_WRONLY, 0);
    EXPECT(fd >= 0);
    EXPECT_EQ(gmpt_write(fd, "f", 1), 1);
    EXPECT_EQ(gmpt_close(fd), 0);
}

static int fifo(void *arg)
{
    char byte;
    (void)arg;
    EXPECT_EQ(mkfifo(path, 0600), 0);
    run_go(open_other_end);
    int fd = gmpt_open(path, O_RDONLY, 0);
    EXPECT(fd >= 0);
    EXPECT_EQ(gmpt_read(fd, &byte, 1), 1);
    EXPECT_EQ(byte, 'f');
    EXPECT_EQ(gmpt_close(fd), 0);
    return 0;
}

TEST(file, an_open_that_blocks_gives_its_p_away)
{
    name_paths();
    RUN(1, fifo);
}

/* ---- sendfile ---- */

static char *content;

static int make_file(void)
{
    content = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        content[i] = (char)(i * 13 ^ i >> 10);
    int fd = gmpt_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(gmpt_write_full(fd, content, MUCH, NULL), 0);
    return fd;
}

static void receive_all(void *p)
{
    size_t skip = *(size_t *)p, done = 0;
    char *received = malloc(MUCH);
    EXPECT_EQ(gmpt_read_full(fds[0], received, MUCH - skip, &done), 0);
    EXPECT_EQ(done, MUCH - skip);
    EXPECT(memcmp(received, content + skip, MUCH - skip) == 0);
    free(received);
    gmpt_waitgroup_done(&group);
}

static int send_file(void *arg)
{
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    int file = make_file();
    size_t skip = 1000;
    off_t offset = 1000;
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go(receive_all, &skip, sizeof skip) > 0);
    EXPECT_EQ(gmpt_sendfile(fds[1], file, &offset, MUCH), MUCH - skip); /* until the file ends */
    EXPECT_EQ(offset, MUCH);
    gmpt_waitgroup_wait(&group);

    skip = 0;
    EXPECT_EQ(lseek(file, 0, SEEK_SET), 0);
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go(receive_all, &skip, sizeof skip) > 0);
    EXPECT_EQ(gmpt_sendfile(fds[1], file, NULL, MUCH), MUCH);
    EXPECT_EQ(lseek(file, 0, SEEK_CUR), MUCH);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_sendfile(fds[1], file, &offset, 0), 0);
    EXPECT_EQ(gmpt_sendfile(fds[1], file, &offset, 10), 0); /* there is no more */
    free(content);
    return 0;
}

TEST(file, sendfile_waits_for_the_socket)
{
    name_paths();
    RUN(2, send_file);
}

TEST(file, sendfile_on_one_p)
{
    name_paths();
    RUN(1, send_file);
}

static int send_file_fails(void *arg)
{
    off_t offset = 0;
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    int file = make_file();
    EXPECT_EQ(gmpt_sendfile_until(fds[1], file, &offset, MUCH, gmpt_now() + 2000000), -ETIMEDOUT);
    EXPECT(offset > 0 && offset < MUCH); /* says how far it came */
    EXPECT_EQ(gmpt_sendfile(fds[1], -1, &offset, 1), -EBADF);
    EXPECT_EQ(gmpt_sendfile(-1, file, &offset, 1), -EBADF);
    EXPECT_EQ(gmpt_close(fds[0]), 0);
    EXPECT_EQ(gmpt_sendfile(fds[1], file, &offset, 1), -EPIPE);
    free(content);
    return 0;
}

TEST(file, a_sendfile_that_fails_says_how_far_it_came)
{
    signal(SIGPIPE, SIG_IGN);
    name_paths();
    RUN(2, send_file_fails);
}
