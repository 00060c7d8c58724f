/* Who may see what a program does: its own user, and no other that is not root. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Users that nobody needs to have entered anywhere. */
#define OWNER 61001
#define OTHER 61002

extern char **environ;

static bool become(uid_t user)
{
    return setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0;
}

/* Whether a child of this process can be another user, and go on to be no more than that. */
static bool users_there(void)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(geteuid() == 0 && become(OTHER) && setresuid(0, 0, 0) < 0 ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && status == 0;
}
#define NEED_USERS()                                                                                                   \
    do {                                                                                                               \
        if (!users_there())                                                                                            \
            SKIP("only root can be two other users");                                                                  \
    } while (0)

/* A directory for all, in which files are made as permissively as their maker allows. */
static void in_open_directory(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/open", harness_tmpdir());
    umask(0);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(chdir(path), 0);
}

/* Starts a program of the build as this user, its output and error output in a pipe. The program's file is opened
 * before, for it may lie where that user cannot go. */
static pid_t start_as(uid_t user, const char *path, char *const argv[], int *output)
{
    int ends[2], input[2];
    int program = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(program >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC) | pipe2(input, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(input[0], STDIN_FILENO); /* ends with this test */
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        if (become(user))
            fexecve(program, argv, environ);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    close(program);
    close(input[0]);
    close(ends[1]);
    *output = ends[0];
    return pid;
}

static pid_t target_start(void)
{
    char path[512], line[16] = "";
    int output;
    snprintf(path, sizeof path, "%s/tests/programs/idlers", getenv("BUILD"));
    pid_t pid = start_as(OWNER, path, (char *[]){ "idlers", NULL }, &output);
    ck_assert_int_gt(read(output, line, sizeof line - 1), 0);
    ck_assert_msg(strncmp(line, "ready", 5) == 0, "%s", line);
    return pid;
}

/* Runs gmptrace record with these arguments to its end; what it says goes to text. */
static int record_as(uid_t user, char *const arguments[], char *text, size_t size)
{
    char *argv[16] = { "gmptrace", "record" };
    int output, status = 0;
    for (size_t i = 0; i < 13 && arguments[i]; i++)
        argv[2 + i] = arguments[i];
    pid_t pid = start_as(user, getenv("GMPTRACE"), argv, &output);
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = read(output, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    close(output);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* 0, or the errno with which this user cannot open what is at path. */
static int open_as(uid_t user, const char *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(!become(user) ? 255 : open(path, O_RDONLY) < 0 ? errno : 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(rights, another_user_cannot_attach_and_the_same_can)
{
    char text[4096], number[16], expected[256];
    NEED_USERS();
    in_open_directory();
    pid_t target = target_start();
    snprintf(number, sizeof number, "%d", (int)target);
    snprintf(expected, sizeof expected,
             "gmptrace record: process %d may not be attached to: it is another user's, or has more rights than you; "
             "try as its user, or as root\n",
             (int)target);
    ck_assert_int_eq(record_as(OTHER, (char *[]){ "-d", "50ms", "-o", "other", "-p", number, NULL }, text, sizeof text),
                     4);
    ck_assert_str_eq(text, expected);
    ck_assert_int_ne(access("other", F_OK), 0);
    int status = record_as(OWNER, (char *[]){ "-d", "50ms", "-o", "own", "-p", number, NULL }, text, sizeof text);
    ck_assert_msg(status == 0, "%s", text);
    ck_assert_int_eq(access("own", F_OK), 0);
    ck_assert_int_eq(kill(target, SIGKILL), 0);
}

TEST(rights, another_user_cannot_open_the_shared_memory)
{
    char path[64];
    NEED_USERS();
    in_open_directory();
    pid_t target = target_start();
    snprintf(path, sizeof path, "/proc/%d/fd", (int)target);
    ck_assert_int_eq(open_as(OTHER, path), EACCES);
    ck_assert_int_eq(open_as(OWNER, path), 0);
    for (int fd = 3; fd < 64; fd++) {
        char link[64] = "";
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)target, fd);
        if (readlink(path, link, sizeof link - 1) > 0)
            ck_assert_int_eq(open_as(OTHER, path), EACCES);
    }
    ck_assert_int_eq(kill(target, SIGKILL), 0);
}

TEST(rights, a_recording_is_its_users_alone_whatever_the_umask)
{
    char text[4096], number[16];
    struct stat st;
    NEED_USERS();
    in_open_directory();
    pid_t target = target_start();
    snprintf(number, sizeof number, "%d", (int)target);
    int status = record_as(OWNER, (char *[]){ "-d", "50ms", "-o", "x", "-p", number, NULL }, text, sizeof text);
    ck_assert_msg(status == 0, "%s", text);
    ck_assert_int_eq(stat("x", &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq(st.st_uid, OWNER);
    ck_assert_int_eq(open_as(OTHER, "x"), EACCES);
    ck_assert_int_eq(open_as(OWNER, "x"), 0);
    ck_assert_int_eq(kill(target, SIGKILL), 0);
}

/* The file has its rights from the start, not only with its name. */
TEST(rights, a_recording_that_grows_is_its_users_alone)
{
    char part[64], number[16];
    int output;
    struct stat st;
    NEED_USERS();
    in_open_directory();
    pid_t target = target_start();
    snprintf(number, sizeof number, "%d", (int)target);
    pid_t recorder = start_as(OWNER, getenv("GMPTRACE"),
                              (char *[]){ "gmptrace", "record", "-o", "x", "-p", number, NULL },
                              &output);
    snprintf(part, sizeof part, "x.%d.part", (int)recorder);
    while (stat(part, &st) < 0)
        ck_assert_int_eq(usleep(1000), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(open_as(OTHER, part), EACCES);
    ck_assert_int_eq(kill(recorder, SIGINT), 0);
    ck_assert_int_eq(waitpid(recorder, NULL, 0), recorder);
    ck_assert_int_eq(kill(target, SIGKILL), 0);
}
