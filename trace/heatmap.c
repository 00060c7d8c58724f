/* See heatmap.h. A row has a clock that follows its own intervals; whenever it moves on, the time that went by is
 * accounted to the columns and, as blame, to what the P does. That blame stays pending until it is known how the run
 * ended, since this is part of who the hog is. */
#include "heatmap.h"

#include "keyset.h"

#include <errno.h>
#include <stdlib.h>

struct column {
    int64_t wait_ns, busy_ns;
    uint64_t begun;
    int64_t pending; /* blame of what the P does now */
};

struct row {
    int64_t now_ns;
    uint64_t waiting;
    struct heatmap_hog doing; /* what the P does, as far as it is known */
    uint64_t doing_g;         /* 0 = no G */
    bool ending;              /* the run is over; what begins next may tell where it stopped */
    bool threaded;            /* an M has the P */
    bool pending;             /* there is blame in columns [pending_first, pending_last] */
    unsigned pending_first, pending_last;
    struct column *columns;
    struct topk **hogs;
    struct heatmap_node **nodes; /* 2 * columns */
};

struct heatmap {
    unsigned columns;
    int64_t width_ns, end_ns;
    struct row *rows[HEATMAP_ROWS];
    struct heatmap_lengths_cell **lengths; /* columns * HEATMAP_LENGTHS */
    struct keyset victims, wakers, hogs;
    uint64_t left_g; /* the G whose interval was closed last, and where that was */
    uint32_t left_stack;
};

/* ---- Opening and closing ----------------------------------------------------------------------------------------- */

struct heatmap *heatmap_open(int64_t end_ns, unsigned columns)
{
    if (columns == 0 || columns > HEATMAP_COLUMNS_MAX || (columns & (columns - 1)) || end_ns < 0 ||
        end_ns > INT64_MAX / 2) {
        errno = EINVAL;
        return NULL;
    }
    struct heatmap *heatmap = calloc(1, sizeof *heatmap);
    if (!heatmap)
        return NULL;
    heatmap->columns = columns;
    heatmap->width_ns = end_ns > 0 ? (end_ns + columns - 1) / columns : 1;
    heatmap->end_ns = end_ns;
    keyset_init(&heatmap->victims, sizeof(struct heatmap_victim), HEATMAP_KEYS_MAX);
    keyset_init(&heatmap->wakers, sizeof(struct heatmap_waker), HEATMAP_KEYS_MAX);
    keyset_init(&heatmap->hogs, sizeof(struct heatmap_hog), HEATMAP_KEYS_MAX);
    heatmap->lengths = calloc((size_t)columns * HEATMAP_LENGTHS, sizeof(*heatmap->lengths));
    if (!heatmap->lengths) {
        free(heatmap);
        return NULL;
    }
    return heatmap;
}

static void row_close(const struct heatmap *heatmap, struct row *row)
{
    if (!row)
        return;
    for (unsigned i = 0; row->hogs && i < heatmap->columns; i++)
        free(row->hogs[i]);
    for (unsigned i = 0; row->nodes && i < 2 * heatmap->columns; i++)
        free(row->nodes[i]);
    free(row->columns);
    free(row->hogs);
    free(row->nodes);
    free(row);
}

void heatmap_close(struct heatmap *heatmap)
{
    if (!heatmap)
        return;
    for (unsigned i = 0; i < HEATMAP_ROWS; i++)
        row_close(heatmap, heatmap->rows[i]);
    for (size_t i = 0; i < (size_t)heatmap->columns * HEATMAP_LENGTHS; i++)
        free(heatmap->lengths[i]);
    free(heatmap->lengths);
    keyset_free(&heatmap->victims);
    keyset_free(&heatmap->wakers);
    keyset_free(&heatmap->hogs);
    free(heatmap);
}

static struct row *row_open(const struct heatmap *heatmap, unsigned number)
{
    struct row *row = calloc(1, sizeof *row);
    if (!row)
        return NULL;
    row->doing.kind = number == HEATMAP_NO_P ? HEATMAP_HOG_NO_P : HEATMAP_HOG_NO_THREAD;
    row->columns = calloc(heatmap->columns, sizeof *row->columns);
    row->hogs = calloc(heatmap->columns, sizeof(*row->hogs));
    row->nodes = calloc(2 * (size_t)heatmap->columns, sizeof(*row->nodes));
    if (row->columns && row->hogs && row->nodes)
        return row;
    row_close(heatmap, row);
    return NULL;
}

/* NULL when memory is short. */
static struct row *row_get(struct heatmap *heatmap, int32_t p)
{
    unsigned number = p >= 0 && p < HEATMAP_NO_P ? (unsigned)p : HEATMAP_NO_P;
    if (!heatmap->rows[number])
        heatmap->rows[number] = row_open(heatmap, number);
    return heatmap->rows[number];
}

/* ---- Time passes on a row ---------------------------------------------------------------------------------------- */

static unsigned column_of(const struct heatmap *heatmap, int64_t ns)
{
    int64_t column = ns / heatmap->width_ns;
    return column < (int64_t)heatmap->columns ? (unsigned)column : heatmap->columns - 1;
}

static int64_t clip(const struct heatmap *heatmap, int64_t ns)
{
    return ns < 0 ? 0 : ns > heatmap->end_ns ? heatmap->end_ns : ns;
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;
    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

static void column_pass(struct row *row, unsigned number, int64_t ns)
{
    struct column *column = &row->columns[number];
    int64_t waited;
    if (__builtin_mul_overflow((int64_t)row->waiting, ns, &waited))
        waited = INT64_MAX;
    if (row->doing_g)
        column->busy_ns = sum(column->busy_ns, ns);
    if (!waited)
        return;
    column->wait_ns = sum(column->wait_ns, waited);
    column->pending = sum(column->pending, waited);
    if (!row->pending)
        row->pending_first = number;
    row->pending = true;
    row->pending_last = number;
}

static void row_pass(const struct heatmap *heatmap, struct row *row, int64_t time_ns)
{
    int64_t to_ns = clip(heatmap, time_ns), at_ns = row->now_ns;
    if (to_ns <= at_ns)
        return;
    row->now_ns = to_ns;
    if (!row->waiting && !row->doing_g)
        return;
    for (unsigned number = column_of(heatmap, at_ns); at_ns < to_ns; number++) {
        int64_t end_ns = (int64_t)(number + 1) * heatmap->width_ns;
        if (end_ns > to_ns)
            end_ns = to_ns;
        column_pass(row, number, end_ns - at_ns);
        at_ns = end_ns;
    }
}

/* What the P did is over, and all that will be known of it is. */
static int row_blame(struct heatmap *heatmap, struct row *row)
{
    row->ending = false;
    if (!row->pending)
        return 0;
    int64_t key = keyset_put(&heatmap->hogs, &row->doing);
    if (key < 0)
        return -ENOMEM;
    for (unsigned i = row->pending_first; i <= row->pending_last; i++) {
        if (!row->columns[i].pending)
            continue;
        if (!row->hogs[i] && !(row->hogs[i] = calloc(1, sizeof *row->hogs[i])))
            return -ENOMEM;
        topk_add(row->hogs[i], (uint32_t)key, row->columns[i].pending);
        row->columns[i].pending = 0;
    }
    row->pending = false;
    return 0;
}

/* The P does something else from now on. */
static int row_does(struct heatmap *heatmap, struct row *row, const struct heatmap_hog *doing, uint64_t g)
{
    int result = row_blame(heatmap, row);
    if (doing)
        row->doing = *doing;
    else
        row->doing = (struct heatmap_hog){ .kind = row == heatmap->rows[HEATMAP_NO_P] ? HEATMAP_HOG_NO_P
                                                   : row->threaded                    ? HEATMAP_HOG_SCHEDULER
                                                                                      : HEATMAP_HOG_NO_THREAD };
    row->doing_g = g;
    return result;
}

/* A run that is over, and of which nothing more came, has no place where it stopped. */
static int row_settle(struct heatmap *heatmap, struct row *row)
{
    return row->ending ? row_does(heatmap, row, NULL, 0) : 0;
}

/* ---- Delays ------------------------------------------------------------------------------------------------------ */

struct delay {
    uint32_t victim, waker;
    int64_t begin_ns, end_ns, length_ns;
};

static int node_add(struct row *row, unsigned number, const struct delay *delay, int64_t part_ns)
{
    struct heatmap_node *node = row->nodes[number];
    if (!node && !(node = row->nodes[number] = calloc(1, sizeof *node)))
        return -ENOMEM;
    topk_add(&node->victims, delay->victim, part_ns);
    topk_add(&node->wakers, delay->waker, part_ns);
    if (delay->length_ns > node->longest_ns)
        node->longest_ns = delay->length_ns;
    return 0;
}

/* The columns [first, end) whole, by as few nodes as there are for them. */
static int nodes_add(const struct heatmap *heatmap, struct row *row, unsigned first, unsigned end,
                     const struct delay *delay)
{
    int64_t part_ns = heatmap->width_ns;
    int result = 0;
    first += heatmap->columns;
    end += heatmap->columns;
    for (; first < end && !result; first /= 2, end /= 2, part_ns *= 2) {
        if (first & 1)
            result = node_add(row, first++, delay, part_ns);
        if ((end & 1) && !result)
            result = node_add(row, --end, delay, part_ns);
    }
    return result;
}

static int delay_add(const struct heatmap *heatmap, struct row *row, const struct delay *delay)
{
    unsigned first = column_of(heatmap, delay->begin_ns), last = column_of(heatmap, delay->end_ns);
    unsigned columns = heatmap->columns;
    if (first == last)
        return node_add(row, columns + first, delay, delay->end_ns - delay->begin_ns);
    int result = node_add(row, columns + first, delay, (int64_t)(first + 1) * heatmap->width_ns - delay->begin_ns);
    int64_t rest_ns = delay->end_ns - (int64_t)last * heatmap->width_ns;
    if (!result && rest_ns > 0)
        result = node_add(row, columns + last, delay, rest_ns);
    return result ? result : nodes_add(heatmap, row, first + 1, last, delay);
}

unsigned heatmap_length(int64_t ns)
{
    if (ns < 2)
        return 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll((unsigned long long)ns);
    return octave * 2 + (unsigned)(ns >> (octave - 1) & 1);
}

int64_t heatmap_length_floor_ns(unsigned length)
{
    unsigned octave = length / 2;
    return octave == 0 ? 0 : ((int64_t)1 << octave) | (length & 1 ? (int64_t)1 << (octave - 1) : 0);
}

static int length_add(struct heatmap *heatmap, const struct delay *delay)
{
    size_t index = (size_t)column_of(heatmap, delay->end_ns) * HEATMAP_LENGTHS + heatmap_length(delay->length_ns);
    struct heatmap_lengths_cell *cell = heatmap->lengths[index];
    if (!cell && !(cell = heatmap->lengths[index] = calloc(1, sizeof *cell)))
        return -ENOMEM;
    cell->count++;
    topk_add(&cell->victims, delay->victim, delay->length_ns);
    topk_add(&cell->wakers, delay->waker, delay->length_ns);
    return 0;
}

static int delay_over(struct heatmap *heatmap, struct row *row, const struct interval *interval)
{
    struct heatmap_victim victim = { interval->g->fn, interval->g->create_stack, interval->stack,
                                     (uint32_t)interval->began_by, 0 };
    struct heatmap_waker waker = { interval->waker_fn, interval->waker_stack, (uint32_t)interval->began_by };
    if (interval->began_by == GMPT_EVENT_go_create)
        waker.stack = interval->g->create_stack;
    int64_t victim_key = keyset_put(&heatmap->victims, &victim), waker_key = keyset_put(&heatmap->wakers, &waker);
    if (victim_key < 0 || waker_key < 0)
        return -ENOMEM;
    struct delay delay = { (uint32_t)victim_key, (uint32_t)waker_key, clip(heatmap, interval->begin_ns),
                           clip(heatmap, interval->end_ns), interval->end_ns - interval->begin_ns };
    int result = delay_add(heatmap, row, &delay);
    if (!result && interval->ended_by == GMPT_EVENT_go_start)
        result = length_add(heatmap, &delay);
    return result;
}

/* ---- Intervals --------------------------------------------------------------------------------------------------- */

int heatmap_closed(void *heatmap_arg, const struct interval *interval)
{
    struct heatmap *heatmap = heatmap_arg;
    struct row *row;
    int result = 0;
    heatmap->left_g = interval->g->id;
    heatmap->left_stack = interval->stack;
    switch (interval->state) {
    case GMPT_G_RUNNABLE:
        if (!(row = row_get(heatmap, interval->p)))
            return -ENOMEM;
        result = row_settle(heatmap, row);
        row_pass(heatmap, row, interval->end_ns);
        if (row->waiting)
            row->waiting--;
        return result ? result : delay_over(heatmap, row, interval);
    case GMPT_G_RUNNING:
    case GMPT_G_SYSCALL:
        if (!(row = row_get(heatmap, interval->p)))
            return -ENOMEM;
        if (row->doing_g != interval->g->id)
            return 0; /* the P went to somebody else before */
        row_pass(heatmap, row, interval->end_ns);
        row->doing.ended_by = (uint32_t)interval->ended_by;
        row->ending = true;
        return result;
    default:
        return 0;
    }
}

static int run_begun(struct heatmap *heatmap, const struct interval *interval, enum heatmap_hog_kind kind)
{
    struct row *row = row_get(heatmap, interval->p);
    if (!row)
        return -ENOMEM;
    if (interval->p < 0)
        return 0;
    if (kind == HEATMAP_HOG_CALLED && row->ending && row->doing_g == interval->g->id)
        row->doing.to_stack = interval->stack;
    int result = row_settle(heatmap, row);
    row_pass(heatmap, row, interval->begin_ns);
    row->threaded = true;
    struct heatmap_hog hog = {
        .fn = interval->g->fn,
        .create_stack = interval->g->create_stack,
        .from_stack = kind == HEATMAP_HOG_CALLED                ? interval->stack
                      : heatmap->left_g == interval->g->id ? heatmap->left_stack
                                                                : 0,
        .kind = (uint32_t)kind,
    };
    return result ? result : row_does(heatmap, row, &hog, interval->g->id);
}

int heatmap_begun(void *heatmap_arg, const struct interval *interval)
{
    struct heatmap *heatmap = heatmap_arg;
    struct row *row;
    int result;
    switch (interval->state) {
    case GMPT_G_RUNNABLE:
        if (!(row = row_get(heatmap, interval->p)))
            return -ENOMEM;
        result = row_settle(heatmap, row);
        row_pass(heatmap, row, interval->begin_ns);
        row->waiting++;
        if (!interval->continued)
            row->columns[column_of(heatmap, clip(heatmap, interval->begin_ns))].begun++;
        return result;
    case GMPT_G_RUNNING:
        return run_begun(heatmap, interval, HEATMAP_HOG_RAN);
    case GMPT_G_SYSCALL:
        return run_begun(heatmap, interval, HEATMAP_HOG_CALLED);
    case GMPT_G_WAITING:
        if (!(row = row_get(heatmap, interval->p)))
            return -ENOMEM;
        if (row->ending && row->doing_g == interval->g->id)
            row->doing.to_stack = interval->stack;
        return row_settle(heatmap, row);
    default:
        return 0;
    }
}

/* A P that has a thread, or has none any more, or is taken from a call. */
int heatmap_event(struct heatmap *heatmap, const struct gmpt_event *event)
{
    uint64_t p = (uint64_t)event->p;
    bool threaded = false;
    switch (event->type) {
    case GMPT_EVENT_proc_start:
        threaded = true;
        break;
    case GMPT_EVENT_proc_was:
        p = event->proc_was.p;
        threaded = true;
        break;
    case GMPT_EVENT_proc_stop:
        break;
    case GMPT_EVENT_proc_retake:
        p = event->proc_retake.p;
        break;
    default:
        return 0;
    }
    if (p >= HEATMAP_NO_P)
        return 0;
    struct row *row = row_get(heatmap, (int32_t)p);
    if (!row)
        return -ENOMEM;
    int result = row_settle(heatmap, row);
    row_pass(heatmap, row, event->time_ns);
    row->threaded = threaded;
    return result ? result : row_does(heatmap, row, NULL, 0);
}

int heatmap_finish(struct heatmap *heatmap)
{
    int result = 0;
    for (unsigned i = 0; i < HEATMAP_ROWS && !result; i++)
        if (heatmap->rows[i]) {
            result = row_settle(heatmap, heatmap->rows[i]);
            row_pass(heatmap, heatmap->rows[i], heatmap->end_ns);
            result = result ? result : row_blame(heatmap, heatmap->rows[i]);
        }
    return result;
}

/* ---- What came of it --------------------------------------------------------------------------------------------- */

unsigned heatmap_columns(const struct heatmap *heatmap) { return heatmap->columns; }
int64_t heatmap_width_ns(const struct heatmap *heatmap) { return heatmap->width_ns; }

static const struct row *row_at(const struct heatmap *heatmap, unsigned number)
{
    return number < HEATMAP_ROWS ? heatmap->rows[number] : NULL;
}

bool heatmap_row_used(const struct heatmap *heatmap, unsigned row) { return row_at(heatmap, row) != NULL; }

struct heatmap_cell heatmap_cell(const struct heatmap *heatmap, unsigned number, unsigned column)
{
    const struct row *row = row_at(heatmap, number);
    struct heatmap_cell cell = { 0 };
    if (!row || column >= heatmap->columns)
        return cell;
    cell.wait_ns = row->columns[column].wait_ns;
    cell.busy_ns = row->columns[column].busy_ns;
    cell.begun = row->columns[column].begun;
    for (unsigned node = heatmap->columns + column; node; node /= 2)
        if (row->nodes[node] && row->nodes[node]->longest_ns > cell.longest_ns)
            cell.longest_ns = row->nodes[node]->longest_ns;
    return cell;
}

const struct topk *heatmap_hogs(const struct heatmap *heatmap, unsigned number, unsigned column)
{
    const struct row *row = row_at(heatmap, number);
    return row && column < heatmap->columns ? row->hogs[column] : NULL;
}

const struct heatmap_node *heatmap_node(const struct heatmap *heatmap, unsigned number, unsigned node)
{
    const struct row *row = row_at(heatmap, number);
    return row && node < 2 * heatmap->columns ? row->nodes[node] : NULL;
}

const struct heatmap_lengths_cell *heatmap_lengths(const struct heatmap *heatmap, unsigned column, unsigned length)
{
    if (column >= heatmap->columns || length >= HEATMAP_LENGTHS)
        return NULL;
    return heatmap->lengths[(size_t)column * HEATMAP_LENGTHS + length];
}

struct heatmap_victim heatmap_victim(const struct heatmap *heatmap, uint32_t key)
{
    const struct heatmap_victim *victim = keyset_get(&heatmap->victims, key);
    return victim ? *victim : (struct heatmap_victim){ 0 };
}

struct heatmap_waker heatmap_waker(const struct heatmap *heatmap, uint32_t key)
{
    const struct heatmap_waker *waker = keyset_get(&heatmap->wakers, key);
    return waker ? *waker : (struct heatmap_waker){ 0 };
}

struct heatmap_hog heatmap_hog(const struct heatmap *heatmap, uint32_t key)
{
    const struct heatmap_hog *hog = keyset_get(&heatmap->hogs, key);
    return hog ? *hog : (struct heatmap_hog){ 0 };
}
