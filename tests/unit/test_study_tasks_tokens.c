/* Tasks of a study whose tokens are not bytes: text from tokens and back, scores in teams, models without a newline, token files. */
#include "tests/unit/study_run.h"
#include "tests/unit/study_sentences.h"
#include "tests/unit/study_store.h"

#include "study/prepare.h"
#include "study/sentencepiece.h"
#include "study/tasks/tasks.h"

enum { LENGTH = 1200000, PIECES = 600 };

struct setup {
    struct text_folder folder;
    char *text, text_path[SPEC_PATH], model_path[SPEC_PATH];
    struct data_source *source;
    struct cell cell;
    struct corpus *corpus;
};

static int set_up(void **state)
{
    struct error err = {0};
    struct setup *s = calloc(1, sizeof *s);
    struct survey survey;
    char *model;
    size_t length;
    text_folder_create(&s->folder);
    s->text = sentences_generate(1, LENGTH);
    text_write(&s->folder, "text", s->text, LENGTH, false, s->text_path);
    const char *file[] = {s->text_path};
    const struct prepare_options options = {
        .text = {.file = file, .files = 1}, .held_out = 0.2, .split_seed = 3, .jobs = 1};
    const struct prepare_training training = {PIECES, "unigram", LENGTH};
    assert_int_equal(prepare_survey(&err, &options, &survey), STATUS_OK);
    if (prepare_train(&err, &options, &survey, &training, &model, &length) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    text_write(&s->folder, "model", model, length, false, s->model_path);
    prepare_survey_free(&survey);
    free(model);

    s->cell = run_cell_create(PRECISION_FP32);
    s->cell.train.steps = 24;
    s->cell.evaluate.quantizers = 3;
    s->cell.data.kind = DATA_SENTENCEPIECE;
    s->cell.data.vocabulary = s->cell.model.vocabulary = PIECES;
    s->source = calloc(1, sizeof *s->source);
    s->source->files = 1;
    snprintf(s->source->file[0], SPEC_PATH, "%s", s->text_path);
    snprintf(s->source->tokenizer, SPEC_PATH, "%s", s->model_path);
    if (corpus_load(&err, s->source, &s->cell.data, &s->corpus) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *s = *state;
    corpus_free(s->corpus);
    unlink(s->text_path);
    unlink(s->model_path);
    text_folder_remove(&s->folder, 0, NULL);
    free(s->source);
    free(s->text);
    free(s);
    return 0;
}

/* What a corpus gives as its held-out and training text stands in the file as it is. */
static void text_again(void **state)
{
    struct setup *s = *state;
    struct error err = {0};
    size_t all = 0;
    for (int held_out = 0; held_out < 2; held_out++) {
        for (int i = 0;; i++) {
            char *text;
            size_t length;
            assert_int_equal(corpus_text(&err, s->corpus, held_out, i, &text, &length), STATUS_OK);
            if (text == NULL) {
                assert_true(i > 0);
                break;
            }
            assert_non_null(memmem(s->text, LENGTH, text, length));
            all += length;
            free(text);
        }
    }
    assert_true(all > LENGTH * 9 / 10 && all <= LENGTH);
}

/* Items are the text's, each choice's tokens decode to its text, and a record is the same from teams of 1, 2, 4. */
static void teams(void **state)
{
    struct setup *s = *state;
    struct error err = {0};
    struct tasks *tasks;
    struct record *first = NULL;
    struct cell *cell = &s->cell;
    cell->evaluate.tasks = 3;
    for (int i = 0; i < 3; i++) {
        cell->evaluate.task[i] = sentences_task((enum task_format)i, 21, 1);
    }
    if (tasks_load(&err, s->source, &cell->evaluate, s->corpus, &tasks) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    for (int t = 0; t < 3; t++) {
        const struct task_set *set = &tasks->set[t];
        for (int r = 0; r < set->first[set->items]; r++) {
            const struct task_request *request = &set->request[r];
            const size_t count = (size_t)(request->context + request->continuation);
            char text[256];
            size_t length;
            assert_int_equal(tokenizer_decode(&err, corpus_tokenizer(s->corpus), request->token,
                                              count, text, sizeof text, &length),
                             STATUS_OK);
            assert_true(length <= 65); /* with a line end */
            assert_true(count < length);
            assert_true(request->context >= 1 && request->continuation >= 1);
        }
    }
    corpus_give_tasks(s->corpus, tasks);
    for (int size = 1; size <= 4; size *= 2) {
        struct run run[4];
        for (int r = 0; r < 4; r++) {
            run[r] = (struct run){.corpus = s->corpus, .cell = cell};
        }
        team_run(size, 0, run_work, run, sizeof run[0]);
        if (run[0].status != STATUS_OK) {
            fail_msg("%s", run[0].err.message);
        }
        if (first) {
            store_same_record(cell, first, run[0].record);
            record_free(run[0].record);
        } else {
            first = run[0].record;
            assert_true(first->accuracy[2] >= 0 && first->quantized_accuracy[8 * 3 + 2] >= 0);
        }
    }
    record_free(first);
    corpus_give_tasks(s->corpus, NULL);
}

static bool next_line(void *context, const char **line, size_t *length)
{
    const char **at = context;
    const char *end = strchr(*at, '\n');
    *line = *at;
    *length = end ? (size_t)(end - *at) : 0;
    *at = end ? end + 1 : *at;
    return end != NULL;
}

/* Where no token is a line end there is nothing to put in front: the first token is given. */
static void no_newline(void **state)
{
    struct setup *s = *state;
    static const char *const options[] = {"model_type",       "unigram", "vocab_size", "500",
                                          "hard_vocab_limit", "false",   NULL};
    struct error err = {0};
    char why[SENTENCEPIECE_WHY], *model;
    const char *at = s->text;
    size_t length;
    struct tokenizer *tokenizer;
    struct task_items items = {0};
    struct task_set set;
    const struct task_text answer[] = {text_of("Some words."), text_of("Words some.")};
    const struct task task = {.name = "blimp", .format = TASK_BLIMP, .items = 1};
    assert_true(sentencepiece_train(options, next_line, &at, &model, &length, why));
    assert_int_equal(tokenizer_open_model(&err, "model", model, length, &tokenizer), STATUS_OK);
    assert_int_equal(items_add_choices(&err, &items, text_of(""), 2, answer, 0), STATUS_OK);
    assert_int_equal(task_set_create(&err, &task, &items, tokenizer, &set), STATUS_OK);
    assert_int_equal(set.request[0].context, 1);
    assert_true(set.request[0].continuation > 1);
    task_set_free(&set);
    items_free(&items);
    tokenizer_close(tokenizer);
    free(model);
}

/* Token files have no text: neither tasks of text nor of files. */
static void token_files(void **state)
{
    struct setup *s = *state;
    struct error err = {0};
    struct data_source *source = calloc(1, sizeof *source);
    struct cell_data data = {.kind = DATA_SHARDS, .vocabulary = 300, .held_out = 0.3, .guard = 17};
    struct cell_evaluate evaluate = {.tasks = 1};
    struct corpus *corpus;
    struct tasks *tasks;
    uint16_t *tokens = calloc(200000, sizeof *tokens);
    char *text;
    size_t length;
    evaluate.task[0] = sentences_task(TASK_PAIRS, 5, 1);
    text_write(&s->folder, "tokens", tokens, 400000, false, source->file[0]);
    source->files = 1;
    assert_int_equal(corpus_load(&err, source, &data, &corpus), STATUS_OK);
    assert_int_equal(tasks_load(&err, source, &evaluate, corpus, &tasks), STATUS_FAILED);
    assert_non_null(strstr(err.message, "nobody knows what text"));
    assert_int_equal(corpus_text(&err, corpus, true, 0, &text, &length), STATUS_FAILED);
    assert_null(text);
    corpus_free(corpus);
    unlink(source->file[0]);
    free(source);
    free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_again), cmocka_unit_test(teams),
                                       cmocka_unit_test(no_newline), cmocka_unit_test(token_files)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
