/* See kernelring.h. What was taken waits as the events that it will be, without their times, until a round has the
 * clocks for it; then it is sorted, and encoded as in a ring. */
#include "kernelring.h"

#include "events.h"
#include "stackset.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PART_BYTES (256u << 10) /* a part becomes an events section */
#define EVENTS_OF_RECORD (8 + KERNEL_STACK_MAX) /* at most */
#define WORDS_OF_EVENT (1 + GMPT_EVENT_FIELDS_MAX)
#define TASKS_MAX 65536
#define SYMBOLS_MAX 65536

/* A record's events: words from `at` on, of each event its code and then its fields. */
struct waiting {
    uint64_t at_ns, number; /* number: in which order they came */
    size_t at;
    uint32_t words;
};

/* What was told of a thread. */
struct task {
    uint64_t field[5]; /* of kernel_task */
};

/* A function of the kernel's. */
struct symbol {
    uint32_t number;
    bool told;
    char name[KERNEL_NAME_MAX + 1];
};

struct part {
    uint64_t base_ticks;
    size_t at, bytes;
    uint32_t count;
};

struct kernelring {
    uint32_t ring, pid;
    enum gmpt_kernel_tier tier;
    bool others, tier_due;
    int64_t error_ns; /* the largest so far */

    struct waiting *waiting;
    size_t waiting_count, waiting_room;
    uint64_t *words;
    size_t word_count, word_room;
    uint64_t number;

    uint8_t *bytes;
    size_t byte_count, byte_room;
    struct part *parts;
    size_t part_count, part_room;
    uint64_t sequence, events;
    uint64_t last_ticks, now_ticks; /* of the last event; of the last round */

    struct stackset stacks;
    uint32_t stacks_put;
    struct table tasks;
    struct table symbols;    /* by name */
    struct symbol **by_number; /* from 1 on */
    size_t symbol_count, symbol_room;
};

struct kernelring *kernelring_open(uint32_t ring, enum gmpt_kernel_tier tier, uint32_t pid, bool others)
{
    struct kernelring *new = calloc(1, sizeof *new);
    if (!new)
        return NULL;
    new->ring = ring;
    new->tier = tier;
    new->pid = pid;
    new->others = others;
    new->tier_due = true;
    return new;
}

static void symbols_forget(struct kernelring *kernelring)
{
    for (size_t i = 0; i < kernelring->symbol_count; i++)
        free(kernelring->by_number[i]);
    free(kernelring->by_number);
    table_clear(&kernelring->symbols);
}

static void tasks_forget(struct kernelring *kernelring)
{
    for (size_t i = 0; kernelring->tasks.slots && i <= kernelring->tasks.mask; i++)
        free(kernelring->tasks.slots[i].entry);
    table_clear(&kernelring->tasks);
    kernelring->tasks = (struct table){ 0 };
}

void kernelring_close(struct kernelring *kernelring)
{
    if (!kernelring)
        return;
    tasks_forget(kernelring);
    symbols_forget(kernelring);
    stackset_clear(&kernelring->stacks);
    free(kernelring->waiting);
    free(kernelring->words);
    free(kernelring->bytes);
    free(kernelring->parts);
    free(kernelring);
}

void kernelring_begin(struct kernelring *kernelring, bool file)
{
    kernelring->tier_due = true;
    kernelring->stacks_put = 0;
    tasks_forget(kernelring);
    for (size_t i = 0; i < kernelring->symbol_count; i++)
        kernelring->by_number[i]->told = false;
    if (file)
        kernelring->sequence = kernelring->events = 0;
}

/* Makes room for `more` behind `count` elements of `size` bytes. */
static int room_make(void *array_arg, size_t *room, size_t count, size_t more, size_t size)
{
    void **array = array_arg;
    if (count + more <= *room)
        return 0;
    size_t new_room = *room ? *room * 2 : 1024;
    while (new_room < count + more)
        new_room *= 2;
    void *new = realloc(*array, new_room * size);
    if (!new)
        return -ENOMEM;
    *array = new;
    *room = new_room;
    return 0;
}

/* ---- What comes ------------------------------------------------------------------------------------------------- */

/* There is room. */
static void event_add(struct kernelring *kernelring, enum gmpt_event_type code, const uint64_t *fields)
{
    uint64_t *word = kernelring->words + kernelring->word_count;
    *word++ = code;
    memcpy(word, fields, event_field_counts[code] * sizeof *fields);
    kernelring->word_count += 1u + event_field_counts[code];
}

/* Seven bytes of a name as a field. There is one more behind them. */
static uint64_t text_at(const char *name)
{
    uint64_t text;
    memcpy(&text, name, sizeof text);
    return le64toh(text) & (UINT64_MAX >> 8);
}

/* The number by which a thread is told of, which kernel_task introduces. */
static uint64_t other_add(struct kernelring *kernelring, const struct kernel_other *other)
{
    if (other->tid == 0 || other->tid == KERNEL_TID_INTERRUPT)
        return other->tid;
    if (!kernelring->others && other->pid != kernelring->pid)
        return KERNEL_TID_HIDDEN;
    char name[3 * 7 + 1] = "";
    memccpy(name, other->comm, 0, KERNEL_COMM_BYTES); /* what may lie behind its end is not told */
    event_add(kernelring, GMPT_EVENT_kernel_task,
              (uint64_t[]){ other->tid, other->pid, text_at(name), text_at(name + 7), text_at(name + 14) });
    return other->tid;
}

static bool symbol_equals(const void *entry, const void *key)
{
    return strcmp(((const struct symbol *)entry)->name, key) == 0;
}

/* Returns its number, which kernel_symbol introduces; 0 = there are too many; or -ENOMEM. */
static int64_t symbol_add(struct kernelring *kernelring, const char *told_name)
{
    char name[KERNEL_NAME_MAX + 1] = "";
    uint64_t hash = 0;
    for (size_t i = 0; i < KERNEL_NAME_MAX && told_name[i]; i++)
        hash = table_mix(hash + (uint8_t)(name[i] = told_name[i]));
    struct symbol *symbol = table_find(&kernelring->symbols, hash, symbol_equals, name);
    if (!symbol) {
        if (kernelring->symbol_count == SYMBOLS_MAX)
            return 0;
        symbol = calloc(1, sizeof *symbol);
        if (!symbol || room_make(&kernelring->by_number, &kernelring->symbol_room, kernelring->symbol_count, 1,
                                 sizeof *kernelring->by_number) ||
            table_insert(&kernelring->symbols, hash, symbol)) {
            free(symbol);
            return -ENOMEM;
        }
        memcpy(symbol->name, name, sizeof name);
        kernelring->by_number[kernelring->symbol_count++] = symbol;
        symbol->number = (uint32_t)kernelring->symbol_count;
    }
    uint64_t fields[GMPT_EVENT_FIELDS_MAX] = { symbol->number };
    for (size_t i = 0; i < KERNEL_NAME_MAX / 7; i++)
        fields[1 + i] = text_at(name + 7 * i);
    event_add(kernelring, GMPT_EVENT_kernel_symbol, fields);
    return symbol->number;
}

/* What comes before an event that has stacks. Returns 0 or -ENOMEM. */
static int kernel_add(struct kernelring *kernelring, const struct kernel_record *record)
{
    uint64_t frames[KERNEL_STACK_MAX];
    uint32_t index;
    for (uint32_t i = 0; i < record->kernel_count; i++) {
        int64_t number = symbol_add(kernelring, record->kernel[i]);
        if (number < 0)
            return (int)number;
        frames[i] = GMPT_KERNEL_FRAME | (uint64_t)number;
    }
    int result = record->kernel_count
                     ? stackset_intern(&kernelring->stacks, frames, record->kernel_count, &index)
                     : 0;
    if (record->kernel_count && result == 0)
        event_add(kernelring, GMPT_EVENT_kernel_frames, (uint64_t[]){ index });
    return result;
}

static uint64_t word_g(uint64_t word) { return word >> 4; }

/* Its stack, 0 = not known. Returns 0 or -ENOMEM. */
static int stack_of(struct kernelring *kernelring, const struct kernel_record *record, uint32_t *index)
{
    *index = 0;
    return record->stack_count ? stackset_intern(&kernelring->stacks, record->stack, record->stack_count, index) : 0;
}

static int sample_add(struct kernelring *kernelring, const struct kernel_record *record)
{
    uint64_t word = record->sample.word, doing = word & 15;
    uint32_t stack;
    int result = stack_of(kernelring, record, &stack);
    if (result == 0)
        result = kernel_add(kernelring, record);
    if (result == 0)
        event_add(kernelring, GMPT_EVENT_cpu_sample,
                  (uint64_t[]){ word_g(word), doing == GMPT_KERNEL_IN_CALL ? 0 : UINT32_MAX, record->tid, 0,
                                record->sample.cpu_ns, stack });
    return result;
}

static int faults_add(struct kernelring *kernelring, const struct kernel_record *record)
{
    uint32_t stack;
    int result = stack_of(kernelring, record, &stack);
    if (result == 0)
        event_add(kernelring, GMPT_EVENT_kernel_faults,
                  (uint64_t[]){ record->tid, word_g(record->faults.word), record->faults.word & 15,
                                record->faults.count, record->faults.address, stack });
    return result;
}

static int interval_add(struct kernelring *kernelring, const struct kernel_record *record)
{
    uint64_t next = 0, most = 0, waker = 0;
    if (record->interval.by_known) {
        next = other_add(kernelring, &record->interval.next);
        most = other_add(kernelring, &record->interval.most);
        waker = other_add(kernelring, &record->interval.waker);
        event_add(kernelring, GMPT_EVENT_kernel_by,
                  (uint64_t[]){ next, word_g(record->interval.next.word), waker, word_g(record->interval.waker.word),
                                most, word_g(record->interval.most.word), record->interval.cpu_from,
                                record->interval.cpu_to });
    }
    uint32_t stack;
    int result = stack_of(kernelring, record, &stack);
    if (result == 0 && stack)
        event_add(kernelring, GMPT_EVENT_kernel_stack, (uint64_t[]){ stack });
    if (result == 0)
        result = kernel_add(kernelring, record);
    if (result)
        return result;
    event_add(kernelring, GMPT_EVENT_kernel_off,
              (uint64_t[]){ record->tid, word_g(record->interval.word), record->interval.word & 15,
                            record->interval.why, (uint64_t)((int64_t)record->interval.call + 1),
                            record->interval.argument, record->interval.off_ns, record->interval.queue_ns });
    return 0;
}

int kernelring_take(struct kernelring *kernelring, const struct kernel_record *record)
{
    int result = room_make(&kernelring->waiting, &kernelring->waiting_room, kernelring->waiting_count, 1,
                           sizeof *kernelring->waiting);
    if (result == 0)
        result = room_make(&kernelring->words, &kernelring->word_room, kernelring->word_count,
                           EVENTS_OF_RECORD * WORDS_OF_EVENT, sizeof *kernelring->words);
    if (result)
        return result;
    size_t at = kernelring->word_count;
    switch (record->type) {
    case KERNEL_INTERVAL:
        result = interval_add(kernelring, record);
        break;
    case KERNEL_USAGE:
        event_add(kernelring, GMPT_EVENT_kernel_usage,
                  (uint64_t[]){ record->tid, record->usage.span_ns, record->usage.ran_ns, record->usage.queue_ns,
                                record->usage.slices });
        break;
    case KERNEL_THREAD:
        event_add(kernelring, GMPT_EVENT_kernel_thread, (uint64_t[]){ record->tid, record->thread.ended });
        break;
    case KERNEL_SAMPLE:
        result = sample_add(kernelring, record);
        break;
    case KERNEL_FAULTS:
        result = faults_add(kernelring, record);
        break;
    case KERNEL_LOST:
        event_add(kernelring, GMPT_EVENT_kernel_lost, (uint64_t[]){ record->lost.what, record->lost.count });
        break;
    }
    if (result) {
        kernelring->word_count = at;
        return result;
    }
    kernelring->waiting[kernelring->waiting_count++] = (struct waiting){
        record->at_ns, kernelring->number++, at, (uint32_t)(kernelring->word_count - at)
    };
    return 0;
}

/* ---- Rounds ----------------------------------------------------------------------------------------------------- */

static int waiting_compare(const void *a_arg, const void *b_arg)
{
    const struct waiting *a = a_arg, *b = b_arg;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

/* Whether it was told already, just so; else it counts as told. A task more than can be is told each time. */
static bool task_told(struct kernelring *kernelring, const uint64_t *field)
{
    uint64_t hash = table_mix(field[0]);
    struct task *task = table_find(&kernelring->tasks, hash, NULL, NULL);
    if (task && (memcmp(task->field, field, sizeof task->field) == 0 ||
                 (field[2] == 0 && task->field[2] && task->field[1] == field[1])))
        return true; /* or its name is known better */
    if (!task && kernelring->tasks.count < TASKS_MAX && (task = malloc(sizeof *task)) &&
        table_insert(&kernelring->tasks, hash, task)) {
        free(task);
        task = NULL;
    }
    if (task)
        memcpy(task->field, field, sizeof task->field);
    return false;
}

/* Likewise. */
static bool symbol_told(struct kernelring *kernelring, uint64_t number)
{
    struct symbol *symbol = kernelring->by_number[number - 1];
    bool told = symbol->told;
    symbol->told = true;
    return told;
}

static int event_encode_at(struct kernelring *kernelring, uint64_t ticks, unsigned code, const uint64_t *fields)
{
    struct part *part = kernelring->part_count ? &kernelring->parts[kernelring->part_count - 1] : NULL;
    int result = room_make(&kernelring->bytes, &kernelring->byte_room, kernelring->byte_count, EVENT_BYTES_MAX, 1);
    if (result == 0 && (!part || part->bytes >= PART_BYTES)) {
        if ((result = room_make(&kernelring->parts, &kernelring->part_room, kernelring->part_count, 1,
                                sizeof *kernelring->parts)))
            return result;
        part = &kernelring->parts[kernelring->part_count++];
        *part = (struct part){ .base_ticks = ticks, .at = kernelring->byte_count };
        kernelring->last_ticks = ticks;
    }
    if (result)
        return result;
    uint8_t *at = kernelring->bytes + kernelring->byte_count;
    size_t bytes = (size_t)(event_encode(at, code, ticks - kernelring->last_ticks, fields) - at);
    kernelring->last_ticks = ticks;
    kernelring->byte_count += bytes;
    part->bytes += bytes;
    part->count++;
    kernelring->events++;
    return 0;
}

static int tier_encode(struct kernelring *kernelring, uint64_t ticks)
{
    kernelring->tier_due = false;
    return event_encode_at(kernelring, ticks, GMPT_EVENT_kernel_tier,
                           (uint64_t[]){ kernelring->tier, kernelring->others, (uint64_t)kernelring->error_ns });
}

/* On the line through both clocks. */
static uint64_t ticks_at(const struct writer_clock *from, const struct writer_clock *to, uint64_t at_ns)
{
    uint64_t begin_ns = (uint64_t)from->monotonic_ns, length_ns = (uint64_t)to->monotonic_ns - begin_ns;
    if (at_ns <= begin_ns || length_ns == 0)
        return from->ticks;
    return from->ticks + (uint64_t)((unsigned __int128)(at_ns - begin_ns) * (to->ticks - from->ticks) / length_ns);
}

static int waiting_encode(struct kernelring *kernelring, const struct waiting *waiting, uint64_t ticks)
{
    const uint64_t *word = kernelring->words + waiting->at, *end = word + waiting->words;
    int result = 0;
    for (; result == 0 && word < end; word += 1 + event_field_counts[*word])
        if ((*word != GMPT_EVENT_kernel_task || !task_told(kernelring, word + 1)) &&
            (*word != GMPT_EVENT_kernel_symbol || !symbol_told(kernelring, word[1])))
            result = event_encode_at(kernelring, ticks, (unsigned)*word, word + 1);
    return result;
}

/* The few that came after the round had begun, from `done` on, stay. */
static void waiting_keep(struct kernelring *kernelring, size_t done)
{
    size_t kept = kernelring->waiting_count - done, first = kernelring->word_count;
    memmove(kernelring->waiting, kernelring->waiting + done, kept * sizeof *kernelring->waiting);
    for (size_t i = 0; i < kept; i++)
        if (kernelring->waiting[i].at < first)
            first = kernelring->waiting[i].at;
    kernelring->word_count -= first;
    memmove(kernelring->words, kernelring->words + first, kernelring->word_count * sizeof *kernelring->words);
    for (size_t i = 0; i < kept; i++)
        kernelring->waiting[i].at -= first;
    kernelring->waiting_count = kept;
}

int kernelring_round(struct kernelring *kernelring, const struct writer_clock *from, const struct writer_clock *to,
                     int64_t error_ns)
{
    size_t count = kernelring->waiting_count, done = 0;
    int result = 0;
    if (error_ns > kernelring->error_ns)
        kernelring->error_ns = error_ns;
    if (kernelring->tier_due && (result = tier_encode(kernelring, from->ticks)))
        return result;
    if (count)
        qsort(kernelring->waiting, count, sizeof *kernelring->waiting, waiting_compare);
    for (; !result && done < count && kernelring->waiting[done].at_ns <= (uint64_t)to->monotonic_ns; done++) {
        uint64_t ticks = ticks_at(from, to, kernelring->waiting[done].at_ns);
        result = waiting_encode(kernelring, &kernelring->waiting[done], ticks);
    }
    if (!result)
        kernelring->now_ticks = to->ticks;
    waiting_keep(kernelring, done); /* what has been told is not told again, whether all could be or not */
    return result;
}

/* What came after the last round's moment is told as of then. */
int kernelring_finish(struct kernelring *kernelring)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < kernelring->waiting_count; i++)
        result = waiting_encode(kernelring, &kernelring->waiting[i], kernelring->now_ticks);
    waiting_keep(kernelring, kernelring->waiting_count);
    return result ? result : tier_encode(kernelring, kernelring->now_ticks);
}

/* ---- Out -------------------------------------------------------------------------------------------------------- */

size_t kernelring_pending(const struct kernelring *kernelring) { return kernelring->byte_count; }
uint64_t kernelring_events(const struct kernelring *kernelring) { return kernelring->events; }

static void stacks_put(struct kernelring *kernelring, struct writer *writer)
{
    uint64_t words[1 + KERNEL_STACK_MAX];
    for (; kernelring->stacks_put < kernelring->stacks.count; kernelring->stacks_put++) {
        struct gmpt_stack stack = stackset_get(&kernelring->stacks, kernelring->stacks_put + 1);
        words[0] = stack.count;
        memcpy(words + 1, stack.pc, stack.count * sizeof *stack.pc);
        writer_put_stacks(writer, kernelring->ring, kernelring->stacks_put + 1, words, 1 + stack.count);
    }
}

void kernelring_put(struct kernelring *kernelring, struct writer *writer)
{
    stacks_put(kernelring, writer);
    for (size_t i = 0; i < kernelring->part_count; i++) {
        const struct part *part = &kernelring->parts[i];
        writer_put_events(writer, &(struct writer_events){
                                      .ring = kernelring->ring,
                                      .sequence = kernelring->sequence++,
                                      .base_ticks = part->base_ticks,
                                      .count = part->count,
                                      .bytes = kernelring->bytes + part->at,
                                      .size = part->bytes,
                                  });
    }
    kernelring->part_count = kernelring->byte_count = 0;
}
