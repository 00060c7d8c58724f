/* Tests that leave nothing behind: a scope for each, and a report by the command, which has what it takes to name
 * source lines. Uses the public functions only. */
#define _GNU_SOURCE
#include <gmptrace/leaktest.h>

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_FIRST_NS 10000
#define NAP_MOST_NS 10000000
#define STATUS_LEAKS 1 /* of `gmptrace leaks`: it has told of some */

extern char **environ;

struct gmpt_test_mark gmpt_test_begin(void)
{
    struct gmpt_test_mark mark;
    mark.gmpt_private[0] = gmpt_scope_new();
    mark.gmpt_private[1] = gmpt_scope_enter(mark.gmpt_private[0]);
    return mark;
}

/* Returns 0 when the command has told of them. */
static int command_run(uint64_t scope)
{
    char pid_text[16], scope_text[24];
    char *named = getenv("GMPTRACE"), *command = named && *named ? named : (char *)"gmptrace";
    char *argv[] = { command, (char *)"leaks", (char *)"-p", pid_text, (char *)"--scope", scope_text, NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    snprintf(pid_text, sizeof pid_text, "%d", (int)getpid());
    snprintf(scope_text, sizeof scope_text, "%" PRIu64, scope);
    if (posix_spawn_file_actions_init(&actions))
        return -ENOMEM;
    int error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (!error)
        error = posix_spawnp(&pid, command, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        return -error;
    gmpt_blocking_begin();
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    gmpt_blocking_end();
    return WIFEXITED(status) && WEXITSTATUS(status) == STATUS_LEAKS ? 0 : -ENOENT;
}

static void report(uint64_t scope, int64_t left)
{
    fprintf(stderr, "gmptrace: %" PRId64 " goroutine%s of a test %s left\n", left, left == 1 ? "" : "s",
            left == 1 ? "is" : "are");
    if (command_run(scope))
        gmpt_dump(STDERR_FILENO);
}

int64_t gmpt_test_end(struct gmpt_test_mark mark, int64_t grace_ns)
{
    uint64_t scope = mark.gmpt_private[0];
    int64_t end_ns = gmpt_now() + grace_ns, nap_ns = NAP_FIRST_NS, left;
    gmpt_scope_enter(mark.gmpt_private[1]);
    while ((left = gmpt_scope_count(scope)) > 0 && gmpt_now() < end_ns) {
        gmpt_sleep(nap_ns);
        nap_ns = nap_ns * 2 < NAP_MOST_NS ? nap_ns * 2 : NAP_MOST_NS;
    }
    if (left > 0)
        report(scope, left);
    return left;
}

struct test_call {
    int (*fn)(void *arg);
    void *arg;
};

/* Named as a public function, so that stacks are shown without it. */
static int gmpt_test_main(void *call_pointer)
{
    const struct test_call *call = call_pointer;
    struct gmpt_test_mark mark = gmpt_test_begin();
    int result = call->fn(call->arg);
    int64_t left = gmpt_test_end(mark, GMPT_TEST_GRACE_NS);
    return result == 0 && left > 0 ? GMPT_TEST_LEFT : result;
}

int gmpt_test_run(int (*fn)(void *arg), void *arg)
{
    struct test_call call = { fn, arg };
    return gmpt_run(gmpt_test_main, &call);
}
