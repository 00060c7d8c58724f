/* Starting Gs. */
#ifndef GMPT_GO_H
#define GMPT_GO_H

#include "annotate.h"
#include "runtime.h"

/* Starts the main G on the first P and the first M. Returns 0 or -errno. */
int go_start_main(void (*fn)(void *args), const void *args, size_t size);

/* A G that begins in the runtime's own entry(head): head is copied as args are, and the args lie behind it (see
 * go_args_behind). `shown` is what the G is said to run. */
struct go_start {
    void (*entry)(void *head);
    void (*shown)(void);
    const void *head;
    size_t head_bytes;
    const void *args;
    size_t args_bytes;
    struct annotate_origin origin; /* of the G on whose behalf it is */
    struct api_site site;
};

#define GO_ARGS_BYTES_MAX 4096u /* head and args together, each rounded up to 16 */

static inline void *go_args_behind(void *head, size_t head_bytes)
{
    return (char *)head + ((head_bytes + 15) & ~(size_t)15);
}

/* Starts it on p, which the caller's M holds, on a G or on a g0. Returns its id, or -E2BIG or -ENOMEM. */
int64_t go_start(struct p *p, const struct go_start *start);
/* The same on a G, which the new one is a child of: see scheduler_started_first. */
int64_t go_start_first(const struct go_start *start);

#endif
