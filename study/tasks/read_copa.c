/* COPA: a premise and two causes or effects. XML as first published, or the JSON lines of SuperGLUE. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

/* The premise without its full stop, a connector, and the alternative with a small first letter: one sentence. */
int copa_add(struct error *err, struct task_items *items, struct task_text premise, bool cause,
             const struct task_text choice[2], int gold)
{
    int status = STATUS_OK;
    struct task_text context, answer[2];
    premise = text_trim(premise);
    do { /* the last character, all bytes of it */
        premise.length -= premise.length > 0;
    } while (premise.length > 0 && ((unsigned char)premise.bytes[premise.length] & 0xc0) == 0x80);
    const struct task_text part[] = {premise, text_of(cause ? " because" : " therefore")};
    TRY(items_text(err, items, 2, part, &context));
    for (int i = 0; i < 2; i++) {
        const char first = (char)tolower((unsigned char)choice[i].bytes[0]);
        const struct task_text lower[] = {{&first, 1}, {choice[i].bytes + 1, choice[i].length - 1}};
        TRY(items_text(err, items, 2, lower, &answer[i]));
    }
    TRY(items_add_choices(err, items, context, 2, answer, gold));
cleanup:
    return status;
}

static int add(struct error *err, const struct lines *lines, const json_t *record,
               struct task_items *items)
{
    int status = STATUS_OK;
    struct task_text premise, question, choice[2];
    char quote[LINES_QUOTE];
    int gold;
    TRY(lines_member(err, lines, record, "premise", &premise));
    TRY(lines_member(err, lines, record, "choice1", &choice[0]));
    TRY(lines_member(err, lines, record, "choice2", &choice[1]));
    TRY(lines_member(err, lines, record, "question", &question));
    TRY(lines_number(err, lines, record, "label", 0, 1, &gold));
    const bool cause = strcmp(question.bytes, "cause") == 0;
    LINE_CHECK(err, cause || strcmp(question.bytes, "effect") == 0, lines,
               "question: %s is neither \"cause\" nor \"effect\"", lines_quote(question, quote));
    TRY(copa_add(err, items, premise, cause, choice, gold));
cleanup:
    return status;
}

int read_copa(struct error *err, const struct task_source *source, struct task_items *items)
{
    int status = STATUS_OK;
    struct lines lines = {0};
    TRY(lines_open(err, source->path, &lines));
    const struct task_text text = text_trim(
        (struct task_text){(const char *)lines.bytes + lines.at, lines.length - lines.at});
    TRY(text.length > 0 && text.bytes[0] == '<' ? read_copa_xml(err, source->path, items)
                                                : lines_rest(err, &lines, add, items));
cleanup:
    lines_close(&lines);
    return status;
}
