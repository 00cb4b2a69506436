/* What a quantizer costs in loss and accuracy: means over the base's finished cells, and the sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "results/cost.h"
#include "tests/unit/table_fixture.h"

enum { SEEDS = 3 };

/* One size, the base and another setting, one checkpoint and quantizer; loss 2, Δloss 0.0001 ± by seed. */
static struct table *study(int tasks)
{
    struct table *table = fixture_table(1, 2, SEEDS, 1, 1);
    const size_t cells = (size_t)table->cells, all = cells * (size_t)tasks;
    const double delta[SEEDS] = {0.0001, 0.0003, 0.0002};
    table->tasks = tasks;
    table->task = calloc((size_t)tasks, sizeof *table->task);
    double **values[] = {&table->accuracy_drop,
                         &table->accuracy_drop_se,
                         &table->accuracy_drop_above_chance,
                         &table->accuracy_drop_above_chance_se,
                         &table->discordant_lost,
                         &table->discordant_gained};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        *values[v] = fixture_values(all);
    }
    for (int i = 0; i < table->cells; i++) {
        const bool base = i < SEEDS;
        fixture_set(table, i, 0, 0, 2, 1e-4, base ? delta[i] : 1);
        for (int t = 0; t < tasks; t++) {
            const size_t at = (size_t)i * (size_t)tasks + (size_t)t;
            table->accuracy_drop[at] = base ? i : 100;   /* 0, 1, 2 percent */
            table->accuracy_drop_se[at] = 3 + i % SEEDS; /* 3, 4, 5 */
            table->accuracy_drop_above_chance[at] = i == 0 ? NAN : 4.0 * i;
            table->accuracy_drop_above_chance_se[at] = 1;
            table->discordant_lost[at] = 7;
            table->discordant_gained[at] = 2;
        }
    }
    for (int t = 0; t < tasks; t++) {
        snprintf(table->task[t], sizeof table->task[t], tasks == 1 ? "pairs" : "%031d", t);
    }
    return table;
}

static struct analysis *analyse(const struct table *table)
{
    struct error err = {0};
    struct analysis *analysis = NULL;
    assert_int_equal(analysis_open(&err, table, NULL, &analysis), STATUS_OK);
    return analysis;
}

static void the_base_is_pooled(void **state)
{
    (void)state;
    struct table *table = study(1);
    table->cell[2].status = CELL_FAILED; /* leaves 0 and 1 percent */
    struct analysis *analysis = analyse(table);
    const struct task_drop drop = cost_task_drop(analysis->effects, 0, 0, 0);
    assert_int_equal(drop.drop.cells, 2);
    assert_true(fabs(pooled_mean(&drop.drop) - 0.5) < 1e-12);
    assert_true(fabs(pooled_error(&drop.drop) - sqrt((9 + 16) / 2.0)) < 1e-12);
    assert_int_equal(drop.above_chance.cells, 1);
    assert_true(fabs(pooled_mean(&drop.above_chance) - 4) < 1e-12);
    assert_true(drop.lost == 14 && drop.gained == 4);
    const struct pooled nothing = {0};
    assert_true(isnan(pooled_mean(&nothing)) && isnan(pooled_error(&nothing)));
    analysis_free(analysis);
    table_free(table);
}

static void the_sentence(void **state)
{
    (void)state;
    char text[COST_TEXT];
    struct table *table = study(1);
    struct analysis *analysis = analyse(table);
    cost_sentence(analysis, text);
    /* Δloss/loss 0.005, 0.015, 0.010 %: 0.01 ± 4.303·0.005/√3; accuracy 1 ± √(50/3) */
    assert_string_equal(text, "w8a8 costs the base recipe +0.010 [\xe2\x88\x92"
                              "0.002, 0.022] % of its loss; and of its accuracy (\xc2\xb1 one "
                              "standard error over the items) 1.0 \xc2\xb1 4.1 % (pairs).");
    analysis_free(analysis);
    table_free(table);

    table = study(CELL_TASKS); /* nothing is cut */
    analysis = analyse(table);
    cost_sentence(analysis, text);
    assert_non_null(strstr(text, "1.0 \xc2\xb1 4.1 % (0000000000000000000000000000015)."));
    analysis_free(analysis);
    table_free(table);

    table = study(1);
    for (int i = 0; i < SEEDS; i++) {
        table->cell[i].status = CELL_PENDING;
    }
    analysis = analyse(table);
    cost_sentence(analysis, text);
    assert_string_equal(text, "");
    analysis_free(analysis);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_base_is_pooled),
        cmocka_unit_test(the_sentence),
    };
    return cmocka_run_group_tests_name("results_cost", tests, NULL, NULL);
}
