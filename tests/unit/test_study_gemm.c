/* Matrix products against double loops, integer products exactly, and from several threads at once. */
#include "tests/unit/study_fixture.h"

#include <pthread.h>

#include "study/gemm.h"

/* Operands of each precision are numbers of its type; results are those of double loops over the same numbers. */
static void check_float(struct gemm *gemm, enum precision precision, int rows, int in, int out)
{
    struct error err = {0};
    uint64_t seed = (uint64_t)(rows + 100 * in + 10000 * out);
    const struct kernels *k = kernels_get();
    const size_t nx = (size_t)rows * in, nw = (size_t)out * in, ny = (size_t)rows * out;
    float *x = fixture_floats(&seed, nx, 1), *w = fixture_floats(&seed, nw, 1);
    float *dy = fixture_floats(&seed, ny, 1), *y = malloc(ny * sizeof *y);
    float *dx = malloc(nx * sizeof *dx), *dw = malloc(nw * sizeof *dw);
    double *want_y = fixture_doubles(ny), *want_dx = fixture_doubles(nx);
    double *want_dw = fixture_doubles(nw);
    k->round(precision, nx, x, x);
    k->round(precision, nw, w, w);
    k->round(precision, ny, dy, dy);
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                const size_t at_x = (size_t)r * in + i, at_w = (size_t)o * in + i;
                const size_t at_y = (size_t)r * out + o;
                want_y[at_y] += (double)x[at_x] * w[at_w];
                want_dx[at_x] += (double)dy[at_y] * w[at_w];
                want_dw[at_w] += (double)dy[at_y] * x[at_x];
            }
        }
    }
    /* What was there before does not matter. */
    memset(y, 0xff, ny * sizeof *y);
    memset(dx, 0xff, nx * sizeof *dx);
    memset(dw, 0xff, nw * sizeof *dw);
    assert_int_equal(
        gemm_forward(&err, gemm, precision, rows, in, out, operand_full(x), operand_full(w), y),
        STATUS_OK);
    assert_int_equal(gemm_backward(&err, gemm, precision, rows, in, out, operand_full(dy),
                                   operand_full(x), operand_full(w), dw, dx),
                     STATUS_OK);
    fixture_near("y", ny, y, want_y, 1e-5);
    fixture_near("dx", nx, dx, want_dx, 1e-5);
    fixture_near("dw", nw, dw, want_dw, 1e-5);
    free(x), free(w), free(dy), free(y), free(dx), free(dw);
    free(want_y), free(want_dx), free(want_dw);
}

/* Capacity for `largest` elements of an operand, and no more. */
static struct gemm *create(size_t x_elements, size_t w_elements)
{
    struct error err = {0};
    struct gemm *gemm = NULL;
    assert_int_equal(gemm_create(&err, x_elements, w_elements, &gemm), STATUS_OK);
    return gemm;
}

static const int shapes[][3] = {{1, 1, 1},    {1, 7, 5},     {3, 1, 9},     {5, 16, 1},
                                {16, 16, 16}, {17, 33, 47},  {64, 96, 288}, {128, 64, 256},
                                {31, 255, 2}, {96, 384, 96}, {2, 1000, 3}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void test_float(void **state)
{
    (void)state;
    for (int p = 0; p < 3; p++) {
        for (size_t i = 0; i < SHAPES; i++) {
            const size_t rows = shapes[i][0], in = shapes[i][1], out = shapes[i][2];
            struct gemm *gemm = create(rows * (in > out ? in : out), in * out);
            check_float(gemm, fixture_precision[p], shapes[i][0], shapes[i][1], shapes[i][2]);
            gemm_free(gemm);
        }
    }
    gemm_free(NULL);
}

/* One object for many shapes, more than it keeps prepared, and again the first ones. */
static void test_many_shapes(void **state)
{
    (void)state;
    struct gemm *gemm = create(64 * 64, 64 * 64);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= 50; i++) {
            check_float(gemm, fixture_precision[i % 3], 1 + i % 7, i, 51 - i);
        }
    }
    gemm_free(gemm);
}

/* bf16 without bf16 instructions: the same products in fp32. */
static void test_bf16_emulated(void **state)
{
    (void)state;
    assert_int_equal(setenv("PTQSCALE_BF16", "emulated", 1), 0);
    assert_false(gemm_bf16_native());
    assert_null(strstr(gemm_name(), "bf16 native"));
    struct gemm *gemm = create(64 * 256, 256 * 64);
    check_float(gemm, PRECISION_BF16, 64, 64, 256);
    check_float(gemm, PRECISION_BF16, 17, 33, 47);
    gemm_free(gemm);
    assert_int_equal(unsetenv("PTQSCALE_BF16"), 0);
}

/* Numbers of a half type multiply exactly and add up in fp32: sums that fp32 holds have no error at all. */
static void test_half_operands(void **state)
{
    (void)state;
    enum { ROWS = 9, IN = 32, OUT = 7 };
    struct error err = {0};
    struct gemm *gemm = create(ROWS * IN, IN * OUT);
    uint64_t seed = 5;
    for (int p = 1; p < 3; p++) {
        const int most = p == 1 ? 255 : 511; /* 8 and 9 bits: sums stay below 2^24 units */
        float x[ROWS * IN], w[OUT * IN], y[ROWS * OUT];
        for (int i = 0; i < ROWS * IN; i++) {
            x[i] = (float)((int)(fixture_bits(&seed) % (2 * most + 1)) - most) * 0x1p-9f;
        }
        for (int i = 0; i < OUT * IN; i++) {
            w[i] = (float)((int)(fixture_bits(&seed) % (2 * most + 1)) - most) * 0x1p-3f;
        }
        assert_int_equal(gemm_forward(&err, gemm, fixture_precision[p], ROWS, IN, OUT,
                                      operand_full(x), operand_full(w), y),
                         STATUS_OK);
        for (int r = 0; r < ROWS; r++) {
            for (int o = 0; o < OUT; o++) {
                double sum = 0;
                for (int i = 0; i < IN; i++) {
                    sum += (double)x[r * IN + i] * w[o * IN + i];
                }
                assert_true(y[r * OUT + o] == sum);
            }
        }
    }
    gemm_free(gemm);
}

/* Infinity and NaN in an operand do not get lost: overflow must reach the loss. */
static void test_not_finite(void **state)
{
    (void)state;
    enum { ROWS = 4, IN = 16, OUT = 8 };
    struct error err = {0};
    struct gemm *gemm = create(ROWS * IN, IN * OUT);
    for (int p = 0; p < 3; p++) {
        float x[ROWS * IN], w[OUT * IN], y[ROWS * OUT];
        for (int i = 0; i < ROWS * IN; i++) {
            x[i] = 1;
        }
        for (int i = 0; i < OUT * IN; i++) {
            w[i] = 1;
        }
        x[IN + 3] = INFINITY;
        x[2 * IN + 5] = NAN;
        assert_int_equal(gemm_forward(&err, gemm, fixture_precision[p], ROWS, IN, OUT,
                                      operand_full(x), operand_full(w), y),
                         STATUS_OK);
        for (int o = 0; o < OUT; o++) {
            assert_true(y[o] == IN && isinf(y[OUT + o]) && isnan(y[2 * OUT + o]));
        }
    }
    gemm_free(gemm);
}

/* Integers ==================================================================================== */

enum filling { RANDOM, HIGHEST, OPPOSITE, ALTERNATING, FILLINGS };

static void fill(uint64_t *seed, enum filling filling, int second, size_t n, int8_t *codes)
{
    for (size_t i = 0; i < n; i++) {
        const int random = (int)(fixture_bits(seed) % 255) - 127;
        codes[i] = (int8_t)(filling == RANDOM     ? random
                            : filling == HIGHEST  ? 127
                            : filling == OPPOSITE ? (second ? -127 : 127)
                            : i % 2               ? 127
                                                  : -127);
    }
}

static void check_integer(int rows, int in, int out, enum filling filling)
{
    struct error err = {0};
    uint64_t seed = (uint64_t)(rows + in + out);
    const size_t nx = (size_t)rows * in, nw = (size_t)out * in, ny = (size_t)rows * out;
    int8_t *x = calloc(nx, 1), *w = calloc(nw, 1);
    int32_t *y = malloc(ny * sizeof *y), *portable = malloc(ny * sizeof *y);
    fill(&seed, filling, 0, nx, x);
    fill(&seed, filling, 1, nw, w);
    memset(y, 0xff, ny * sizeof *y);
    memset(portable, 0xff, ny * sizeof *y);
    assert_int_equal(gemm_int8(&err, rows, in, out, x, w, y), STATUS_OK);
    assert_int_equal(gemm_int8_portable(&err, rows, in, out, x, w, portable), STATUS_OK);
    assert_memory_equal(y, portable, ny * sizeof *y);
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
            int64_t sum = 0;
            for (int i = 0; i < in; i++) {
                sum += (int64_t)x[(size_t)r * in + i] * w[(size_t)o * in + i];
            }
            if (y[(size_t)r * out + o] != sum) {
                fail_msg("%d×%d×%d: %d, not %lld", rows, in, out, (int)y[(size_t)r * out + o],
                         (long long)sum);
            }
        }
    }
    free(x), free(w), free(y), free(portable);
}

static void test_integer(void **state)
{
    (void)state;
    static const int ins[] = {1, 31, 64, 1023, 1024, 1025, 1501, 2047, 4096};
    for (size_t i = 0; i < sizeof ins / sizeof ins[0]; i++) {
        for (int f = 0; f < FILLINGS; f++) {
            check_integer(1, ins[i], 1, (enum filling)f);
            check_integer(5, ins[i], 3, (enum filling)f);
            check_integer(32, ins[i], 33, (enum filling)f);
        }
    }
    print_message("int8 instructions: %s\n", gemm_int8_native() ? "yes" : "no");
}

/* The longest sum that the interface allows: 133,000 · 127² is just below 2^31. */
static void test_integer_longest(void **state)
{
    (void)state;
    for (int f = 0; f < FILLINGS; f++) {
        check_integer(2, 133000, 2, (enum filling)f);
    }
}

/* Threads ===================================================================================== */

enum { ROWS = 64, IN = 96, OUT = 80, THREADS = 4, ROUNDS = 20 };

struct products {
    const float *x, *w, *dy; /* bf16 numbers */
    const int8_t *codes_x, *codes_w;
    float y[3][ROWS * OUT], dx[3][ROWS * IN], dw[3][OUT * IN];
    int32_t integer[ROWS * OUT];
    int status;
};

static void *multiply(void *context)
{
    struct products *p = context;
    struct error err = {0};
    struct gemm *gemm = NULL;
    p->status = gemm_create(&err, ROWS * IN, IN * OUT, &gemm);
    for (int i = 0; i < ROUNDS && p->status == STATUS_OK; i++) {
        for (int t = 0; t < 3; t++) {
            const enum precision precision = fixture_precision[t];
            p->status |= gemm_forward(&err, gemm, precision, ROWS, IN, OUT, operand_full(p->x),
                                      operand_full(p->w), p->y[t]);
            p->status |= gemm_backward(&err, gemm, precision, ROWS, IN, OUT, operand_full(p->dy),
                                       operand_full(p->x), operand_full(p->w), p->dw[t], p->dx[t]);
        }
        p->status |= gemm_int8(&err, ROWS, IN, OUT, p->codes_x, p->codes_w, p->integer);
    }
    gemm_free(gemm);
    return NULL;
}

/* Products of several threads at once have the bits of the main thread's. */
static void test_threads(void **state)
{
    (void)state;
    uint64_t seed = 8;
    float *x = fixture_floats(&seed, ROWS * IN, 1), *w = fixture_floats(&seed, OUT * IN, 1);
    float *dy = fixture_floats(&seed, ROWS * OUT, 1);
    int8_t codes_x[ROWS * IN], codes_w[OUT * IN];
    const struct kernels *k = kernels_get();
    k->round(PRECISION_BF16, ROWS * IN, x, x);
    k->round(PRECISION_BF16, OUT * IN, w, w);
    k->round(PRECISION_BF16, ROWS * OUT, dy, dy);
    fill(&seed, RANDOM, 0, sizeof codes_x, codes_x);
    fill(&seed, RANDOM, 0, sizeof codes_w, codes_w);
    struct products *p = calloc(THREADS + 1, sizeof *p);
    pthread_t thread[THREADS];
    for (int i = 0; i <= THREADS; i++) {
        p[i].x = x;
        p[i].w = w;
        p[i].dy = dy;
        p[i].codes_x = codes_x;
        p[i].codes_w = codes_w;
    }
    multiply(&p[THREADS]);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, multiply, &p[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(p[i].status, 0);
        assert_memory_equal(p[i].y, p[THREADS].y, sizeof p[i].y);
        assert_memory_equal(p[i].dx, p[THREADS].dx, sizeof p[i].dx);
        assert_memory_equal(p[i].dw, p[THREADS].dw, sizeof p[i].dw);
        assert_memory_equal(p[i].integer, p[THREADS].integer, sizeof p[i].integer);
    }
    free(x), free(w), free(dy), free(p);
}

static void test_name(void **state)
{
    (void)state;
    assert_true(strlen(gemm_name()) > 0 && strcmp(gemm_name(), "other") != 0);
    assert_int_equal(strstr(gemm_name(), "bf16 native") != NULL, gemm_bf16_native());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),
        cmocka_unit_test(test_many_shapes),
        cmocka_unit_test(test_bf16_emulated),
        cmocka_unit_test(test_half_operands),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_integer),
        cmocka_unit_test(test_integer_longest),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
