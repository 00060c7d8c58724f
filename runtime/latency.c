/* Counts how long Gs waited for a P. See latency.h. */
#include "latency.h"

#define SCALE_BITS 24
#define CALIBRATE_NS 100000000 /* long enough for one part in 100,000 */

ATOMIC(uint32_t) latency_mask = LATENCY_ONE_IN - 1;

static enum segment_clock clock_kind;
static uint64_t first_ticks;
static int64_t first_ns;
static ATOMIC(uint64_t) scale; /* nanoseconds in a tick << SCALE_BITS */
static bool calibrated;

uint64_t latency_clock(void) { return ring_ticks(clock_kind) | 1; }

static void measure(int64_t now_ns)
{
    uint64_t ticks = latency_clock() - first_ticks;
    if (ticks > 0 && now_ns > first_ns)
        store_relaxed(&scale, (uint64_t)(((unsigned __int128)(now_ns - first_ns) << SCALE_BITS) / ticks));
}

void latency_count_all(bool all)
{
    uint32_t mask = all ? 0 : LATENCY_ONE_IN - 1;
    if (load_relaxed(&latency_mask) != mask)
        store_relaxed(&latency_mask, mask);
}

void latency_start(void)
{
    clock_kind = (enum segment_clock)trace_segment.header->clock;
    latency_count_all(load_relaxed(&trace_segment.header->tracing) != 0);
    first_ns = clock_now_ns();
    first_ticks = latency_clock();
    int64_t now_ns = first_ns;
    while (clock_kind == SEGMENT_CLOCK_TSC && now_ns - first_ns < 20000) /* a first guess, good to a percent */
        now_ns = clock_now_ns();
    measure(now_ns);
    calibrated = false;
    if (clock_kind != SEGMENT_CLOCK_TSC) {
        store_relaxed(&scale, (uint64_t)1 << SCALE_BITS);
        calibrated = true;
    }
}

void latency_calibrate(int64_t now_ns)
{
    if (calibrated)
        return;
    measure(clock_now_ns());
    calibrated = now_ns - first_ns > CALIBRATE_NS;
}

uint32_t latency_bucket(uint64_t ns)
{
    uint32_t shift = (63 ^ (uint32_t)__builtin_clzll(ns | 4)) - 2; /* one instruction, and one less */
    uint32_t bucket = shift * 4 + (uint32_t)(ns >> shift);
    return bucket < GMPT_LATENCY_BUCKETS ? bucket : GMPT_LATENCY_BUCKETS - 1;
}

int64_t gmpt_latency_bucket_ns(int bucket)
{
    if (bucket < 4)
        return bucket < 0 ? 0 : bucket;
    if (bucket >= GMPT_LATENCY_BUCKETS)
        bucket = GMPT_LATENCY_BUCKETS - 1;
    int octave = bucket / 4 + 1;
    return (int64_t)(4 + bucket % 4) << (octave - 2);
}

static inline void count_until(struct p *p, struct g *g, uint64_t now)
{
    uint64_t ticks = now - g->ready_ticks;
    if (unlikely(ticks > UINT64_MAX >> SCALE_BITS)) /* another CPU's counter may be a little behind */
        ticks = (int64_t)ticks < 0 ? 0 : UINT64_MAX >> SCALE_BITS;
    g->ready_ticks = 0;
    ATOMIC(uint64_t) *count = &p->counters.latency[latency_bucket(ticks * load_relaxed(&scale) >> SCALE_BITS)];
    store_relaxed(count, load_relaxed(count) + 1);
}

static __attribute__((noinline)) void count_by_clock(struct p *p, struct g *g) { count_until(p, g, latency_clock()); }

void latency_count(struct p *p, struct g *g)
{
    if (latency_is_told(p))
        count_until(p, g, p->ring.last_ticks | 1);
    else
        count_by_clock(p, g);
}
