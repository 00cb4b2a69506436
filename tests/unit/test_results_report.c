/* The report: what it says, that nothing is dropped in silence, and that it stays readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/text.h"
#include "tests/unit/design_fixture.h"
#include "tests/unit/report_fixture.h"

/* 3 sizes × 4 settings × 3 seeds, 3 checkpoints, 3 quantizers; only w8a8 before the end. Setting 1 raises KL, 2 lowers it
 * and costs loss, 3 does nothing but noise. */
static struct table *study(int sizes, int settings, int seeds)
{
    static const double effect[] = {0, 0.3, -0.4, 0, 0.1, 0.2};
    struct table *table = fixture_table(sizes, settings, seeds, 3, 3);
    for (int i = 0; i < table->cells; i++) {
        int size = i / seeds / settings;
        int setting = i / seeds % settings;
        int seed = i % seeds;
        for (int k = 0; k < 3; k++) {
            for (int q = 0; q < 3; q++) {
                double noise = 0.02 * sin(1 + 7.0 * i + 3 * q + k);
                double kl = 2e-4 * pow(30, q) *
                            exp(0.3 * size + 0.05 * seed + effect[setting] + noise + 0.2 * k);
                double loss = 2.2 - 0.1 * size - 0.1 * k + (setting == 2 ? 0.05 : 0) + noise / 10;
                bool measured = q == 0 || k == 2;
                fixture_set(table, i, k, q, loss, measured ? kl : NAN, measured ? kl / 3 : NAN);
            }
        }
    }
    return table;
}

static char *print(const struct table *table, const char *quantizer, bool full)
{
    char *text = NULL;
    size_t size = 0;
    struct error err = {0};
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    int status = fixture_report(&err, out, table, quantizer, full);
    fclose(out);
    assert_string_equal(err.message, "");
    assert_int_equal(status, STATUS_OK);
    return text;
}

/* `text` with every run of blanks and line breaks as one blank, malloc'ed: where a line breaks does not matter. */
static char *flat(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    char *end = copy;
    assert_non_null(copy);
    for (; *text != '\0'; text++) {
        bool blank = *text == ' ' || *text == '\n';
        if (!blank || end == copy || end[-1] != ' ') {
            *end++ = blank ? ' ' : *text;
        }
    }
    *end = '\0';
    return copy;
}

static bool has(const char *text, const char *part)
{
    char *where = flat(text);
    char *what = flat(part);
    bool found = strstr(where, what) != NULL;
    free(where);
    free(what);
    return found;
}

static void assert_has(const char *text, const char *part)
{
    if (!has(text, part)) {
        print_message("%s\n", text);
        fail_msg("\"%s\" is not in the text above", part);
    }
}

static void assert_lacks(const char *text, const char *part)
{
    if (has(text, part)) {
        print_message("%s\n", text);
        fail_msg("\"%s\" is in the text above", part);
    }
}

/* The text from `start` up to the next blank line, malloc'ed. */
static char *paragraph(const char *text, const char *start)
{
    const char *begin = strstr(text, start);
    assert_non_null(begin);
    const char *end = strstr(begin, "\n\n");
    return strndup(begin, end == NULL ? strlen(begin) : (size_t)(end - begin));
}

/* No line is too long or ends in a blank, no number is not one, and every row of a table ends below the end of the table's
 * rule (all last columns are flush right). */
static void assert_readable(const char *text)
{
    char *copy = strdup(text);
    char *rest = copy;
    char *line;
    int rule = 0; /* width of the table that we are in */
    while ((line = strsep(&rest, "\n")) != NULL) {
        int width = text_width(line);
        if (width > TEXT_COLUMNS) {
            fail_msg("%d columns: %s", width, line);
        }
        if (width > 0 && line[strlen(line) - 1] == ' ') {
            fail_msg("trailing blank: \"%s\"", line);
        }
        if (strncmp(line, "  \xe2\x94\x80", 5) == 0) {
            rule = width;
        } else if (width == 0 || strncmp(line, "  *", 3) == 0) {
            rule = 0;
        } else if (rule > 0 && width != rule) {
            fail_msg("not aligned (%d, %d): %s", width, rule, line);
        }
    }
    free(copy);
    static const char *const never[] = {"nan", "-nan", "inf ", "inf]", "-inf"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        assert_lacks(text, never[i]);
    }
}

static void test_complete_study(void **state)
{
    (void)state;
    struct table *table = study(3, 4, 3);
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "fixture: A study made for a test");
    assert_has(text, "Note: Provisional: made for a test.");
    assert_has(text, "36 = 36 done + 0 diverged + 0 failed + 0 missing");
    assert_has(text, "commit abc123, instruction set avx2");
    assert_has(text, "Degradation under w8a8 at the end of training");
    assert_has(text, "unigram");
    char *effects = paragraph(text, "Effect of each setting against the base; ");
    assert_has(effects, "setting=1  more ");
    assert_has(effects, "setting=2  less ");
    assert_has(effects, "setting=3  undecided ");
    assert_has(effects, "Each effect comes from 9 pairs: 3 sizes, 3 seeds per size.");
    free(effects);
    char *limits = paragraph(text, "What this study cannot decide");
    assert_has(limits, "Undecided for w8a8");
    assert_has(limits, "setting=3 (\xc2\xb1");
    assert_lacks(limits, "setting=1");
    assert_has(limits, "Equal tokens are not equal loss");
    assert_has(limits, "setting=2 (+0.05");
    assert_has(limits,
               "500 k tokens, so tokens per parameter run from 500 (size0) to 5.00 (size2)");
    assert_has(limits, "Few seeds: at most 3 per size");
    assert_has(limits, "no shares of the variance: those need the balanced design fractional");
    assert_lacks(limits, "instruction sets");
    free(limits);
    free(text);
    table->fact[TABLE_COMMITS] = strdup("111aaa, 222bbb"); /* the runs', not the file's */
    text = print(table, NULL, false);
    assert_has(text, "commit 111aaa, 222bbb, instruction set avx2");
    assert_lacks(text, "abc123");
    free(text);

    text = print(table, "w4", true);
    assert_readable(text);
    assert_has(text, "Degradation under w4 at the end of training");
    assert_has(text, "Effects by size, end of training");
    assert_has(text, "by fraction of training");
    free(text);
    table_free(table);
}

/* The printed numbers are the effects': one quantizer worked out by hand. */
static void test_numbers(void **state)
{
    (void)state;
    struct table *table = fixture_table(2, 2, 2, 1, 1);
    const double d[] = {0.1, 0.3, 0.3, 0.5}; /* 0.3 ± 4.30265·√0.005 (test_results_effects.c) */
    for (int i = 0; i < 8; i++) {
        double shift = i / 2 % 2 == 1 ? d[i / 4 * 2 + i % 2] : 0;
        fixture_set(table, i, 0, 0, 2 + 1e-3 * shift, 1e-3 * exp(shift + i / 4 * log(2)),
                    1e-3 * shift);
    }
    char *text = print(table, NULL, false);
    assert_readable(text);
    /* 100·(exp(0.3 ± 0.30424) − 1) */
    assert_has(text, "+35.0 [\xe2\x88\x92"
                     "0.4, 83.0]");
    assert_has(text, "+0.30 [0.00, 0.60]"); /* Δloss and loss, 10⁻³ nats: 0.3 ± 0.304 rounds so */
    free(text);
    table_free(table);
}

static void test_losses_are_told(void **state)
{
    (void)state;
    struct table *table = study(3, 4, 3);
    table->cell[4].status = CELL_DIVERGED;    /* size0, setting 1 */
    table->cell[9].status = CELL_PENDING;     /* size0, setting 3 */
    table->cell[12].status = CELL_FAILED;     /* size1, base */
    table->kl[(19 * 3 + 2) * 3] = 0;          /* size1, setting 2, w8a8 */
    table->kl[(20 * 3 + 2) * 3 + 1] = -1e-12; /* size1, setting 2, w4 */
    snprintf(table->isa[1], sizeof table->isa[1], "avx512");
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "36 = 33 done + 1 diverged + 1 failed + 1 missing");
    assert_has(text, "setting=1: 2 of 9 pairs dropped (2: its run or the base's is missing, failed "
                     "or diverged).");
    assert_has(text, "setting=2: 2 of 9 pairs dropped (1: its run or the base's is missing, failed "
                     "or diverged; 1: KL");
    assert_has(text, "w4, setting=2: 2 of 9 pairs dropped");
    assert_has(text, "7 of 9");
    assert_has(text, "setting=1 (1 diverged of 9)");
    assert_has(text, "setting=3 (1 pending of 9)");
    assert_has(text, "base (1 failed of 9)");
    assert_has(text, "different instruction sets (avx2; in 1 cells another, such as avx512)");
    free(text);
    table_free(table);
}

static void test_single_seed(void **state)
{
    (void)state;
    struct table *table = study(3, 3, 1);
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "setting=1  no interval");
    assert_has(text, "Effects without an interval: 2. One pair per size leaves no degrees of "
                     "freedom");
    assert_has(text,
               "Without any interval for w8a8 (no pairs, or one per size): setting=1, setting=2.");
    free(text);
    table_free(table);
}

static void test_smallest_studies(void **state)
{
    (void)state;
    struct table *table = study(1, 1, 1);
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "The base recipe is the only setting");
    assert_has(text, "Slope per decade of parameters: none");
    assert_has(text, "One size only");
    free(text);

    table->cell[0].status = CELL_RUNNING;
    text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "No cell is finished yet");
    assert_has(text, "base (1 running of 1)");
    free(text);

    table->cell[0].status = CELL_DONE;
    table->cell[0].base = false;
    text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "no cells of a base recipe");
    free(text);
    table_free(table);

    table = study(2, 2, 2);
    for (int i = 0; i < table->cells * 9; i++) { /* nothing but the losses */
        table->kl[i] = table->delta_loss[i] = NAN;
        table->relative_loss_increase[i] = table->top1_agreement[i] = NAN;
    }
    text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "setting=1  no pairs");
    assert_has(text, "4: the response was not measured or is not finite");
    free(text);
    table_free(table);
}

static void test_identical_setting(void **state)
{
    (void)state;
    struct table *table = study(2, 2, 3);
    for (int i = 0; i < table->cells; i++) {
        for (int k = 0; k < 3; k++) {
            fixture_set(table, i, k, 0, 2, 1e-3 * (i % 3 + 1), 1e-4);
        }
    }
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "setting=1  identical  0.0 [0.0, 0.0]");
    assert_lacks(text, "Undecided for w8a8");
    free(text);
    table_free(table);
}

/* Names that would break a table: long, not ASCII, with control characters. */
static void test_awkward_names(void **state)
{
    (void)state;
    struct table *table = study(3, 4, 3);
    for (int i = 0; i < table->cells; i++) {
        if (i / 3 % 4 == 2) {
            snprintf(table->cell[i].setting, CELL_LABEL,
                     "total_decay=0.005,dropout=0.1,grad_clip=none,precision=fp16,"
                     "learning_rate_factor=0.3333333333333333,schedule=constant,tokens=123456789");
        }
        if (i / 12 == 1) {
            snprintf(table->cell[i].size, CELL_NAME,
                     "gr\xc3\xb6\xc3\x9f"
                     "e\033[31m-with-a-name-that-is-long-enough-to-break-a-table");
        }
    }
    char *text = print(table, NULL, true);
    assert_readable(text);
    assert_has(text, "S2   total_decay=0.005,dropout=0.1,grad_clip=none");
    assert_has(text, "gr\xc3\xb6\xc3\x9f"
                     "e?[31m-with");
    char *limits = paragraph(text, "What this study cannot decide");
    assert_has(limits, "S2 (+0.05");
    free(limits);
    free(text);
    table_free(table);
}

static void test_extreme_values(void **state)
{
    (void)state;
    struct table *table = study(2, 3, 2);
    int wild = (6 * 3 + 2) * 3; /* size1, base */
    table->kl[wild] = 1e-300;
    table->delta_loss[wild] = -1e300;
    table->loss[6 * 3 + 2] = 1e12;
    table->cell[7].tokens = NAN;
    table->unigram_entropy[0] = 1e-9; /* nothing learned at size0 */
    char *text = print(table, NULL, true);
    assert_readable(text);
    assert_has(text, "Warning: 2 of 2 sizes predict no better");
    free(text);
    table_free(table);
}

static void test_training_lengths(void **state)
{
    (void)state;
    struct table *table = study(2, 2, 2);
    for (int i = 0; i < table->cells; i++) {
        table->cell[i].tokens = 20 * table->cell[i].parameters * (i / 2 % 2 == 1 ? 2 : 1);
    }
    snprintf(table->design, sizeof table->design, "fractional");
    char *text = print(table, NULL, false);
    assert_readable(text);
    assert_has(text, "Other training lengths than the base's: setting=1.");
    assert_has(text, "Sizes are compared at about 20.0 tokens per parameter");
    assert_has(text, "shares of the variance");
    free(text);
    table_free(table);
}

static void test_refusals(void **state)
{
    (void)state;
    struct error err = {0};
    struct table *table = study(1, 2, 2);
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(fixture_report(&err, out, table, "w9", false), STATUS_USAGE);
    assert_has(err.message, "no quantizer \"w9\"; it has w8a8, w4, w3");
    error_clear(&err);
    assert_int_equal(fixture_report(&err, out, NULL, NULL, false), STATUS_FAILED);
    assert_has(err.message, "no table");
    error_clear(&err);
    struct table empty = *table;
    empty.cells = 0;
    assert_int_equal(fixture_report(&err, out, &empty, NULL, false), STATUS_FAILED);
    assert_has(err.message, "no cells");
    fclose(out);

    error_clear(&err);
    out = fopen("/dev/full", "w");
    if (out != NULL) {
        assert_int_equal(fixture_report(&err, out, table, NULL, false), STATUS_FAILED);
        assert_has(err.message, "cannot be written");
        fclose(out);
    }
    table_free(table);
}

/* ── text.h ── */

static void test_numbers_in_text(void **state)
{
    (void)state;
    assert_string_equal(text_fixed(-0.04, 1, true).s, "0.0");
    assert_string_equal(text_fixed(-1.25, 2, false).s, "\xe2\x88\x92"
                                                       "1.25");
    assert_string_equal(text_fixed(NAN, 2, true).s, "\xe2\x80\x94");
    assert_string_equal(text_fixed(INFINITY, 2, true).s, "\xe2\x88\x9e");
    assert_string_equal(text_significant(0.000123456, 3).s, "0.000123");
    assert_string_equal(text_significant(1.5e-9, 2).s, "1.5e\xe2\x88\x92"
                                                       "09");
    assert_string_equal(text_significant(12345, 3).s, "12345");
    assert_string_equal(text_interval(7.1, 3, 11.9).s, "+7.1 [3.0, 11.9]");
    assert_string_equal(text_interval(7.1, NAN, NAN).s, "+7.10 [\xe2\x80\x94]");
    assert_string_equal(text_factor(log(1.73), log(1.55), log(1.94)).s, "\xc3\x97"
                                                                        "1.73 [1.55, 1.94]");
    assert_string_equal(text_seconds(59.4).s, "59 s");
    assert_string_equal(text_seconds(185).s, "3 min 05 s");
    assert_string_equal(text_seconds(7620).s, "2 h 07 min");
    assert_string_equal(text_seconds(356400).s, "4 d 03 h");
    assert_string_equal(text_count(24832).s, "24.8 k");
    assert_string_equal(text_count(524288).s, "524 k");
    assert_true(fabs(text_percent(log(1.05)) - 5) < 1e-12);
    assert_int_equal(text_width("\xe2\x88\x92\xc3\x97x"), 3);
}

static void test_panels(void **state)
{
    (void)state;
    struct error err = {0};
    struct text_table *table = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(text_table_open(&err, "lrrrr", 1, &table), STATUS_OK);
    for (int row = 0; row < 3; row++) {
        text_table_add(table, "key%d", row);
        for (int column = 1; column < 5; column++) {
            text_table_add(table, "%d-%d-%030d", row, column, 0);
        }
    }
    assert_int_equal(text_table_print(&err, out, table, 1), STATUS_OK);
    fclose(out);
    assert_readable(text);
    const char *second = strstr(text, "\n\n");
    assert_non_null(second); /* the keys stand in front of both panels */
    assert_has(text, "key2  2-1-");
    assert_has(second, "key2  2-3-");
    free(text);
    text_table_free(table);
}

/* What stands beside effects: equal loss, the loss itself; and which of them mean nothing. */
static void test_companions(void **state)
{
    (void)state;
    enum { SIZES = 2, SEEDS = 3, SETTINGS = 20, MIXED = 19 };
    struct table *table = fixture_equal_loss(SIZES, SEEDS, 1);
    snprintf(table->design, sizeof table->design, "fractional");
    struct fixture_recipe mixed = FIXTURE_BASE;
    for (int size = 0; size < SIZES; size++) { /* fewer tokens at one size, more at the other */
        mixed.tokens = size == 0 ? 1.2e6 : 3e6;
        for (int k = 0; k < SEEDS; k++) {
            fixture_recipe_cell(&table->cell[(size * SETTINGS + MIXED) * SEEDS + k], size, mixed);
        }
    }
    char *text = print(table, NULL, false);
    char *beside = paragraph(text, "Beside them, with the same intervals");
    assert_has(beside, "the same against base runs of equal loss");
    assert_has(beside, "2 opposite ");
    free(beside);
    char *effects = paragraph(text, "Effect of each setting against the base; ");
    assert_has(effects, "\xe2\x88\x92"
                        "25.9 [\xe2\x88\x92"
                        "25.9, \xe2\x88\x92"
                        "25.9] (3 of 6)"); /* exp(−0.3) − 1 */
    free(effects);
    assert_has(text, "w8a8 costs the base recipe +0.00");
    assert_has(text, "The same at equal loss: against base runs of the same size and loss");
    char *limits = paragraph(text, "What this study cannot decide");
    assert_has(limits, "more at others: setting=19.");
    assert_has(limits, "Other training lengths than the base's: setting=17, setting=18.");
    assert_has(limits, "Sizes differ in their learning rate, too (size0 0.01, size1 0.005)");
    assert_has(limits, "of the 4 on KL of a setting against the base above, about 0.2 would");
    free(limits);
    free(text);

    for (int i = 0; i < table->cells; i++) { /* dropout 0.4 is as bad as no base run */
        table->loss[i] += table->cell[i].dropout == 0.4 ? 2 : 0;
    }
    text = print(table, NULL, false);
    effects = paragraph(text, "Effect of each setting against the base; ");
    assert_has(effects, "\xe2\x80\x94 (0 of 6)");
    free(effects);
    free(text);
    table_free(table);

    table = study(3, 2, 3); /* no ladder: nothing of equal loss */
    text = print(table, NULL, false);
    assert_lacks(text, "equal loss,");
    assert_lacks(text, "runs of equal loss");
    assert_lacks(text, "Sizes differ in their learning rate");
    free(text);
    table_free(table);
}

/* Quantizers in order, whatever their order in the study; one that was not measured is left out. */
static void test_ranking(void **state)
{
    (void)state;
    struct table *table = study(3, 2, 3);
    snprintf(table->quantizer[0], sizeof table->quantizer[0], "w3");
    snprintf(table->quantizer[1], sizeof table->quantizer[1], "w8a8");
    for (int i = 0; i < table->cells * table->checkpoints; i++) {
        const double kl = table->kl[i * 3];
        table->kl[i * 3] = table->kl[i * 3 + 1]; /* w3 is worse than w8a8 now */
        table->kl[i * 3 + 1] = isnan(table->kl[i * 3]) ? NAN : kl;
        table->kl[i * 3 + 2] = NAN;
    }
    char *text = print(table, NULL, false);
    char *at = strstr(text, "Quantizers by degradation");
    assert_non_null(at);
    char *first = strstr(at, "1  w8a8"), *second = strstr(at, "2  w3");
    assert_true(first != NULL && second != NULL && first < second);
    assert_non_null(strstr(first, "int8     int8"));
    free(text);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_companions),       cmocka_unit_test(test_ranking),
        cmocka_unit_test(test_complete_study),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_losses_are_told),  cmocka_unit_test(test_single_seed),
        cmocka_unit_test(test_smallest_studies), cmocka_unit_test(test_identical_setting),
        cmocka_unit_test(test_awkward_names),    cmocka_unit_test(test_extreme_values),
        cmocka_unit_test(test_training_lengths), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_numbers_in_text),  cmocka_unit_test(test_panels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
