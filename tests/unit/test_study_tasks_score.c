/* Scores of tasks: against a reference that makes one forward pass per predicted token, in any batch, in teams. */
#include "tests/unit/study_run.h"
#include "tests/unit/study_sentences.h"

#include "study/quantize.h"
#include "study/tasks/answers.h"
#include "study/tasks/score.h"

enum { CONTEXT = 16, MODEL_BATCH = 8 };

static struct corpus *corpus;
static struct cell cell;
static struct layout *layout;
static struct model *model;
static float *master;
static struct tokenizer *tokenizer;

static int set_up(void **state)
{
    (void)state;
    struct error err = {0};
    cell = text_cell(1, PRECISION_FP32);
    corpus = sentences_corpus(1200000, &cell.data);
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, MODEL_BATCH, MODEL_INFERENCE, &model), STATUS_OK);
    assert_int_equal(tokenizer_open(&err, TOKENIZER_BYTES, NULL, &tokenizer), STATUS_OK);
    master = calloc(layout->length, sizeof *master);
    layout_initialize(layout, 5, master);
    for (size_t i = 0; i < layout->length; i++) { /* an opinion on everything */
        master[i] *= i % 3 == 0 ? 12 : 6;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(master);
    tokenizer_close(tokenizer);
    model_free(model);
    layout_free(layout);
    corpus_free(corpus);
    return 0;
}

/* Items of all kinds: short, as long as the context, longer, much longer, without context, with blanks at its end. */
static struct task_items mixed_items(void)
{
    static const char *const text[][3] = {
        {"A dog", "barks.", "meows."},
        {"", "Birds sing.", "Sing birds."},
        {"sixteen", "bytes in.", "bytes out"},
        {"This is a context of more than sixteen bytes", "and so on", "or not"},
        {"ends with blanks  \n", "here", "there it is"},
        {"x", "a continuation that is longer than the context of the model is", "short"},
        {"some more words", "exactly 32 bytes of answers, 1234", "exactly 16 bytes"},
        {"", "and one more without anything before it, but long", "and one"},
    };
    struct error err = {0};
    struct task_items items = {0};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        const struct task_text answer[] = {text_of(text[i][1]), text_of(text[i][2])};
        assert_int_equal(
            items_add_choices(&err, &items, text_of(text[i][0]), 2, answer, (int)i % 2), STATUS_OK);
    }
    return items;
}

static struct task_set make_set(const struct task *task, struct task_items *items)
{
    struct error err = {0};
    struct task_set set;
    if (task_set_create(&err, task, items, tokenizer, &set) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    items_free(items);
    return set;
}

static struct task_set mixed_set(int shots)
{
    struct task_items items = mixed_items();
    const struct task task = {
        .name = "mixed", .format = TASK_BLIMP, .items = items.count, .shots = shots, .seed = 9};
    return make_set(&task, &items);
}

/* The reference =============================================================================== */

/* log p of the byte behind text[length], in a forward pass of its own, with other bytes behind it. */
static long double plain_log_p(const char *text, size_t length, uint8_t next, bool *greedy)
{
    struct error err = {0};
    const struct dropout none = {0};
    const struct weights w = {.master = master, .operands = master};
    const float *logits;
    uint32_t inputs[CONTEXT];
    assert_true(length >= 1 && length <= CONTEXT);
    for (size_t i = 0; i < CONTEXT; i++) {
        inputs[i] = i < length ? (uint8_t)text[i] : '#';
    }
    assert_int_equal(
        model_forward(&err, model, &w, PRECISION_FP32, &none, inputs, 1, NULL, NULL, &logits),
        STATUS_OK);
    const float *row = logits + (length - 1) * 256;
    long double sum = 0;
    for (int v = 0; v < 256; v++) {
        sum += expl((long double)row[v]);
        *greedy = *greedy && row[v] <= row[next];
    }
    return (long double)row[next] - logl(sum);
}

/* What lm-evaluation-harness asks for: log p of `answer` behind `context`, the first bytes cut off if both are too long; a long answer in
 * windows. */
static long double plain_score(const char *context, const char *answer, bool *greedy)
{
    char text[2048];
    snprintf(text, sizeof text, "%s%s", context, answer);
    const size_t before = strlen(context), n = strlen(answer);
    long double sum = 0;
    *greedy = true;
    for (size_t j = 0; j < n; j++) {
        const size_t block = n <= CONTEXT                          ? n
                             : j / CONTEXT * CONTEXT + CONTEXT < n ? j / CONTEXT * CONTEXT + CONTEXT
                                                                   : n;
        const size_t end = before + block - 1; /* of the window's inputs */
        const size_t from = end > CONTEXT ? end - CONTEXT : 0;
        sum += plain_log_p(text + from, before + j - from, (uint8_t)text[before + j], greedy);
    }
    return sum;
}

/* Context and continuation of a choice as strings, by the rules for blanks and for nothing. */
static void plain_texts(const struct task_choice *choice, char context[1024], char answer[1024])
{
    snprintf(context, 1024, "%.*s", (int)choice->context.length, choice->context.bytes);
    size_t kept = strlen(context), blanks = 0;
    for (; kept > 0 && strchr(" \n", context[kept - 1]); kept--) {
        blanks++;
    }
    memcpy(answer, context + kept, blanks);
    snprintf(answer + blanks, 512, "%.*s", (int)choice->continuation.length,
             choice->continuation.bytes);
    context[kept] = '\0';
    if (kept == 0) {
        strcpy(context, "\n");
    }
}

static void run_alone(struct scoring *scoring, int batch)
{
    struct error err = {0};
    struct team alone = team_alone();
    const struct weights weights = {.master = master, .operands = master};
    if (scoring_run(&err, &alone, model, &weights, batch, NULL, NULL, scoring) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
}

static void reference(void **state)
{
    (void)state;
    struct error err = {0};
    struct task_items items = mixed_items();
    struct task_set set = mixed_set(0);
    struct scoring scoring;
    assert_int_equal(scoring_create(&err, &set, CONTEXT, &scoring), STATUS_OK);
    run_alone(&scoring, 4);
    for (int i = 0; i < set.items; i++) {
        for (int c = 0; c < 2; c++) {
            char context[1024], answer[1024];
            bool greedy;
            plain_texts(&items.item[i].choice[c], context, answer);
            const long double expected = plain_score(context, answer, &greedy);
            const double got = scoring_log_p(&scoring, set.first[i] + c);
            if (!(fabsl(got - expected) <= 1e-5L)) {
                fail_msg("item %d choice %d: %.9g, not %.9Lg", i, c, got, expected);
            }
            assert_int_equal(scoring_greedy(&scoring, set.first[i] + c), greedy);
        }
    }
    assert_int_equal(scoring_truncated(&scoring, &set), 5); /* all but the first three */
    assert_true(set.chance == 0.5);
    scoring_free(&scoring);
    task_set_free(&set);
    items_free(&items);
}

/* Greedy words: what the model itself says, and that with another last letter. */
static void greedy_words(void **state)
{
    (void)state;
    struct error err = {0};
    struct task_items items = {0};
    char words[8][16];
    for (int i = 0; i < 8; i++) {
        char context[32], word[8] = " ";
        snprintf(context, sizeof context, "word %d", i);
        for (size_t k = 0; k < 3; k++) {
            char text[64];
            snprintf(text, sizeof text, "%s%s", context, word);
            for (int b = 1; b < 256; b++) { /* the most likely byte */
                bool best = true;
                plain_log_p(text, strlen(text), (uint8_t)b, &best);
                if (best) {
                    word[k + 1] = (char)b;
                }
            }
            word[k + 2] = '\0';
        }
        word[3] = (char)(word[3] ^ (i % 2));
        strcpy(words[i], word + 1);
        const struct task_text answer = text_of(words[i]);
        assert_int_equal(items_add_choices(&err, &items, text_of(context), 1, &answer, 0),
                         STATUS_OK);
    }
    const struct task task = {.name = "words", .format = TASK_LAMBADA, .items = 8};
    struct scoring scoring;
    struct task_answers answers;
    struct task_set set = make_set(&task, &items);
    assert_int_equal(scoring_create(&err, &set, CONTEXT, &scoring), STATUS_OK);
    run_alone(&scoring, 3);
    assert_int_equal(answers_create(&err, &set, &scoring, &answers), STATUS_OK);
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        char context[32], answer[32];
        bool greedy;
        snprintf(context, sizeof context, "word %d", i);
        snprintf(answer, sizeof answer, " %.8s", words[i]);
        sum += (double)plain_score(context, answer, &greedy);
        /* the blank is not the model's own choice: what counts is the whole word with it */
        assert_true(answers.correct[i] == greedy);
    }
    assert_true(fabs(answers.perplexity / exp(-sum / 8) - 1) < 1e-5);
    assert_true(set.chance == 0);
    answers_free(&answers);
    scoring_free(&scoring);
    task_set_free(&set);
}

/* Examples in front =========================================================================== */

static void few_shot(void **state)
{
    (void)state;
    struct error err = {0};
    struct task_items items = mixed_items();
    struct task_set set = mixed_set(2), again = mixed_set(2);
    for (int i = 0; i < set.items; i++) {
        for (int c = 0; c < 2; c++) {
            const struct task_request *r = &set.request[set.first[i] + c];
            const struct task_choice *choice = &items.item[i].choice[c];
            char text[2048] = "", own[512];
            for (int k = 0; k < r->context + r->continuation; k++) {
                text[k] = (char)r->token[k];
                text[k + 1] = '\0';
                assert_int_equal(r->token[k], again.request[set.first[i] + c].token[k]);
            }
            snprintf(own, sizeof own, "%.*s%.*s", (int)choice->context.length,
                     choice->context.bytes, (int)choice->continuation.length,
                     choice->continuation.bytes);
            assert_string_equal(text + strlen(text) - strlen(own), own); /* last, itself */
            /* Before it two whole examples, right ones, of other items, and not the same twice. */
            char *first = strstr(text, "\n\n"), *second = first ? strstr(first + 2, "\n\n") : NULL;
            assert_non_null(second);
            assert_ptr_equal(second + 2, text + strlen(text) - strlen(own));
            int seen[2] = {-1, -1};
            const char *const start[] = {text, first + 2};
            const size_t length[] = {(size_t)(first - text), (size_t)(second - first) - 2};
            for (int e = 0; e < 2; e++) {
                for (int k = 0; k < set.items; k++) {
                    const struct task_choice *gold = &items.item[k].choice[items.item[k].gold];
                    char example[512];
                    snprintf(example, sizeof example, "%.*s%.*s", (int)gold->context.length,
                             gold->context.bytes, (int)gold->continuation.length,
                             gold->continuation.bytes);
                    if (strlen(example) == length[e] && memcmp(example, start[e], length[e]) == 0) {
                        seen[e] = k;
                    }
                }
            }
            assert_true(seen[0] >= 0 && seen[1] >= 0 && seen[0] != seen[1] && seen[0] != i &&
                        seen[1] != i);
        }
    }
    (void)err;
    task_set_free(&set);
    task_set_free(&again);
    items_free(&items);
}

/* Batches and teams =========================================================================== */

/* A rank that holds its piece of the weights, or all of them. */
struct ranked {
    const struct task_set *set;
    const struct quantizer *quantizer; /* NULL: full precision */
    int batch, status;
    bool pieces;
    struct scoring scoring;
    /* of the rank */
    struct model *model;
    struct shards *shards;
    float *own;
    struct parameters parameters;
    struct quantized *quantized;
};

static int take_piece(struct error *err, struct team *team, struct ranked *r)
{
    int status = STATUS_OK;
    r->parameters = parameters_flat(layout, master);
    if (!r->pieces) {
        goto cleanup;
    }
    TRY(shards_create(err, layout, team->size, team_piece(team), &r->shards));
    r->own = calloc(r->shards->length + 1, sizeof *r->own);
    CHECK(err, r->own, STATUS_FAILED, "out of memory");
    for (int i = 0; i < r->shards->spans; i++) {
        const struct span *span = &r->shards->span[i];
        memcpy(r->own + span->at, layout_at(layout, span->tensor, master) + span->first,
               span->count * sizeof *r->own);
    }
    TRY(parameters_create(err, team, r->shards, r->own, &r->parameters));
cleanup:
    return status;
}

static void score_in_team(struct team *team, void *context)
{
    struct ranked *r = context;
    struct error error = {0}, *err = &error;
    int status = STATUS_OK;
    const struct calibration_source source = {.team = team,
                                              .corpus = corpus,
                                              .parameters = &r->parameters,
                                              .windows = 4,
                                              .micro_batch = 1,
                                              .seed = 3};
    TRY(model_create(err, layout, r->batch, MODEL_INFERENCE, &r->model));
    TRY(take_piece(err, team, r));
    struct weights weights = weights_full(&r->parameters);
    if (r->quantizer) {
        struct calibration_source here = source;
        here.model = r->model;
        TRY(quantized_create_all(err, &here, 1, &r->quantizer, &r->quantized));
        weights = quantized_weights(r->quantized, &r->parameters);
    }
    TRY(scoring_create(err, r->set, CONTEXT, &r->scoring));
    TRY(scoring_run(err, team, r->model, &weights, r->batch, NULL, NULL, &r->scoring));
cleanup:
    r->status = status;
    quantized_free(r->quantized);
    parameters_free(&r->parameters);
    shards_free(r->shards);
    free(r->own);
    model_free(r->model);
}

static void same_scores(const struct scoring *a, const struct scoring *b, const char *where)
{
    for (int w = 0; w < 2 * a->windows; w++) {
        if (memcmp(&a->log_p[w], &b->log_p[w], sizeof(double)) != 0) {
            fail_msg("%s: window %d is %.17g, not %.17g", where, w, a->log_p[w], b->log_p[w]);
        }
    }
}

/* The scores of a team of `size`; those of its ranks are the same. */
static struct scoring score(int size, const struct ranked *how, const char *where)
{
    struct ranked ranked[4];
    for (int r = 0; r < size; r++) {
        ranked[r] = *how;
    }
    team_run(size, 0, score_in_team, ranked, sizeof ranked[0]);
    for (int r = 0; r < size; r++) {
        assert_int_equal(ranked[r].status, STATUS_OK);
        if (r > 0) {
            same_scores(&ranked[r].scoring, &ranked[0].scoring, where);
            scoring_free(&ranked[r].scoring);
        }
    }
    return ranked[0].scoring;
}

/* The same bits from batches of 1 to 8 and teams of 1 to 4, in full precision and quantized, from weights that each rank has and from
 * weights that are held in pieces. With few items most ranks have none at the end. */
static void any_batch_and_team(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"w8a8", "w4", "w8a8-llmint8", "w4a4-had"};
    struct error err = {0};
    const struct task task = sentences_task(TASK_CONTINUATION, 60, 1);
    struct cell_evaluate evaluate = {.tasks = 1, .task = {task}};
    struct tasks *made;
    struct data_source *source = calloc(1, sizeof *source);
    if (tasks_load(&err, source, &evaluate, corpus, &made) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    struct task_set mixed = mixed_set(1);
    const struct task_set *sets[] = {&mixed, &made->set[0]};
    for (int q = -1; q < 4; q++) {
        for (int s = 0; s < 2; s++) {
            struct ranked how = {.set = sets[s],
                                 .quantizer = q < 0 ? NULL : quantizer_find(quantizers[q]),
                                 .batch = 1};
            struct scoring first = score(1, &how, "alone");
            for (int run = 1; run < 3 * 3 * 2; run++) {
                const int size = 1 << run % 3;
                char where[96];
                how.batch = (const int[]){1, 2, 8}[run / 3 % 3];
                how.pieces = run >= 9;
                if (how.pieces && size == 1) {
                    continue;
                }
                snprintf(where, sizeof where, "quantizer %d, team of %d, batch %d%s", q, size,
                         how.batch, how.pieces ? ", in pieces" : "");
                struct scoring here = score(size, &how, where);
                same_scores(&here, &first, where);
                scoring_free(&here);
            }
            scoring_free(&first);
        }
    }
    task_set_free(&mixed);
    tasks_free(made);
    free(source);
}

/* Answers ===================================================================================== */

static void drops(void **state)
{
    (void)state;
    /* 4 of 5 right, 3 of 5 right; two lost, one gained. */
    double full[] = {1, 1, 1, 1, 0}, quantized[] = {1, 1, 0, 0, 1}, drop, error;
    struct task_answers a = {.items = 5, .correct = full}, b = {.items = 5, .correct = quantized};
    answers_drop(&a, &b, 0, &drop, &error);
    run_near("drop", drop, 25);
    /* residuals q − 0.75 f: .25 .25 −.75 −.75 1; their squares 2.25; sqrt(2.25 / 4 / 5) / 0.8 */
    run_near("error", error, 100 * sqrt(2.25 / 20) / 0.8);
    answers_drop(&a, &b, 0.5, &drop, &error);
    run_near("drop", drop, 100 * (0.2 / 0.3));
    answers_drop(&b, &a, 0.6, &drop, &error);
    assert_true(isnan(drop) && isnan(error)); /* not above chance */
    answers_drop(&a, &a, 0.25, &drop, &error);
    assert_true(drop == 0 && error == 0);
}

/* A cell with tasks: its record, in teams. */
static void in_a_record(void **state)
{
    (void)state;
    struct error err = {0};
    struct cell c = run_cell_create(PRECISION_FP32);
    struct data_source *source = calloc(1, sizeof *source);
    struct tasks *tasks;
    c.train.steps = 24;
    c.evaluate.quantizers = 3;
    c.evaluate.tasks = 3;
    for (int i = 0; i < 3; i++) {
        c.evaluate.task[i] = sentences_task((enum task_format)i, 30 + 5 * i, 1);
    }
    assert_int_equal(tasks_load(&err, source, &c.evaluate, corpus, &tasks), STATUS_OK);
    corpus_give_tasks(corpus, tasks);
    struct run run[4] = {{0}};
    double *numbers[2];
    for (int k = 0; k < 2; k++) { /* a team of 1, and of 4 */
        for (int r = 0; r < 4; r++) {
            run[r] = (struct run){.corpus = corpus, .cell = &c};
        }
        team_run(k == 0 ? 1 : 4, 0, run_work, run, sizeof run[0]);
        if (run[0].status != STATUS_OK) {
            fail_msg("%s", run[0].err.message);
        }
        const struct record *r = run[0].record;
        assert_int_equal(r->tasks, 3);
        assert_int_equal(r->items, 40);
        for (int q = 0; q < 3; q++) {
            for (int t = 0; t < 3; t++) {
                const int last = CHECKPOINTS - 1, items = c.evaluate.task[t].items;
                const size_t at = (size_t)(last * 3 + q) * 3 + t;
                double right = 0, kept = 0, lost = 0, gained = 0;
                for (int i = 0; i < items; i++) {
                    const double x = r->item_correct[t * 40 + i],
                                 y = r->quantized_item_correct[(q * 3 + t) * 40 + i];
                    right += x;
                    kept += y;
                    lost += x > y;
                    gained += y > x;
                }
                assert_true(items == 40 || isnan(r->item_correct[t * 40 + items]));
                run_near("accuracy", r->accuracy[last * 3 + t], right / items);
                run_near("quantized_accuracy", r->quantized_accuracy[at], kept / items);
                assert_true(r->discordant_lost[at] == lost && r->discordant_gained[at] == gained);
                assert_true(q < EVERY ||
                            isnan(r->quantized_accuracy[(size_t)q * 3 + t])); /* not at the first */
                assert_true(isnan(r->task_perplexity[t]));
                assert_true(r->task_truncated[t] == items); /* 64 bytes do not fit 16 */
                assert_true(right == 0
                                ? isnan(r->accuracy_drop[at])
                                : fabs(r->accuracy_drop[at] - 100 * (right - kept) / right) < 1e-9);
            }
        }
        assert_true(r->task_chance[0] > 0.2499 && r->task_chance[1] > 0.2499 &&
                    r->task_chance[2] > 0.4999);
        numbers[k] = malloc(record_numbers(&c) * sizeof(double));
        run[0].record->team_size = run[0].record->wall_time_train =
            run[0].record->wall_time_evaluate = 0;
        run[0].record->probe_wall_time = run[0].record->wall_time_wait =
            run[0].record->tokens_per_second = run[0].record->peak_memory = 0;
        record_get_numbers(&c, run[0].record, numbers[k]);
        record_free(run[0].record);
    }
    assert_memory_equal(numbers[0], numbers[1], record_numbers(&c) * sizeof(double));
    free(numbers[0]);
    free(numbers[1]);
    free(source);
    /* A cell whose tasks were not loaded is no cell without tasks. */
    corpus_give_tasks(corpus, NULL);
    run[0] = (struct run){.corpus = corpus, .cell = &c};
    team_run(1, 0, run_work, run, sizeof run[0]);
    assert_int_equal(run[0].status, STATUS_FAILED);
    assert_non_null(strstr(run[0].err.message, "has 3 tasks, which are not loaded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference), cmocka_unit_test(greedy_words),
        cmocka_unit_test(few_shot),  cmocka_unit_test(any_batch_and_team),
        cmocka_unit_test(drops),     cmocka_unit_test(in_a_record)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
