/* gmptrace export --format=perfetto: the packets of one small trace, and what a reader relies on. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include "cli/perfetto.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IIDS 64
#define TRACKS 64

static Perfetto__Protos__Trace *trace;

static void exported(const char *golden, const char *arguments)
{
    char path[512];
    size_t size;
    exported_golden(golden);
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=perfetto %s", arguments), 0);
    snprintf(path, sizeof path, "%s/gmptrace.pftrace", harness_tmpdir());
    uint8_t *bytes = tracefile_slurp(path, &size);
    trace = perfetto__protos__trace__unpack(NULL, size, bytes);
    ck_assert_ptr_nonnull(trace);
    free(bytes);
}

static void done(void) { perfetto__protos__trace__free_unpacked(trace, NULL); }

/* ---- What was told so far ---------------------------------------------------------------------------------------- */

struct interning {
    char names[IIDS][64], categories[IIDS][64], notes[IIDS][64], places[IIDS][64];
    struct {
        uint64_t uuid;
        char name[64];
    } tracks[TRACKS];
    size_t track_count;
};

static void intern_names(char table[IIDS][64], size_t count, Perfetto__Protos__InternedName **names)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_ne(names[i]->iid, 0);
        ck_assert_uint_lt(names[i]->iid, IIDS);
        ck_assert_msg(!table[names[i]->iid][0], "%s is told again", names[i]->name);
        snprintf(table[names[i]->iid], 64, "%s", names[i]->name);
    }
}

static void intern(struct interning *told, const Perfetto__Protos__TracePacket *packet)
{
    const Perfetto__Protos__InternedData *data = packet->interned_data;
    const Perfetto__Protos__TrackDescriptor *track = packet->track_descriptor;
    if (data) {
        intern_names(told->names, data->n_event_names, data->event_names);
        intern_names(told->categories, data->n_event_categories, data->event_categories);
        intern_names(told->notes, data->n_debug_annotation_names, data->debug_annotation_names);
        for (size_t i = 0; i < data->n_debug_annotation_string_values; i++) {
            const Perfetto__Protos__InternedString *string = data->debug_annotation_string_values[i];
            ck_assert_uint_lt(string->iid, IIDS);
            snprintf(told->places[string->iid], 64, "%.*s", (int)string->str.len, string->str.data);
        }
    }
    if (track) {
        ck_assert_uint_lt(told->track_count, TRACKS);
        told->tracks[told->track_count].uuid = track->uuid;
        snprintf(told->tracks[told->track_count++].name, 64, "%s", track->name ? track->name : "process");
    }
}

/* The track, which must have been told of by now. */
static const char *track_name(const struct interning *told, uint64_t uuid)
{
    for (size_t i = 0; i < told->track_count; i++)
        if (told->tracks[i].uuid == uuid)
            return told->tracks[i].name;
    ck_abort_msg("there is no track %" PRIu64, uuid);
    return NULL;
}

/* A line for each slice, instant and sample: "G1: running 20-50 p=0". */
static char *story(void)
{
    struct interning *told = calloc(1, sizeof *told);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const Perfetto__Protos__TracePacket *begin = NULL;
    for (size_t i = 0; i < trace->n_packet; i++) {
        const Perfetto__Protos__TracePacket *packet = trace->packet[i];
        const Perfetto__Protos__TrackEvent *event = packet->track_event;
        ck_assert_uint_eq(packet->trusted_packet_sequence_id, 1);
        ck_assert_uint_eq(packet->sequence_flags, i == 0 ? 1 : 2);
        intern(told, packet);
        if (!event)
            continue;
        if (event->type == PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN) {
            ck_assert_ptr_null(begin);
            begin = packet;
            continue;
        }
        const char *name = track_name(told, event->track_uuid);
        if (event->type == PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_COUNTER) {
            fprintf(out, "%s: %" PRId64 " @%" PRIu64 "\n", name, event->counter_value, packet->timestamp);
            continue;
        }
        const Perfetto__Protos__TracePacket *first = begin ? begin : packet;
        event = first->track_event;
        ck_assert_uint_eq(event->track_uuid, packet->track_event->track_uuid);
        ck_assert_uint_eq(event->n_category_iids, 1);
        ck_assert_str_ne(told->categories[event->category_iids[0]], "");
        ck_assert_str_ne(told->names[event->name_iid], "");
        fprintf(out, "%s: %s %" PRIu64, name, told->names[event->name_iid], first->timestamp);
        if (begin)
            fprintf(out, "-%" PRIu64, packet->timestamp);
        begin = NULL;
        for (size_t k = 0; k < event->n_debug_annotations; k++) {
            const Perfetto__Protos__DebugAnnotation *note = event->debug_annotations[k];
            fprintf(out, " %s=", told->notes[note->name_iid]);
            if (note->has_string_value_iid)
                fputs(told->places[note->string_value_iid], out);
            else if (note->string_value)
                fputs(note->string_value, out);
            else if (note->has_pointer_value)
                fprintf(out, "0x%" PRIx64, note->pointer_value);
            else
                fprintf(out, "%" PRIu64, note->has_bool_value ? (uint64_t)note->bool_value : note->uint_value);
        }
        if (event->n_flow_ids)
            fprintf(out, " ->%" PRIu64, event->flow_ids[0]);
        if (event->n_terminating_flow_ids)
            fprintf(out, " <-%" PRIu64, event->terminating_flow_ids[0]);
        fputc('\n', out);
    }
    ck_assert_ptr_null(begin);
    ck_assert_int_eq(fclose(out), 0);
    free(told);
    return text;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

TEST(export_perfetto, all_that_a_trace_has)
{
    exported("export", "");
    char *text = story();
    ck_assert_str_eq(text, "G1 0x10: runnable 10-20\n"
                           "G1 0x10: running 20-50 p=0\n"
                           "P0: 0x10 20-50 g=1\n"
                           "G2 conn, 7 (0x20): runnable 30-55\n"
                           "regions: request 70-90 task=1 g=2\n"
                           "G2 conn, 7 (0x20): say \"hi\" 95 text=ello world? task=1\n"
                           "G2 conn, 7 (0x20): running 55-100 p=0\n"
                           "P0: 0x20 55-100 g=2\n"
                           "G1 0x10: chan receive 50-100 at=0x1021 object=0xc0\n"
                           "G3 0x30: runnable 60-70\n"
                           "G3 0x30: running 70-110 p=1\n"
                           "P1: 0x30 70-110 g=3\n"
                           "G1 0x10: runnable 100-120\n"
                           "G3 0x30: wakes 100 wakes=1 ->1\n"
                           "tasks: request 40-150 task=1 g=1\n"
                           "G1 0x10: running 120-200 p=1 <-1\n"
                           "P1: 0x10 120-200 g=1\n"
                           "G2 conn, 7 (0x20): blocking call 100-200 at=0x1031\n"
                           "M71: P1 65-205\n"
                           "regions: say \"hi\" 80-210 g=2\n"
                           "G2 conn, 7 (0x20): running 200-220 p=0\n"
                           "P0: 0x20 200-220 g=2\n"
                           "G3 0x30: sleep 110-1000 at=0x1041 bounded=1\n"
                           "M70: P0 0-1000\n"
                           "goroutines running: 0 @220\n"
                           "goroutines runnable: 0 @220\n"
                           "goroutines waiting: 1 @220\n"
                           "goroutines blocking call: 0 @220\n"
                           "goroutines running without a P: 0 @220\n");
    free(text);
    done();
}

TEST(export_perfetto, threads_on_cpus_and_off_and_who_woke_them)
{
    exported("kernel", "--every=1s");
    char *text = story();
    ck_assert_str_eq(text, "M71 CPU: in the run queue 40-60\n"
                           "M70 CPU: preempted 100-150 g=1 cpu=0 by=ffmpeg (process 9)\n"
                           "M71 CPU: on a CPU 60-120\n"
                           "M71 CPU: futex 120-180 g=2 object=0xf0 woken_by=M70 at=0x1030\n"
                           "M70 CPU: wakes 180 wakes=71 object=0xf0 ->1\n"
                           "M71 CPU: in the run queue 180-185 g=2 cpu=1\n"
                           "G1 0x10: runnable 10-20\n"
                           "G1 0x10: running 20-200 p=0\n"
                           "P0: 0x10 20-200 g=1\n"
                           "M70 CPU: on a CPU 150-220 cpu=0\n"
                           "M70 CPU: read 220-270 g=1 woken_by=an interrupt\n"
                           "M70 CPU: in the run queue 270-280 g=1 cpu=0 by=ffmpeg (process 9)\n"
                           "G1 0x10: blocking call 200-300 at=0x1021\n"
                           "G2 0x20: runnable 30-70\n"
                           "G2 0x20: running 70-300 p=1\n"
                           "P1: 0x20 70-300 g=2\n"
                           "M71: P1 65-305\n"
                           "G1 0x10: running 300-400 p=0\n"
                           "P0: 0x10 300-400 g=1\n"
                           "M70: P0 0-1000\n"
                           "M70 CPU: on a CPU, then not told 280-1000 cpu=0\n"
                           "M71 CPU: on a CPU, then not told 185-1000 cpu=1 <-1\n"
                           "goroutines running: 0 @400\n"
                           "goroutines runnable: 0 @400\n"
                           "goroutines waiting: 0 @400\n"
                           "goroutines blocking call: 0 @400\n"
                           "goroutines running without a P: 0 @400\n");
    free(text);
    done();
}

TEST(export_perfetto, what_the_kernel_counts_of_threads_are_counters_below_them)
{
    uint64_t thread = 0;
    size_t counters = 0;
    exported("usages", "--every=1s");
    for (size_t i = 0; i < trace->n_packet; i++) {
        const Perfetto__Protos__TrackDescriptor *track = trace->packet[i]->track_descriptor;
        if (track && track->name && strcmp(track->name, "M71") == 0)
            thread = track->uuid;
        if (track && track->name && strncmp(track->name, "M71 ", 4) == 0) {
            ck_assert_uint_eq(track->parent_uuid, thread);
            ck_assert_ptr_nonnull(track->counter);
            counters++;
        }
    }
    ck_assert_uint_ne(thread, 0);
    ck_assert_uint_eq(counters, 2);
    char *text = story();
    ck_assert_str_eq(text, "M70 on a CPU %: 60 @0\n"
                           "M70 in the run queue %: 30 @0\n"
                           "M70 on a CPU %: 10 @100\n"
                           "M70 in the run queue %: 0 @100\n"
                           "M71 on a CPU %: 1000000000 @100\n" /* the file says more than there can be */
                           "M71 in the run queue %: 5 @100\n"
                           "M70: P0 0-1000\n");
    free(text);
    done();
}

TEST(export_perfetto, the_clock_is_the_machines)
{
    exported("export", "");
    const Perfetto__Protos__TracePacket *first = trace->packet[0];
    const Perfetto__Protos__ClockSnapshot *snapshot = first->clock_snapshot;
    ck_assert_ptr_nonnull(snapshot);
    ck_assert_uint_eq(first->trace_packet_defaults->timestamp_clock_id, 64);
    ck_assert_uint_eq(snapshot->n_clocks, 3);
    ck_assert_uint_eq(snapshot->clocks[0]->clock_id, 64);
    ck_assert_uint_eq(snapshot->clocks[0]->timestamp, 0);
    ck_assert_uint_eq(snapshot->clocks[1]->clock_id, 3); /* CLOCK_MONOTONIC */
    ck_assert_uint_eq(snapshot->clocks[1]->timestamp, 500000);
    ck_assert_uint_eq(snapshot->clocks[2]->clock_id, 1); /* CLOCK_REALTIME */
    ck_assert_uint_eq(snapshot->clocks[2]->timestamp, 1700000000000000000);
    ck_assert_int_eq(snapshot->primary_trace_clock, 3);
    done();
}

TEST(export_perfetto, tracks_are_below_the_process)
{
    exported("export", "");
    uint64_t process = 0, g2 = 0;
    size_t children = 0, regions = 0;
    for (size_t i = 0; i < trace->n_packet; i++) {
        const Perfetto__Protos__TrackDescriptor *track = trace->packet[i]->track_descriptor;
        if (!track)
            continue;
        if (track->process) {
            ck_assert_int_eq(track->process->pid, 7);
            ck_assert_str_eq(track->process->process_name, "./prog -x");
            process = track->uuid;
        } else if (strcmp(track->name, "regions") == 0) {
            ck_assert_uint_eq(track->parent_uuid, g2);
            regions++;
        } else {
            ck_assert_uint_ne(process, 0);
            ck_assert_uint_eq(track->parent_uuid, process);
            children++;
        }
        if (track->name && strcmp(track->name, "G2 conn, 7 (0x20)") == 0)
            g2 = track->uuid;
    }
    ck_assert_uint_eq(regions, 2);
    ck_assert_uint_eq(children, 5 + 1 + 2 + 2 + 3 + 1); /* counters, runtime, Ps, Ms, Gs, a task */
    done();
}

/* The track of a thread's CPU is below the thread's, and an arrow that begins ends. */
TEST(export_perfetto, tracks_of_cpus_are_below_their_threads)
{
    uint64_t thread = 0, cpu = 0, begun = 0, ended = 0;
    exported("kernel", "");
    for (size_t i = 0; i < trace->n_packet; i++) {
        const Perfetto__Protos__TrackDescriptor *track = trace->packet[i]->track_descriptor;
        const Perfetto__Protos__TrackEvent *event = trace->packet[i]->track_event;
        if (track && track->name && strcmp(track->name, "M71") == 0)
            thread = track->uuid;
        if (track && track->name && strcmp(track->name, "M71 CPU") == 0)
            cpu = track->parent_uuid;
        begun += event ? event->n_flow_ids : 0;
        ended += event ? event->n_terminating_flow_ids : 0;
    }
    ck_assert_uint_ne(thread, 0);
    ck_assert_uint_eq(cpu, thread);
    ck_assert_uint_eq(begun, 1);
    ck_assert_uint_eq(ended, 1);
    done();
}

/* By the protobuf compiler's own decoder. */
TEST(export_perfetto, protoc_decodes_it)
{
    char *root = getcwd(NULL, 0);
    exported_golden("kernel");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=perfetto -o - | protoc-c --proto_path=%s/cli "
                                  "--decode=perfetto.protos.Trace %s/cli/perfetto.proto",
                                  root, root),
                     0);
    exported_has(exported_out, "name: \"M71 CPU\"");
    exported_has(exported_out, "name: \"in the run queue\"");
    exported_has(exported_out, "flow_ids: 1");
    exported_golden("usages");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=perfetto -o - | protoc-c --proto_path=%s/cli "
                                  "--decode=perfetto.protos.Trace %s/cli/perfetto.proto",
                                  root, root),
                     0);
    exported_has(exported_out, "name: \"M70 on a CPU %\"");
    exported_has(exported_out, "counter_value: 60\n");
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=perfetto -o - | protoc-c --proto_path=%s/cli "
                                  "--decode=perfetto.protos.Trace %s/cli/perfetto.proto",
                                  root, root),
                     0);
    exported_has(exported_out, "name: \"chan receive\"");
    exported_has(exported_out, "type: TYPE_SLICE_BEGIN");
    exported_has(exported_out, "name: \"G2 conn, 7 (0x20)\"");
    exported_has(exported_out, "primary_trace_clock: BUILTIN_CLOCK_MONOTONIC");
    /* What the schema does not name is printed as a number. */
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=perfetto -o - | protoc-c --proto_path=%s/cli "
                                  "--decode=perfetto.protos.Trace %s/cli/perfetto.proto | grep -cE '^ *[0-9]+[:{ ]'",
                                  root, root),
                     1);
    free(root);
}

TEST(export_perfetto, an_empty_window_is_a_trace_all_the_same)
{
    exported("export", "--from=1h");
    ck_assert_ptr_nonnull(trace->packet[0]->clock_snapshot);
    char *text = story();
    ck_assert_str_eq(text, "");
    free(text);
    done();
}

TEST(export_perfetto, all_traces_decode)
{
    static const char *const traces[] = { "hello", "kernel", "loss", "preempt", "retake", "usages", "user" };
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        exported(traces[i], "--every=0ns");
        char *text = story();
        ck_assert_str_ne(text, "");
        free(text);
        done();
    }
}
