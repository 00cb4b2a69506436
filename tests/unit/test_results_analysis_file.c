/* The group /analysis of a study.nc: it holds what the analysis found, and a study is never lost for want of it. */
#include "tests/unit/results_fixture.h"

#include <netcdf.h>

#include "results/aggregate.h"
#include "results/analysis_file.h"
#include "results/seal.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* A study.nc of the first `finished` cells, with log KL that goes up with decay's, half type's and size's levels. */
static void make_study(struct fixture *f, int finished, char path[192])
{
    struct rundir *dir = NULL;
    char file[SPEC_PATH + 64], checksum[17];
    assert_ok(&f->err, rundir_open(&f->err, f->run, f->spec, &dir));
    assert_ok(&f->err, rundir_log_run(&f->err, dir, 1, f->cells, "17"));
    for (int i = 0; i < finished; i++) {
        const struct cell *cell = &f->cell[i];
        struct record *record = fixture_record(cell, 2 * i);
        for (int k = 0; k < record->checkpoints * record->quantizers; k++) {
            record->kl[k] = exp(-6 + (cell->train.total_decay < 0.01) +
                                0.5 * (cell->train.precision == PRECISION_FP16) +
                                0.2 * (cell->size.d_model > 16) + 0.01 * ((7 * i + k) % 5));
        }
        for (int k = 0; k < record->checkpoints; k++) {
            record->loss[k] = 3 - 0.1 * k;
        }
        rundir_cell_path(f->run, cell->id, file);
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
        assert_ok(&f->err, cellfile_write(&f->err, file, cell, record, checksum));
        assert_ok(&f->err, rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, ""));
        record_free(record);
    }
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    rundir_close(dir);
    snprintf(path, 192, "%s/study.nc", f->run);
}

/* Open a study.nc; *group is −1 if it has none. */
static int open_study(const char *path, int *group)
{
    int file = -1;
    assert_ok(&(struct error){0}, seal_check(NULL, path, SEAL_STUDY));
    assert_int_equal(nc_open(path, NC_NOWRITE, &file), NC_NOERR);
    if (nc_inq_ncid(file, "analysis", group) != NC_NOERR) {
        *group = -1;
    }
    return file;
}

static void get(int group, const char *name, double *value)
{
    int id = -1;
    if (nc_inq_varid(group, name, &id) != NC_NOERR) {
        fail_msg("variable %s is missing", name);
    }
    assert_int_equal(nc_get_var_double(group, id, value), NC_NOERR);
}

static bool has(int group, const char *name)
{
    int id = -1;
    return nc_inq_varid(group, name, &id) == NC_NOERR;
}

static void assert_number(double got, double want)
{
    if (isnan(want) ? got != NC_FILL_DOUBLE : got != want) {
        fail_msg("%.17g is not %.17g", got, want);
    }
}

static char *text_attribute(int id, const char *name)
{
    size_t length = 0;
    if (nc_inq_attlen(id, NC_GLOBAL, name, &length) != NC_NOERR) {
        return NULL;
    }
    char *text = calloc(length + 1, 1);
    assert_non_null(text);
    assert_int_equal(nc_get_att_text(id, NC_GLOBAL, name, text), NC_NOERR);
    return text;
}

/* What is stored is what the analysis of the same file gives. */
static void check_claims(int group, const struct analysis *analysis)
{
    double effect[HYPOTHESES], low[HYPOTHESES], df[HYPOTHESES], verdict[HYPOTHESES];
    double matched[HYPOTHESES], worst[HYPOTHESES], on_loss[HYPOTHESES];
    int asked = 0;
    get(group, "effect", effect);
    get(group, "effect_low", low);
    get(group, "effect_df", df);
    get(group, "verdict", verdict);
    get(group, "matched_effect", matched);
    get(group, "worst_effect_high", worst);
    get(group, "delta_loss_effect", on_loss);
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &analysis->claims.claim[h];
        const bool is = claim->verdict != VERDICT_NOT_ASKED;
        assert_int_equal((int)verdict[h], claim->verdict);
        assert_number(effect[h], is ? claim->effect.interval.estimate : NAN);
        assert_number(low[h], is ? claim->effect.interval.low : NAN);
        assert_int_equal((int)df[h], is ? claim->effect.interval.df : NC_FILL_INT);
        assert_number(matched[h], claim->has_matched ? claim->matched.interval.estimate : NAN);
        assert_number(on_loss[h], analysis->delta_loss[h].interval.estimate);
        assert_number(worst[h], claim->has_worst ? claim->worst.interval.high : NAN);
        asked += is;
    }
    assert_in_range(asked, 1, HYPOTHESES - 1); /* the smoke study has levels for some */
}

static void check_contrasts(int group, const struct analysis *analysis)
{
    size_t count = (size_t)analysis->exploratories;
    double *effect = calloc(count + 1, sizeof *effect), *holm = calloc(count + 1, sizeof *holm);
    double *matched = calloc(count + 1, sizeof *matched);
    char **quantizer = calloc(count + 1, sizeof *quantizer);
    int id = -1;
    assert_true(effect != NULL && holm != NULL && matched != NULL && quantizer != NULL &&
                count > 0);
    get(group, "contrast_effect", effect);
    get(group, "contrast_holm", holm);
    get(group, "contrast_matched_effect", matched);
    assert_int_equal(nc_inq_varid(group, "contrast_quantizer", &id), NC_NOERR);
    assert_int_equal(nc_get_var_string(group, id, quantizer), NC_NOERR);
    for (size_t i = 0; i < count; i++) {
        const struct exploratory *one = &analysis->exploratory[i];
        assert_number(effect[i], one->effect.interval.estimate);
        assert_number(holm[i], one->holm);
        assert_number(matched[i], one->matched.interval.estimate);
        assert_string_equal(quantizer[i], analysis->table->quantizer[one->quantizer]);
    }
    nc_free_string(count, quantizer);
    free(quantizer);
    free(effect);
    free(holm);
    free(matched);
}

static void group(void **state)
{
    struct fixture *f = *state;
    char path[192], headline[1024];
    int file = -1, analysed = -1;
    struct table *table = NULL;
    struct analysis *analysis = NULL;
    make_study(f, f->cells, path);
    file = open_study(path, &analysed);
    assert_true(analysed >= 0);
    assert_ok(&f->err, table_read(&f->err, path, &table));
    assert_ok(&f->err, analysis_open(&f->err, table, NULL, &analysis));
    check_claims(analysed, analysis);
    check_contrasts(analysed, analysis);
    /* One factor at a time: no analysis of variance, no shares, nothing that pretends to be one. */
    assert_false(has(analysed, "anova_ss"));
    assert_false(has(analysed, "share_estimate"));
    analysis_headline(analysis, headline);
    char *stored = text_attribute(analysed, "headline");
    assert_non_null(stored);
    assert_string_equal(stored, headline);
    free(stored);
    assert_null(text_attribute(file, "analysis_failed"));
    nc_close(file);
    /* A second time there is no room for it, and the file stays whole. */
    assert_fails(&f->err, "group analysis", analysis_file_append(&f->err, path, analysis));
    analysis_free(analysis);
    table_free(table);
    assert_int_equal(nc_open(path, NC_NOWRITE, &file), NC_NOERR);
    assert_true(has(file, "kl"));
    nc_close(file);
}

/* Nothing to compare: nothing finished, one cell, no quantizers. */
static void nothing(void **state)
{
    struct fixture *f = *state;
    char path[192];
    for (int finished = 0; finished < 2; finished++) {
        int analysed = 0;
        make_study(f, finished, path);
        nc_close(open_study(path, &analysed));
        assert_int_equal(analysed, -1);
    }
}

static void no_quantizers(void **state)
{
    struct fixture *f = *state;
    char path[192];
    int analysed = 0;
    for (int i = 0; i < f->cells; i++) {
        f->cell[i].evaluate.quantizers = 0;
    }
    make_study(f, f->cells, path);
    nc_close(open_study(path, &analysed));
    assert_int_equal(analysed, -1);
}

/* A study that the analysis refuses (two cells that nothing tells apart) is there all the same, and says why. */
static void refused(void **state)
{
    struct fixture *f = *state;
    char path[192];
    int analysed = 0;
    struct table *table = NULL;
    f->cell[1].seed = f->cell[0].seed;
    make_study(f, f->cells, path);
    int file = open_study(path, &analysed);
    assert_int_equal(analysed, -1);
    char *why = text_attribute(file, "analysis_failed");
    assert_non_null(why);
    assert_non_null(strstr(why, "twice"));
    free(why);
    nc_close(file);
    assert_ok(&f->err, table_read(&f->err, path, &table));
    assert_int_equal(table->cells, f->cells);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(group),
        TEST(nothing),
        TEST(no_quantizers),
        TEST(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
