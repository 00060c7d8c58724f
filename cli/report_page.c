/* The page is report/page.html with what stands between @s replaced: the style sheet and the scripts, which the build
 * has joined and embedded, their hashes for the policy that allows nothing else, the title, and the data. */
#define _GNU_SOURCE
#include "report_parts.h"

#include <string.h>

#define EMBEDDED(name) extern const char report_##name##_begin[], report_##name##_end[];
EMBEDDED(html)
EMBEDDED(css)
EMBEDDED(js)
EMBEDDED(css_hash)
EMBEDDED(js_hash)

struct piece {
    const char *name, *begin, *end;
};

#define PIECE(word, name) { word, report_##name##_begin, report_##name##_end }
static const struct piece pieces[] = {
    PIECE("@STYLE@", css),
    PIECE("@SCRIPT@", js),
    PIECE("@STYLE_HASH@", css_hash),
    PIECE("@SCRIPT_HASH@", js_hash),
};

static void title_write(FILE *out, const char *title)
{
    for (; *title; title++) {
        if (*title == '<')
            fputs("&lt;", out);
        else if (*title == '&')
            fputs("&amp;", out);
        else
            fputc(*title, out);
    }
}

/* From here to the data, or from behind it to the end. */
static void part_write(FILE *out, const char *at, const char *end, const char *title)
{
    while (at < end) {
        const char *mark = memchr(at, '@', (size_t)(end - at));
        fwrite(at, 1, (size_t)((mark ? mark : end) - at), out);
        if (!mark)
            return;
        at = mark + 1;
        size_t i = 0;
        while (i < sizeof pieces / sizeof pieces[0] && strncmp(mark, pieces[i].name, strlen(pieces[i].name)) != 0)
            i++;
        if (i < sizeof pieces / sizeof pieces[0]) {
            fwrite(pieces[i].begin, 1, (size_t)(pieces[i].end - pieces[i].begin), out);
            at = mark + strlen(pieces[i].name);
        } else if (strncmp(mark, "@TITLE@", 7) == 0) {
            title_write(out, title);
            at = mark + 7;
        } else {
            fputc('@', out);
        }
    }
}

static const char *data_mark(void)
{
    return memmem(report_html_begin, (size_t)(report_html_end - report_html_begin), "@DATA@", 6);
}

void report_page_begin(FILE *out, const char *title) { part_write(out, report_html_begin, data_mark(), title); }

void report_page_end(FILE *out) { part_write(out, data_mark() + 6, report_html_end, ""); }
