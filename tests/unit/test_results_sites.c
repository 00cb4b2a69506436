/* Errors of sites: models of different depth in one study, quantizers as they are described there, and the tables of them. */
#include "tests/unit/results_fixture.h"

#include "results/explain_sites.h"
#include "results/studyfile.h"
#include "results/studyread.h"

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_message("%s\n", text);
        fail_msg("\"%s\" is not in the text above", part);
    }
}

/* All quantizers, and one that a user described. */
static void use_every_quantizer(struct cell *cell)
{
    struct cell_evaluate *evaluate = &cell->evaluate;
    evaluate->quantizers = 0;
    for (int i = 0; quantizer_at(i); i++) {
        evaluate->quantizer[evaluate->quantizers++] = *quantizer_at(i);
    }
    evaluate->quantizer[evaluate->quantizers++] =
        (struct quantizer){.name = "mine",
                           .weights = WEIGHTS_FULL,
                           .activations = ACTIVATIONS_PER_TENSOR,
                           .activation_bits = 5,
                           .transform = TRANSFORM_HADAMARD};
}

static void test_depths(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct studyfile *file = NULL;
    struct studyread *study = NULL;
    struct record *record[3];
    const struct cell *cells;
    static const int layers[] = {2, 5, 1};
    char path[128];
    snprintf(path, sizeof path, "%s/study.nc", fixture->folder);
    for (int i = 0; i < 3; i++) {
        fixture->cell[i].size.layers = layers[i];
        fixture->cell[i].number = i;
        use_every_quantizer(&fixture->cell[i]);
        record[i] = fixture_record(&fixture->cell[i], 2 * i);
        memcpy(record[i]->training_fraction, fixture->cell[i].evaluate.fraction,
               (size_t)record[i]->checkpoints * sizeof(double));
    }
    assert_ok(err, studyfile_create(err, path, fixture->cell, 3, &file));
    assert_ok(err, studyfile_text(err, file, "study_name", "depths"));
    assert_ok(err, studyfile_define(err, file));
    for (int i = 0; i < 3; i++) {
        assert_ok(err, studyfile_put(err, file, record[i], false));
    }
    assert_ok(err, studyfile_commit(err, file));

    assert_ok(err, studyread_open(err, path, &study));
    assert_int_equal(studyread_cells(study, &cells), 3);
    for (int i = 0; i < 3; i++) {
        struct record *read = NULL;
        assert_int_equal(cells[i].size.layers, layers[i]);
        assert_ok(err, studyread_record(err, study, i, &read));
        fixture_assert_same(&fixture->cell[i], record[i], read);
        record_free(read);
        record_free(record[i]);
        assert_int_equal(cells[i].evaluate.quantizers, fixture->cell[i].evaluate.quantizers);
        for (int q = 0; q < cells[i].evaluate.quantizers; q++) {
            const struct quantizer *got = &cells[i].evaluate.quantizer[q];
            assert_string_equal(got->name, fixture->cell[i].evaluate.quantizer[q].name);
            assert_true(quantizer_same(got, &fixture->cell[i].evaluate.quantizer[q]));
        }
    }
    studyread_close(study);
}

/* Tables ====================================================================================== */

/* A record whose errors are 1 % but for three sites of w4, and whose gptq-w4 failed. */
static struct record *record_create_for(struct cell *cell)
{
    struct record *r = NULL;
    struct error err = {0};
    cell->size.layers = 3;
    cell->evaluate.quantizers = 3;
    cell->evaluate.quantizer[0] = *quantizer_find("w4");
    cell->evaluate.quantizer[1] = *quantizer_find("gptq-w4");
    cell->evaluate.quantizer[2] = *quantizer_find("gptq-w3");
    assert_ok(&err, record_create(&err, cell, &r));
    const int last = cell->evaluate.checkpoints - 1, sites = 3 * RECORD_SITES;
    for (int q = 0; q < 3; q++) {
        const int at = last * 3 + q;
        for (int i = 0; i < sites && q != 1; i++) {
            r->site_error[at * sites + i] = 0.01;
        }
        r->quantizer_outcome[at] = q == 1 ? OUTCOME_NOT_DEFINITE : OUTCOME_MEASURED;
    }
    r->site_error[last * 3 * sites + 6] = 0.0625;
    r->site_error[last * 3 * sites + 11] = 0.25;
    r->site_error[last * 3 * sites + 0] = 0.125;
    for (int i = 0; i < sites; i++) {
        r->gptq_damping[(last * 3 + 2) * sites + i] = (double)(i == 5 ? 0.1f : 0.01f);
    }
    r->kl[last * 3] = 0.00125;
    return r;
}

static char *table_text(const struct cell *cell, const struct record *record, const char *quantizer)
{
    struct error err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(&err, quantizer ? explain_sites_table(&err, out, cell, record, quantizer)
                              : explain_sites_summary(&err, out, cell, record));
    fclose(out);
    return text;
}

static void test_tables(void **state)
{
    struct fixture *fixture = *state;
    struct cell *cell = &fixture->cell[0];
    struct record *record = record_create_for(cell);
    char *text = table_text(cell, record, "w4");
    assert_has(text, "w4: 4-bit weights per output channel, activations full");
    assert_has(text, "#1  25.0");
    assert_has(text, "#1 layer 2 ffn_out: 25.0 %");
    assert_has(text, "#2 layer 0 qkv: 12.5 %");
    assert_has(text, "#3 layer 1 ffn_in: 6.25 %");
    assert_has(text, "KL 0.0012500 nats per token");
    assert_null(strstr(text, "#4"));
    assert_null(strstr(text, "Hessian"));
    free(text);

    text = table_text(cell, record, "gptq-w4");
    assert_has(text, "No results: the Hessian is not positive definite");
    free(text);
    text = table_text(cell, record, "gptq-w3");
    assert_has(text, "Layer 1 attn_out: the Hessian was positive definite only with 0.10 of its");
    assert_null(strstr(text, "Layer 0"));
    free(text);

    text = table_text(cell, record, NULL);
    assert_has(text, "layer 2 ffn_out");
    assert_has(text, "the Hessian is not positive definite");
    free(text);

    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(explain_sites_table(&fixture->err, out, cell, record, "w5"), STATUS_USAGE);
    assert_has(fixture->err.message, "it has w4, gptq-w4, gptq-w3");
    fclose(out);
    record_free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_depths, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_tables, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
