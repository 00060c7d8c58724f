/* What Valgrind's memcheck is told of memory that the runtime reserves and hands out itself. Without it memcheck would
 * take all of a reservation for data: at the program's end it looks for pointers there, which is tens of gigabytes of
 * address space and took a minute.
 *
 * A request is a few instructions that do nothing without Valgrind. Its headers are all that it needs; a library built
 * where they are missing says nothing to Valgrind. */
#ifndef GMPT_MEMCHECK_H
#define GMPT_MEMCHECK_H

#include <stddef.h>

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define MEMCHECK_REQUESTS 1
#include <valgrind/memcheck.h>
#endif
#endif

/* Whether the program runs under Valgrind: for requests on paths where even a few instructions count. Set before the
 * first G is made. */
#ifdef MEMCHECK_REQUESTS
extern int memcheck_on; /* in seat.c */
#else
enum { memcheck_on = 0 };
#endif

/* Memory that nobody may touch yet. */
static inline void memcheck_reserved(const void *memory, size_t bytes)
{
    (void)memory, (void)bytes;
#ifdef MEMCHECK_REQUESTS
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#endif
}

/* Part of a reservation that is in use from now on; it holds what the kernel gave, zeros. */
static inline void memcheck_used(const void *memory, size_t bytes)
{
    (void)memory, (void)bytes;
#ifdef MEMCHECK_REQUESTS
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#endif
}

/* A stack that the next G begins on: what the last one wrote means nothing. */
static inline void memcheck_stack_taken(const void *lo, const void *hi)
{
    (void)lo, (void)hi;
#ifdef MEMCHECK_REQUESTS
    (void)VALGRIND_MAKE_MEM_UNDEFINED(lo, (size_t)((const char *)hi - (const char *)lo));
#endif
}

/* Once for each stack: a stack pointer that comes to lie there has moved to another stack. */
static inline void memcheck_stack_made(const void *lo, const void *hi)
{
    (void)lo, (void)hi;
#ifdef MEMCHECK_REQUESTS
    (void)VALGRIND_STACK_REGISTER(lo, hi);
#endif
}

#endif
