#include "stackmatch.h"

#include "intern.h"

#include <stdlib.h>
#include <string.h>

struct stackmatch {
    const struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    struct intern questions;
    uint8_t *answers; /* by question */
    size_t answers_room;
};

struct question {
    uint64_t text, fn; /* the text's address */
    uint32_t stack, part;
};

struct stackmatch *stackmatch_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer)
{
    struct stackmatch *match = calloc(1, sizeof *match);
    if (!match)
        return NULL;
    match->trace = trace;
    match->symbolizer = symbolizer;
    return match;
}

void stackmatch_close(struct stackmatch *match)
{
    if (!match)
        return;
    intern_free(&match->questions);
    free(match->answers);
    free(match);
}

static bool address_matches(struct symbolizer *symbolizer, uint64_t address, const char *text, bool part)
{
    const struct symbol *symbol = symbolize(symbolizer, address);
    for (size_t i = 0; symbol && i < symbol->count; i++) {
        const char *function = symbol->frames[i].function;
        if (function && (part ? strstr(function, text) != NULL : strcmp(function, text) == 0))
            return true;
    }
    return false;
}

static bool answer(const struct stackmatch *match, const struct question *question, const char *text)
{
    struct gmpt_stack stack = gmpt_trace_stack(match->trace, question->stack);
    if (question->fn && address_matches(match->symbolizer, question->fn + 1, text, question->part))
        return true;
    for (uint32_t i = 0; i < stack.count; i++)
        if (address_matches(match->symbolizer, stack.pc[i], text, question->part))
            return true;
    return false;
}

bool stackmatch_function(void *match_arg, const struct interval *interval, const char *text, bool part)
{
    struct stackmatch *match = match_arg;
    struct question question = { (uint64_t)(uintptr_t)text, interval->g->fn, interval->stack, part };
    size_t before = match->questions.count;
    if (before == match->answers_room) {
        size_t room = before ? before * 2 : 64;
        uint8_t *answers = realloc(match->answers, room);
        if (!answers)
            return answer(match, &question, text);
        match->answers = answers;
        match->answers_room = room;
    }
    int64_t number = intern_put(&match->questions, &question, sizeof question);
    if (number < 0)
        return answer(match, &question, text);
    if (match->questions.count > before)
        match->answers[number] = answer(match, &question, text);
    return match->answers[number];
}
