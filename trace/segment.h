/* The shared segment: one file in memory a process, through which a program on the runtime can be seen from outside.
 *
 * The target lays it out once (segment_create), seals it against shrinking, and is its only writer but for the words
 * marked "recorder" below. Whoever maps it from outside (segment_open) trusts nothing in it: every offset and count
 * is checked against the size of the file before use, and copied before it is checked when the target could change it.
 *
 *     +--------+----------------+-------+---------------+----------+--------------+--------------------------------+
 *     | header | ring controls  |modules| G registry    |dictionary| stack tables | ring 0 .. ring P-1 | no-P ring |
 *     | 1 page | 256 bytes each |       | 128 B a slot  |          | one a ring   | sub-buffers of 64 KiB each     |
 *     +--------+----------------+-------+---------------+----------+--------------+--------------------------------+
 *
 * The file is sparse: a page costs memory once it is touched, so the registry has room for every G that can be, and
 * the rings cost nothing until a trace starts.
 *
 * The registry slot is the public half of a G. Its `status` word packs the transition number, the wait reason and the
 * state, and doubles as the slot's sequence lock: the other fields that belong to a wait are written while the G is
 * still running, before `status` is released with the next number, so a reader that sees the same `status` before
 * and after it has read the fields, in a waiting state, has read a consistent slot.
 *
 * | word           | writer          | reader  | order         | pairs with                                           |
 * |----------------|-----------------|---------|---------------|------------------------------------------------------|
 * | status         | holder of the G | anybody | release       | S: acquire before the fields are read                |
 * | fields, id     | holder of the G | anybody | store_fence   | T: after the status that ended the last wait (or G), |
 * |                |                 |         |               | with load_fence between the fields and status again  |
 * | told           | holder of the G | recorder| relaxed       | S: before the status of the epoch's first transition |
 * | tracing        | recorder        | hooks   | release       | load_fence in turn(): what was consumed is seen      |
 * | verdict        | a proof's scan  | anybody | release       | V: verdict_owner and verdict_seq before it           |
 * | proofs_asked   | recorder, Gs    | sysmon  | acq_rel       |                                                      |
 * | proofs_done    | sysmon          | anybody | release       | V: all verdicts and figures of the proof before it   |
 *
 * Numbers begin anew with each G of a slot, so the reader compares `id` as well.
 *
 * Tracing goes by epochs. `tracing` is the number of the epoch, 0 while it is off. A recorder holds an open-file-
 * description lock on the file, begins an epoch that was never used before, and ends it by storing 0; it may begin
 * another without a pause. A producer that finds its ring in another epoch begins a new sub-buffer, which bears the
 * number, so what is left in the rings of an older epoch cannot be mistaken for this one's; and before it emits the
 * first record about a G in an epoch, it tells the state of that G (go_was), and notes the epoch in the slot's `told`.
 * So of the Gs that were there before, those whose slot has another number have no record in this epoch up to that
 * `status`: their slot says all. The target looks now and then whether the lock is held: when it is not, the recorder
 * has died, and it stores 0 itself.
 *
 * A recording may go through epochs, so that the last of them are enough to tell of every G (flight.h).
 *
 * Whoever has the segment may ask for a proof of leaks (runtime/proof.h): it adds 1 to proofs_asked, which wants a
 * mapping that can be written, and waits until proofs_done has come as far; a proof may answer several at once. What it
 * found is in each G's slot. hold_at_end keeps a program that is at_end, with all that it has, until whoever
 * set it has seen enough: it waits while the word is not 0 and a recorder has the lock.
 *
 * One transition of a G may fall between: its hook saw the epoch before, and its status was stored when the slot had
 * been read. Whoever tells of that G next begins with go_was, which has the later number.
 *
 * The file is a memfd of the target's own, or what a recorder that starts the target passes: a file in tmpfs, which
 * outlives both when they are killed, or a memfd where there is no room for one. A file in tmpfs cannot be sealed, so
 * whoever may write to it may cut it off under the mappings, and the next access to what is gone is a SIGBUS. That is
 * its owner and root, since it has mode 0600 and no other process is given it: who can do so could as well kill both
 * sides, or trace them. So a side takes such a file only from its own user or from root (root, who may attach to
 * anybody's program, from everybody), and only in tmpfs, where no page is ever written back or fetched. The other
 * cause of a SIGBUS is innocent: a page that was never touched, when the tmpfs is full. Both sides live through it. The
 * target puts a page of its own there, which is as empty as the hole was (tracepoint.c), and switches tracing off. The
 * outside puts empty memory in place of the whole mapping (segment_guard), finds that it does not hold together, and
 * ends as it does then. */
#ifndef GMPT_SEGMENT_H
#define GMPT_SEGMENT_H

#include "atomics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_MAGIC 0x31474553544d4741ull /* "AGMTSEG1", little endian */
#define SEGMENT_VERSION 8
#define SEGMENT_NAME "gmptrace"          /* /proc/PID/fd shows memfd:gmptrace */
#define SEGMENT_FD_ENV "GMPT_SEGMENT_FD" /* the recorder passes an empty file by this number */
#define SEGMENT_LEFT_OUT_ENV "GMPT_SEGMENT_LEFT_OUT" /* and frames_left_out, events_left_out, sample_hz */
#define SEGMENT_HOLD_ENV "GMPT_HOLD_AT_END"          /* and hold_at_end, as a number */
#define SEGMENT_WORDS_ENV "GMPT_WORDS_FD" /* and, by this number, a map of its BPF program's for the words of Ms: */
#define SEGMENT_WORDS 4096u
#define SEGMENT_WORD_BYTES 64u /* from one to the next: a line for each, as another CPU writes there */
#define SEGMENT_OUTPUT_BYTES 3072

#define SEGMENT_MAX_PS 256
#define SEGMENT_MAX_MODULES 512
#define SEGMENT_SAMPLE_HZ_MAX 10000u
#define SUBBUFFER_BYTES 65536u
#define SUBBUFFER_MAGIC 0x42555352u /* "RSUB" */
#define STACK_DEPTH_MAX 32

enum segment_clock {
    SEGMENT_CLOCK_TSC = 0,       /* ticks are rdtsc's */
    SEGMENT_CLOCK_MONOTONIC = 1, /* ticks are CLOCK_MONOTONIC nanoseconds */
};

/* What a G does. Dead slots keep the last state until they are used again. */
enum g_state {
    G_IDLE = 0, /* the slot has no G */
    G_RUNNABLE = 1,
    G_RUNNING = 2,
    G_WAITING = 3,
    G_SYSCALL = 4,
    G_DEAD = 5,
    G_PREEMPTED = 6, /* runs on without a P, which sysmon took */
    G_STATES
};

/* status = transition number << 32 | wait reason << 8 | state */
static inline uint64_t g_status_make(uint32_t seq, unsigned reason, enum g_state state)
{
    return (uint64_t)seq << 32 | (uint64_t)reason << 8 | (uint64_t)state;
}
static inline uint32_t g_status_seq(uint64_t status) { return (uint32_t)(status >> 32); }
static inline unsigned g_status_reason(uint64_t status) { return (unsigned)(status >> 8) & 0xff; }
static inline enum g_state g_status_state(uint64_t status) { return (enum g_state)(status & 0xff); }

/* The public half of a G: 128 bytes, two to a cache line pair. */
struct g_slot {
    ATOMIC(uint64_t) status;
    ATOMIC(uint64_t) id;         /* never used again for another G; 0 = never used */
    uint64_t parent;             /* id of the creator, 0 for the main G */
    uint64_t fn;                 /* address of its function */
    uint64_t stack_lo, stack_hi; /* usable stack; the guard lies below stack_lo */
    uint64_t wait_object;        /* valid while waiting */
    int64_t wait_since_ns;       /* waiting or in a call: since when; CLOCK_MONOTONIC, as of sysmon's last tick */
    uint32_t wait_stack;         /* ordinal in the table of ring wait_ring, 0 = not known */
    uint32_t create_stack;       /* likewise in create_ring */
    uint16_t wait_ring, create_ring;
    uint8_t wait_bounded; /* a deadline ends this wait at the latest */
    uint8_t wait_reason;  /* as in status, set before it */
    uint16_t verdict_seq; /* of the status that the verdict is about, its low bits; written before the verdict */
    ATOMIC(uint32_t) labels; /* the set, in the dictionary; 0 = none */
    ATOMIC(uint32_t) name;   /* likewise, a string */
    ATOMIC(uint64_t) scope;  /* 0 = none */
    uint64_t task;           /* the user's task that it works for, 0 = none */
    uint64_t create_pc;      /* where the call that started it returns to, 0 = not known */
    ATOMIC(uint32_t) told;   /* the last epoch that has a record of it */
    uint32_t verdict_owner;  /* VERDICT_CYCLE: the slot of the G that it waits for, + 1; written before the verdict */
    ATOMIC(uint64_t) verdict; /* of the last proof that looked at it: see g_verdict_of */
};
_Static_assert(sizeof(struct g_slot) == 128, "the registry's layout is part of the segment's version");

/* An M's word tells the kernel's side what the thread does: id of the G that it runs << 4 | its state, which is
 * G_RUNNING, or G_SYSCALL in a blocking call; 0 = the scheduler. Whoever stops the thread and reads its memory finds
 * the truth of that instant: the thread alone writes the word, by single stores, just before it switches stacks. */
static inline uint64_t m_word_make(uint64_t id, enum g_state state) { return id << 4 | (uint64_t)state; }
static inline uint64_t m_word_id(uint64_t word) { return word >> 4; }
static inline enum g_state m_word_state(uint64_t word) { return (enum g_state)(word & 15); }

/* What a proof of leaks says of a G. */
enum g_verdict {
    VERDICT_NONE = 0,   /* nothing: it did not wait, or was not there */
    VERDICT_LIVE = 1,   /* it waits, and something that may still run can reach what it waits for */
    VERDICT_PROVEN = 2, /* it waits, and nothing ever can */
    VERDICT_CYCLE = 3,  /* it waits for a lock whose owner waits likewise: for a ring of owners, or never runs again */
    VERDICTS
};

/* verdict = proof's number << 44 | low bits of the G's id << 4 | enum g_verdict */
#define VERDICT_ID_BITS 40
#define VERDICT_ID_MASK (((uint64_t)1 << VERDICT_ID_BITS) - 1)
#define VERDICT_PROOF_MASK 0xfffffu
static inline uint64_t g_verdict_make(uint32_t proof, uint64_t id, enum g_verdict verdict)
{
    return (uint64_t)proof << (VERDICT_ID_BITS + 4) | (id & VERDICT_ID_MASK) << 4 | (uint64_t)verdict;
}

/* What the proof of this number says of the G with this id, whose status the reader has seen: VERDICT_NONE unless it is
 * still in the wait that was judged. The caller sees that status and id belong together, as for the other fields. */
static inline enum g_verdict g_verdict_of(const struct g_slot *slot, uint32_t proof, uint64_t id, uint64_t status)
{
    uint64_t verdict = load_acquire(&slot->verdict);
    bool same = verdict >> (VERDICT_ID_BITS + 4) == (proof & VERDICT_PROOF_MASK) &&
                (verdict >> 4 & VERDICT_ID_MASK) == (id & VERDICT_ID_MASK) &&
                slot->verdict_seq == (uint16_t)g_status_seq(status);
    return same && (verdict & 15) < VERDICTS ? (enum g_verdict)(verdict & 15) : VERDICT_NONE;
}

/* How the last proof of leaks ended. Only after PROOF_COMPLETE are there verdicts. */
enum proof_status {
    PROOF_NONE = 0, /* there was none yet */
    PROOF_COMPLETE = 1,
    PROOF_NO_ANSWER = 2,   /* a thread could not be stopped in time */
    PROOF_NO_FORK = 3,     /* the process could not be copied */
    PROOF_NO_MEMORY = 4,   /* for what the scan has to note */
    PROOF_SCAN_DIED = 5,   /* the copy was killed, or took too long */
    PROOF_UNREADABLE = 6,  /* the process's memory map could not be read, or not all that it lists */
    PROOF_UNSUPPORTED = 7, /* under ThreadSanitizer or Valgrind, or without the means for it */
    PROOF_STATUSES
};

/* What the verdicts of a proof rest on, beside what always holds: that pointers are kept as pointers, in memory of this
 * process, or pinned. */
enum proof_assumption {
    PROOF_HEAP_ROOT = 1,        /* malloc's memory counted as reachable: leaks that it points to go unseen */
    PROOF_HEAP_TRACED = 2,      /* it was followed block by block; with PROOF_HEAP_ROOT: some of it was not */
    PROOF_OWNERS_UNLOCK = 4,    /* verdicts of VERDICT_CYCLE: a lock is unlocked by the G that has locked it */
    PROOF_NETWORK_UNREAD = 8,   /* bytes on their way through network sockets hold no pointers */
    PROOF_REGISTERS_UNREAD = 16, /* threads of the program's own that take no signals hold none in registers */
    PROOF_TIMERS_UNREAD = 64,    /* values of POSIX timers are no pointers: this kernel does not list them */
    PROOF_KERNEL_UNREAD = 32,   /* something in the kernel could not be read: what might be proven counts as live */
};

/* A ring's control block: the producer's and the consumer's words on lines of their own. */
struct segment_ring {
    /* written by the target */
    _Alignas(128) ATOMIC(uint64_t) opened; /* sub-buffers begun; sub-buffer i lies at i modulo their number */
    ATOMIC(uint64_t) lost;                 /* records that found no room */
    ATOMIC(uint64_t) stacks_used;          /* 8-byte words in use in the ring's stack table */
    ATOMIC(uint64_t) stacks_lost;          /* stacks that found no room there */
    ATOMIC(uint32_t) tid;                  /* the M that holds the P, 0 = none; the no-P ring has none */
    /* written by the recorder; the target masks it and never follows it */
    _Alignas(128) ATOMIC(uint64_t) consumed; /* sub-buffers that are in its file, all below `opened` */
    ATOMIC(uint64_t) lost_base; /* `lost` as the epoch's first sub-buffer began; valid once that is in the file */
};
_Static_assert(sizeof(struct segment_ring) == 256, "part of the segment's version");

/* The head of a sub-buffer. All delta state starts here, so that a loss stays local. */
struct subbuffer {
    uint32_t magic;
    uint32_t ring;
    uint64_t sequence;   /* counts up by one from 0 within the ring */
    uint64_t base_ticks; /* the first record's time is a delta to this */
    uint64_t current_g;  /* the G that runs on the P as the sub-buffer begins, 0 = none */
    uint32_t current_seq; /* its transition number */
    uint32_t tid;         /* the M that holds the P as the sub-buffer begins */
    uint64_t lost_before; /* the ring's cumulative losses as the sub-buffer begins */
    ATOMIC(uint64_t) commit; /* records << 32 | bytes of them; one store commits a record and counts it */
    uint32_t epoch;
    uint32_t lost_marked; /* of lost_before, those that the marker at its start tells of; the epoch's own (ring_turn) */
};
_Static_assert(sizeof(struct subbuffer) == 64, "part of the segment's version");

/* A loaded object, so that addresses can be symbolised after the process is gone. */
struct segment_module {
    uint64_t start, end; /* the executable mapping(s) */
    uint64_t bias;       /* run-time address minus the object's own address */
    uint32_t build_id_bytes;
    uint8_t build_id[20];
    char path[464];
};
_Static_assert(sizeof(struct segment_module) == 512, "part of the segment's version");

struct segment_header {
    ATOMIC(uint64_t) magic; /* stored last, when the rest is valid */
    uint32_t version;
    uint32_t pid;
    uint64_t total_bytes;
    uint32_t clock; /* enum segment_clock */
    uint32_t p_count;         /* Ps that there can be */
    uint32_t ring_count;      /* p_count + 1; the last is the no-P ring */
    uint32_t subbuffers;      /* in each ring, a power of two */
    uint64_t rings_offset;    /* ring r's sub-buffers start at rings_offset + r * subbuffers * SUBBUFFER_BYTES */
    uint64_t controls_offset; /* struct segment_ring [ring_count] */
    uint64_t modules_offset;  /* struct segment_module [SEGMENT_MAX_MODULES] */
    uint64_t registry_offset; /* struct g_slot [registry_slots] */
    uint64_t stacks_offset;   /* ring r's table starts at stacks_offset + r * stacks_words * 8 */
    uint64_t stacks_words;    /* a table is a run of entries: count, then that many addresses, leaf first */
    uint64_t dictionary_offset; /* a run of entries: see dictionary.h */
    uint64_t dictionary_words;
    uint32_t registry_slots;
    ATOMIC(uint32_t) registry_used; /* slots [0, registry_used) have been in use */
    ATOMIC(uint32_t) module_count;  /* modules [0, module_count) are valid */
    ATOMIC(uint32_t) at_end; /* 1 once the main G has returned, or all are asleep for ever */
    ATOMIC(uint32_t) maxprocs;      /* Ps that there are: GOMAXPROCS */
    ATOMIC(uint32_t) tracing;       /* recorder: the epoch, 0 = off; also the target, which may store 0 */
    ATOMIC(uint64_t) dictionary_used; /* words [0, dictionary_used) are whole entries */
    ATOMIC(uint32_t) epoch;           /* recorder: the last one that was begun */
    ATOMIC(uint32_t) first_epoch;     /* recorder: the first of the same recording; 0 = the program's own first */
    ATOMIC(uint32_t) snapshots_asked; /* target: how many times it has asked for what a flight recorder keeps */
    ATOMIC(uint32_t) frames_left_out; /* recorder: of STACK_DEPTH_MAX, those that its stacks do not have */
    ATOMIC(uint32_t) events_left_out; /* recorder: the groups that it does without (eventgroups.h) */
    ATOMIC(uint32_t) sample_hz; /* recorder: CPU samples for each second of CPU time, 0 = none; see segment_sample */
    uint32_t saved_sp_offset;   /* a G's saved stack pointer lies at its stack_hi + this: see unwind.h */
    uint32_t saved_call_offset; /* likewise, function and caller of the blocking call that it is in */
    uint64_t entry_pc;         /* what a G that has not run yet has saved as its address */
    uint64_t code_lo, code_hi; /* the runtime's own code */
    uint64_t start_ticks; /* of the clock, and beside it the kernel's, before the first record there could be */
    int64_t start_monotonic_ns, start_realtime_ns;
    ATOMIC(uint32_t) proofs_asked;      /* either side adds 1: how many proofs of leaks have been asked for */
    ATOMIC(uint32_t) proofs_done;       /* the last of them that has ended; stored after all that follows */
    ATOMIC(uint32_t) proof_status;      /* enum proof_status */
    ATOMIC(uint32_t) proof_assumptions; /* enum proof_assumption, bits */
    ATOMIC(uint64_t) proof_stop_ns, proof_scan_ns; /* how long it stopped the program, and took beside it after that */
    ATOMIC(uint64_t) proof_bytes, proof_gs;        /* memory that it has read, and Gs that it has judged */
    ATOMIC(uint64_t) proof_proven, proof_cycles;   /* of these: how many have this verdict */
    ATOMIC(uint32_t) hold_at_end; /* recorder: not 0 = once at_end is 1 the program waits until this is 0 */
    ATOMIC(uint32_t) output_epoch; /* recorder: the epoch whose records `output` has; 0 = there is no recorder so far */
    char output[SEGMENT_OUTPUT_BYTES]; /* recorder: the file that it writes, an absolute path; "" = not known */
    uint32_t quota_cpus; /* what the cgroup's CPU quota allows as the program starts, rounded up; 0 = there is none */
    int64_t thread_m_offset; /* an M's address lies at its thread pointer + this; it is NULL in other threads */
    uint32_t m_word_offset;  /* where its word lies, at that address + this; 0 = there are no words */
    uint64_t words_at;       /* where the program has mapped what it was passed for words; 0 = it has not */
    uint64_t held_offset;    /* uint64_t [registry_slots], behind the rings; 0 = the runtime has none yet */
};
_Static_assert(sizeof(struct segment_header) <= 4096, "the header has one page");

/* A mapped segment, from either side. */
struct segment {
    int fd;
    uint8_t *base;
    size_t bytes;
    struct segment_header *header;
    struct segment_ring *rings;
    struct g_slot *registry;
    struct segment_module *modules;
    /* Of each slot whose G is lost, the bytes that it holds, written before its verdict: of its stack the pages in use,
     * and if PROOF_HEAP_TRACED, of malloc's blocks that were followed (heapwalk.h: none of 128 KiB and more) those that
     * only lost Gs reach, each with one G. NULL = not known. */
    uint64_t *held;
    /* Copies that the other side cannot change: */
    uint64_t *stacks;
    uint64_t *dictionary;
    uint8_t *subbuffer_base;
    uint32_t ring_count, subbuffers, p_count, registry_slots;
    uint64_t stacks_words, dictionary_words;
    uint32_t clock, pid; /* set by segment_open */
};

/* How many frames a stack may have, as the recorder wishes: 0 = there are to be no stacks. */
static inline uint32_t segment_stack_room(uint32_t frames_left_out)
{
    return frames_left_out < STACK_DEPTH_MAX ? STACK_DEPTH_MAX - frames_left_out : 0;
}

/* The target's side. Lays out a segment for p_count Ps with sub-buffers of 64 KiB in rings of ring_bytes (a power of
 * two, 128 KiB to 64 MiB) in fd, an empty file that the recorder passed and that nobody else has claimed, or in a
 * memfd of its own when fd is -1 (in plain memory, unseen from outside, where the limit on file sizes forbids one). The
 * caller sets header->clock and then calls segment_publish, before which segment_open says -EAGAIN. Returns 0 or -errno
 * (-EBUSY: fd is claimed; -EFBIG: the limit on file sizes); on failure nothing is left behind. */
int segment_create(struct segment *segment, int fd, uint32_t p_count, size_t ring_bytes, uint32_t registry_slots);
void segment_publish(struct segment *segment);

/* The other side. Maps fd, checks that it cannot be shrunk by strangers and that every table lies inside it. Returns 0,
 * -EAGAIN when the target has not laid it out yet, -EPROTO when it is not a segment that this version reads (*why
 * says it), or another -errno. */
int segment_open(struct segment *segment, int fd, const char **why);
/* The same, only to be read. */
int segment_open_look(struct segment *segment, int fd, const char **why);

/* Whether fd is a file in tmpfs that strangers cannot shrink; a memfd is none. */
bool segment_in_tmpfs(int fd);

/* From here to segment_close a SIGBUS in the segment is lived through, in as many as 64 segments of a process. */
void segment_guard(const struct segment *segment);

/* Unmaps; fd stays open. */
void segment_close(struct segment *segment);

/* The recorder's: takes the lock, which lasts until segment_unlock, or until fd and what was duplicated from it are
 * closed, so fd is an open of its own that no other process has. -EBUSY: another recorder has it. */
int segment_lock(int fd);
void segment_unlock(int fd);
/* The target's, through its own open: whether a recorder has the lock. */
bool segment_is_locked(int fd);

/* The recorder's, before an epoch and after it: the memory of the rings of the first p_count Ps and the no-P ring is
 * there, so that the target need not wait for it as it emits; or is given back. */
void segment_prepare_rings(const struct segment *segment, uint32_t p_count);
void segment_release_rings(const struct segment *segment);

/* What the recorder does without, from the next epoch on, which begins after this; 0, 0: it wants everything. */
void segment_leave_out(const struct segment *segment, uint32_t frames, uint32_t events);

/* How many CPU samples a second the recorder wants, likewise from the next epoch on. */
void segment_sample(const struct segment *segment, uint32_t hz);
/* The target's side of it: more than it would take counts as the most. */
static inline uint32_t segment_sample_hz(const struct segment_header *header)
{
    uint32_t hz = load_relaxed(&header->sample_hz);
    return hz < SEGMENT_SAMPLE_HZ_MAX ? hz : SEGMENT_SAMPLE_HZ_MAX;
}

/* Asks for a proof of leaks; returns its number, for which proofs_done is to be waited (see segment_proof_is_done). */
uint32_t segment_ask_proof(const struct segment *segment);
bool segment_proof_is_done(const struct segment *segment, uint32_t proof);

/* Begins an epoch: the number for `tracing`, noted as used. continues: of the same recording as the one before, or the
 * first of a program that was started to be recorded. */
uint32_t segment_next_epoch(const struct segment *segment, bool continues);

/* The sub-buffer with this sequence number; the number is masked, so any value is safe. */
static inline struct subbuffer *segment_subbuffer(const struct segment *segment, uint32_t ring, uint64_t sequence)
{
    uint64_t index = (uint64_t)ring * segment->subbuffers + (sequence & (segment->subbuffers - 1));
    return (struct subbuffer *)(segment->subbuffer_base + index * SUBBUFFER_BYTES);
}

/* GOMAXPROCS, as far as the target's word can be; else 0. */
/* The quota in CPUs, 0 when there is none or what stands there can be none. */
static inline uint32_t segment_quota(const struct segment_header *header)
{
    return header->quota_cpus <= SEGMENT_MAX_PS ? header->quota_cpus : 0;
}

static inline uint32_t segment_maxprocs(const struct segment *segment)
{
    uint32_t maxprocs = load_relaxed(&segment->header->maxprocs);
    return maxprocs <= segment->p_count ? maxprocs : 0;
}

/* A stack's ordinal as another ring's records name it (events.def); 0 stays 0. */
static inline uint64_t segment_stack_of(uint32_t ring, uint32_t ordinal)
{
    return ordinal ? (uint64_t)(ring + 1) << 32 | ordinal : 0;
}

static inline uint64_t *segment_stacks(const struct segment *segment, uint32_t ring)
{
    return segment->stacks + (uint64_t)ring * segment->stacks_words;
}

#endif
