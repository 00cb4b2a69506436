/* PIQA: a goal and two solutions per line; the right one of each stands in a file of its own. */
#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

static int next_label(struct error *err, struct lines *labels, int *label)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE];
    const struct task_text text = text_trim(labels->text);
    LINE_CHECK(err, text.length == 1 && (text.bytes[0] == '0' || text.bytes[0] == '1'), labels,
               "label: %s is neither 0 nor 1; give the label file of this part of PIQA",
               lines_quote(text, quote));
    *label = text.bytes[0] - '0';
cleanup:
    return status;
}

int read_piqa(struct error *err, const struct task_source *source, struct task_items *items)
{
    int status = STATUS_OK;
    struct lines lines = {0}, labels = {0};
    json_t *record = NULL;
    int count = 0;
    TRY(lines_open(err, source->path, &lines));
    TRY(lines_open(err, source->labels, &labels));
    for (;;) {
        struct task_text goal, solution[2], context;
        int gold = 0;
        TRY(lines_json(err, &lines, &record));
        if (record == NULL) {
            break;
        }
        TRY(lines_member(err, &lines, record, "goal", &goal));
        TRY(lines_member(err, &lines, record, "sol1", &solution[0]));
        TRY(lines_member(err, &lines, record, "sol2", &solution[1]));
        const bool labelled = lines_next_filled(&labels);
        CHECK(err, labelled, STATUS_FAILED,
              "%s:%d: there are only %d labels, but %s goes on in line %d; give the label file of "
              "the same part of PIQA",
              labels.path, labels.line, count, lines.path, lines.line);
        TRY(next_label(err, &labels, &gold));
        const struct task_text part[] = {text_of("Question: "), goal, text_of("\nAnswer:")};
        TRY(items_text(err, items, 3, part, &context));
        TRY(items_add_choices(err, items, context, 2, solution, gold));
        json_decref(record);
        record = NULL;
        count++;
    }
    LINE_CHECK(err, !lines_next_filled(&labels), &labels,
               "there are more labels than the %d records of %s; give the label file of the same "
               "part of PIQA",
               count, lines.path);
cleanup:
    json_decref(record);
    lines_close(&lines);
    lines_close(&labels);
    return status;
}
