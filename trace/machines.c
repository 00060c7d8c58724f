/* Threads by their kernel ids, and the P that each holds. See machines.h. */
#include "machines.h"

#include "table.h"
#include "timesum.h"

#include <errno.h>
#include <stdlib.h>

#define PS_MAX 256
#define MACHINES_MAX 65536 /* of more than that nothing is kept apart */
#define NEVER (-1)

struct machine {
    int64_t parked_ns, unparked_ns; /* since when; NEVER = it is not */
    bool held;                      /* a P, at some time */
};

struct held {
    struct machine *machine; /* NULL = nobody holds the P, or not known who */
    int64_t since_ns, spinning_ns; /* NEVER = it is not */
};

struct machines {
    struct table table;
    struct held held[PS_MAX];
    struct histogram waking, timer_lateness;
    struct machine_totals totals;
};

struct machines *machines_open(void)
{
    struct machines *machines = calloc(1, sizeof *machines);
    for (int i = 0; machines && i < PS_MAX; i++)
        machines->held[i] = (struct held){ NULL, NEVER, NEVER };
    return machines;
}

void machines_close(struct machines *machines)
{
    if (!machines)
        return;
    for (size_t i = 0; machines->table.slots && i <= machines->table.mask; i++)
        free(machines->table.slots[i].entry);
    table_clear(&machines->table);
    histogram_clear(&machines->waking);
    histogram_clear(&machines->timer_lateness);
    free(machines);
}

static void span_add(int64_t *sum_ns, int64_t from_ns, int64_t to_ns)
{
    if (from_ns != NEVER && to_ns > from_ns)
        timesum_add(sum_ns, to_ns - from_ns);
}

/* *machine stays NULL when there are too many. Returns 1 when it is new, 0, or -ENOMEM. */
static int machine_get(struct machines *machines, uint64_t tid, struct machine **machine)
{
    *machine = table_find(&machines->table, table_mix(tid), NULL, NULL);
    if (*machine || machines->table.count >= MACHINES_MAX)
        return 0;
    if (!(*machine = malloc(sizeof **machine)))
        return -ENOMEM;
    **machine = (struct machine){ NEVER, NEVER, false };
    if (table_insert(&machines->table, table_mix(tid), *machine)) {
        free(*machine);
        return -ENOMEM;
    }
    machines->totals.seen++;
    return 1;
}

static struct held *held_of(struct machines *machines, int64_t p)
{
    return p >= 0 && p < PS_MAX ? &machines->held[p] : NULL;
}

static void spin_end(struct machines *machines, struct held *held, int64_t now_ns)
{
    span_add(&machines->totals.spinning_ns, held->spinning_ns, now_ns);
    held->spinning_ns = NEVER;
}

static void held_end(struct machines *machines, struct held *held, int64_t now_ns)
{
    spin_end(machines, held, now_ns);
    span_add(&machines->totals.held_ns, held->since_ns, now_ns);
    *held = (struct held){ NULL, NEVER, NEVER };
}

static void parked_end(struct machines *machines, struct machine *machine, int64_t now_ns)
{
    span_add(&machines->totals.parked_ns, machine->parked_ns, now_ns);
    machine->parked_ns = NEVER;
}

/* Returns 0 or -ENOMEM. */
static int takes(struct machines *machines, int64_t p, uint64_t tid, int64_t now_ns)
{
    struct held *held = held_of(machines, p);
    struct machine *machine;
    if (machine_get(machines, tid, &machine) < 0)
        return -ENOMEM;
    if (machine && machine->unparked_ns != NEVER) {
        if (histogram_add(&machines->waking, now_ns - machine->unparked_ns))
            return -ENOMEM;
        machine->unparked_ns = NEVER;
    }
    if (machine) {
        parked_end(machines, machine, now_ns);
        machines->totals.held += !machine->held;
        machine->held = true;
    }
    if (held) {
        held_end(machines, held, now_ns);
        *held = (struct held){ machine, now_ns, NEVER };
    }
    return 0;
}

static int parks(struct machines *machines, uint64_t tid, int64_t now_ns)
{
    struct machine *machine;
    machines->totals.parks++;
    if (machine_get(machines, tid, &machine) < 0)
        return -ENOMEM;
    if (machine)
        *machine = (struct machine){ now_ns, NEVER, machine->held };
    return 0;
}

static int unparks(struct machines *machines, uint64_t tid, int64_t now_ns)
{
    struct machine *machine;
    int result = machine_get(machines, tid, &machine);
    machines->totals.unparks++;
    if (result < 0)
        return result;
    if (result > 0)
        machine->parked_ns = 0;
    if (machine)
        machine->unparked_ns = now_ns;
    return 0;
}

static int add_timer(struct machines *machines, const struct gmpt_event *event)
{
    const struct gmpt_event_timer_fire *fire = &event->timer_fire;
    if (fire->use < GMPT_TIMER_USES)
        machines->totals.timers_fired[fire->use]++;
    machines->totals.timers_taken += event->p >= 0 && fire->home != (uint64_t)event->p;
    return histogram_add(&machines->timer_lateness, fire->late_ns < INT64_MAX ? (int64_t)fire->late_ns : INT64_MAX);
}

int machines_add(struct machines *machines, const struct gmpt_event *event)
{
    struct machine_totals *totals = &machines->totals;
    int64_t now_ns = event->time_ns < 0 ? 0 : event->time_ns, slept_ns;
    struct held *held = held_of(machines, event->p);
    switch (event->type) {
    case GMPT_EVENT_proc_was:
        return takes(machines, event->proc_was.p < PS_MAX ? (int64_t)event->proc_was.p : -1, event->proc_was.tid, 0);
    case GMPT_EVENT_proc_start:
        return takes(machines, event->p, event->proc_start.tid, now_ns);
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_go_detach:
        if (held)
            held_end(machines, held, now_ns);
        return 0;
    case GMPT_EVENT_proc_retake:
        held = held_of(machines, event->proc_retake.p < PS_MAX ? (int64_t)event->proc_retake.p : -1);
        if (held)
            held_end(machines, held, now_ns);
        return 0;
    case GMPT_EVENT_m_create:
        totals->created++;
        return 0;
    case GMPT_EVENT_m_park:
        return parks(machines, event->m_park.tid, now_ns);
    case GMPT_EVENT_m_unpark:
        return unparks(machines, event->m_unpark.tid, now_ns);
    case GMPT_EVENT_m_spin:
        totals->spins++;
        if (held) {
            spin_end(machines, held, now_ns);
            held->spinning_ns = now_ns;
        }
        return 0;
    case GMPT_EVENT_go_start:
        if (held && held->spinning_ns != NEVER)
            spin_end(machines, held, now_ns);
        return 0;
    case GMPT_EVENT_lost: /* what the M did since the last record is not known */
        if (held)
            held->spinning_ns = NEVER;
        return 0;
    case GMPT_EVENT_timer_fire:
        return add_timer(machines, event);
    case GMPT_EVENT_netpoll:
        totals->polls++;
        totals->polled_gs += event->netpoll.count;
        slept_ns = event->netpoll.slept_ns < INT64_MAX ? (int64_t)event->netpoll.slept_ns : INT64_MAX;
        span_add(&totals->polling_ns, 0, slept_ns);
        return 0;
    default:
        return 0;
    }
}

void machines_finish(struct machines *machines, int64_t end_ns)
{
    for (int i = 0; i < PS_MAX; i++)
        held_end(machines, &machines->held[i], end_ns);
    for (size_t i = 0; machines->table.slots && i <= machines->table.mask; i++)
        if (machines->table.slots[i].entry)
            parked_end(machines, machines->table.slots[i].entry, end_ns);
    machines->totals.waking = histogram_latency(&machines->waking);
    machines->totals.timer_lateness = histogram_latency(&machines->timer_lateness);
}

const struct machine_totals *machines_totals(const struct machines *machines) { return &machines->totals; }
