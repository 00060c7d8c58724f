/* Seats: a stack and a registry slot each, made once and used by one G after another.
 *
 * All stacks lie in one reservation, SEAT_BYTES apart, and cost memory by the page as they are touched. Below
 * each lies a guard: by MADV_GUARD_INSTALL where the kernel has it (6.13), which splits no mapping; by mprotect for
 * the first GUARD_MAPPINGS seats elsewhere; a canary word at its end, checked when the G ends, for the rest. */
#ifndef GMPT_SEAT_H
#define GMPT_SEAT_H

#include "runtime.h"

#define SEAT_BYTES (STACK_BYTES + GUARD_BYTES)
#define STACK_BYTES 65536u
/* Address space only; a larger frame may jump over it. An odd number of pages from seat to seat: were it a power of
 * two, all stacks would meet in a few sets of the TLB, which costs a thousand Gs that are spawned and joined half as
 * much again. */
#define GUARD_BYTES (65536u + 4096u)
#define SEATS_MAX (4u << 20)

/* Reserves address space for as many seats as can be had, up to SEATS_MAX. Returns their number, 0 when there is
 * none. */
uint32_t seat_reserve(void);

/* A G with a seat, all fields but context, slot, seat to be set; from p's cache if it has one. NULL when there
 * are no more seats. Only the holder of p. */
struct g *seat_take_owner(struct p *p);
/* Gives the seat of a G back that nothing runs on. Only the holder of p. */
void seat_give_owner(struct p *p, struct g *g);

/* Which seat's guard this address lies in, -1 = none. Async-signal-safe. */
int64_t seat_of_guard(const void *address);
struct g_slot *seat_slot(uint32_t seat);

#endif
