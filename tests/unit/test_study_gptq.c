/* GPTQ against a plain dense implementation, on trained layers against rounding to nearest, and where it cannot be done. */
#include "tests/unit/study_run.h"

#include "study/evaluate.h"
#include "study/quantize.h"
#include "study/quantizers/parts.h"

/* Plain GPTQ ================================================================================== */

/* a (n, n) → its inverse, by Gauss–Jordan. */
static void invert(int n, long double *a)
{
    long double *b = calloc((size_t)n * n, sizeof *b);
    for (int i = 0; i < n; i++) {
        b[i * n + i] = 1;
    }
    for (int p = 0; p < n; p++) {
        const long double pivot = a[p * n + p];
        for (int j = 0; j < n; j++) {
            a[p * n + j] /= pivot;
            b[p * n + j] /= pivot;
        }
        for (int i = 0; i < n; i++) {
            const long double factor = i == p ? 0 : a[i * n + p];
            for (int j = 0; j < n && factor != 0; j++) {
                a[i * n + j] -= factor * a[p * n + j];
                b[i * n + j] -= factor * b[p * n + j];
            }
        }
    }
    memcpy(a, b, (size_t)n * n * sizeof *a);
    free(b);
}

/*
 * Optimal brain quantization in natural order, by its definition: after input j is rounded, the others take up its error along
 * row j of the inverse Hessian of the inputs that are left, from which j is then eliminated. `near`: how near to a tie the nearest
 * rounding came, in steps.
 */
static void plain_gptq(const struct rounding *r, const long double *hessian, int8_t *codes,
                       float *scale, double *near)
{
    const int n = r->in;
    long double *inverse = malloc((size_t)n * n * sizeof *inverse);
    long double *w = malloc((size_t)r->out * n * sizeof *w);
    memcpy(inverse, hessian, (size_t)n * n * sizeof *inverse);
    invert(n, inverse);
    for (int i = 0; i < r->out * n; i++) {
        w[i] = r->w[i];
    }
    *near = 1;
    for (int j = 0; j < n; j++) {
        for (int o = 0; o < r->out; o++) {
            long double *row = w + o * n;
            float *s = &scale[o * r->groups + j / r->group];
            if (j % r->group == 0) {
                float most = 0;
                for (int i = j; i < n && i < j + r->group; i++) {
                    most = fmaxf(most, fabsf((float)row[i]));
                }
                *s = most / (float)((1 << (r->bits - 1)) - 1);
            }
            const int limit = (1 << (r->bits - 1)) - 1;
            const int code = fixture_quantize((float)row[j], *s, limit);
            const double steps = *s == 0 ? 0 : fabs((double)row[j] / *s);
            const double tie = fabs(steps - floor(steps) - 0.5);
            *near = steps < limit && tie < *near ? tie : *near;
            codes[o * n + j] = (int8_t)code;
            const long double error =
                (row[j] - (long double)((float)code * *s)) / inverse[j * n + j];
            for (int k = j + 1; k < n; k++) {
                row[k] -= error * inverse[j * n + k];
            }
        }
        for (int a = j + 1; a < n; a++) {
            const long double factor = inverse[a * n + j] / inverse[j * n + j];
            for (int b = j + 1; b < n; b++) {
                inverse[a * n + b] -= factor * inverse[j * n + b];
            }
        }
    }
    free(inverse), free(w);
}

struct problem {
    int rows, in, out;
    float *x, *w;
};

/* Inputs that go together, as real ones do; `dead`: one that is always 0. */
static struct problem problem_create(uint64_t seed, int rows, int in, int out, bool dead)
{
    struct problem p = {rows, in, out, fixture_floats(&seed, (size_t)rows * in, 1),
                        fixture_floats(&seed, (size_t)out * in, 0.1f)};
    for (int r = 0; r < rows; r++) {
        for (int i = 1; i < in; i++) {
            p.x[r * in + i] = 0.7f * p.x[r * in + i - 1] + 0.5f * p.x[r * in + i];
        }
        for (int i = 0; i < in; i++) {
            p.x[r * in + i] *= i % 7 == 2 ? 5 : 1;
            p.x[r * in + i] = dead && i == in / 2 ? 0 : p.x[r * in + i];
        }
    }
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->x), free(p->w);
}

/* ‖X Wᵀ − X Ŵᵀ‖² */
static double output_error(const struct problem *p, const struct rounding *r)
{
    double error = 0;
    for (int o = 0; o < p->out; o++) {
        for (int t = 0; t < p->rows; t++) {
            double y = 0;
            for (int i = 0; i < p->in; i++) {
                const int at = o * p->in + i;
                const double q = (double)r->codes[at] * r->scale[o * r->groups + i / r->group];
                y += (p->w[at] - q) * p->x[t * p->in + i];
            }
            error += y * y;
        }
    }
    return error;
}

static void check_gptq(uint64_t seed, int rows, int in, int out, int bits, int group, bool dead)
{
    struct error err = {0};
    struct team alone = team_alone();
    const struct algebra algebra = algebra_lapack(&alone);
    struct problem p = problem_create(seed, rows, in, out, dead);
    struct gram *gram;
    group = group == 0 || group > in ? in : group;
    struct rounding r = {.kernels = kernels_get(),
                         .format = &format_int,
                         .bits = bits,
                         .in = in,
                         .out = out,
                         .group = group,
                         .groups = (in + group - 1) / group,
                         .w = p.w,
                         .codes = malloc((size_t)out * in),
                         .scale = malloc(sizeof(float) * out * in)};
    int8_t *codes = malloc((size_t)out * in);
    float *scale = malloc(sizeof(float) * out * in);
    long double *hessian = calloc((size_t)in * in, sizeof *hessian), mean = 0;
    double damping, near;
    assert_int_equal(algebra.gram_create(&err, algebra.state, in, &gram), STATUS_OK);
    assert_int_equal(algebra.gram_add(&err, gram, 2, rows, p.x), STATUS_OK);
    for (int t = 0; t < rows; t++) {
        for (int i = 0; i < in * in; i++) {
            hessian[i] += 2 * (long double)p.x[t * in + i / in] * p.x[t * in + i % in];
        }
    }
    for (int i = 0; i < in; i++) {
        mean += hessian[i * in + i] / in;
    }
    for (int i = 0; i < in; i++) {
        hessian[i * in + i] += hessian[i * in + i] == 0 ? 1 : mean / 100;
    }
    plain_gptq(&r, hessian, codes, scale, &near);
    assert_int_equal(round_gptq(&err, &algebra, gram, &r, &damping), STATUS_OK);
    assert_true(damping == 0.01);
    int different = 0;
    for (int i = 0; i < in * out; i++) {
        different += r.codes[i] != codes[i];
    }
    for (int i = 0; i < out * r.groups; i++) {
        if (different == 0 && !(fabsf(r.scale[i] - scale[i]) <= 1e-5f * scale[i])) {
            fail_msg("%d x %d, groups of %d: scale %d is %.9g, not %.9g", out, in, group, i,
                     r.scale[i], scale[i]);
        }
    }
    if (different > 0 && near > 1e-6) {
        fail_msg(
            "%d x %d, %d bits, groups of %d: %d codes differ, and the nearest tie is %.3g away",
            out, in, bits, group, different, near);
    }
    const double error = output_error(&p, &r);
    round_nearest(&r);
    const double nearest = output_error(&p, &r);
    if (in > 3 && !(error < nearest)) {
        fail_msg("%d x %d, %d bits: error %.4g, of rounding to nearest %.4g", out, in, bits, error,
                 nearest);
    }
    algebra.gram_free(gram);
    free(r.codes), free(r.scale), free(codes), free(scale), free(hessian);
    problem_free(&p);
}

static void test_dense(void **state)
{
    (void)state;
    static const struct {
        int rows, in, out, bits, group;
        bool dead;
    } cases[] = {
        {40, 1, 3, 4, 0, false},    {40, 3, 5, 3, 0, false},      {200, 24, 16, 4, 0, false},
        {200, 24, 16, 3, 8, false}, {300, 63, 20, 4, 0, false},   {300, 64, 20, 4, 32, false},
        {300, 65, 9, 3, 0, true},   {300, 100, 8, 4, 32, true},   {50, 100, 8, 4, 0, false},
        {400, 130, 6, 3, 48, true}, {400, 150, 6, 3, 70, false},  {400, 99, 6, 4, 5, true},
        {400, 129, 6, 2, 0, false}, {400, 96, 12, 8, 128, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_gptq(i, cases[i].rows, cases[i].in, cases[i].out, cases[i].bits, cases[i].group,
                   cases[i].dead);
    }
}

/* Trained layers ============================================================================== */

static int column(const struct cell *cell, const char *name)
{
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        if (strcmp(cell->evaluate.quantizer[q].name, name) == 0) {
            return q;
        }
    }
    fail_msg("no quantizer %s", name);
    return -1;
}

static const double *errors_of(const struct run_shared *s, int run, const char *name)
{
    const struct record *r = s->run[run].record;
    const int sites = s->cell[run].size.layers * SITES;
    return r->site_error +
           ((CHECKPOINTS - 1) * r->quantizers + column(&s->cell[run], name)) * sites;
}

/* Σ of squared relative errors over the sites of a trained model. */
static void test_trained(void **state)
{
    const struct run_shared *s = *state;
    static const char *const pairs[][2] = {
        {"gptq-w4", "w4"}, {"gptq-w3", "w3"}, {"gptq-w4g32", "w4g32"}};
    for (int run = 0; run < 2; run++) {
        const int sites = s->cell[run].size.layers * SITES;
        for (int k = 0; k < 3; k++) {
            const double *gptq = errors_of(s, run, pairs[k][0]);
            const double *nearest = errors_of(s, run, pairs[k][1]);
            double sum[2] = {0};
            for (int i = 0; i < sites; i++) {
                assert_true(gptq[i] > 0 && nearest[i] > 0);
                sum[0] += gptq[i] * gptq[i];
                sum[1] += nearest[i] * nearest[i];
                if (gptq[i] >= nearest[i]) {
                    print_message("  exception: %s, layer %d, %s: %.4f, %s %.4f\n", pairs[k][0],
                                  i / SITES, record_site_name(i % SITES), gptq[i], pairs[k][1],
                                  nearest[i]);
                }
            }
            print_message("%s: %.4f of %s's squared error over %d trained sites\n", pairs[k][0],
                          sum[0] / sum[1], pairs[k][1], sites);
            assert_true(sum[0] < 0.9 * sum[1]);
        }
    }
}

/* What the record says: each quantizer measured, GPTQ with the first damping, the others with none. */
static void test_record(void **state)
{
    const struct run_shared *s = *state;
    const struct record *r = s->run[0].record;
    const int sites = s->cell[0].size.layers * SITES;
    for (int c = 0; c < CHECKPOINTS; c++) {
        for (int q = 0; q < r->quantizers; q++) {
            const int at = c * r->quantizers + q;
            const struct quantizer *quantizer = &s->cell[0].evaluate.quantizer[q];
            const bool there = c + 1 == CHECKPOINTS || q < EVERY;
            assert_true(there ? r->quantizer_outcome[at] == OUTCOME_MEASURED
                              : isnan(r->quantizer_outcome[at]));
            for (int i = 0; i < sites; i++) {
                const double error = r->site_error[at * sites + i];
                const double damping = r->gptq_damping[at * sites + i];
                assert_true(there ? error > 0 && error < 1 : isnan(error));
                assert_true(there && quantizer->method == METHOD_GPTQ ? damping == 0.01
                                                                      : isnan(damping));
            }
        }
    }
}

/* The error of a site, plainly, for a quantizer whose inputs stay full. */
struct plain_error {
    const struct quantized_site *site;
    const float *w;
    int layer, out;
    enum site which;
    double difference, norm;
};

static void see_error(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct plain_error *e = context;
    for (int r = 0; layer == e->layer && site == e->which && r < rows; r++) {
        for (int o = 0; o < e->out; o++) {
            double y = 0, q = 0;
            for (int i = 0; i < in; i++) {
                y += (double)x[r * in + i] * e->w[o * in + i];
                q += (double)x[r * in + i] * e->site->codes[o * in + i] * e->site->scale[o];
            }
            e->norm += y * y;
            e->difference += (y - q) * (y - q);
        }
    }
}

/* Teams ======================================================================================= */

struct errors_of_team {
    const struct run_shared *s;
    const float *master;
    struct error err;
    int status;
    double error[2][8];
    double damping[8];
};

enum { GPTQ_W3, W3 };

static void find_errors(struct team *team, void *context)
{
    struct errors_of_team *e = context;
    const struct cell *cell = &e->s->cell[0];
    const struct quantizer *const quantizer[2] = {quantizer_find("gptq-w3"), quantizer_find("w3")};
    struct quantized *quantized[2] = {NULL, NULL};
    struct layout *layout = NULL;
    struct model *model = NULL;
    struct parameters flat;
    struct calibration_source source = {.team = team,
                                        .corpus = e->s->corpus,
                                        .parameters = &flat,
                                        .windows = 7,
                                        .micro_batch = 2,
                                        .seed = 31};
    int status = STATUS_OK;
    TRY(layout_create(&e->err, &cell->size, &cell->model, &layout));
    TRY(model_create(&e->err, layout, 2, false, &model));
    source.model = model;
    flat = parameters_flat(layout, e->master);
    TRY(quantized_create_all(&e->err, &source, 2, quantizer, quantized));
    TRY(quantized_errors(&e->err, &source, 2, quantized, e->error[0]));
    memcpy(e->damping, quantized_damping(quantized[GPTQ_W3]), sizeof e->damping);
    if (team->size == 1) { /* one site by hand */
        struct plain_error plain = {.site = &quantized_sites(quantized[W3])[6],
                                    .w = layout_of(layout, layout->block[1].weight[2], e->master),
                                    .layer = 1,
                                    .which = SITE_FFN_IN,
                                    .out = layout->out[SITE_FFN_IN]};
        TRY(calibration_windows(&e->err, &source, true, see_error, &plain));
        const double want = sqrt(plain.difference / plain.norm);
        CHECK(&e->err, fabs(e->error[W3][6] / want - 1) < 1e-5, STATUS_FAILED, "%g is not %g",
              e->error[W3][6], want);
    }
cleanup:
    quantized_free(quantized[0]);
    quantized_free(quantized[1]);
    model_free(model);
    layout_free(layout);
    e->status = status;
}

/* Any number of ranks: the same errors; GPTQ's up to a rounding tie. */
static void test_teams(void **state)
{
    const struct run_shared *s = *state;
    struct layout *layout;
    struct errors_of_team first = {0};
    assert_int_equal(layout_create(NULL, &s->cell[0].size, &s->cell[0].model, &layout), STATUS_OK);
    float *master = malloc(layout->length * sizeof *master);
    layout_initialize(layout, 7, master);
    for (int size = 1; size <= 4; size *= 2) {
        struct errors_of_team e[4] = {0};
        for (int r = 0; r < size; r++) {
            e[r].s = s;
            e[r].master = master;
        }
        team_run(size, 0, find_errors, e, sizeof e[0]);
        first = size == 1 ? e[0] : first;
        for (int r = 0; r < size; r++) {
            if (e[r].status != STATUS_OK) {
                fail_msg("%s", e[r].err.message);
            }
            assert_memory_equal(e[r].error[W3], first.error[W3], sizeof first.error[W3]);
            for (int i = 0; i < 8; i++) {
                assert_true(fabs(e[r].error[GPTQ_W3][i] / first.error[GPTQ_W3][i] - 1) < 1e-3);
                assert_true(e[r].damping[i] == 0.01);
            }
        }
    }
    free(master);
    layout_free(layout);
}

/* Failures ==================================================================================== */

/* LAPACK that calls the first `refusals` matrices of every Gram matrix's size `n` indefinite. */
struct refusing {
    struct team *team;
    int n, refusals, asked;
};

static struct algebra real;

static int refusing_create(struct error *err, void *state, int n, struct gram **gram)
{
    return real.gram_create(err, ((struct refusing *)state)->team, n, gram);
}

static struct refusing refusing;

static int refusing_factor(struct error *err, struct gram *gram, const double *shift,
                           bool *definite)
{
    if (refusing.asked++ < refusing.refusals) {
        *definite = false;
        return STATUS_OK;
    }
    return real.gram_inverse_factor(err, gram, shift, definite);
}

static void check_refusals(const struct run_shared *s, int refusals)
{
    struct error err = {0};
    struct team alone = team_alone();
    struct cell cell = s->cell[0];
    struct layout *layout;
    struct model *model;
    struct record *r;
    real = algebra_lapack(&alone);
    refusing = (struct refusing){.team = &alone, .refusals = refusals};
    struct algebra algebra = real;
    algebra.state = &refusing;
    algebra.gram_create = refusing_create;
    algebra.gram_inverse_factor = refusing_factor;
    alone.algebra = &algebra;
    cell.evaluate.quantizers = 2;
    cell.evaluate.quantizer[0] = *quantizer_find("gptq-w4");
    cell.evaluate.quantizer[1] = *quantizer_find("w4");
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, 2, false, &model), STATUS_OK);
    assert_int_equal(record_create(&err, &cell, &r), STATUS_OK);
    float *p = malloc(layout->length * sizeof *p);
    layout_initialize(layout, 3, p);
    struct parameters flat = parameters_flat(layout, p);
    assert_int_equal(
        evaluate(&err, &alone, s->corpus, &cell, model, &flat, CHECKPOINTS - 1, NULL, NULL, r),
        STATUS_OK);
    const int at = (CHECKPOINTS - 1) * 2;
    const double *damping = r->gptq_damping + at * cell.size.layers * SITES;
    assert_true(r->quantizer_outcome[at + 1] == OUTCOME_MEASURED && r->kl[at + 1] > 0);
    if (refusals < GPTQ_DAMPINGS) {
        assert_true(r->quantizer_outcome[at] == OUTCOME_MEASURED && r->kl[at] > 0);
        assert_true(damping[0] == gptq_damping(refusals) && damping[1] == 0.01);
    } else { /* the quantizer has no results; the cell has its others */
        assert_true(r->quantizer_outcome[at] == OUTCOME_NOT_DEFINITE);
        assert_true(isnan(r->kl[at]) && isnan(r->quantized_loss[at]) && isnan(damping[0]));
        assert_true(isnan(r->window_kl[at * WINDOWS]) && isnan(r->top1_agreement[at]));
        assert_true(isnan(r->site_error[at * cell.size.layers * SITES]));
        assert_string_equal(record_outcome_name(r->quantizer_outcome[at]),
                            "the Hessian is not positive definite");
    }
    free(p);
    record_free(r);
    model_free(model);
    layout_free(layout);
}

static void test_not_definite(void **state)
{
    for (int refusals = 0; refusals <= GPTQ_DAMPINGS; refusals++) {
        check_refusals(*state, refusals);
    }
    assert_true(gptq_damping(0) == 0.01 && gptq_damping(1) == 0.1 && gptq_damping(3) == 10);
}

/* A team without algebra: a message that says so. */
static void test_without_algebra(void **state)
{
    const struct run_shared *s = *state;
    struct error err = {0};
    struct team alone = team_alone();
    struct record *record = NULL;
    struct cell cell = s->cell[0];
    cell.evaluate.quantizers = 1;
    cell.evaluate.quantizer[0] = *quantizer_find("gptq-w4");
    assert_int_equal(run_cell(&err, &alone, s->corpus, &cell, NULL, NULL, NULL, &record),
                     STATUS_FAILED);
    assert_null(record);
    assert_non_null(strstr(err.message, "GPTQ needs dense algebra"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),        cmocka_unit_test(test_trained),
        cmocka_unit_test(test_record),       cmocka_unit_test(test_teams),
        cmocka_unit_test(test_not_definite), cmocka_unit_test(test_without_algebra),
    };
    return cmocka_run_group_tests(tests, run_set_up, run_tear_down);
}
