/* Builds a profile in pprof's format (profile.proto, gzip) and writes it.
 *
 * Conventions kept: string 0 is empty, a sample's leaf is its first location, inlined functions are lines of one
 * location with the innermost first, mappings carry build ids, addresses are those of the recorded process. */
#ifndef GMPT_PROFILE_H
#define GMPT_PROFILE_H

#include "symbolize.h"

#include <stddef.h>
#include <stdint.h>

struct profile;

struct profile_label {
    const char *key;
    const char *text; /* NULL: number and unit count */
    int64_t number;
    const char *unit;
};

struct profile_type {
    const char *type, *unit; /* "delay", "nanoseconds" */
};
#define PROFILE_TYPES_MAX 2

struct profile_sample {
    const char *const *pseudo; /* frames that are no code, such as "[running]", leaf first: they come before pc */
    size_t pseudo_count;
    const uint64_t *pc; /* leaf first */
    size_t count;
    const int64_t *values; /* one of each type */
    const struct profile_label *labels;
    size_t label_count;
};

/* The types of a sample's values; shown is the one that viewers begin with. The trace tells the time, the duration and,
 * in comments, the command, the host and what was lost; all of it is taken when the profile is written. It may be NULL.
 * Trace and symbolizer must outlive the profile. NULL with errno ENOMEM. */
struct profile *profile_open_types(const struct gmpt_trace *trace, struct symbolizer *symbolizer,
                                   const struct profile_type *types, size_t type_count, size_t shown);
/* With a single type. */
struct profile *profile_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer, const char *sample_type,
                             const char *unit);
int profile_comment(struct profile *profile, const char *text); /* 0 or -ENOMEM */
/* The profile is of [from, to) of the trace's time only. */
void profile_window(struct profile *profile, int64_t from_ns, int64_t to_ns);

/* Its samples were taken at this distance, in the unit of this one of its types. */
void profile_period(struct profile *profile, size_t type, int64_t period);

/* Adds a sample. Samples with the same stack and labels are summed. Returns 0 or -ENOMEM. */
int profile_add_sample(struct profile *profile, const struct profile_sample *sample);
/* One with a single value and no pseudo frames. */
int profile_add(struct profile *profile, const uint64_t *pc, size_t count, int64_t value,
                const struct profile_label *labels, size_t label_count);

size_t profile_sample_count(const struct profile *profile);
int64_t profile_value(const struct profile *profile, size_t sample, size_t type);

/* A function in a stack; inlined ones have frames of their own. Equal numbers are equal texts, for profile_string. */
struct profile_frame {
    int64_t name; /* never empty: "prog+0x1234" or "0x7f..." when it has no name */
    int64_t file; /* 0 = not known */
    int line;     /* where the function begins; 0 = not known */
};
/* Zero-initialised is empty; the user frees list. */
struct profile_frames {
    struct profile_frame *list;
    size_t count, room;
};

/* Looks the sample's stack up, leaf first. Returns 0 or -ENOMEM. */
int profile_sample_frames(struct profile *profile, size_t sample, struct profile_frames *frames);
const char *profile_string(const struct profile *profile, int64_t number); /* valid until the next call but this */

/* Looks up all addresses and writes the profile to fd. Returns 0 or -errno. */
int profile_write(struct profile *profile, int fd);
void profile_close(struct profile *profile); /* NULL: nothing */

#endif
