/* Threads: made, parked, woken, spinning, polling. */
#include "harness.h"

#include "trace/machines.h"

static struct machines *machines;

static void feed(enum gmpt_event_type type, int p, int64_t time_ns, uint64_t a, uint64_t b, uint64_t c)
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = time_ns };
    event.field[0] = a;
    event.field[1] = b;
    event.field[2] = c;
    ck_assert_int_eq(machines_add(machines, &event), 0);
}

static struct machine_totals finished(int64_t end_ns)
{
    machines_finish(machines, end_ns);
    struct machine_totals totals = *machines_totals(machines);
    machines_close(machines);
    return totals;
}

static void begin(void)
{
    machines = machines_open();
    ck_assert_ptr_nonnull(machines);
}

TEST(machines, a_life_from_the_making_to_the_sleep)
{
    begin();
    feed(GMPT_EVENT_proc_start, 0, 10, 70, 0, 0);
    feed(GMPT_EVENT_m_create, 0, 10, 70, 0, 0);
    feed(GMPT_EVENT_m_spin, 0, 20, 0, 0, 0);
    feed(GMPT_EVENT_go_start, 0, 25, 1, 2, 0);
    feed(GMPT_EVENT_m_spin, 0, 40, 0, 0, 0);
    feed(GMPT_EVENT_proc_stop, 0, 47, 0, 0, 0);
    feed(GMPT_EVENT_m_park, -1, 50, 70, 0, 0);
    feed(GMPT_EVENT_m_unpark, 1, 80, 70, 0, 0);
    feed(GMPT_EVENT_proc_start, 0, 83, 70, 0, 0);
    struct machine_totals totals = finished(90);
    ck_assert_uint_eq(totals.seen, 1);
    ck_assert_uint_eq(totals.created, 1);
    ck_assert_uint_eq(totals.held, 1);
    ck_assert_uint_eq(totals.parks, 1);
    ck_assert_uint_eq(totals.unparks, 1);
    ck_assert_uint_eq(totals.spins, 2);
    ck_assert_int_eq(totals.spinning_ns, 5 + 7);
    ck_assert_int_eq(totals.held_ns, 37 + 7);
    ck_assert_int_eq(totals.parked_ns, 33);
    ck_assert_uint_eq(totals.waking.count, 1);
    ck_assert_int_eq(totals.waking.max_ns, 3);
}

TEST(machines, who_slept_as_the_recording_began_has_slept_since_its_start)
{
    begin();
    feed(GMPT_EVENT_proc_was, -1, 3, 0, 70, 0);
    feed(GMPT_EVENT_m_unpark, 0, 30, 71, 1, 0);
    feed(GMPT_EVENT_proc_start, 1, 34, 71, 0, 0);
    struct machine_totals totals = finished(100);
    ck_assert_uint_eq(totals.seen, 2);
    ck_assert_uint_eq(totals.created, 0);
    ck_assert_int_eq(totals.parked_ns, 34);
    ck_assert_int_eq(totals.held_ns, 100 + 66);
}

TEST(machines, what_goes_on_at_the_end_ends_there)
{
    begin();
    feed(GMPT_EVENT_proc_start, 0, 0, 70, 0, 0);
    feed(GMPT_EVENT_m_spin, 0, 60, 0, 0, 0);
    feed(GMPT_EVENT_m_park, -1, 70, 71, 0, 0);
    struct machine_totals totals = finished(100);
    ck_assert_int_eq(totals.spinning_ns, 40);
    ck_assert_int_eq(totals.parked_ns, 30);
    ck_assert_int_eq(totals.held_ns, 100);
}

TEST(machines, a_p_that_is_taken_is_held_no_more)
{
    begin();
    feed(GMPT_EVENT_proc_start, 0, 0, 70, 0, 0);
    feed(GMPT_EVENT_proc_start, 1, 0, 71, 0, 0);
    feed(GMPT_EVENT_proc_retake, -1, 30, 0, 5, 0);
    feed(GMPT_EVENT_go_detach, 1, 40, 0, 0, 0);
    ck_assert_int_eq(finished(100).held_ns, 30 + 40);
}

TEST(machines, a_spin_whose_end_is_lost_does_not_count)
{
    begin();
    feed(GMPT_EVENT_proc_start, 0, 0, 70, 0, 0);
    feed(GMPT_EVENT_m_spin, 0, 10, 0, 0, 0);
    feed(GMPT_EVENT_lost, 0, 50, 9, 0, 0);
    ck_assert_int_eq(finished(100).spinning_ns, 0);
}

TEST(machines, polls_add_up_even_when_they_lie)
{
    begin();
    feed(GMPT_EVENT_netpoll, 0, 10, 70, 3, 0);
    feed(GMPT_EVENT_netpoll, -1, 20, 70, 0, 15);
    feed(GMPT_EVENT_netpoll, -1, 30, 0, 2, UINT64_MAX);
    feed(GMPT_EVENT_proc_was, -1, 30, UINT64_MAX, UINT64_MAX, 0);
    feed(GMPT_EVENT_proc_retake, -1, 30, UINT64_MAX, 0, 0);
    feed(GMPT_EVENT_m_park, -1, INT64_MIN, UINT64_MAX, 0, 0);
    struct machine_totals totals = finished(INT64_MAX);
    ck_assert_uint_eq(totals.polls, 3);
    ck_assert_uint_eq(totals.polled_gs, 5);
    ck_assert_int_eq(totals.polling_ns, INT64_MAX);
}

TEST(machines, timers_are_late_and_taken)
{
    begin();
    feed(GMPT_EVENT_timer_fire, 0, 10, GMPT_TIMER_SLEEP, 5, 0);
    feed(GMPT_EVENT_timer_fire, 0, 10, GMPT_TIMER_SLEEP, 9, 1);
    feed(GMPT_EVENT_timer_fire, 0, 10, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    struct machine_totals totals = finished(20);
    ck_assert_uint_eq(totals.timers_fired[GMPT_TIMER_SLEEP], 2);
    ck_assert_uint_eq(totals.timers_taken, 2);
    ck_assert_uint_eq(totals.timer_lateness.count, 3);
    ck_assert_int_eq(totals.timer_lateness.max_ns, INT64_MAX);
}
