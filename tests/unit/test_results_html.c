/* report.html: names of users do no harm, sections without content say why, and gnuplot may be missing, fail or hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/figure.h"
#include "results/gnuplot.h"
#include "results/html.h"
#include "tests/unit/table_fixture.h"

static const char evil[] =
    "<script>alert(1)</script> 'x' \"y\" & `touch evil` $(z) \\ @m\nEOD\n_^{2}";

struct scene {
    char folder[64], path[96];
    struct table *table;
    struct analysis *analysis;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/ptqscale-html-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/report.html", scene->folder);
    scene->table = fixture_table(3, 3, 3, 2, 2);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    analysis_free(scene->analysis);
    table_free(scene->table);
    unlink(scene->path);
    rmdir(scene->folder);
    free(scene);
    return 0;
}

/* Values with an effect and some noise. */
static void fill(struct table *table)
{
    for (int i = 0; i < table->cells; i++) {
        for (int k = 0; k < table->checkpoints; k++) {
            for (int q = 0; q < table->quantizers; q++) {
                double kl = 0.001 * (1 + 0.3 * (i / 3 % 3) + 0.01 * (i * 7 % 5) + q);
                fixture_set(table, i, k, q, 2.5 + 0.01 * (i % 4), kl, 0.8 * kl);
            }
        }
    }
}

static char *write_page(struct scene *scene, struct html_outcome *outcome)
{
    struct error err = {0};
    const struct html_options options = {.source = evil};
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(
        analysis_open(&err, scene->table, &(struct analysis_options){0}, &scene->analysis),
        STATUS_OK);
    if (html_write(&err, scene->path, scene->analysis, &options, outcome) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(atomic_read(&err, scene->path, &text, &size), STATUS_OK);
    assert_int_equal(size, strlen(text));
    return text;
}

static int count(const char *text, const char *what)
{
    int found = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        found++;
    }
    return found;
}

static void names_are_escaped(void **state)
{
    struct scene *scene = *state;
    struct table *table = scene->table;
    struct html_outcome outcome;
    fill(table);
    snprintf(table->name, sizeof table->name, "%s", "<b>&\"'");
    snprintf(table->title, sizeof table->title, "%s", evil);
    snprintf(table->note, sizeof table->note, "%s", evil);
    snprintf(table->quantizer[0], sizeof table->quantizer[0], "%s", "w8a8'<i>&`x`");
    for (int i = 0; i < table->cells; i++) {
        char name[CELL_LABEL + 160];
        snprintf(name, sizeof name, "%.120s%.60s", evil, table->cell[i].setting);
        memcpy(table->cell[i].setting, name, strlen(name) + 1);
        snprintf(name, sizeof name, "%.40s%.8s", "'<script>`id`\"", table->cell[i].size);
        memcpy(table->cell[i].size, name, strlen(name) + 1);
    }
    table->fact[TABLE_STUDY_FILE] = strdup(evil);
    char *page = write_page(scene, &outcome);
    if (outcome.failed > 0) {
        fail_msg("%s", outcome.reason);
    }
    assert_true(outcome.figures >= 3);
    assert_int_equal(count(page, "<script>"), 1); /* ours */
    assert_int_equal(count(page, "<b>&"), 0);
    assert_true(count(page, "&lt;script&gt;alert(1)") > 3);
    assert_int_equal(access("evil", F_OK), -1);
    free(page);
}

/* A study that has just begun. */
static void nothing_says_why(void **state)
{
    struct scene *scene = *state;
    struct html_outcome outcome;
    for (int i = 0; i < scene->table->cells; i++) {
        scene->table->cell[i].status = CELL_PENDING;
    }
    char *page = write_page(scene, &outcome);
    assert_int_equal(outcome.figures, 0);
    assert_int_equal(outcome.failed, 0);
    assert_int_equal(count(page, "<p class=\"none\">"), FIGURES + 3); /* claims, slopes, variance */
    assert_non_null(strstr(page, "0 of 27 cells done"));
    free(page);
}

static void large_studies_are_summed_up(void **state)
{
    struct scene *scene = *state;
    struct html_outcome outcome;
    table_free(scene->table);
    scene->table = fixture_table(2, 3, HTML_CELLS / 6 + 1, 1, 1);
    fill(scene->table);
    char *page = write_page(scene, &outcome);
    assert_null(strstr(page, "class=\"cell\""));
    assert_non_null(strstr(page, "ptqscale explain"));
    assert_true(strlen(page) < 1000000);
    free(page);
}

static void write_program(const char *folder, const char *body, char path[128])
{
    snprintf(path, 128, "%s/gnuplot", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static int run_gnuplot(struct error *err, const char *script, double seconds, char **out)
{
    size_t size = 0;
    return gnuplot_run(err, script, strlen(script), seconds, out, &size);
}

static void gnuplot_may_misbehave(void **state)
{
    struct scene *scene = *state;
    struct error err = {0};
    char *out = NULL, program[128], path[256];
    char *before = strdup(getenv("PATH"));
    assert_int_equal(run_gnuplot(&err, "set bogus\nprint 1\n", 10, &out), STATUS_FAILED);
    assert_non_null(strstr(err.message, "gnuplot failed"));
    assert_null(out);
    error_clear(&err);

    snprintf(path, sizeof path, "%s:/bin:/usr/bin", scene->folder);
    setenv("PATH", path, 1);
    write_program(scene->folder, "exec sleep 60", program);
    assert_int_equal(run_gnuplot(&err, "plot x\n", 0.2, &out), STATUS_STOPPED);
    error_clear(&err);
    write_program(scene->folder, "kill -9 $$", program);
    assert_int_equal(run_gnuplot(&err, "plot x\n", 10, &out), STATUS_FAILED);
    assert_non_null(strstr(err.message, "signal 9"));
    error_clear(&err);
    write_program(scene->folder, "exit 0", program); /* reads nothing, writes nothing */
    assert_int_equal(run_gnuplot(&err, "plot x\n", 10, &out), STATUS_FAILED);
    assert_non_null(strstr(err.message, "drew nothing"));
    error_clear(&err);
    unlink(program);

    setenv("PATH", scene->folder, 1);
    assert_int_equal(run_gnuplot(&err, "plot x\n", 10, &out), STATUS_USAGE);
    assert_non_null(strstr(err.message, "gnuplot-nox"));
    struct html_outcome outcome;
    fill(scene->table);
    char *page = write_page(scene, &outcome);
    assert_int_equal(outcome.figures, 0);
    assert_true(outcome.failed >= 3);
    assert_non_null(strstr(outcome.reason, "gnuplot-nox"));
    assert_non_null(strstr(page, "The figure could not be drawn"));
    assert_non_null(strstr(page, "In words and numbers")); /* the text is there */
    free(page);
    setenv("PATH", before, 1);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(large_studies_are_summed_up, setup, teardown),
        cmocka_unit_test_setup_teardown(gnuplot_may_misbehave, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
