/* ARC: a question with three to five labelled answers. */
#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

enum { LEAST = 2, MOST = 5 };

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text stem, key, context, label, answer[MOST];
    char quote[LINES_QUOTE];
    const json_t *question, *choices;
    int gold = -1;
    TRY(lines_object(err, lines, record, "question", &question));
    TRY(lines_member(err, lines, question, "stem", &stem));
    TRY(lines_list(err, lines, question, "choices", LEAST, MOST, &choices));
    TRY(lines_member(err, lines, record, "answerKey", &key));
    const int count = (int)json_array_size(choices);
    for (int i = 0; i < count; i++) {
        const json_t *choice = json_array_get(choices, (size_t)i);
        TRY(lines_member(err, lines, choice, "text", &answer[i]));
        TRY(lines_member(err, lines, choice, "label", &label));
        if (json_equal(json_object_get(choice, "label"), json_object_get(record, "answerKey"))) {
            gold = i;
        }
    }
    LINE_CHECK(err, gold >= 0, lines, "answerKey: %s is the label of no choice",
               lines_quote(key, quote));
    const struct task_text part[] = {text_of("Question: "), stem, text_of("\nAnswer:")};
    TRY(items_text(err, items, 3, part, &context));
    TRY(items_add_choices(err, items, context, count, answer, gold));
cleanup:
    return status;
}

int read_arc(struct error *err, const struct task_source *source, struct task_items *items)
{
    return lines_each(err, source->path, add, items);
}
