/* Proofs of leaks: who is found lost, who is not, rule by rule (runtime/proof.h). */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/heapwalk.h"
#include "runtime/proofscan.h"
#include "runtime/runtime.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096

static void receive(void *args) { gmpt_chan_recv(*(struct gmpt_chan **)args, NULL); }

/* ---- pointers in all places ---- */

/* A channel that somebody waits to receive from, and of which no pointer is left: its complement only. */
struct hidden {
    uint64_t complement;
    int64_t waiter;
};

static __attribute__((noinline)) struct hidden hide(void)
{
    struct gmpt_chan *chan = gmpt_chan_new(8, 4);
    struct hidden hidden = { ~(uint64_t)(uintptr_t)chan, gmpt_go(receive, &chan, sizeof chan) };
    run_until_waiting(hidden.waiter);
    return hidden;
}

/* Where a pointer is put, and taken away from again. */
struct place {
    void (*put)(uint64_t word);
    void (*clear)(void);
};

static const struct place *place;

static __attribute__((noinline)) void put_hidden(struct hidden hidden) { place->put(~hidden.complement); }

static int keep_and_lose(void *arg)
{
    (void)arg;
    struct hidden hidden = hide();
    put_hidden(hidden);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(hidden.waiter), VERDICT_LIVE);
    place->clear();
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(hidden.waiter), VERDICT_PROVEN);
    return 0;
}

static void check_place(void (*put)(uint64_t), void (*clear)(void))
{
    place = &(struct place){ put, clear };
    RUN(2, keep_and_lose);
}

#define PLACE_TEST(claim, put, clear)                                                                                  \
    TEST(proof, claim)                                                                                                 \
    {                                                                                                                  \
        proofs_skip_unless_exact();                                                                                    \
        check_place(put, clear);                                                                                       \
    }

static volatile uint64_t in_static;
static void put_static(uint64_t word) { in_static = word; }
static void clear_static(void) { in_static = 0; }
PLACE_TEST(r6_static_data_is_a_root, put_static, clear_static)

static volatile uint64_t *in_heap;
static void put_heap(uint64_t word)
{
    in_heap = malloc(sizeof *in_heap);
    *in_heap = word;
}
static void clear_heap(void) { *in_heap = 0; }
static void lose_heap(void) { in_heap = NULL; } /* the word remains */
PLACE_TEST(r6_a_block_of_malloc_is_read_when_something_points_to_it, put_heap, clear_heap)

TEST(proof, r6_a_block_of_malloc_is_not_read_when_nothing_points_to_it)
{
    proofs_skip_unless_exact();
    if (!heapwalk_is_possible())
        SKIP("malloc is not that of a known version of the GNU C library");
    check_place(put_heap, lose_heap);
}

TEST(proof, r6_the_heap_is_a_root_on_request)
{
    proofs_skip_unless_exact();
    setenv("GMPT_LEAK_HEAP", "root", 1);
    check_place(put_heap, clear_heap);
}

static int keep_in_lost_block(void *arg)
{
    (void)arg;
    struct hidden hidden = hide();
    put_hidden(hidden);
    lose_heap();
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(hidden.waiter), VERDICT_LIVE);
    return 0;
}

TEST(proof, r6_with_the_heap_as_root_each_block_counts)
{
    proofs_skip_unless_exact();
    setenv("GMPT_LEAK_HEAP", "root", 1);
    place = &(struct place){ put_heap, NULL };
    RUN(2, keep_in_lost_block);
}

TEST(proof, r6_a_heap_that_is_not_malloc_s_alone_is_a_root)
{
    proofs_skip_unless_exact();
    mallopt(M_ARENA_MAX, 1); /* no thread has another */
    ck_assert_ptr_ne(sbrk(PAGE_BYTES), (void *)-1);
    place = &(struct place){ put_heap, NULL };
    RUN(1, keep_in_lost_block);
}

static uintptr_t break_complement; /* malloc may move the break on before the word is cleared */
static void put_break(uint64_t word)
{
    uint64_t *in_break = sbrk(PAGE_BYTES);
    *in_break = word;
    break_complement = ~(uintptr_t)in_break;
}
static void clear_break(void) { *(uint64_t *)~break_complement = 0; }
PLACE_TEST(r6_what_the_program_gets_by_sbrk_is_a_root, put_break, clear_break)

static uint8_t *in_map;
static int map_flags = MAP_PRIVATE, map_advice = -1;
static void put_map(uint64_t word)
{
    in_map = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, map_flags | MAP_ANONYMOUS, -1, 0);
    if (map_advice >= 0)
        madvise(in_map, 4 * PAGE_BYTES, map_advice);
    memcpy(in_map + 2 * PAGE_BYTES + 40, &word, sizeof word);
}
static void clear_map(void) { munmap(in_map, 4 * PAGE_BYTES); }
PLACE_TEST(r6_mapped_memory_is_a_root, put_map, clear_map)

TEST(proof, r7_shared_memory_is_read)
{
    proofs_skip_unless_exact();
    map_flags = MAP_SHARED;
    check_place(put_map, clear_map);
}

TEST(proof, r7_memory_that_a_copy_does_not_get_is_read)
{
    proofs_skip_unless_exact();
    map_advice = MADV_DONTFORK;
    check_place(put_map, clear_map);
}

TEST(proof, r7_memory_that_is_wiped_in_a_copy_is_read)
{
    proofs_skip_unless_exact();
    map_advice = MADV_WIPEONFORK;
    check_place(put_map, clear_map);
}

/* ---- R5: words ---- */

static uint8_t unaligned[64];
static int at_byte;
static void put_unaligned(uint64_t word) { memcpy(unaligned + at_byte, &word, sizeof word); }
static void clear_unaligned(void) { memset(unaligned, 0, sizeof unaligned); }

TEST(proof, r5_a_pointer_may_lie_at_any_byte)
{
    proofs_skip_unless_exact();
    at_byte = 3;
    check_place(put_unaligned, clear_unaligned);
}

TEST(proof, r5_a_pointer_may_lie_across_two_blocks_of_sixteen)
{
    proofs_skip_unless_exact();
    at_byte = 29;
    check_place(put_unaligned, clear_unaligned);
}

static void put_tagged(uint64_t word) { in_static = word | UINT64_C(0xabcd) << 48; }
PLACE_TEST(r5_the_upper_bits_may_be_a_tag, put_tagged, clear_static)

static void put_interior(uint64_t word) { in_static = word + 24; }
PLACE_TEST(r5_a_pointer_may_point_inside, put_interior, clear_static)

/* Where the kernel puts stacks and libraries: it begins at the top. Code and static data are in the middle. */
TEST(proof, r5_an_address_keeps_its_own_bits)
{
#if defined(__x86_64__)
    static const uint64_t highest = 0x7fffffffeff8, middle = 0x555555554008;
#else
    static const uint64_t highest = 0xfffffffffff8, middle = 0xaaaaaaaaa008;
#endif
    static const uint64_t tag = UINT64_C(0xabcd) << 48;
    ck_assert_uint_eq(proof_address_in(highest), highest);
    ck_assert_uint_eq(proof_address_in(middle), middle);
    ck_assert_uint_eq(proof_address_in(highest | tag), highest);
    ck_assert_uint_eq(proof_address_in(middle | tag), middle);
    ck_assert_uint_lt(highest >> 40, PROOF_FIFTHS);
}

static uint64_t past_bytes;
static void put_past(uint64_t word) { in_static = word + past_bytes; }

#include "runtime/chan.h"

TEST(proof, r5_a_pointer_may_point_just_past_the_end)
{
    proofs_skip_unless_exact();
    past_bytes = sizeof(struct gmpt_chan) + 4 * 8;
    check_place(put_past, clear_static);
}

struct two_chans {
    struct gmpt_chan *own, *other;
};

/* Its arguments end where its stack does; the end is all that is known of them. */
static void keep_end(void *args)
{
    struct two_chans *chans = args;
    in_static = (uint64_t)(uintptr_t)(chans + 1);
    gmpt_chan_recv(chans->own, NULL);
    gmpt_chan_close(chans->other);
}

static __attribute__((noinline)) int64_t start_keep_end(void)
{
    struct two_chans chans = { gmpt_chan_new(0, 0), gmpt_chan_new(0, 0) };
    int64_t waiter = gmpt_go(receive, &chans.other, sizeof chans.other);
    run_until_waiting(waiter);
    run_until_waiting(gmpt_go(keep_end, &chans, sizeof chans));
    return waiter;
}

static int judge_arguments(void *arg)
{
    (void)arg;
    int64_t waiter = start_keep_end();
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(waiter), VERDICT_LIVE);
    in_static = 0;
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(waiter), VERDICT_PROVEN);
    return 0;
}

TEST(proof, r5_a_pointer_may_point_just_past_a_goroutine_s_arguments)
{
    proofs_skip_unless_exact();
    RUN(2, judge_arguments);
}

/* ---- R8: the kernel ---- */

static int epoll_fd, event_fd, pipe_fds[2];

static void put_epoll(uint64_t word)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = word };
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    event_fd = eventfd(0, EFD_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event);
    event.data.u64 = 0;
    proofs_clear_stack();
}
static void clear_epoll(void) { close(epoll_fd); }
PLACE_TEST(r8_data_of_epoll_is_a_root, put_epoll, clear_epoll)

static void put_eventfd(uint64_t word) { event_fd = eventfd(0, EFD_CLOEXEC); eventfd_write(event_fd, word); }
static void clear_eventfd(void) { close(event_fd); }
PLACE_TEST(r8_the_count_of_an_eventfd_is_a_root, put_eventfd, clear_eventfd)

static void put_pipe(uint64_t word)
{
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
    ck_assert_int_eq(write(pipe_fds[1], &word, sizeof word), sizeof word);
}
static void clear_pipe(void)
{
    char text[16];
    ck_assert_int_eq(read(pipe_fds[0], text, sizeof text), 9); /* nothing of it was taken away */
    memset(text, 0, sizeof text);
    proofs_clear_stack();
}
PLACE_TEST(r8_bytes_in_a_pipe_are_roots, put_pipe, clear_pipe)

static int socket_type = SOCK_STREAM;
static void put_socket(uint64_t word)
{
    ck_assert_int_eq(socketpair(AF_UNIX, socket_type, 0, pipe_fds), 0);
    ck_assert_int_eq(write(pipe_fds[1], "first", 5), 5);
    ck_assert_int_eq(write(pipe_fds[1], &word, sizeof word), sizeof word);
}
static void clear_socket(void)
{
    char text[16];
    ck_assert_int_ge(read(pipe_fds[0], text, 5), 5);
    ck_assert_int_eq(memcmp(text, "first", 5), 0);
    ck_assert_int_eq(read(pipe_fds[0], text, 8), 8);
    memset(text, 0, sizeof text);
    proofs_clear_stack();
}
PLACE_TEST(r8_bytes_in_a_socket_are_roots, put_socket, clear_socket)

TEST(proof, r8_a_second_datagram_is_a_root)
{
    proofs_skip_unless_exact();
    socket_type = SOCK_DGRAM;
    check_place(put_socket, clear_socket);
}

static timer_t timer;
static void put_timer(uint64_t word)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    event.sigev_value.sival_ptr = (void *)(uintptr_t)word;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    memset(&event, 0, sizeof event);
    proofs_clear_stack();
}
static void clear_timer(void) { timer_delete(timer); }
PLACE_TEST(r8_the_value_of_a_timer_is_a_root, put_timer, clear_timer)

/* ---- R6: stacks and registers ---- */

static ATOMIC(uint32_t) go_on, is_there, is_gone;

/* The register has no word any more, and says so. */
static inline __attribute__((always_inline)) void give_up(uint64_t word)
{
    __asm__ volatile("" : : "r"(word));
    word = 0;
    __asm__ volatile("" : "+r"(word));
    store_release(&is_gone, 1);
}

/* Computes, with the word in a register alone. */
static void hold_in_register(void *args)
{
    uint64_t word = ~*(uint64_t *)args;
    *(volatile uint64_t *)args = 0;
    store_release(&is_there, 1);
#if defined(__x86_64__)
    __asm__ volatile("1: pause\n\tcmpl $0, %1\n\tje 1b" : "+r"(word) : "m"(go_on) : "cc");
#else
    while (!load_acquire(&go_on))
        __asm__ volatile("" : "+r"(word));
#endif
    give_up(word);
}

static void put_register(uint64_t word)
{
    uint64_t complement = ~word;
    gmpt_go(hold_in_register, &complement, sizeof complement);
    while (!load_acquire(&is_there))
        gmpt_sleep(100000);
}
static void clear_register(void)
{
    store_release(&go_on, 1);
    while (!load_acquire(&is_gone))
        gmpt_sleep(100000);
}
PLACE_TEST(r1_registers_of_a_running_goroutine_are_read, put_register, clear_register)

/* In a blocking call, where a signal has to reach it. */
static void hold_in_call(void *args)
{
    register uint64_t word = ~*(uint64_t *)args;
    *(volatile uint64_t *)args = 0;
    gmpt_blocking_begin();
    store_release(&is_there, 1);
    do {
        __asm__ volatile("" : "+r"(word));
        usleep(1000);
    } while (!load_acquire(&go_on));
    gmpt_blocking_end();
    give_up(word);
}

static void put_call(uint64_t word)
{
    uint64_t complement = ~word;
    gmpt_go(hold_in_call, &complement, sizeof complement);
    while (!load_acquire(&is_there))
        gmpt_sleep(100000);
}
PLACE_TEST(r1_registers_in_a_blocking_call_are_read, put_call, clear_register)

#if defined(__x86_64__)
/* Below the stack pointer of a function that calls none. */
static void hold_in_red_zone(void *args)
{
    uint64_t word = ~*(uint64_t *)args;
    *(volatile uint64_t *)args = 0;
    store_release(&is_there, 1);
    __asm__ volatile("movq %0, -120(%%rsp)\n\txorl %%eax, %%eax\n\tmovq %%rax, %0\n"
                     "1: pause\n\tcmpl $0, %1\n\tje 1b\n\tmovq %%rax, -120(%%rsp)"
                     : "+r"(word)
                     : "m"(go_on)
                     : "rax", "cc", "memory");
    give_up(word);
}
static void put_red_zone(uint64_t word)
{
    uint64_t complement = ~word;
    gmpt_go(hold_in_red_zone, &complement, sizeof complement);
    while (!load_acquire(&is_there))
        gmpt_sleep(100000);
}
PLACE_TEST(r6_the_red_zone_of_a_running_goroutine_is_read, put_red_zone, clear_register)
#endif

static __thread volatile uint64_t in_tls;
static pthread_t thread;
static uint64_t handed;

static void *foreign(void *arg)
{
    (void)arg;
    in_tls = ~handed;
    handed = 0;
    store_release(&is_there, 1);
    while (!load_acquire(&go_on))
        usleep(1000);
    in_tls = 0;
    return NULL;
}

static void put_tls(uint64_t word)
{
    handed = ~word;
    pthread_create(&thread, NULL, foreign, NULL);
    while (!load_acquire(&is_there))
        gmpt_sleep(100000);
}
static void clear_tls(void)
{
    store_release(&go_on, 1);
    pthread_join(thread, NULL);
}
PLACE_TEST(r2_a_foreign_threads_tls_is_a_root, put_tls, clear_tls)

/* ---- R9 and R10 ---- */

static void put_pin(uint64_t word) { gmpt_leak_pin((void *)(uintptr_t)word); }
static uint64_t pinned_complement;
static void put_pin_and_note(uint64_t word)
{
    pinned_complement = ~word;
    put_pin(word);
}
static void clear_pin(void) { EXPECT_EQ(gmpt_leak_unpin((void *)(uintptr_t)~pinned_complement), 0); }
PLACE_TEST(r9_what_is_pinned_is_a_root, put_pin_and_note, clear_pin)

static __attribute__((noinline)) int send_to(uint64_t complement)
{
    int64_t value = 1;
    return gmpt_chan_send((struct gmpt_chan *)(uintptr_t)~complement, &value);
}

static int unhide(void *arg)
{
    (void)arg;
    struct hidden hidden = hide();
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(hidden.waiter), VERDICT_PROVEN);
    EXPECT_EQ(send_to(hidden.complement), 0);
    while (gmpt_count() > 1)
        gmpt_yield();
    return 0;
}

TEST(proof, r10_who_is_found_lost_can_be_woken_all_the_same)
{
    proofs_skip_unless_exact();
    RUN(2, unhide);
}

static int ignore(void *arg)
{
    (void)arg;
    struct hidden hidden = hide();
    proofs_clear_stack();
    EXPECT_EQ(gmpt_leak_ignore((const void *)(uintptr_t)receive), 0);
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT(proofs_verdict(hidden.waiter) != VERDICT_PROVEN);
    return 0;
}

TEST(proof, r9_an_ignored_function_is_never_lost)
{
    proofs_skip_unless_exact();
    RUN(1, ignore);
}

/* ---- R2: who is live ---- */

static void send_later(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    gmpt_sleep(3600 * INT64_C(1000000000));
    gmpt_chan_send(chan, NULL);
}

static void receive_until(void *args)
{
    gmpt_chan_recv_until(*(struct gmpt_chan **)args, NULL, gmpt_now() + 3600 * INT64_C(1000000000));
}

static __attribute__((noinline)) int64_t start_with(void (*other)(void *), int64_t *other_id)
{
    struct gmpt_chan *chan = gmpt_chan_new(0, 0);
    int64_t id = gmpt_go(receive, &chan, sizeof chan);
    *other_id = gmpt_go(other, &chan, sizeof chan);
    run_until_waiting(id);
    run_until_waiting(*other_id);
    return id;
}

static void (*other_fn)(void *);
static enum g_verdict expected;

static int judge_pair(void *arg)
{
    (void)arg;
    int64_t other, id = start_with(other_fn, &other);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(id), expected);
    return 0;
}

#define PAIR_TEST(claim, other, verdict)                                                                               \
    TEST(proof, claim)                                                                                                 \
    {                                                                                                                  \
        proofs_skip_unless_exact();                                                                                    \
        other_fn = other;                                                                                              \
        expected = verdict;                                                                                            \
        RUN(2, judge_pair);                                                                                            \
    }

PAIR_TEST(r2_who_sleeps_is_live_with_what_it_has, send_later, VERDICT_LIVE)
PAIR_TEST(r2_who_has_a_deadline_is_live_with_what_it_has, receive_until, VERDICT_LIVE)
PAIR_TEST(two_who_wait_for_a_third_are_lost, receive, VERDICT_PROVEN)

static void read_pipe(void *args)
{
    struct gmpt_chan *volatile chan = *(struct gmpt_chan **)args;
    char byte;
    gmpt_read(pipe_fds[0], &byte, 1);
    gmpt_chan_send(chan, NULL);
}

TEST(proof, r2_who_waits_for_a_descriptor_is_live_with_what_it_has)
{
    proofs_skip_unless_exact();
    ck_assert_int_eq(pipe(pipe_fds), 0);
    other_fn = read_pipe;
    expected = VERDICT_LIVE;
    RUN(2, judge_pair);
}

static void wait_on_nothing(void *args)
{
    (void)args;
    gmpt_chan_recv(NULL, NULL);
}

static void select_nothing(void *args)
{
    (void)args;
    gmpt_select(NULL, 0);
}

static int judge_nothing(void *arg)
{
    (void)arg;
    int64_t first = gmpt_go(wait_on_nothing, NULL, 0), second = gmpt_go(select_nothing, NULL, 0);
    run_until_waiting(first);
    run_until_waiting(second);
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(first), VERDICT_PROVEN);
    EXPECT_EQ(proofs_verdict(second), VERDICT_PROVEN);
    return 0;
}

TEST(proof, who_waits_on_no_channel_at_all_is_lost)
{
    proofs_skip_unless_possible();
    RUN(2, judge_nothing);
}

static void send_itself(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    gmpt_chan_send(chan, &chan);
}

/* Two channels, full of each other, and their senders. */
static __attribute__((noinline)) void start_ring(int64_t *ids)
{
    struct gmpt_chan *chans[2] = { gmpt_chan_new(sizeof(void *), 1), gmpt_chan_new(sizeof(void *), 1) };
    for (int i = 0; i < 2; i++) {
        gmpt_chan_send(chans[i], &chans[1 - i]);
        ids[i] = gmpt_go(send_itself, &chans[i], sizeof chans[i]);
        run_until_waiting(ids[i]);
    }
}

static int judge_full_ring(void *arg)
{
    int64_t ids[2];
    (void)arg;
    start_ring(ids);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(ids[0]), VERDICT_PROVEN);
    EXPECT_EQ(proofs_verdict(ids[1]), VERDICT_PROVEN);
    return 0;
}

TEST(proof, channels_whose_buffers_have_each_other_are_lost)
{
    proofs_skip_unless_exact();
    RUN(2, judge_full_ring);
}
