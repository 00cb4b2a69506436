/* WinoGrande: each option in place of the blank; what is scored is the rest of the sentence, the same for both (partial scoring). */
#include <string.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text sentence, option[2];
    struct task_item item = {.choices = 2};
    TRY(lines_member(err, lines, record, "sentence", &sentence));
    TRY(lines_member(err, lines, record, "option1", &option[0]));
    TRY(lines_member(err, lines, record, "option2", &option[1]));
    TRY(lines_number(err, lines, record, "answer", 1, 2, &item.gold));
    item.gold--;
    const char *blank = memchr(sentence.bytes, '_', sentence.length);
    LINE_CHECK(err, blank != NULL, lines, "sentence: there is no '_' for the options in it");
    const struct task_text before = {sentence.bytes, (size_t)(blank - sentence.bytes)};
    const struct task_text after =
        text_trim((struct task_text){blank + 1, sentence.length - before.length - 1});
    LINE_CHECK(err, after.length > 0, lines,
               "sentence: nothing follows the '_'; there is nothing to score");
    for (int i = 0; i < 2; i++) {
        struct task_choice *choice = &item.choice[i];
        const struct task_text context[] = {before, option[i]},
                               continuation[] = {text_of(" "), after};
        TRY(items_text(err, items, 2, context, &choice->context));
        TRY(items_text(err, items, 2, continuation, &choice->continuation));
        choice->bytes = (int)after.length;
    }
    TRY(items_add(err, items, &item));
cleanup:
    return status;
}

int read_winogrande(struct error *err, const struct task_source *source, struct task_items *items)
{
    return lines_each(err, source->path, add, items);
}
