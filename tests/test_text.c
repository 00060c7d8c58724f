/* Text there and back, the line for people, and what the parser says about mistakes. */
#define _GNU_SOURCE
#include "harness.h"
#include "trace/events.h"
#include "trace/text.h"
#include "tracefile.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *dump(const char *path)
{
    struct gmpt_trace_error error = { 0 };
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int result = text_dump(path, out, &error);
    fclose(out);
    ck_assert_msg(result == 0, "%s", error.message);
    return text;
}

/* Without the comment lines, which no file keeps. */
static void strip_comments(char *text)
{
    char *to = text;
    for (char *line = text; *line;) {
        char *end = strchrnul(line, '\n');
        size_t length = (size_t)(end - line) + (*end == '\n');
        if (*line != '#') {
            memmove(to, line, length);
            to += length;
        }
        line += length;
    }
    *to = 0;
}

static void check_identity(const char *text)
{
    char *again = dump(tracefile_build(text));
    ck_assert_str_eq(again, text);
    free(again);
}

TEST(text, golden_traces_are_kept_to_the_letter)
{
    glob_t found;
    ck_assert_int_eq(glob("tests/traces/*.txt", 0, NULL, &found), 0);
    ck_assert_uint_ge(found.gl_pathc, 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t size;
        char *text = (char *)tracefile_slurp(found.gl_pathv[i], &size);
        strip_comments(text);
        check_identity(text);
        free(text);
    }
    globfree(&found);
}

TEST(text, golden_traces_have_no_violation)
{
    glob_t found;
    ck_assert_int_eq(glob("tests/traces/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t size;
        char *text = (char *)tracefile_slurp(found.gl_pathv[i], &size);
        struct tracefile_result result = tracefile_run(text);
        ck_assert_msg(result.last_result == 0 && result.info.whole, "%s: %s", found.gl_pathv[i], result.error.message);
        ck_assert_msg(result.counts.violations == 0, "%s", found.gl_pathv[i]);
        ck_assert_msg(result.counts.emitted == result.counts.kept + result.counts.lost, "%s", found.gl_pathv[i]);
        free(result.events);
        free(text);
    }
    globfree(&found);
}

/* Random traces that mean nothing, with every event and numbers of every size. */
TEST(text, random_traces_are_kept_to_the_letter)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        char *text = NULL;
        size_t size;
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        FILE *out = open_memstream(&text, &size);
        fputs("pid 0\np_count 255\nclock_kind tsc\nframe\n", out);
        for (unsigned line = 0; line < 40; line++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            uint64_t small = random >> (random & 63);
            switch (random % 6) {
            case 4:
                fprintf(out, "string %u %" PRIx64 " \\\\\\x0a\\x7f \xc3\xbc  \n", line + 1, small);
                break;
            case 5:
                fprintf(out, "labels %u %u=%u 0=4294967295\n", line + 1, (unsigned)small, (unsigned)random);
                break;
            case 0:
                fprintf(out, "stack %u %" PRIu64 " 0x%" PRIx64 "\n", line % 200, 1 + (small & 0xffff), small);
                break;
            case 1:
                fprintf(out, "clock %" PRIu64 " %" PRId64 " -5\n", small, (int64_t)random);
                break;
            default:
                fprintf(out, "events ring=%u sequence=%" PRIu64 " offset=0 base=%" PRIu64 " g=0 seq=%u tid=1 lost=0\n",
                        line, small, random, (unsigned)random);
                for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
                    if (!event_known(code))
                        continue;
                    fprintf(out, "  %" PRIu64 " %s", small, event_specs[code].name);
                    for (int i = 0; i < event_field_counts[code]; i++) {
                        bool address = event_specs[code].field[i].kind == EVENT_KIND_addr ||
                                       event_specs[code].field[i].kind == EVENT_KIND_text;
                        bool reason = event_specs[code].field[i].kind == EVENT_KIND_reason;
                        fprintf(out, address ? " %s=0x%" PRIx64 : " %s=%" PRIu64, event_specs[code].field[i].name,
                                reason ? 1000 + small : small);
                    }
                    fputc('\n', out);
                }
            }
        }
        fclose(out);
        check_identity(text);
        free(text);
    }
}

static void check_refused(const char *line)
{
    char text[1024];
    struct gmpt_trace_error error = { 0 };
    snprintf(text, sizeof text, "pid 1\nframe\nclock 1 2 3\n%s\n", line);
    ck_assert_msg(text_build(text, memfd_create("text", 0), &error) == -EINVAL, "%s", line);
    ck_assert_int_eq(error.offset, 4);
}

TEST(text, what_is_no_string_or_label_set_is_refused)
{
    char line[512] = "string 1 ";
    memset(line + strlen(line), 'x', 256);
    check_refused(line);
    check_refused("string");
    check_refused("string 0 x");
    check_refused("string x");
    check_refused("string 1 a\\b");
    check_refused("string 1 a\\x0");
    check_refused("string 1 a\\");
    check_refused("labels 1");
    check_refused("labels 1 2");
    check_refused("labels 1 2=x");
    check_refused("labels 1 1=1 2=2 3=3 4=4 5=5 6=6 7=7 8=8 9=9 10=1 11=1 12=1 13=1 14=1 15=1 16=1 17=1");
}

TEST(text, spaces_comments_and_blank_lines_count_for_nothing)
{
    char *text =
        dump(tracefile_build("# hello\n\n   pid 7\n  p_count 2\nclock_kind monotonic\n#\nframe\n clock 1 2 3\n"
                             "events ring=0 sequence=0 offset=0 base=1 g=0 seq=0 tid=0 lost=0\n1   go_yield\n"));
    ck_assert_str_eq(text, "pid 7\np_count 2\nclock_kind monotonic\nframe\nclock 1 2 3\n"
                           "events ring=0 sequence=0 offset=0 base=1 g=0 seq=0 tid=0 lost=0\n  1 go_yield\n");
    free(text);
}

TEST(text, a_mistake_is_reported_with_its_line)
{
    static const struct {
        const char *text, *message;
    } mistakes[] = {
        { "", "line 1: there is no frame" },
        { "pid 7\nclock 1 2 3\n", "line 2: " },
        { "pid x\n", "line 1: " },
        { "frame\nclock 1 2\n", "line 2: a clock" },
        { "frame\npid 7\n", "line 2: this kind" },
        { "frame\nstack 300 1\n", "line 2: a stack" },
        { "frame\nmodule 1 2\n", "line 2: a module" },
        { "frame\nring 1 2 3\n", "line 2: after the end" },
        { "frame\nend 4 0\n", "line 2: an end" },
        { "frame\nevents ring=0\n", "line 2: events have" },
        { "frame\nevents ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=0 lost=0\n1 go_home\n", "line 3: a record" },
        { "frame\nevents ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=0 lost=0\n1 go_start seq=1\n",
          "line 3: a field" },
        { "frame\nevents ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=0 lost=0\n1 go_yield 5\n",
          "line 3: there is" },
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct gmpt_trace_error error;
        int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
        ck_assert_msg(text_build(mistakes[i].text, fd, &error) == -EINVAL, "%s", mistakes[i].text);
        ck_assert_msg(strstr(error.message, mistakes[i].message) == error.message, "%s", error.message);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    }
}

TEST(text, an_event_is_a_line_with_its_fields_by_name)
{
    char line[TEXT_EVENT_MAX];
    struct gmpt_event event = { .type = GMPT_EVENT_go_block, .p = 3, .time_ns = 1000000042, .g = 17 };
    event.go_block.reason = GMPT_WAIT_chan_send;
    event.go_block.object = 0xabc;
    event.go_block.stack = 9;
    ck_assert_uint_eq(text_event(line, &event), strlen(line));
    ck_assert_str_eq(line, "1.000000042 P3 G17 go_block reason=chan_send object=0xabc bounded=0 stack=9 owner=0");
}

TEST(text, no_p_no_g_and_times_before_the_start_have_a_form)
{
    char line[TEXT_EVENT_MAX];
    struct gmpt_event event = { .type = GMPT_EVENT_proc_stop, .p = -1, .time_ns = -1500000000 };
    text_event(line, &event);
    ck_assert_str_eq(line, "-1.500000000 - - proc_stop");
    event.type = (enum gmpt_event_type)0x7f;
    event.time_ns = INT64_MIN;
    text_event(line, &event);
    ck_assert_str_eq(line, "-9223372036.854775808 - - unknown");
}

TEST(text, the_longest_event_has_room)
{
    char line[TEXT_EVENT_MAX];
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        struct gmpt_event event = {
            .type = (enum gmpt_event_type)code, .p = 255, .time_ns = INT64_MIN, .g = UINT64_MAX
        };
        memset(event.field, 0xff, sizeof event.field);
        ck_assert_uint_lt(text_event(line, &event), TEXT_EVENT_MAX - 1);
    }
}

TEST(text, a_cut_file_is_not_dumped_as_if_it_were_whole)
{
    size_t size;
    struct gmpt_trace_error error;
    uint8_t *bytes = tracefile_slurp(tracefile_build("frame\nclock 1 2 3\n"), &size);
    FILE *null = fopen("/dev/null", "w");
    ck_assert_int_eq(text_dump(tracefile_write(bytes, size - 1), null, &error), -EPROTO);
    ck_assert_ptr_nonnull(strstr(error.message, "ends inside a frame"));
    bytes[size - 1] ^= 1;
    ck_assert_int_eq(text_dump(tracefile_write(bytes, size), null, &error), -EPROTO);
    fclose(null);
    free(bytes);
}
