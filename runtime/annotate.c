/* Labels, names and scopes of Gs. A label set is an entry of the dictionary, which has each set once: its pairs ordered
 * by key, keys and values being numbers of strings. So a G's labels are one number, and to pass them on is one store.
 * Sets never change, hence may be shared by all, and are never given back, hence the limit. */
#include "annotate.h"

#include "enter.h"

#include <string.h>

static ATOMIC(uint64_t) last_scope;

/* ---- labels ---- */

static int string_number(const char *text, uint32_t *number)
{
    if (strnlen(text, DICTIONARY_STRING_MAX + 1) > DICTIONARY_STRING_MAX)
        return -E2BIG;
    *number = trace_string(text); /* 0, too, stands for "" */
    return *number || !text[0] ? 0 : -ENOSPC;
}

/* Puts a label into the pairs, or takes it away. */
static int pairs_change(uint64_t pairs[DICTIONARY_LABELS_MAX], uint32_t *count, const struct gmpt_label *label)
{
    uint32_t key, value = 0, at = 0;
    if (!label->key || !label->key[0])
        return -EINVAL;
    int error = string_number(label->key, &key);
    if (!error && label->value)
        error = string_number(label->value, &value);
    if (error)
        return error;
    while (at < *count && pairs[at] >> 32 < key)
        at++;
    bool there = at < *count && pairs[at] >> 32 == key;
    uint64_t *pair = &pairs[at];
    if (!label->value) {
        if (there)
            memmove(pair, pair + 1, (--*count - at) * sizeof *pair);
        return 0;
    }
    if (!there) {
        if (*count == DICTIONARY_LABELS_MAX)
            return -ENOSPC;
        memmove(pair + 1, pair, ((*count)++ - at) * sizeof *pair);
    }
    *pair = (uint64_t)key << 32 | value;
    return 0;
}

int annotate_label_set(uint32_t base, const struct gmpt_label *labels, size_t count, uint32_t *set)
{
    uint64_t pairs[DICTIONARY_LABELS_MAX];
    uint32_t pair_count = trace_labels_get(base, pairs);
    for (size_t i = 0; i < count; i++) {
        int error = pairs_change(pairs, &pair_count, &labels[i]);
        if (error)
            return error;
    }
    *set = pair_count ? trace_labels(pairs, pair_count) : 0;
    return pair_count && !*set ? -ENOSPC : 0;
}

void annotate_labels(struct p *p, struct g *g, uint32_t set)
{
    if (set == load_relaxed(&g->slot->labels))
        return;
    store_relaxed(&g->slot->labels, set);
    TRACE(go_labels, p, g);
}

static int set_label(const char *key, const char *value, uint32_t *before)
{
    API_ENTER();
    struct m *m = m_self();
    uint32_t set;
    *before = load_relaxed(&m->current->slot->labels);
    int error = annotate_label_set(*before, &(struct gmpt_label){ key, value }, 1, &set);
    if (!error)
        annotate_labels(m->p, m->current, set);
    return error;
}

int gmpt_label_set(const char *key, const char *value)
{
    uint32_t before;
    return set_label(key, value, &before);
}

int64_t gmpt_label_push(const char *key, const char *value)
{
    uint32_t before;
    int error = set_label(key, value, &before);
    return error ? error : (int64_t)before;
}

void gmpt_label_pop(int64_t pushed)
{
    if (pushed < 0)
        return;
    API_ENTER();
    struct m *m = m_self();
    annotate_labels(m->p, m->current, (uint32_t)pushed);
}

const char *gmpt_label_get(const char *key)
{
    uint64_t pairs[DICTIONARY_LABELS_MAX];
    uint32_t count = trace_labels_get(load_relaxed(&g_self()->slot->labels), pairs);
    for (uint32_t i = 0; key && i < count; i++)
        if (strcmp(trace_string_text((uint32_t)(pairs[i] >> 32)), key) == 0)
            return trace_string_text((uint32_t)pairs[i]);
    return NULL;
}

/* ---- names ---- */

void annotate_name(struct p *p, struct g *g, const char *name)
{
    uint32_t number = trace_string(name);
    g->name = number ? trace_string_text(number) : NULL;
    store_relaxed(&g->slot->name, number);
    TRACE(go_name, p, g);
}

void gmpt_name_set(const char *name)
{
    API_ENTER();
    struct m *m = m_self();
    annotate_name(m->p, m->current, name);
}

const char *gmpt_name_get(void) { return trace_string_text(load_relaxed(&g_self()->slot->name)); }

/* ---- scopes ---- */

void annotate_scope(struct p *p, struct g *g, uint64_t scope)
{
    if (scope == load_relaxed(&g->slot->scope))
        return;
    store_relaxed(&g->slot->scope, scope);
    TRACE(go_scope, p, g);
}

uint64_t gmpt_scope_new(void) { return fetch_add_relaxed(&last_scope, 1) + 1; }

uint64_t gmpt_scope_current(void) { return load_relaxed(&g_self()->slot->scope); }

uint64_t gmpt_scope_enter(uint64_t scope)
{
    API_ENTER();
    struct m *m = m_self();
    uint64_t before = load_relaxed(&m->current->slot->scope);
    annotate_scope(m->p, m->current, scope);
    return before;
}

int64_t gmpt_scope_count(uint64_t scope)
{
    int64_t count = 0;
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    for (uint32_t i = 0; i < used; i++) {
        const struct g_slot *slot = &trace_segment.registry[i];
        enum g_state state = g_status_state(load_acquire(&slot->status));
        count += state != G_IDLE && state != G_DEAD && load_relaxed(&slot->scope) == scope;
    }
    return count;
}
