/* StoryCloze: CSV with a header; four sentences and two endings, of which AnswerRightEnding (1 or 2) is right. */
#include <csv.h>
#include <string.h>

#include "study/tasks/formats.h"
#include "study/tasks/lines.h"

enum { COLUMNS = 7, MOST_FIELDS = 32, SENTENCES = 4 };

static const char *const COLUMN[COLUMNS] = {
    "InputSentence1",           "InputSentence2",           "InputSentence3",   "InputSentence4",
    "RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2", "AnswerRightEnding"};

struct story {
    struct error *err;
    struct lines lines;
    struct task_items *items;
    int status;
    struct task_items texts; /* of the row under way */
    struct task_text field[MOST_FIELDS];
    int fields;
    int at[COLUMNS]; /* which field of a row; −1: not found yet */
    bool headed;
};

static void on_field(void *bytes, size_t length, void *context)
{
    struct story *s = context;
    const struct task_text text = {bytes, length};
    if (s->status != STATUS_OK) {
        return;
    }
    if (s->fields < MOST_FIELDS) {
        s->status = items_text(s->err, &s->texts, 1, &text, &s->field[s->fields]);
    }
    s->fields++;
}

static int read_header(struct story *s)
{
    int status = STATUS_OK;
    for (int c = 0; c < COLUMNS; c++) {
        s->at[c] = -1;
        for (int i = 0; i < s->fields && i < MOST_FIELDS; i++) {
            const struct task_text name = text_trim(s->field[i]);
            if (name.length == strlen(COLUMN[c]) &&
                memcmp(name.bytes, COLUMN[c], name.length) == 0) {
                s->at[c] = i;
            }
        }
        LINE_CHECK(s->err, s->at[c] >= 0, &s->lines,
                   "%s: the header has no such column; is this a file of StoryCloze with answers?",
                   COLUMN[c]);
    }
    s->headed = true;
cleanup:
    return status;
}

static int read_row(struct story *s)
{
    int status = STATUS_OK;
    struct task_text cell[COLUMNS], part[2 * SENTENCES - 1], context;
    char quote[LINES_QUOTE];
    for (int c = 0; c < COLUMNS; c++) {
        LINE_CHECK(s->err, s->at[c] < s->fields, &s->lines,
                   "%s: the row has only %d fields; is the file cut off?", COLUMN[c], s->fields);
        cell[c] = text_trim(s->field[s->at[c]]);
        LINE_CHECK(s->err, cell[c].length > 0, &s->lines, "%s: the field is empty", COLUMN[c]);
        TRY(lines_check_utf8(s->err, &s->lines, cell[c]));
    }
    const struct task_text right = cell[COLUMNS - 1];
    LINE_CHECK(s->err, right.length == 1 && (right.bytes[0] == '1' || right.bytes[0] == '2'),
               &s->lines, "%s: %s is neither 1 nor 2", COLUMN[COLUMNS - 1],
               lines_quote(right, quote));
    for (int i = 0; i < SENTENCES; i++) {
        part[2 * i] = cell[i];
        if (i > 0) {
            part[2 * i - 1] = text_of(" ");
        }
    }
    TRY(items_text(s->err, s->items, 2 * SENTENCES - 1, part, &context));
    TRY(items_add_choices(s->err, s->items, context, 2, &cell[SENTENCES], right.bytes[0] - '1'));
cleanup:
    return status;
}

static void on_row(int end, void *context)
{
    struct story *s = context;
    (void)end;
    if (s->status == STATUS_OK) {
        s->status = s->headed ? read_row(s) : read_header(s);
    }
    s->fields = 0;
    items_free(&s->texts);
}

int read_storycloze(struct error *err, const struct task_source *source, struct task_items *items)
{
    int status = STATUS_OK;
    struct csv_parser csv;
    struct story s = {.err = err, .items = items};
    const bool made = csv_init(&csv, CSV_STRICT | CSV_STRICT_FINI) == 0;
    CHECK(err, made, STATUS_FAILED, "out of memory");
    TRY(lines_open(err, source->path, &s.lines));
    while (lines_next(&s.lines)) { /* a record may go over several lines, as quotes allow */
        const size_t taken =
            csv_parse(&csv, s.lines.text.bytes, s.lines.text.length, on_field, on_row, &s);
        TRY(s.status);
        LINE_CHECK(err, taken == s.lines.text.length, &s.lines,
                   "CSV: %s, at byte %zu of the line; a quote within a field is written twice",
                   csv_strerror(csv_error(&csv)), taken + 1);
    }
    const int ended = csv_fini(&csv, on_field, on_row, &s);
    TRY(s.status);
    LINE_CHECK(err, ended == 0, &s.lines, "CSV: %s; is the file cut off?",
               csv_strerror(csv_error(&csv)));
cleanup:
    if (made) {
        csv_free(&csv);
    }
    items_free(&s.texts);
    lines_close(&s.lines);
    return status;
}
