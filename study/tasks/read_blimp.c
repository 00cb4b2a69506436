/* BLiMP: a minimal pair per line; the grammatical sentence must be the likelier one. */
#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text sentence[2];
    TRY(lines_member(err, lines, record, "sentence_good", &sentence[0]));
    TRY(lines_member(err, lines, record, "sentence_bad", &sentence[1]));
    TRY(items_add_choices(err, items, text_of(""), 2, sentence, 0));
cleanup:
    return status;
}

int read_blimp(struct error *err, const struct task_source *source, struct task_items *items)
{
    return lines_each(err, source->path, add, items);
}
