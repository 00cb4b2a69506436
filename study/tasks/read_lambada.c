/* LAMBADA (OpenAI's detokenized text): the last word of each passage, which is what follows its last blank. */
#include <string.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text text, word;
    TRY(lines_member(err, lines, record, "text", &text));
    const char *blank = memrchr(text.bytes, ' ', text.length);
    LINE_CHECK(err, blank != NULL, lines,
               "text: a passage of one word; there is nothing to predict it from");
    word = (struct task_text){blank + 1, (size_t)(text.bytes + text.length - blank) - 1};
    text.length -= word.length + 1;
    LINE_CHECK(err, word.length > 0 && text_trim(text).length > 0, lines,
               "text: a passage must be words and a last word, with a blank between them");
    TRY(items_add_choices(err, items, text, 1, &word, 0));
cleanup:
    return status;
}

int read_lambada(struct error *err, const struct task_source *source, struct task_items *items)
{
    return lines_each(err, source->path, add, items);
}
