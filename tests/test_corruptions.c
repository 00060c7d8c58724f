/* Whatever contradicts itself in a trace is found: valid traces, of a made-up program and of a real one, get one
 * corruption each, of every kind, at several places.
 *
 * What the size of parts and the rings' own counts would tell at once is taken away: parts are numbered anew, and there
 * is no account at the end. So it is the order alone that has to find it.
 *
 * Not here, since what is left is a trace that could have been:
 * - two neighbours of one ring that do not depend on each other are swapped, like two go_create;
 * - an event that changes no state (proc_preempt, what the program says of itself) is lost, doubled or moved, or the
 *   last of a ring or of a G is lost: only the rings' counts tell, which the last test is about;
 * - a G is created again when it has ended: numbers of those are not kept, or memory would grow with the trace;
 * - a proc_retake too many for a G that came back once without its P and without a word (order.h, invariant 8);
 * - time that is shifted by less than it takes to the next event. */
#define _GNU_SOURCE
#include "gentrace.h"
#include "harness.h"
#include "trace/text.h"
#include "tracefile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 5        /* for each corruption */
#define PART_EVENTS 200 /* in one events section: room for more in its sub-buffer */
#define BACK_TICKS 100000
#define RINGS_MAX 65

enum item_kind { ITEM_LINE, ITEM_PART, ITEM_EVENT };

/* A line of the text. An event has an absolute time and its ring's G as it is after it, or was before the G left. */
struct item {
    enum item_kind kind;
    const char *text; /* of an event without its time; borrowed */
    int ring;
    uint64_t ticks, g;
    uint32_t seq;
};

struct story {
    struct item *item;
    size_t count, room;
    int p_count; /* the no-P ring's number */
    char made[128];
};

/* ---- Text to items and back ------------------------------------------------------------------------------------- */

static bool is(const struct item *item, const char *name)
{
    size_t length = strlen(name);
    return item->kind == ITEM_EVENT && strncmp(item->text, name, length) == 0 &&
           (item->text[length] == ' ' || item->text[length] == 0);
}

static bool takes(const struct item *item)
{
    return is(item, "go_start") || is(item, "syscall_resume") || is(item, "go_attach");
}

static bool leaves(const struct item *item)
{
    return is(item, "go_block") || is(item, "go_exit") || is(item, "go_yield") || is(item, "go_preempt") ||
           is(item, "go_preempt_async") || is(item, "go_detach");
}

static bool moves(const struct item *item) { return leaves(item) || is(item, "syscall_begin"); }

static uint64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    ck_assert_msg(at != NULL, "%s has no %s", text, name);
    return strtoull(at + strlen(name), NULL, 0);
}

/* Cuts the text, which the story borrows from, into lines. */
static struct story story_make(char *text)
{
    struct story story = { 0 };
    struct item part = { 0 }, lane[RINGS_MAX] = { 0 };
    for (char *line; (line = strsep(&text, "\n")) && text;) {
        struct item item = { .text = line };
        line += strspn(line, " ");
        if (strncmp(line, "ring ", 5) == 0)
            continue;
        if (strncmp(line, "p_count ", 8) == 0)
            story.p_count = atoi(line + 8);
        if (strncmp(line, "events ", 7) == 0) {
            part = (struct item){ ITEM_PART, line, (int)field(line, "ring="), field(line, "base="), 0, 0 };
            ck_assert_int_lt(part.ring, RINGS_MAX);
            item = part;
        } else if (*line >= '0' && *line <= '9') {
            char *name;
            part.ticks += strtoull(line, &name, 10);
            item = (struct item){ ITEM_EVENT, name + 1, part.ring, part.ticks, 0, 0 };
            struct item *head = &lane[part.ring];
            if (takes(&item)) {
                head->g = field(item.text, " g=");
                head->seq = (uint32_t)field(item.text, " seq=");
            } else if (moves(&item) || is(&item, "syscall_end")) {
                head->seq++;
            }
            item.g = head->g;
            item.seq = head->seq;
            if (leaves(&item))
                head->g = 0;
        }
        if (story.count == story.room)
            story.item = realloc(story.item, (story.room = 2 * story.room + 64) * sizeof *story.item);
        story.item[story.count++] = item;
    }
    return story;
}

static char *story_text(const struct story *story)
{
    char *text;
    size_t size, events = 0;
    uint64_t sequence[RINGS_MAX] = { 0 }, ticks = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; i < story->count; i++) {
        const struct item *item = &story->item[i];
        if (item->kind == ITEM_LINE)
            fprintf(out, "%s\n", item->text);
        if (item->kind == ITEM_PART || (item->kind == ITEM_EVENT && (events == PART_EVENTS || item->ticks < ticks))) {
            fprintf(out, "events ring=%d sequence=%llu offset=0 base=%llu g=0 seq=0 tid=7 lost=0\n", item->ring,
                    (unsigned long long)sequence[item->ring]++, (unsigned long long)item->ticks);
            ticks = item->ticks;
            events = 0;
        }
        if (item->kind == ITEM_EVENT) {
            fprintf(out, "%llu %s\n", (unsigned long long)(item->ticks - ticks), item->text);
            ticks = item->ticks;
            events++;
        }
    }
    fclose(out);
    return text;
}

static struct story story_copy(const struct story *story)
{
    struct story copy = *story;
    copy.room = copy.count + 1;
    copy.item = malloc(copy.room * sizeof *copy.item);
    memcpy(copy.item, story->item, copy.count * sizeof *copy.item);
    return copy;
}

/* ---- Tools of corruption ---------------------------------------------------------------------------------------- */

/* Before the item at `at`. */
static void insert(struct story *story, size_t at, int ring, uint64_t ticks, const char *text)
{
    ck_assert_uint_lt(story->count, story->room);
    memmove(&story->item[at + 1], &story->item[at], (story->count++ - at) * sizeof *story->item);
    story->item[at] = (struct item){ ITEM_EVENT, text, ring, ticks, 0, 0 };
}

static void insert_after(struct story *story, size_t at, const char *text)
{
    insert(story, at + 1, story->item[at].ring, story->item[at].ticks, text);
}

/* Into another ring, at this time. Returns false when that has no event before. */
static bool insert_into(struct story *story, int ring, uint64_t ticks, const char *text)
{
    for (size_t i = story->count; i-- > 0;) {
        const struct item *item = &story->item[i];
        if (item->kind == ITEM_EVENT && item->ring == ring && item->ticks <= ticks) {
            insert(story, i + 1, ring, ticks, text);
            return true;
        }
    }
    return false;
}

static void take_out(struct story *story, size_t at)
{
    memmove(&story->item[at], &story->item[at + 1], (--story->count - at) * sizeof *story->item);
}

/* The ring's next event; NULL = it has none. */
static struct item *after(const struct story *story, size_t at)
{
    for (size_t i = at + 1; i < story->count; i++)
        if (story->item[i].kind == ITEM_EVENT && story->item[i].ring == story->item[at].ring)
            return &story->item[i];
    return NULL;
}

static bool starts_and_moves(const struct story *story, size_t at)
{
    const struct item *next = after(story, at);
    return is(&story->item[at], "go_start") && next && moves(next);
}

static int other_p(const struct story *story, size_t at) { return (story->item[at].ring + 1) % story->p_count; }

static const char *made(struct story *story, const char *event, size_t at, int seq_more)
{
    const struct item *item = &story->item[at];
    snprintf(story->made, sizeof story->made, "%s g=%llu seq=%u", event, (unsigned long long)item->g,
             item->seq + (uint32_t)seq_more);
    return story->made;
}

/* ---- Corruptions: each returns false where it does not apply, and has changed nothing then ---------------------- */

static bool start_lost(struct story *story, size_t at)
{
    if (!starts_and_moves(story, at))
        return false;
    take_out(story, at);
    return true;
}

static bool start_twice(struct story *story, size_t at)
{
    if (!is(&story->item[at], "go_start"))
        return false;
    insert_after(story, at, story->item[at].text);
    return true;
}

static bool start_on_two_ps(struct story *story, size_t at)
{
    const struct item start = story->item[at];
    return is(&start, "go_start") && insert_into(story, other_p(story, at), start.ticks, start.text);
}

static bool number_changed(struct story *story, size_t at, int by)
{
    if (!is(&story->item[at], "go_start"))
        return false;
    story->item[at].text = made(story, "go_start", at, by);
    return true;
}

static bool number_skipped(struct story *story, size_t at) { return number_changed(story, at, 1); }
static bool number_repeated(struct story *story, size_t at) { return number_changed(story, at, -1); }

static bool unblock_of_a_running_g(struct story *story, size_t at)
{
    const struct item start = story->item[at];
    return is(&start, "go_start") &&
           insert_into(story, other_p(story, at), start.ticks, made(story, "go_unblock", at, 1));
}

static bool unblock_before_block(struct story *story, size_t at)
{
    const struct item block = story->item[at];
    if (!is(&block, "go_block"))
        return false;
    for (size_t i = 0; i < story->count; i++) {
        const struct item *item = &story->item[i];
        if (!is(item, "go_unblock") || field(item->text, " g=") != block.g ||
            field(item->text, " seq=") != block.seq + 1)
            continue;
        const char *text = item->text;
        take_out(story, i);
        insert(story, i < at ? at - 1 : at, block.ring, block.ticks, text);
        return true;
    }
    return false;
}

static bool exit_of_a_waiting_g(struct story *story, size_t at)
{
    if (!is(&story->item[at], "go_block"))
        return false;
    insert_after(story, at, "go_exit");
    return true;
}

static bool call_ends_that_did_not_begin(struct story *story, size_t at)
{
    if (!starts_and_moves(story, at))
        return false;
    insert_after(story, at, "syscall_end");
    return true;
}

static bool retake_without_a_call(struct story *story, size_t at)
{
    const struct item start = story->item[at];
    int retakes = 0, returns = 0;
    if (!starts_and_moves(story, at))
        return false;
    for (size_t i = 0; i < story->count; i++) {
        const struct item *item = &story->item[i];
        if (item->kind != ITEM_EVENT)
            continue;
        if (is(item, "syscall_begin") && item->g == start.g)
            returns++; /* those that end with the P are taken off again */
        if (is(item, "syscall_end") && item->g == start.g)
            returns--;
        if (is(item, "proc_retake") && field(item->text, " g=") == start.g)
            retakes++;
    }
    snprintf(story->made, sizeof story->made, "proc_retake p=%d g=%llu", start.ring, (unsigned long long)start.g);
    return returns <= retakes && insert_into(story, story->p_count, start.ticks, story->made);
}

static bool neighbours_swapped(struct story *story, size_t at)
{
    if (!starts_and_moves(story, at))
        return false;
    struct item *next = after(story, at);
    const char *text = next->text;
    next->text = story->item[at].text;
    story->item[at].text = text;
    return true;
}

static bool event_twice(struct story *story, size_t at)
{
    const struct item *item = &story->item[at];
    if (!moves(item) && !is(item, "go_unblock") && !is(item, "go_create") && !is(item, "syscall_end"))
        return false;
    insert_after(story, at, item->text);
    return true;
}

static bool event_in_another_ring(struct story *story, size_t at)
{
    const struct item item = story->item[at], *next = after(story, at);
    if (!leaves(&item) || !next || !is(next, "go_start") ||
        !insert_into(story, other_p(story, at), item.ticks, item.text))
        return false;
    take_out(story, story->item[at].text == item.text && story->item[at].ring == item.ring ? at : at + 1);
    return true;
}

static bool g_created_twice(struct story *story, size_t at)
{
    if (!is(&story->item[at], "go_start"))
        return false;
    snprintf(story->made, sizeof story->made, "go_create g=%llu fn=0x10 stack=0",
             (unsigned long long)story->item[at].g);
    insert_after(story, at, story->made);
    return true;
}

static bool p_that_nobody_holds(struct story *story, size_t at)
{
    const struct item start = story->item[at];
    if (!is(&start, "go_start"))
        return false;
    insert(story, at, start.ring, start.ticks, "proc_stop");
    return true;
}

static bool steal_from_itself(struct story *story, size_t at)
{
    if (!is(&story->item[at], "proc_steal"))
        return false;
    snprintf(story->made, sizeof story->made, "proc_steal from=%d count=1", story->item[at].ring);
    story->item[at].text = story->made;
    return true;
}

static bool time_runs_back(struct story *story, size_t at)
{
    const struct item start = story->item[at], *next = after(story, at);
    if (!is(&start, "go_start") || !next || start.ticks < 2 * BACK_TICKS)
        return false;
    uint64_t back = next->ticks - start.ticks + BACK_TICKS;
    for (size_t i = at + 1; i < story->count; i++)
        if (story->item[i].kind == ITEM_EVENT && story->item[i].ring == start.ring)
            story->item[i].ticks -= back;
    return true;
}

static const struct {
    const char *name;
    bool (*apply)(struct story *story, size_t at);
    bool skew;      /* shows as skew, not as a violation */
    bool of_no_place; /* an account that is made at the end finds it */
} corruptions[] = {
#define CORRUPTION(name, ...) { #name, name, __VA_ARGS__ }
    CORRUPTION(start_lost, 0, 0),
    CORRUPTION(start_twice, 0, 0),
    CORRUPTION(start_on_two_ps, 0, 0),
    CORRUPTION(number_skipped, 0, 0),
    CORRUPTION(number_repeated, 0, 0),
    CORRUPTION(unblock_of_a_running_g, 0, 0),
    CORRUPTION(unblock_before_block, 0, 0),
    CORRUPTION(exit_of_a_waiting_g, 0, 0),
    CORRUPTION(call_ends_that_did_not_begin, 0, 0),
    CORRUPTION(retake_without_a_call, 0, 1),
    CORRUPTION(neighbours_swapped, 0, 0),
    CORRUPTION(event_twice, 0, 0),
    CORRUPTION(event_in_another_ring, 0, 0),
    CORRUPTION(g_created_twice, 0, 0),
    CORRUPTION(p_that_nobody_holds, 0, 0),
    CORRUPTION(steal_from_itself, 0, 0),
    CORRUPTION(time_runs_back, 1, 0),
};

/* ---- What is found ---------------------------------------------------------------------------------------------- */

struct finding {
    struct gmpt_trace_counts counts;
    struct gmpt_trace_error violation;
};

static struct finding text_check(const char *text)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(text), &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    int result;
    while ((result = gmpt_trace_next(trace, &event)) > 0)
        ;
    ck_assert_int_eq(result, 0);
    struct finding finding = { *gmpt_trace_counts(trace), *gmpt_trace_violation(trace) };
    gmpt_trace_close(trace);
    return finding;
}

static struct finding story_check(const struct story *story)
{
    char *text = story_text(story);
    struct finding finding = text_check(text);
    free(text);
    return finding;
}

/* All corruptions, one at a time, at PLACES places each. */
static void check_all(char *text)
{
    struct story story = story_make(text);
    struct finding valid = story_check(&story);
    ck_assert_msg(valid.counts.violations == 0, "%s", valid.violation.message);
    ck_assert_str_eq(valid.violation.message, "");
    ck_assert_uint_eq(valid.counts.resynced, 0);
    ck_assert_uint_eq(valid.counts.gaps, 0);

    for (size_t c = 0; c < sizeof corruptions / sizeof corruptions[0]; c++) {
        int applied = 0;
        for (int place = 0; place < PLACES; place++) {
            struct story copy = story_copy(&story);
            size_t at = story.count / PLACES * (size_t)place;
            while (at < story.count && !corruptions[c].apply(&copy, at))
                at++;
            if (at < story.count) {
                struct finding found = story_check(&copy);
                applied++;
                ck_assert_msg(corruptions[c].skew ? found.counts.skew_ns > valid.counts.skew_ns
                                                  : found.counts.violations > 0,
                              "%s at line %zu, ring %d, of \"%s\" is not found", corruptions[c].name, at,
                              story.item[at].ring, story.item[at].text);
                if (!corruptions[c].skew && !corruptions[c].of_no_place)
                    ck_assert_msg(found.violation.offset > 0 && strstr(found.violation.message, "ring "),
                                  "%s: \"%s\" tells no place", corruptions[c].name, found.violation.message);
            }
            free(copy.item);
        }
        ck_assert_msg(applied > 0, "%s applies nowhere", corruptions[c].name);
    }
    free(story.item);
}

TEST_TIMEOUT(corruptions, of_a_made_up_program_are_found, 300)
{
    for (unsigned seed = 1; seed <= 4; seed++) {
        struct gentrace trace = gentrace_make(seed, 3000);
        check_all(trace.text);
        free(trace.text);
    }
}

/* The recording as text, with its account. The caller frees it. */
static char *churn_text(void)
{
    char command[512], err[4096], *text;
    size_t size;
    struct gmpt_trace_error error;
    snprintf(command, sizeof command,
             "cd '%s' && GMPT_MAXPROCS=4 $GMPTRACE record -o churn.data -- $BUILD/tests/programs/churn 1 30",
             harness_tmpdir());
    ck_assert_msg(harness_shell(command, NULL, 0, err, sizeof err) == 0, "%s", err);
    snprintf(command, sizeof command, "%s/churn.data", harness_tmpdir());
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    ck_assert_msg(text_dump(command, out, &error) == 0, "%s", error.message);
    fclose(out);
    return text;
}

TEST_TIMEOUT(corruptions, of_a_recording_are_found, 300)
{
    char *text = churn_text();
    check_all(text);
    free(text);
}

TEST(corruptions, the_rings_counts_find_an_event_that_is_lost_and_changes_nothing)
{
    static const char head[] = TRACEFILE_HEAD "frame\nclock 100 100 1000\n"
                                              "events ring=0 sequence=0 offset=0 base=9 g=0 seq=0 tid=1 lost=0\n"
                                              "1 proc_start tid=1\n";
    char text[1024];
    snprintf(text, sizeof text, "%s1 proc_limit count=1\nend 1 0\nring 2 0 0\nring 0 0 0\nring 0 0 0\n", head);
    ck_assert_uint_eq(text_check(text).counts.violations, 0);
    snprintf(text, sizeof text, "%send 1 0\nring 2 0 0\nring 0 0 0\nring 0 0 0\n", head);
    struct finding found = text_check(text);
    ck_assert_uint_eq(found.counts.violations, 1);
    ck_assert_ptr_nonnull(strstr(found.violation.message, "2 records"));
}
