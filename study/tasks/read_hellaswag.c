/* HellaSwag: a caption or how-to text and four ways to go on, with the marks of WikiHow's headings taken out. */
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

enum { ENDINGS = 4 };

/* A text that is being changed in place or grows by little: malloc'ed. */
struct buffer {
    char *bytes;
    size_t length;
};

/* First letter upper case, all others lower case, as str.capitalize of Python has it. UTF-8 in, UTF-8 out. */
static int capitalize(struct error *err, struct task_text text, struct buffer *out)
{
    int status = STATUS_OK;
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    const locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    mbstate_t in = {0}, made = {0};
    out->length = 0;
    out->bytes = malloc(text.length * 2 + MB_LEN_MAX +
                        1); /* a letter of one byte never becomes more than two */
    CHECK(err, out->bytes != NULL, STATUS_FAILED, "out of memory for the text of a task");
    for (size_t at = 0; at < text.length;) {
        wchar_t letter;
        size_t taken = mbrtowc(&letter, text.bytes + at, text.length - at, &in);
        if (taken == 0 || taken > text.length - at) { /* no UTF-8 locale here: as it is */
            memset(&in, 0, sizeof in);
            out->bytes[out->length++] = text.bytes[at++];
            continue;
        }
        const wint_t changed = at == 0 ? towupper((wint_t)letter) : towlower((wint_t)letter);
        const size_t put = wcrtomb(out->bytes + out->length, (wchar_t)changed, &made);
        out->length += put == (size_t)-1 ? 0 : put;
        at += taken;
    }
cleanup:
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return status;
}

/* Replace every `from`; `to` is not longer. */
static void replace(struct buffer *text, const char *from, const char *to)
{
    const size_t length = strlen(from);
    size_t out = 0;
    for (size_t at = 0; at < text->length;) {
        if (text->length - at >= length && memcmp(text->bytes + at, from, length) == 0) {
            memcpy(text->bytes + out, to, strlen(to));
            out += strlen(to);
            at += length;
        } else {
            text->bytes[out++] = text->bytes[at++];
        }
    }
    text->length = out;
}

/* Take out "[header]", "[step]" …: a bracket up to the next closing one in the same line. */
static void drop_brackets(struct buffer *text)
{
    size_t out = 0;
    for (size_t at = 0; at < text->length; at++) {
        if (text->bytes[at] == '[') {
            const size_t rest = text->length - at;
            const char *end = memchr(text->bytes + at, ']', rest),
                       *line = memchr(text->bytes + at, '\n', rest);
            if (end != NULL && (line == NULL || end < line)) {
                at = (size_t)(end - text->bytes);
                continue;
            }
        }
        text->bytes[out++] = text->bytes[at];
    }
    text->length = out;
}

static struct task_text clean(struct buffer *text)
{
    const struct task_text trimmed = text_trim((struct task_text){text->bytes, text->length});
    memmove(text->bytes, trimmed.bytes, trimmed.length);
    text->length = trimmed.length;
    replace(text, " [title]", ". ");
    drop_brackets(text);
    replace(text, "  ", " ");
    return (struct task_text){text->bytes, text->length};
}

static int cleaned(struct error *err, struct task_items *items, int parts,
                   const struct task_text *part, struct task_text *out)
{
    int status = STATUS_OK;
    struct task_text joined;
    TRY(items_text(err, items, parts, part, &joined));
    struct buffer buffer = {(char *)joined.bytes,
                            joined.length}; /* the list's, and only ours so far */
    *out = clean(&buffer);
cleanup:
    return status;
}

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text label, a, b, context, ending[ENDINGS];
    struct buffer capitalized = {0};
    const json_t *endings;
    int gold;
    TRY(lines_member(err, lines, record, "activity_label", &label));
    TRY(lines_member_or_empty(err, lines, record, "ctx_a", &a));
    TRY(lines_member_or_empty(err, lines, record, "ctx_b", &b));
    TRY(lines_list(err, lines, record, "endings", ENDINGS, ENDINGS, &endings));
    TRY(lines_number(err, lines, record, "label", 0, ENDINGS - 1, &gold));
    TRY(capitalize(err, b, &capitalized));
    const struct task_text part[] = {
        label, text_of(": "), a, text_of(" "), {capitalized.bytes, capitalized.length}};
    TRY(cleaned(err, items, 5, part, &context));
    for (int i = 0; i < ENDINGS; i++) {
        const json_t *text = json_array_get(endings, (size_t)i);
        LINE_CHECK(err, json_is_string(text), lines, "endings: entry %d is no text", i + 1);
        ending[i] = (struct task_text){json_string_value(text), json_string_length(text)};
        TRY(cleaned(err, items, 1, &ending[i], &ending[i]));
        LINE_CHECK(err, ending[i].length > 0, lines,
                   "endings: nothing is left of entry %d without its [marks]", i + 1);
    }
    TRY(items_add_choices(err, items, context, ENDINGS, ending, gold));
cleanup:
    free(capitalized.bytes);
    return status;
}

int read_hellaswag(struct error *err, const struct task_source *source, struct task_items *items)
{
    return lines_each(err, source->path, add, items);
}
