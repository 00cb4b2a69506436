/* BLiMP: a minimal pair per line; the grammatical sentence must be the likelier one. */
#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

int read_blimp(struct error *err, const struct task_source *source, struct task_items *items)
{
    int status = STATUS_OK;
    struct lines lines = {0};
    json_t *record = NULL;
    TRY(lines_open(err, source->path, &lines));
    for (;;) {
        struct task_text sentence[2];
        TRY(lines_json(err, &lines, &record));
        if (record == NULL) {
            break;
        }
        TRY(lines_member(err, &lines, record, "sentence_good", &sentence[0]));
        TRY(lines_member(err, &lines, record, "sentence_bad", &sentence[1]));
        TRY(items_add_choices(err, items, text_of(""), 2, sentence, 0));
        json_decref(record);
        record = NULL;
    }
cleanup:
    json_decref(record);
    lines_close(&lines);
    return status;
}
