/* A parser by recursive descent into a list of nodes, which name each other by their places. */
#define _GNU_SOURCE
#include "filter.h"

#include "duration.h"
#include "events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 1000
#define DEPTH_MAX 100

enum filter_op { OP_EQUAL, OP_UNEQUAL, OP_LESS, OP_LESS_EQUAL, OP_MORE, OP_MORE_EQUAL, OP_HAS, OP_HAS_NOT };

enum filter_kind { KIND_NUMBER, KIND_P, KIND_DURATION, KIND_ADDRESS, KIND_STATE, KIND_REASON, KIND_TEXT };

enum filter_field_id {
    FIELD_G,
    FIELD_PARENT,
    FIELD_WAKER,
    FIELD_P,
    FIELD_DUR,
    FIELD_OBJECT,
    FIELD_STATE,
    FIELD_REASON,
    FIELD_NAME,
    FIELD_FUNCTION,
    FIELD_LABEL
};

static const struct filter_field {
    const char *name;
    enum filter_kind kind;
} fields[] = {
    [FIELD_G] = { "g", KIND_NUMBER },           [FIELD_PARENT] = { "parent", KIND_NUMBER },
    [FIELD_WAKER] = { "waker", KIND_NUMBER },   [FIELD_P] = { "p", KIND_P },
    [FIELD_DUR] = { "dur", KIND_DURATION },     [FIELD_OBJECT] = { "object", KIND_ADDRESS },
    [FIELD_STATE] = { "state", KIND_STATE },    [FIELD_REASON] = { "reason", KIND_REASON },
    [FIELD_NAME] = { "name", KIND_TEXT },       [FIELD_FUNCTION] = { "function", KIND_TEXT },
    [FIELD_LABEL] = { "label.KEY", KIND_TEXT },
};
#define FIELD_NAMES "g, parent, waker, p, dur, object, state, reason, name, function or label.KEY"

struct node {
    enum { NODE_COMPARE, NODE_NOT, NODE_AND, NODE_OR } type;
    uint32_t a, b; /* NODE_NOT has a only */
    enum filter_field_id field;
    enum filter_op op;
    __int128 number; /* holds int64_t and uint64_t */
    char *text, *key;
};

struct filter {
    struct node *nodes;
    uint32_t count, room;
    uint32_t root;
};

struct parser {
    struct filter *filter;
    const char *text, *at;
    struct filter_error *error;
    int depth;
    int result; /* the first failure */
};

/* ---- Parsing ----------------------------------------------------------------------------------------------------- */

static void fail(struct parser *parser, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fail(struct parser *parser, const char *at, const char *format, ...)
{
    va_list args;
    if (parser->result)
        return;
    parser->result = -EINVAL;
    parser->error->column = (size_t)(at - parser->text) + 1;
    va_start(args, format);
    vsnprintf(parser->error->message, sizeof parser->error->message, format, args);
    va_end(args);
}

static void fail_memory(struct parser *parser)
{
    fail(parser, parser->at, "there is not enough memory");
    parser->result = -ENOMEM;
}

static uint32_t node_add(struct parser *parser, struct node node)
{
    struct filter *filter = parser->filter;
    if (filter->count == NODES_MAX) {
        fail(parser, parser->at, "it is too long");
        return 0;
    }
    if (filter->count == filter->room) {
        uint32_t room = filter->room ? filter->room * 2 : 16;
        struct node *nodes = reallocarray(filter->nodes, room, sizeof nodes[0]);
        if (!nodes) {
            fail_memory(parser);
            return 0;
        }
        filter->nodes = nodes;
        filter->room = room;
    }
    filter->nodes[filter->count] = node;
    return filter->count++;
}

static void blanks_skip(struct parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\t')
        parser->at++;
}

static bool word_byte(char c) { return c && !strchr(" \t()=!<>~\"", c); }

static size_t word_length(const char *p)
{
    size_t length = 0;
    while (word_byte(p[length]))
        length++;
    return length;
}

/* Steps over a word, if it comes next. */
static bool word_take(struct parser *parser, const char *word)
{
    blanks_skip(parser);
    size_t length = word_length(parser->at);
    if (length != strlen(word) || memcmp(parser->at, word, length) != 0)
        return false;
    parser->at += length;
    return true;
}

/* What stands between quotes, or a word. The caller frees it; NULL after a failure. */
static char *value_take(struct parser *parser, const char *what)
{
    const char *begin = parser->at;
    size_t length = word_length(begin), used = 0;
    if (*begin != '"') {
        if (length == 0) {
            fail(parser, begin, "%s is missing", what);
            return NULL;
        }
        parser->at += length;
        char *word = strndup(begin, length);
        if (!word)
            fail_memory(parser);
        return word;
    }
    char *value = malloc(strlen(begin));
    if (!value) {
        fail_memory(parser);
        return NULL;
    }
    const char *p = begin + 1;
    while (*p && *p != '"') {
        p += *p == '\\' && (p[1] == '"' || p[1] == '\\');
        value[used++] = *p++;
    }
    value[used] = 0;
    if (*p != '"') {
        fail(parser, begin, "the quote does not end");
        free(value);
        return NULL;
    }
    parser->at = p + 1;
    return value;
}

static bool op_take(struct parser *parser, enum filter_op *op)
{
    static const struct {
        const char *text;
        enum filter_op op;
    } ops[] = { { "!=", OP_UNEQUAL }, { "!~", OP_HAS_NOT }, { "<=", OP_LESS_EQUAL }, { ">=", OP_MORE_EQUAL },
                { "=", OP_EQUAL },    { "~", OP_HAS },      { "<", OP_LESS },        { ">", OP_MORE } };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        size_t length = strlen(ops[i].text);
        if (strncmp(parser->at, ops[i].text, length) == 0) {
            *op = ops[i].op;
            parser->at += length;
            return true;
        }
    }
    return false;
}

static bool op_fits(enum filter_kind kind, enum filter_op op)
{
    bool orders = op == OP_LESS || op == OP_LESS_EQUAL || op == OP_MORE || op == OP_MORE_EQUAL;
    bool contains = op == OP_HAS || op == OP_HAS_NOT;
    return kind == KIND_TEXT ? !orders : kind <= KIND_DURATION ? !contains : !orders && !contains;
}

/* The number in text after its prefix, which is optional; false when it is none. */
static bool number_read(const char *text, char prefix, int base, __int128 *number)
{
    char *end;
    if (prefix && text[0] == prefix)
        text++;
    if (!strchr("0123456789abcdefABCDEF", text[0]) || !text[0])
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    *number = value;
    return errno == 0 && *end == 0;
}

static const char *const state_keys[GMPT_G_STATES] = {
    [0] = "lost",
    [GMPT_G_RUNNABLE] = "runnable",
    [GMPT_G_RUNNING] = "running",
    [GMPT_G_WAITING] = "waiting",
    [GMPT_G_SYSCALL] = "syscall",
    [GMPT_G_PREEMPTED] = "preempted",
};

const char *filter_state_key(enum gmpt_g_state state) { return state_keys[state]; }

static bool state_read(const char *text, __int128 *number)
{
    for (int state = 0; state < GMPT_G_STATES; state++)
        if (state_keys[state] && strcmp(text, state_keys[state]) == 0) {
            *number = state;
            return true;
        }
    return false;
}

/* By its name in the trace, or by its words with blanks or underscores. */
static bool reason_read(const char *text, __int128 *number)
{
    *number = event_reason_find(text);
    for (int reason = 0; *number < 0 && reason < GMPT_WAIT_REASONS; reason++) {
        const char *words = gmpt_wait_reason_words((enum gmpt_wait_reason)reason);
        size_t i = 0;
        while (words[i] && (words[i] == text[i] || (words[i] == ' ' && text[i] == '_')))
            i++;
        if (!words[i] && !text[i])
            *number = reason;
    }
    return *number >= 0;
}

static void value_read(struct parser *parser, struct node *node, const char *at)
{
    bool good = true;
    const char *wanted = "";
    int64_t ns = 0;
    switch (fields[node->field].kind) {
    case KIND_NUMBER:
        wanted = "a goroutine's number, such as 12 or G12";
        good = number_read(node->text, 'G', 10, &node->number);
        break;
    case KIND_P:
        wanted = "a P's number, such as 1 or P1, or -1";
        if (strcmp(node->text, "-1") == 0)
            node->number = -1;
        else
            good = number_read(node->text, 'P', 10, &node->number);
        break;
    case KIND_DURATION:
        wanted = "a time with a unit, such as 5ms";
        good = duration_parse(node->text, strlen(node->text), &ns) == 0;
        node->number = ns;
        break;
    case KIND_ADDRESS:
        wanted = "an address, such as 0xc000";
        good = number_read(node->text, 0, 0, &node->number);
        break;
    case KIND_STATE:
        wanted = "a state: runnable, running, waiting, syscall, preempted or lost";
        good = state_read(node->text, &node->number);
        break;
    case KIND_REASON:
        wanted = "what a goroutine can wait for, such as chan_recv, mutex or sleep";
        good = reason_read(node->text, &node->number);
        break;
    case KIND_TEXT:
        break;
    }
    if (!good)
        fail(parser, at, "'%.40s' is not %s", node->text, wanted);
}

/* The field's name, and of a label its key. */
static bool field_take(struct parser *parser, struct node *node)
{
    const char *begin = parser->at;
    size_t length = word_length(begin);
    if (length == 0) {
        if (*begin)
            fail(parser, begin, "a comparison is missing before '%c'", *begin);
        else
            fail(parser, begin, "a comparison is missing at the end");
        return false;
    }
    if (length >= 6 && memcmp(begin, "label.", 6) == 0) {
        parser->at += 6;
        node->field = FIELD_LABEL;
        node->key = value_take(parser, "the label's name");
        return node->key != NULL;
    }
    for (size_t i = 0; i < FIELD_LABEL; i++)
        if (strlen(fields[i].name) == length && memcmp(fields[i].name, begin, length) == 0) {
            node->field = (enum filter_field_id)i;
            parser->at += length;
            return true;
        }
    fail(parser, begin, "'%.*s' is no field; it must be %s", length < 40 ? (int)length : 40, begin, FIELD_NAMES);
    return false;
}

static uint32_t parse_compare(struct parser *parser)
{
    struct node node = { .type = NODE_COMPARE };
    uint32_t place = 0;
    if (!field_take(parser, &node))
        goto out;
    const char *name = fields[node.field].name;
    blanks_skip(parser);
    const char *at = parser->at;
    if (!op_take(parser, &node.op)) {
        fail(parser, at, "after %s an operator is missing: = != < <= > >= ~ or !~", name);
        goto out;
    }
    if (!op_fits(fields[node.field].kind, node.op)) {
        fail(parser, at, "'%.*s' does not go with %s", (int)(parser->at - at), at, name);
        goto out;
    }
    blanks_skip(parser);
    at = parser->at;
    node.text = value_take(parser, "the value");
    if (!node.text)
        goto out;
    value_read(parser, &node, at);
    if (!parser->result)
        place = node_add(parser, node);
out:
    if (parser->result) {
        free(node.text);
        free(node.key);
    }
    return place;
}

static uint32_t parse_or(struct parser *parser);

static uint32_t parse_not(struct parser *parser)
{
    uint32_t place = 0;
    blanks_skip(parser);
    if (++parser->depth > DEPTH_MAX) {
        fail(parser, parser->at, "it is nested too deeply");
    } else if (word_take(parser, "not")) {
        place = parse_not(parser);
        if (!parser->result)
            place = node_add(parser, (struct node){ .type = NODE_NOT, .a = place });
    } else if (*parser->at == '(') {
        const char *open = parser->at++;
        place = parse_or(parser);
        blanks_skip(parser);
        if (*parser->at == ')')
            parser->at++;
        else if (*parser->at)
            fail(parser, parser->at, "'and', 'or' or ')' is missing");
        else
            fail(parser, open, "the parenthesis is not closed");
    } else {
        place = parse_compare(parser);
    }
    parser->depth--;
    return place;
}

static uint32_t parse_and(struct parser *parser)
{
    uint32_t place = parse_not(parser);
    while (!parser->result && word_take(parser, "and")) {
        uint32_t right = parse_not(parser);
        if (!parser->result)
            place = node_add(parser, (struct node){ .type = NODE_AND, .a = place, .b = right });
    }
    return place;
}

static uint32_t parse_or(struct parser *parser)
{
    uint32_t place = parse_and(parser);
    while (!parser->result && word_take(parser, "or")) {
        uint32_t right = parse_and(parser);
        if (!parser->result)
            place = node_add(parser, (struct node){ .type = NODE_OR, .a = place, .b = right });
    }
    return place;
}

struct filter *filter_parse(const char *text, struct filter_error *error)
{
    *error = (struct filter_error){ .column = 1 };
    struct filter *filter = calloc(1, sizeof *filter);
    struct parser parser = { .filter = filter, .text = text, .at = text, .error = error };
    if (!filter) {
        fail_memory(&parser);
        errno = ENOMEM;
        return NULL;
    }
    filter->root = parse_or(&parser);
    blanks_skip(&parser);
    if (*parser.at == ')')
        fail(&parser, parser.at, "this parenthesis closes none");
    else if (*parser.at)
        fail(&parser, parser.at, "'and' or 'or' is missing");
    if (parser.result) {
        filter_free(filter);
        errno = -parser.result;
        return NULL;
    }
    return filter;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    for (uint32_t i = 0; i < filter->count; i++) {
        free(filter->nodes[i].text);
        free(filter->nodes[i].key);
    }
    free(filter->nodes);
    free(filter);
}

/* ---- Matching ---------------------------------------------------------------------------------------------------- */

static bool number_compare(const struct node *node, __int128 value)
{
    switch (node->op) {
    case OP_EQUAL:
        return value == node->number;
    case OP_UNEQUAL:
        return value != node->number;
    case OP_LESS:
        return value < node->number;
    case OP_LESS_EQUAL:
        return value <= node->number;
    case OP_MORE:
        return value > node->number;
    default:
        return value >= node->number;
    }
}

/* text NULL is equal to nothing and contains nothing. */
static bool text_compare(const struct node *node, const char *text)
{
    bool part = node->op == OP_HAS || node->op == OP_HAS_NOT;
    bool holds = text && (part ? strstr(text, node->text) != NULL : strcmp(text, node->text) == 0);
    return holds == (node->op == OP_EQUAL || node->op == OP_HAS);
}

static const char *label_value(const struct gmpt_trace *trace, uint32_t labels, const char *key)
{
    uint32_t count = trace && labels ? gmpt_trace_label_count(trace, labels) : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(trace, labels, i);
        if (strcmp(label.key, key) == 0)
            return label.value;
    }
    return NULL;
}

static bool function_compare(const struct node *node, const struct filter_names *names, const struct interval *interval)
{
    bool part = node->op == OP_HAS || node->op == OP_HAS_NOT;
    bool holds = names->function && names->function(names->arg, interval, node->text, part);
    return holds == (node->op == OP_EQUAL || node->op == OP_HAS);
}

static bool compare(const struct node *node, const struct filter_names *names, const struct interval *interval)
{
    switch (node->field) {
    case FIELD_G:
        return number_compare(node, interval->g->id);
    case FIELD_PARENT:
        return number_compare(node, interval->g->parent);
    case FIELD_WAKER:
        return number_compare(node, interval->waker);
    case FIELD_P:
        return number_compare(node, interval->p);
    case FIELD_DUR:
        return number_compare(node, interval->end_ns - interval->begin_ns);
    case FIELD_OBJECT:
        return number_compare(node, interval->object);
    case FIELD_STATE:
        return number_compare(node, interval->state);
    case FIELD_REASON:
        return number_compare(node, interval->reason);
    case FIELD_NAME:
        return text_compare(node, names->trace ? gmpt_trace_string(names->trace, interval->g->name) : "");
    case FIELD_FUNCTION:
        return function_compare(node, names, interval);
    case FIELD_LABEL:
        return text_compare(node, label_value(names->trace, interval->g->labels, node->key));
    }
    return false;
}

static bool match(const struct filter *filter, uint32_t place, const struct filter_names *names,
                  const struct interval *interval)
{
    const struct node *node = &filter->nodes[place];
    switch (node->type) {
    case NODE_NOT:
        return !match(filter, node->a, names, interval);
    case NODE_AND:
        return match(filter, node->a, names, interval) && match(filter, node->b, names, interval);
    case NODE_OR:
        return match(filter, node->a, names, interval) || match(filter, node->b, names, interval);
    default:
        return compare(node, names, interval);
    }
}

bool filter_match(const struct filter *filter, const struct filter_names *names, const struct interval *interval)
{
    return match(filter, filter->root, names, interval);
}
