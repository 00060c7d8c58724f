/* A recording: a segment, the drain that empties its rings, and the writer of the file.
 *
 * The caller opens it once the target has laid the segment out, calls recorder_tick every few milliseconds, and
 * recorder_finish when the target has ended or is to be left alone. It knows nothing of processes and paths. */
#ifndef GMPT_RECORDER_H
#define GMPT_RECORDER_H

#include "drain.h"
#include "flight.h"
#include "kernelring.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct recorder;

/* The clocks at one moment, before it is known which of them the target uses. */
struct recorder_moment {
    uint64_t tsc; /* 0 where there is none */
    int64_t monotonic_ns, realtime_ns;
    uint64_t width; /* in ticks of the counter, how long it took to read both: they are at most half of it apart */
};

struct recorder_info {
    const char *command, *host;
    const char *output;           /* the file behind out_fd, an absolute path, for recovery; NULL = it has none */
    int level;                    /* of compression, 1-19 */
    struct recorder_moment start; /* from before the target could emit its first event; unless it is attached to */
    bool attach;                  /* it runs already, and was not started to be recorded */
    uint32_t frames_left_out;     /* of STACK_DEPTH_MAX in each stack; all of them = no stacks */
    uint32_t events_left_out;     /* groups of eventgroups.h */
    uint32_t sample_hz;           /* CPU samples for each second of CPU time; 0 = none */
    pid_t stacks_pid;             /* whose memory has the stacks of waiting Gs; 0 = not to be read */
    struct flight_limits flight;  /* bytes 0: all goes into the file; else the last part is kept in memory */
};

struct recorder_counts {
    uint64_t file_bytes, events; /* what is in the file, as whole frames: all that a reader can read */
    struct drain_counts drained;
};

struct recorder_moment recorder_moment_now(void);
/* clock: enum segment_clock */
struct writer_clock recorder_moment_clock(const struct recorder_moment *moment, uint32_t clock);

/* Opens the segment in segment_fd, an open of its own (segment_lock), and starts a file on out_fd, which
 * recorder_close closes from then on. Switches tracing on. Returns 0; -EBUSY when somebody else records it; -EAGAIN
 * when the target has not laid out its segment yet; another -errno, *why being a sentence, or NULL when it is out_fd
 * that cannot be written. On failure out_fd is still the caller's. */
int recorder_open(struct recorder **recorder, int segment_fd, int out_fd, const struct recorder_info *info,
                  const char **why);

/* Who tells what the kernel does with the target's threads. poll has all of it taken that has come, and does not wait;
 * last: it will not be called again. It returns 0, or a negative errno, which ends this part. */
struct recorder_kernel {
    int (*poll)(void *arg, bool last, struct kernelring *kernelring);
    void *arg;
    enum gmpt_kernel_tier tier;
    bool others;      /* other programs are told of */
    int64_t error_ns; /* its times may be so far off CLOCK_MONOTONIC */
};
/* From now on that goes into the file, too. Once, after recorder_open. Returns 0 or -ENOMEM. */
int recorder_kernel(struct recorder *recorder, const struct recorder_kernel *kernel);
/* The errno, negative, with which poll has ended it; 0 = it has not. */
int recorder_kernel_error(const struct recorder *recorder);

/* Drains the rings and writes a frame when one is due. Returns 0 or the first -errno of writing; tracing in the target
 * is then off, and later calls return the same without doing anything. */
int recorder_tick(struct recorder *recorder);

/* Whether the file has reached this size, and, as it begins with what there was before, twice that of its beginning:
 * time for recorder_next. */
bool recorder_is_full(const struct recorder *recorder, uint64_t bytes);

/* Ends the file, whole, and goes on with another one on out_fd as who attaches would, in an epoch that follows without
 * a pause: each event of the program is in the one or the other, but for those that were being written as the one
 * ended, at most one a P, whose G the other then tells of as it is after them. Of info, which is as in recorder_open,
 * output may differ. *done has the counts of the file that has ended. Returns 0, or -errno: out_fd is closed, and
 * recorder_finish is to be called; it ends the first file, if that can be done. */
int recorder_next(struct recorder *recorder, int out_fd, const struct recorder_info *info,
                  struct recorder_counts *done);

/* With flight limits, instead of out_fd at the opening, which is -1: puts what is kept, up to now, into a file on
 * out_fd, which is closed, and goes on. *counts are that file's. Returns 0 or the first -errno. */
int recorder_snapshot(struct recorder *recorder, int out_fd, int exit_kind, int exit_code,
                      struct recorder_counts *counts, int64_t *length_ns);
/* Whether the target has asked for that since the last call. */
bool recorder_snapshot_asked(struct recorder *recorder);

/* How long to wait for the next tick: less when the rings fill fast. */
int64_t recorder_interval_ns(const struct recorder *recorder);

/* The last round, the end section and the head. Tracing is switched off, and somebody else may record. Returns 0 or the
 * first -errno of writing. */
int recorder_finish(struct recorder *recorder, int exit_kind, int exit_code);

/* After a failure they tell of the frames that did get into the file. */
struct recorder_counts recorder_counts(const struct recorder *recorder);
uint32_t recorder_pid(const struct recorder *recorder); /* of the target, by its own word */
const struct segment *recorder_segment(const struct recorder *recorder); /* to look at; lives as long as the recorder */
const char *recorder_damage(const struct recorder *recorder);

/* Ends without a word what recorder_finish has not ended. NULL is allowed. */
void recorder_close(struct recorder *recorder);

#endif
