/* What was said of programs whose truth is known. See judge.h. */
#define _GNU_SOURCE
#include "judge.h"

#include "trace/segment.h"

#include <gmptrace/trace.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FACTS_MAX 64
#define PROOFS_TRIED 3
#define WAIT_SECONDS 60

const char *const judge_heap_words[JUDGE_HEAPS] = { "root", "walked", "noted" };

enum truth { LIVE, LEAKED, ENCODED, OTHER };

/* What the program tells: of one G, or of all that were started with a function. */
struct fact {
    uint64_t fn, id; /* one of them is 0 */
    enum truth truth;
    bool proven_fine, cycle_fine, woke;
    uint32_t count; /* that there are to be */
    uint32_t seen, proven, cycle;
    char name[64];
};

struct judged {
    const struct judge_job *job;
    pid_t pid;
    FILE *input, *output;
    int segment_fd;
    struct segment segment;
    uint32_t proof, assumptions;
    struct fact facts[FACTS_MAX];
    uint32_t fact_count;
    struct judge_count count;
    char *text;
    size_t size;
};

static void complain(struct judged *judged, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct judged *judged, const char *format, ...)
{
    size_t used = strlen(judged->text);
    const char *argument = judged->job->argument ? judged->job->argument : "";
    int length =
        snprintf(judged->text + used, judged->size - used, "%s %s%s%s, heap %s, P = %d: ", judged->job->program,
                 argument, judged->job->second ? " " : "", judged->job->second ? judged->job->second : "",
                 judge_heap_words[judged->job->heap], judged->job->procs);
    va_list args;
    va_start(args, format);
    if (length > 0 && used + (size_t)length < judged->size)
        vsnprintf(judged->text + used + length, judged->size - used - (size_t)length, format, args);
    va_end(args);
    used = strlen(judged->text);
    snprintf(judged->text + used, judged->size - used, "\n");
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

static void child_exec(const struct judge_job *job, int input, int output)
{
    const char *build = getenv("BUILD") ? getenv("BUILD") : "build/gcc";
    char path[512], preload[512], procs[16];
    snprintf(path, sizeof path, "%s/tests/leaks/%s", build, job->program);
    snprintf(preload, sizeof preload, "%s/libgmptrace-heap.so", build);
    snprintf(procs, sizeof procs, "%d", job->procs);
    setenv("GMPT_MAXPROCS", procs, 1);
    setenv("GMPT_LEAK_HEAP", job->heap == JUDGE_ROOT ? "root" : "trace", 1);
    if (job->heap == JUDGE_NOTED)
        setenv("LD_PRELOAD", preload, 1);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execl(path, job->program, job->argument, job->second, job->second ? "hold" : NULL, NULL);
    _exit(127);
}

static int program_start(struct judged *judged)
{
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
        return -errno;
    judged->pid = fork();
    if (judged->pid == 0)
        child_exec(judged->job, input[0], output[1]);
    close(input[0]);
    close(output[1]);
    judged->input = fdopen(input[1], "w");
    judged->output = fdopen(output[0], "r");
    return judged->pid < 0 || !judged->input || !judged->output ? -ENOMEM : 0;
}

static bool program_end(struct judged *judged, bool kill_it)
{
    int status = -1;
    if (kill_it)
        kill(judged->pid, SIGKILL);
    if (judged->input)
        fclose(judged->input);
    if (judged->pid > 0)
        waitpid(judged->pid, &status, 0);
    if (judged->output)
        fclose(judged->output);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int segment_find(struct judged *judged)
{
    char path[64], link[256];
    struct dirent *entry;
    int found = -1;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)judged->pid);
    DIR *dir = opendir(path);
    while (dir && found < 0 && (entry = readdir(dir))) {
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
        link[length > 0 ? length : 0] = 0;
        if (strncmp(link, "/memfd:" SEGMENT_NAME, strlen("/memfd:" SEGMENT_NAME)) == 0)
            found = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* ---- What it tells ----------------------------------------------------------------------------------------------- */

static enum truth truth_of(const char *word)
{
    static const char *const words[] = { "live", "leaked", "encoded" };
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0)
            return (enum truth)i;
    return OTHER;
}

/* site 0xADDRESS FUNCTION COUNT [proven] [cycle] [live]; or g ID TRUTH NAME */
static void fact_read(struct judged *judged, const char *line)
{
    struct fact *fact = &judged->facts[judged->fact_count];
    char word[16], kinds[3][8] = { "", "", "" };
    if (judged->fact_count == FACTS_MAX)
        abort();
    memset(fact, 0, sizeof *fact);
    if (sscanf(line, "g %" SCNu64 " %15s %63s", &fact->id, word, fact->name) == 3) {
        fact->truth = truth_of(word);
        fact->count = 1;
        fact->proven_fine = fact->cycle_fine = fact->truth == LEAKED;
    } else if (sscanf(line, "site %" SCNx64 " %63s %" SCNu32 " %7s %7s %7s", &fact->fn, fact->name, &fact->count,
                      kinds[0], kinds[1], kinds[2]) >= 4) {
        for (int i = 0; i < 3; i++) {
            fact->proven_fine |= strcmp(kinds[i], "proven") == 0;
            fact->cycle_fine |= strcmp(kinds[i], "cycle") == 0;
        }
        fact->truth = fact->proven_fine || fact->cycle_fine ? LEAKED : LIVE;
    } else
        return;
    judged->fact_count++;
}

/* Returns false when the program's output ended before that line. */
static bool lines_read(struct judged *judged, const char *last)
{
    char line[256];
    uint64_t id;
    while (fgets(line, sizeof line, judged->output)) {
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, last) == 0)
            return true;
        if (sscanf(line, "woke %" SCNu64, &id) != 1) {
            fact_read(judged, line);
            continue;
        }
        for (uint32_t i = 0; i < judged->fact_count; i++)
            judged->facts[i].woke |= judged->facts[i].id == id;
    }
    return false;
}

/* ---- What was found ---------------------------------------------------------------------------------------------- */

static bool proof_make(struct judged *judged)
{
    const struct segment_header *header = judged->segment.header;
    for (int try = 0; try < PROOFS_TRIED; try++) {
        judged->proof = segment_ask_proof(&judged->segment);
        for (int i = 0; i < WAIT_SECONDS * 2000 && !segment_proof_is_done(&judged->segment, judged->proof); i++)
            usleep(500);
        if (!segment_proof_is_done(&judged->segment, judged->proof))
            return false;
        judged->assumptions = load_relaxed(&header->proof_assumptions);
        if (load_relaxed(&header->proof_status) == PROOF_COMPLETE) {
            judged->count.unfollowed += judged->job->heap != JUDGE_ROOT && judged->assumptions & PROOF_HEAP_ROOT;
            return true;
        }
    }
    return false;
}

static struct fact *fact_find(struct judged *judged, const struct g_slot *slot)
{
    uint64_t id = load_acquire(&slot->id);
    for (uint32_t i = 0; i < judged->fact_count; i++)
        if (judged->facts[i].id ? judged->facts[i].id == id : judged->facts[i].fn == slot->fn)
            return &judged->facts[i];
    return NULL;
}

static void leaked_count(struct judged *judged, const struct fact *fact, enum g_verdict verdict, bool suspect)
{
    struct judge_count *count = &judged->count;
    count->leaked++;
    if (verdict == VERDICT_PROVEN)
        count->proven++;
    else if (verdict == VERDICT_CYCLE)
        count->cycle++;
    else if (suspect)
        count->stuck++;
    else
        count->missed++;
    if ((verdict == VERDICT_PROVEN && !fact->proven_fine) || (verdict == VERDICT_CYCLE && !fact->cycle_fine))
        complain(judged, "%s is %s", fact->name, verdict == VERDICT_CYCLE ? "a cycle" : "proven");
}

static void live_count(struct judged *judged, const struct fact *fact, uint64_t id, enum g_verdict verdict)
{
    bool found = verdict == VERDICT_PROVEN || verdict == VERDICT_CYCLE;
    if (!fact) {
        if (found)
            complain(judged, "G %" PRIu64 ", of which nothing was said, is found to have leaked", id);
        judged->count.wrong += found;
        return;
    }
    judged->count.live += fact->truth != OTHER;
    judged->count.assumed += found && fact->truth == ENCODED;
    if (found && fact->truth == LIVE) {
        judged->count.wrong++;
        complain(judged, "WRONG: %s (G %" PRIu64 ") is alive, and was found to be %s", fact->name, id,
                 verdict == VERDICT_PROVEN ? "proven" : "in a cycle");
    }
}

static void slot_judge(struct judged *judged, const struct g_slot *slot)
{
    uint64_t id = load_acquire(&slot->id), status = load_acquire(&slot->status);
    enum g_state state = g_status_state(status);
    if (!id || state == G_IDLE || state == G_DEAD || slot->parent == 0)
        return;
    enum g_verdict verdict = g_verdict_of(slot, judged->proof, id, status);
    struct fact *fact = fact_find(judged, slot);
    bool suspect = state == G_WAITING && !slot->wait_bounded &&
                   gmpt_wait_reason_suspect((enum gmpt_wait_reason)g_status_reason(status));
    if (fact) {
        fact->seen++;
        fact->proven += verdict == VERDICT_PROVEN;
        fact->cycle += verdict == VERDICT_CYCLE;
    }
    if (fact && fact->truth == LEAKED)
        leaked_count(judged, fact, verdict, suspect);
    else
        live_count(judged, fact, id, verdict);
}

static void facts_check(struct judged *judged)
{
    for (uint32_t i = 0; i < judged->fact_count; i++) {
        const struct fact *fact = &judged->facts[i];
        bool found = fact->proven || fact->cycle;
        if (fact->fn && fact->seen != fact->count) {
            judged->count.broken++;
            complain(judged, "%u of %s are left, and not %u", fact->seen, fact->name, fact->count);
        }
        if (fact->truth == LEAKED && fact->proven + fact->cycle != fact->seen)
            complain(judged, "%s: %u proven and %u in cycles of %u", fact->name, fact->proven, fact->cycle, fact->seen);
        if (fact->truth == LEAKED && fact->woke) {
            judged->count.broken++;
            complain(judged, "%s was to have leaked, and went on", fact->name);
        }
        if (fact->truth == OTHER && fact->woke && found) {
            judged->count.wrong++;
            complain(judged, "WRONG: %s went on, and was found to have leaked", fact->name);
        }
    }
}

/* Once the program is ready. Returns 0, 1 when it never was, or -errno. */
static int judged_open(struct judged *judged)
{
    const char *why;
    if (!lines_read(judged, "ready")) {
        judged->count.broken++;
        complain(judged, "it ended before it was ready");
        return 1;
    }
    judged->segment_fd = segment_find(judged);
    return judged->segment_fd < 0 ? -ENOENT : segment_open(&judged->segment, judged->segment_fd, &why);
}

static void end_await(struct judged *judged)
{
    if (lines_read(judged, "end"))
        return;
    judged->count.broken++;
    complain(judged, "it did not end");
}

static int judge(struct judged *judged)
{
    int result = judged_open(judged);
    if (result)
        return result;
    if (proof_make(judged))
        judged->count.proofs++;
    else {
        judged->count.inconclusive++;
        complain(judged, "no proof: status %u", load_relaxed(&judged->segment.header->proof_status));
    }
    uint32_t used = load_acquire(&judged->segment.header->registry_used);
    for (uint32_t i = 0; i < used && i < judged->segment.registry_slots; i++)
        slot_judge(judged, &judged->segment.registry[i]);
    segment_close(&judged->segment);
    bool told = judged->job->second != NULL; /* leaks_corpus ends as its input does, and tells nothing more */
    if (!told) {
        fputc('\n', judged->input);
        fflush(judged->input);
        end_await(judged);
    }
    facts_check(judged);
    return 0;
}

/* What they wait for, as far as they still do. */
static void found_tell(struct judged *judged, uint64_t found)
{
    char reasons[256] = "";
    uint32_t used = load_acquire(&judged->segment.header->registry_used);
    for (uint32_t i = 0; i < used && i < judged->segment.registry_slots && strlen(reasons) < 200; i++) {
        const struct g_slot *slot = &judged->segment.registry[i];
        uint64_t status = load_acquire(&slot->status);
        enum g_verdict verdict = g_verdict_of(slot, judged->proof, load_acquire(&slot->id), status);
        if (verdict == VERDICT_PROVEN || verdict == VERDICT_CYCLE)
            snprintf(reasons + strlen(reasons), sizeof reasons - strlen(reasons), "; %s",
                     gmpt_wait_reason_words((enum gmpt_wait_reason)g_status_reason(status)));
    }
    complain(judged, "WRONG: proof %u finds %" PRIu64 " that have leaked%s", judged->proof, found, reasons);
}

/* Proof after proof, of which none may find anything. */
static int judge_restless(struct judged *judged)
{
    int result = judged_open(judged);
    if (result)
        return result;
    const struct segment_header *header = judged->segment.header;
    for (int i = 0; i < judged->job->proofs; i++) {
        if (!proof_make(judged)) {
            judged->count.inconclusive++;
            continue;
        }
        judged->count.proofs++;
        judged->count.live += load_relaxed(&header->proof_gs);
        uint64_t found = load_relaxed(&header->proof_proven) + load_relaxed(&header->proof_cycles);
        judged->count.wrong += found;
        if (found)
            found_tell(judged, found);
    }
    segment_close(&judged->segment);
    fclose(judged->input);
    judged->input = NULL;
    end_await(judged);
    return 0;
}

static void count_add(struct judge_count *sum, const struct judge_count *count)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)count;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

int judge_run(const struct judge_job *job, struct judge_count *count, char *text, size_t size)
{
    struct judged judged = { .job = job, .segment_fd = -1, .text = text, .size = size };
    text[0] = 0;
    int result = program_start(&judged);
    if (result == 0)
        result = job->proofs ? judge_restless(&judged) : judge(&judged);
    bool fine = program_end(&judged, result != 0);
    if (result == 0 && !fine) {
        judged.count.broken++;
        complain(&judged, "it ended badly");
    }
    if (judged.segment_fd >= 0)
        close(judged.segment_fd);
    count_add(count, &judged.count);
    return result < 0 ? result : 0;
}
