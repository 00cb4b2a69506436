/* What a study's settings change, its balanced fraction and its ladder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/design_fixture.h"

struct opened {
    struct effects *effects;
    struct design *design;
};

static struct opened open_design(const struct table *table)
{
    struct opened opened = {NULL, NULL};
    struct error err = {0};
    assert_int_equal(effects_open(&err, table, &opened.effects), STATUS_OK);
    assert_int_equal(design_open(&err, opened.effects, &opened.design), STATUS_OK);
    assert_string_equal(err.message, "");
    return opened;
}

static void close_design(struct opened *opened)
{
    design_free(opened->design);
    effects_free(opened->effects);
}

static int setting_named(const struct design *design, const char *label)
{
    for (int s = 0; s < design->effects->settings; s++) {
        if (strcmp(design->effects->setting[s].label, label) == 0) {
            return s;
        }
    }
    fail_msg("no setting %s", label);
    return -1;
}

/* Each factor and each product of two is balanced and orthogonal to every other. */
static void assert_orthogonal(const struct fraction *fraction)
{
    int columns = 0;
    int column[32][FRACTION_SETTINGS];
    for (int f = 0; f < fraction->factors; f++) {
        for (int g = f; g < fraction->factors; g++) {
            for (int i = 0; i < fraction->settings; i++) {
                column[columns][i] =
                    fraction->sign[i][f] * (f == g ? 1 : (int)fraction->sign[i][g]);
            }
            columns++;
        }
    }
    for (int a = 0; a < columns; a++) {
        for (int b = 0; b <= a; b++) {
            int sum = 0, product = 0;
            for (int i = 0; i < fraction->settings; i++) {
                sum += column[a][i];
                product += column[a][i] * column[b][i];
            }
            assert_int_equal(sum, 0);
            assert_int_equal(product, a == b ? fraction->settings : 0);
        }
    }
}

static void assert_half_fraction(const struct design *design)
{
    const enum recipe factor[] = {RECIPE_DECAY, RECIPE_DROPOUT, RECIPE_CLIP, RECIPE_PRECISION,
                                  RECIPE_RATE};
    const double low[] = {0.5, 0, 1, PRECISION_BF16, 1};
    const double high[] = {0.005, 0.1, 0, PRECISION_FP16, 0.3333};
    assert_true(design->has_fraction);
    const struct fraction *fraction = &design->fraction;
    assert_int_equal(fraction->factors, 5);
    assert_int_equal(fraction->settings, 16);
    assert_int_equal(fraction->setting[0], 0);
    for (int f = 0; f < 5; f++) {
        assert_int_equal(fraction->factor[f], factor[f]);
        assert_true(fabs(fraction->low[f] - low[f]) < 1e-12);
        assert_true(fabs(fraction->high[f] - high[f]) < 1e-12);
        assert_int_equal(fraction->sign[0][f], -1);
    }
    for (int i = 0; i < 16; i++) {
        for (int f = 0; f < 5; f++) {
            double value = design->setting[fraction->setting[i]].value[factor[f]];
            assert_true(fabs(value - (fraction->sign[i][f] > 0 ? high[f] : low[f])) < 1e-12);
        }
    }
    assert_orthogonal(fraction);
}

static void what_a_setting_changes(void **state)
{
    (void)state;
    struct table *table = fixture_half_fraction(2, 2, 3);
    struct fixture_recipe longer = FIXTURE_BASE, wsd = FIXTURE_BASE, both = fixture_levels(17);
    longer.tokens = 4e6;
    wsd.schedule = SCHEDULE_WSD;
    fixture_recipe(table, 2, 19, 2, 16, longer);
    fixture_recipe(table, 2, 19, 2, 17, wsd);
    fixture_recipe(table, 2, 19, 2, 18, both);
    struct opened opened = open_design(table);
    const struct design_setting *setting = opened.design->setting;
    /* the study holds Λ: a longer run, another rate or schedule changes λ alone */
    assert_int_equal(setting[0].changed, 0);
    assert_int_equal(setting[16].changed, 1u << RECIPE_TOKENS);
    assert_int_equal(setting[17].changed, 1u << RECIPE_SCHEDULE);
    assert_int_equal(setting[18].changed, 1u << RECIPE_DECAY | 1u << RECIPE_RATE);
    assert_true(setting[16].value[RECIPE_TOKENS] == 4e6);
    assert_true(setting[16].value[RECIPE_DECAY] == 0.5);
    assert_true(setting[18].value[RECIPE_DECAY] == 0.005);
    assert_true(fabs(setting[18].value[RECIPE_RATE] - 0.3333) < 1e-12);
    /* cells by block */
    assert_int_equal(opened.design->seeds, 2);
    for (int i = 0; i < table->cells; i++) {
        int found = design_cell(opened.design, opened.effects->setting_of[i],
                                opened.effects->size_of[i], (int)table->cell[i].seed - 1);
        assert_int_equal(found, i);
    }
    close_design(&opened);
    table_free(table);
}

/* Levels given as λ: then Λ follows from the run, and the level is the base's Λ times the ratio of λ. */
static void weight_decay_held(void **state)
{
    (void)state;
    struct table *table = fixture_table(2, 5, 1, 1, 1);
    for (int s = 0; s < 5; s++) {
        for (int size = 0; size < 2; size++) {
            struct table_cell *cell = &table->cell[size * 5 + s];
            cell->weight_decay = s == 1 || s == 3 ? 0.01 : 0.1;
            cell->learning_rate = s == 2 || s == 3 ? 1e-3 : 3e-3;
            cell->tokens = s == 4 ? 4e6 : 2e6;
            cell->total_decay = cell->weight_decay * cell->learning_rate * cell->tokens / 2048;
        }
    }
    struct opened opened = open_design(table);
    const struct design *design = opened.design;
    double base = table->cell[0].total_decay;
    assert_int_equal(design->setting[1].changed, 1u << RECIPE_DECAY);
    assert_int_equal(design->setting[2].changed, 1u << RECIPE_RATE);
    assert_int_equal(design->setting[3].changed, 1u << RECIPE_DECAY | 1u << RECIPE_RATE);
    assert_int_equal(design->setting[4].changed, 1u << RECIPE_TOKENS);
    assert_true(fabs(design->setting[1].value[RECIPE_DECAY] - base / 10) < 1e-12);
    assert_true(fabs(design->setting[3].value[RECIPE_DECAY] - base / 10) < 1e-12);
    assert_true(design->has_fraction);
    assert_int_equal(design->fraction.settings, 4);
    assert_orthogonal(&design->fraction);
    close_design(&opened);
    table_free(table);
}

/* Low decay at the low rate has the base's λ: it is low decay all the same. */
static void decay_that_meets_the_rate(void **state)
{
    (void)state;
    struct table *table = fixture_half_fraction(2, 2, 0);
    for (int i = 0; i < table->cells; i++) {
        struct table_cell *cell = &table->cell[i];
        if (cell->total_decay == 0.005) {
            cell->weight_decay *= 0.5 * 0.3333 / 0.005;
            cell->total_decay = 0.5 * 0.3333;
        }
    }
    struct opened opened = open_design(table);
    assert_true(opened.design->has_fraction);
    assert_int_equal(opened.design->fraction.settings, 16);
    assert_true(fraction_saturated(&opened.design->fraction));
    assert_true(fabs(opened.design->fraction.high[0] - 0.5 * 0.3333) < 1e-12);
    close_design(&opened);
    table_free(table);
}

/* Beside the fraction: stars at other levels and at the fraction's, other tokens and schedules, a pair of other levels. */
static void half_fraction_beside_other_settings(void **state)
{
    (void)state;
    enum { MORE = 11 };
    struct table *table = fixture_half_fraction(3, 2, MORE);
    struct fixture_recipe more[MORE];
    for (unsigned f = 0; f < 5; f++) {
        more[f] = fixture_levels(1u << f);
    }
    for (int i = 5; i < MORE; i++) {
        more[i] = fixture_levels(0);
    }
    more[5].total_decay = 0.05;
    more[6].dropout = 0.4;
    more[7].schedule = SCHEDULE_WSD;
    more[8].tokens = 5e5;
    more[9].tokens = 1e6;
    more[9].dropout = 0.1;
    more[10].dropout = 0.8;
    more[10].total_decay = 0.05;
    for (int i = 0; i < MORE; i++) {
        fixture_recipe(table, 3, 16 + MORE, 2, 16 + i, more[i]);
    }
    fixture_only_size(table, 16 + 5, "size1");
    fixture_only_size(table, 16 + 8, "size2");
    struct opened opened = open_design(table);
    assert_half_fraction(opened.design);
    for (int size = 0; size < 3; size++) {
        assert_true(fraction_at_size(opened.design, &opened.design->fraction, size));
    }
    close_design(&opened);
    table_free(table);
}

/* A full factorial 2^5 is larger than its halves; without one setting of the other half, the half remains. */
static void largest_design(void **state)
{
    (void)state;
    for (int lacking = 0; lacking < 2; lacking++) {
        struct table *table = fixture_table(2, 32, 1, 1, 1);
        for (unsigned bits = 0; bits < 32; bits++) {
            fixture_recipe(table, 2, 32, 1, (int)bits, fixture_levels(bits));
        }
        if (lacking) {
            fixture_only_size(table, 7, "none"); /* three factors */
        }
        struct opened opened = open_design(table);
        if (lacking) {
            assert_half_fraction(opened.design);
        } else {
            assert_true(opened.design->has_fraction);
            assert_int_equal(opened.design->fraction.factors, 5);
            assert_int_equal(opened.design->fraction.settings, 32);
            assert_orthogonal(&opened.design->fraction);
        }
        close_design(&opened);
        table_free(table);
    }
}

/* The other half at one size of four does not take the three other sizes away; a size with the base alone is no part. */
static void sizes_of_the_fraction(void **state)
{
    (void)state;
    struct table *table = fixture_table(4, 32, 1, 1, 1);
    for (unsigned bits = 0; bits < 32; bits++) {
        fixture_recipe(table, 4, 32, 1, (int)bits, fixture_levels(bits));
    }
    for (unsigned bits = 1; bits < 32; bits++) {
        char label[CELL_LABEL];
        snprintf(label, sizeof label, "setting=%u", bits);
        for (int i = table->cells - 1; i >= 0; i--) {
            bool other_half =
                __builtin_popcount(bits) % 2 != 0 && strcmp(table->cell[i].size, "size1") != 0;
            bool largest = strcmp(table->cell[i].size, "size3") == 0;
            if (strcmp(table->cell[i].setting, label) == 0 && (other_half || largest)) {
                fixture_remove(table, i);
            }
        }
    }
    struct opened opened = open_design(table);
    assert_half_fraction(opened.design);
    for (int size = 0; size < 4; size++) {
        assert_int_equal(fraction_at_size(opened.design, &opened.design->fraction, size), size < 3);
    }
    close_design(&opened);
    table_free(table);
}

static void one_at_a_time_has_none(void **state)
{
    (void)state;
    struct table *table = fixture_table(2, 6, 2, 1, 1);
    for (int f = 0; f < 6; f++) {
        fixture_recipe(table, 2, 6, 2, f, fixture_levels(f == 0 ? 0 : 1u << (f - 1)));
    }
    struct opened opened = open_design(table);
    assert_false(opened.design->has_fraction);
    assert_int_equal(opened.design->ladder.settings, 1);
    assert_int_equal(opened.design->ladder.diagonal_sizes, 0);
    close_design(&opened);
    table_free(table);
}

static void no_base(void **state)
{
    (void)state;
    struct table *table = fixture_half_fraction(2, 1, 0);
    table->cell[0].base = false;
    table->cell[16].base = false;
    struct opened opened = open_design(table);
    assert_false(opened.design->has_fraction);
    assert_int_equal(opened.design->ladder.settings, 0);
    close_design(&opened);
    table_free(table);
}

/* Three sizes of 10³, 10⁴, 10⁵ parameters; 10 tokens per parameter is observed at all of them within 4 %, 2,000 at one. */
static void ladder_and_diagonal(void **state)
{
    (void)state;
    struct table *table = fixture_table(3, 6, 2, 1, 1);
    const double tokens[] = {2e6, 1e4, 1.04e5, 1e6, 2.2e4, 1e6};
    for (int s = 0; s < 6; s++) {
        struct fixture_recipe recipe = fixture_levels(s == 5 ? 2 : 0);
        recipe.tokens = tokens[s];
        fixture_recipe(table, 3, 6, 2, s, recipe);
    }
    fixture_only_size(table, 1, "size0");
    fixture_only_size(table, 2, "size1");
    struct opened opened = open_design(table);
    const struct ladder *ladder = &opened.design->ladder;
    assert_int_equal(ladder->settings, 5); /* not the last: it changes dropout, too */
    assert_int_equal(ladder->diagonal_sizes, 3);
    assert_int_equal(ladder->diagonal[0], setting_named(opened.design, "setting=1"));
    assert_int_equal(ladder->diagonal[1], setting_named(opened.design, "setting=2"));
    assert_int_equal(ladder->diagonal[2], setting_named(opened.design, "setting=3"));
    assert_true(fabs(ladder->least - 10) < 1e-9 && fabs(ladder->most - 10.4) < 1e-9);
    close_design(&opened);
    table_free(table);
}

/* Of equally many sizes: more blocks, then more tokens per parameter. 16 % apart is no diagonal. */
static void diagonal_of_most_blocks(void **state)
{
    (void)state;
    for (int fewer = 0; fewer < 2; fewer++) {
        struct table *table = fixture_table(2, 3, 2, 1, 1);
        const double tokens[] = {2e5, 2e4, 2e6}; /* 200 and 20 per parameter at both sizes */
        for (int s = 0; s < 3; s++) {
            struct fixture_recipe recipe = fixture_levels(0);
            recipe.tokens = tokens[s];
            fixture_recipe(table, 2, 3, 2, s, recipe);
        }
        if (fewer) {
            fixture_remove(table, 10); /* 200 per parameter at the second size, one seed */
        }
        struct opened opened = open_design(table);
        assert_int_equal(opened.design->ladder.diagonal_sizes, 2);
        assert_true(fabs(opened.design->ladder.least - (fewer ? 20 : 200)) < 1e-9);
        assert_int_equal(opened.design->ladder.diagonal[1], fewer ? 0 : 2);
        close_design(&opened);
        for (int i = 0; i < table->cells; i++) {
            table->cell[i].tokens *= table->cell[i].parameters > 5000 ? 1.16 : 1;
        }
        opened = open_design(table);
        assert_int_equal(opened.design->ladder.diagonal_sizes, 0);
        assert_int_equal(opened.design->ladder.diagonal[0], -1);
        assert_true(isnan(opened.design->ladder.least));
        close_design(&opened);
        table_free(table);
    }
}

static void names_and_levels(void **state)
{
    (void)state;
    static const struct {
        enum recipe recipe;
        double value;
        const char *text;
    } levels[] = {
        {RECIPE_DECAY, 0.005, "0.005"},
        {RECIPE_CLIP, 0, "none"},
        {RECIPE_CLIP, 1, "1"},
        {RECIPE_PRECISION, PRECISION_FP16, "fp16"},
        {RECIPE_RATE, 0.3333, "0.333 η*"},
        {RECIPE_RATE, 1, "1 η*"},
        {RECIPE_SCHEDULE, SCHEDULE_WSD, "wsd"},
        {RECIPE_TOKENS, 2e6, "2 M"},
        {RECIPE_TOKENS, NAN, "by size"},
    };
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        char text[32];
        recipe_level(levels[i].recipe, levels[i].value, text);
        assert_string_equal(text, levels[i].text);
    }
    assert_string_equal(recipe_name(RECIPE_RATE), "learning rate");
}

/* 20,000 cells, 5,000 settings of six factors with up to eight levels: the search must end. */
static void many_settings(void **state)
{
    (void)state;
    enum { SETTINGS = 5000 };
    struct table *table = fixture_table(2, SETTINGS, 2, 1, 1);
    for (int s = 0; s < SETTINGS; s++) {
        struct fixture_recipe recipe = FIXTURE_BASE;
        int digits = s;
        recipe.total_decay = 0.5 / (1 + digits % 8);
        digits /= 8;
        recipe.dropout = digits % 8 * 0.1;
        digits /= 8;
        recipe.grad_clip = 1 + digits % 8;
        digits /= 8;
        recipe.precision = digits % 2 ? PRECISION_FP16 : PRECISION_BF16;
        digits /= 2;
        recipe.rate_factor = 1.0 / (1 + digits);
        fixture_recipe(table, 2, SETTINGS, 2, s, recipe);
    }
    struct opened opened = open_design(table);
    assert_true(opened.design->has_fraction);
    assert_int_equal(opened.design->fraction.settings, 32);
    assert_orthogonal(&opened.design->fraction);
    close_design(&opened);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_setting_changes),
        cmocka_unit_test(weight_decay_held),
        cmocka_unit_test(decay_that_meets_the_rate),
        cmocka_unit_test(half_fraction_beside_other_settings),
        cmocka_unit_test(largest_design),
        cmocka_unit_test(sizes_of_the_fraction),
        cmocka_unit_test(one_at_a_time_has_none),
        cmocka_unit_test(no_base),
        cmocka_unit_test(ladder_and_diagonal),
        cmocka_unit_test(diagonal_of_most_blocks),
        cmocka_unit_test(names_and_levels),
        cmocka_unit_test(many_settings),
    };
    return cmocka_run_group_tests_name("results_design", tests, NULL, NULL);
}
