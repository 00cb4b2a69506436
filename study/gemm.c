#include "study/gemm.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "study/kernels.h"

enum { SHAPES = 128 }; /* prepared products; past that the oldest makes room */

/* C (m, n) = A·B, where A (m, k) or B (k, n) may be stored transposed. */
struct shape {
    bool bf16, transpose_a, transpose_b;
    int m, n, k;
};

struct prepared {
    struct shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c;
};

struct gemm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    const struct kernels *kernels;
    int count, oldest;
    struct prepared prepared[SHAPES];
    uint16_t *half[2]; /* operands as bf16 */
};

#define LIBRARY(err, call)                                                                         \
    do {                                                                                           \
        dnnl_status_t result_ = (call);                                                            \
        CHECK((err), result_ == dnnl_success, STATUS_FAILED, "matmul: oneDNN failed: %s",          \
              dnnl_status2str(result_));                                                           \
    } while (0)

int gemm_create(struct error *err, size_t x_elements, size_t w_elements, struct gemm **gemm)
{
    int status = STATUS_OK;
    /* Of a weight gradient both operands are activations. */
    const size_t second = x_elements > w_elements ? x_elements : w_elements;
    struct gemm *g = calloc(1, sizeof *g);
    CHECK(err, g, STATUS_FAILED, "out of memory");
    g->kernels = kernels_get();
    if (gemm_bf16_native()) {
        g->half[0] = malloc(x_elements * sizeof *g->half[0]);
        g->half[1] = malloc(second * sizeof *g->half[1]);
        CHECK(err, g->half[0] && g->half[1], STATUS_FAILED, "out of memory for matmul operands");
    }
    LIBRARY(err, dnnl_engine_create(&g->engine, dnnl_cpu, 0));
    LIBRARY(err, dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags));
    *gemm = g;
    g = NULL;
cleanup:
    gemm_free(g);
    return status;
}

static void prepared_free(struct prepared *p)
{
    dnnl_primitive_destroy(p->primitive);
    dnnl_memory_destroy(p->a);
    dnnl_memory_destroy(p->b);
    dnnl_memory_destroy(p->c);
    memset(p, 0, sizeof *p);
}

void gemm_free(struct gemm *gemm)
{
    if (gemm) {
        for (int i = 0; i < gemm->count; i++) {
            prepared_free(&gemm->prepared[i]);
        }
        dnnl_stream_destroy(gemm->stream);
        dnnl_engine_destroy(gemm->engine);
        free(gemm->half[0]);
        free(gemm->half[1]);
        free(gemm);
    }
}

static int prepare(struct error *err, struct gemm *g, const struct shape *s, struct prepared *p)
{
    int status = STATUS_OK;
    const dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t a = {s->m, s->k}, b = {s->k, s->n}, c = {s->m, s->n};
    const dnnl_dims_t a_strides = {s->transpose_a ? 1 : s->k, s->transpose_a ? s->m : 1};
    const dnnl_dims_t b_strides = {s->transpose_b ? 1 : s->n, s->transpose_b ? s->k : 1};
    const dnnl_dims_t c_strides = {s->n, 1};
    dnnl_memory_desc_t a_desc, b_desc, c_desc;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t primitive_desc = NULL;

    memset(p, 0, sizeof *p);
    LIBRARY(err, dnnl_memory_desc_init_by_strides(&a_desc, 2, a, type, a_strides));
    LIBRARY(err, dnnl_memory_desc_init_by_strides(&b_desc, 2, b, type, b_strides));
    LIBRARY(err, dnnl_memory_desc_init_by_strides(&c_desc, 2, c, dnnl_f32, c_strides));
    LIBRARY(err, dnnl_matmul_desc_init(&desc, &a_desc, &b_desc, NULL, &c_desc));
    LIBRARY(err, dnnl_primitive_desc_create(&primitive_desc, &desc, NULL, g->engine, NULL));
    LIBRARY(err, dnnl_primitive_create(&p->primitive, primitive_desc));
    LIBRARY(err, dnnl_memory_create(&p->a, &a_desc, g->engine, DNNL_MEMORY_NONE));
    LIBRARY(err, dnnl_memory_create(&p->b, &b_desc, g->engine, DNNL_MEMORY_NONE));
    LIBRARY(err, dnnl_memory_create(&p->c, &c_desc, g->engine, DNNL_MEMORY_NONE));
    p->shape = *s;
cleanup:
    dnnl_primitive_desc_destroy(primitive_desc);
    if (status != STATUS_OK) {
        prepared_free(p);
    }
    return status;
}

static bool same_shape(const struct shape *a, const struct shape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->bf16 == b->bf16;
}

static int find(struct error *err, struct gemm *g, const struct shape *s, struct prepared **found)
{
    int status = STATUS_OK;
    struct prepared fresh;
    for (int i = 0; i < g->count; i++) {
        if (same_shape(&g->prepared[i].shape, s)) {
            *found = &g->prepared[i];
            return STATUS_OK;
        }
    }
    TRY(prepare(err, g, s, &fresh));
    if (g->count < SHAPES) {
        *found = &g->prepared[g->count++];
    } else {
        *found = &g->prepared[g->oldest];
        prepared_free(*found);
        g->oldest = (g->oldest + 1) % SHAPES;
    }
    **found = fresh;
cleanup:
    return status;
}

/* An operand as the matmul wants it: as it is, or packed to bf16 in buffer `which`. */
static const void *operand(struct gemm *g, bool bf16, size_t n, struct operand x, int which)
{
    if (!bf16) {
        return x.full;
    }
    if (x.packed == NULL) {
        g->kernels->pack_bf16(n, x.full, g->half[which]);
        return g->half[which];
    }
    return x.packed;
}

static int multiply(struct error *err, struct gemm *g, const struct shape *shape, const void *a,
                    const void *b, float *c)
{
    int status = STATUS_OK;
    struct prepared *p;
    TRY(find(err, g, shape, &p));
    LIBRARY(err, dnnl_memory_set_data_handle(p->a, (void *)a));
    LIBRARY(err, dnnl_memory_set_data_handle(p->b, (void *)b));
    LIBRARY(err, dnnl_memory_set_data_handle(p->c, c));
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, p->a}, {DNNL_ARG_WEIGHTS, p->b}, {DNNL_ARG_DST, p->c}};
    LIBRARY(err, dnnl_primitive_execute(p->primitive, g->stream, 3, arguments));
    LIBRARY(err, dnnl_stream_wait(g->stream));
cleanup:
    return status;
}

bool gemm_takes_packed(const struct gemm *gemm, enum precision precision)
{
    return precision == PRECISION_BF16 && gemm->half[0] != NULL;
}

int gemm_forward(struct error *err, struct gemm *gemm, enum precision precision, int rows, int in,
                 int out, struct operand x, struct operand w, float *y)
{
    const bool bf16 = gemm_takes_packed(gemm, precision);
    const struct shape s = {.bf16 = bf16, .m = rows, .n = out, .k = in, .transpose_b = true};
    return multiply(err, gemm, &s, operand(gemm, bf16, (size_t)rows * in, x, 0),
                    operand(gemm, bf16, (size_t)out * in, w, 1), y);
}

int gemm_backward(struct error *err, struct gemm *gemm, enum precision precision, int rows, int in,
                  int out, struct operand dy, struct operand x, struct operand w, float *dw,
                  float *dx)
{
    int status = STATUS_OK;
    const bool bf16 = gemm_takes_packed(gemm, precision);
    const struct shape weight = {.bf16 = bf16, .m = out, .n = in, .k = rows, .transpose_a = true};
    const struct shape input = {.bf16 = bf16, .m = rows, .n = in, .k = out};
    const void *upstream = operand(gemm, bf16, (size_t)rows * out, dy, 0);
    TRY(multiply(err, gemm, &weight, upstream, operand(gemm, bf16, (size_t)rows * in, x, 1), dw));
    TRY(multiply(err, gemm, &input, upstream, operand(gemm, bf16, (size_t)out * in, w, 1), dx));
cleanup:
    return status;
}

int gemm_add(struct error *err, int rows, int in, int out, const float *x, const float *w, float *y)
{
    int status = STATUS_OK;
    gemm_int8_native(); /* the choice of instruction set comes before the library's first product */
    LIBRARY(err, dnnl_sgemm('N', 'T', rows, out, in, 1.0f, x, in, w, in, 1.0f, y, out));
cleanup:
    return status;
}

int gemm_int8(struct error *err, int rows, int in, int out, const int8_t *x, const int8_t *w,
              int32_t *y)
{
    int status = STATUS_OK;
    if (!gemm_int8_native()) {
        return gemm_int8_portable(err, rows, in, out, x, w, y);
    }
    const int32_t zero = 0;
    LIBRARY(err, dnnl_gemm_s8s8s32('N', 'T', 'F', rows, out, in, 1.0f, x, in, 0, w, in, 0, 0.0f, y,
                                   out, &zero));
cleanup:
    return status;
}

int gemm_int8_portable(struct error *err, int rows, int in, int out, const int8_t *x,
                       const int8_t *w, int32_t *y)
{
    int status = STATUS_OK;
    enum { EXACT = 1024 }; /* 1024 · 127² < 2^24: every partial sum is a whole fp32 number */
    const int width = in < EXACT ? in : EXACT;
    const size_t n = (size_t)rows * out;
    float *fx = malloc((size_t)rows * width * sizeof *fx);
    float *fw = malloc((size_t)out * width * sizeof *fw);
    float *fy = malloc(n * sizeof *fy);
    CHECK(err, fx && fw && fy, STATUS_FAILED, "out of memory for an integer product %d×%d×%d", rows,
          out, in);
    memset(y, 0, n * sizeof *y);
    for (int i0 = 0; i0 < in; i0 += EXACT) {
        const int k = in - i0 < EXACT ? in - i0 : EXACT;
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < k; i++) {
                fx[(size_t)r * k + i] = x[(size_t)r * in + i0 + i];
            }
        }
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < k; i++) {
                fw[(size_t)o * k + i] = w[(size_t)o * in + i0 + i];
            }
        }
        LIBRARY(err, dnnl_sgemm('N', 'T', rows, out, k, 1.0f, fx, k, fw, k, 0.0f, fy, out));
        for (size_t i = 0; i < n; i++) {
            y[i] += (int32_t)fy[i];
        }
    }
cleanup:
    free(fx);
    free(fw);
    free(fy);
    return status;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define ONEDNN(isa)                                                                                \
    "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(                      \
        DNNL_VERSION_PATCH) " " isa

/* The library's instruction sets, their names with and without bf16 instructions in use, and what can be relied on. */
static const struct isa {
    dnnl_cpu_isa_t isa;
    const char *native, *emulated;
    bool int8, bf16;
} isas[] = {
    {dnnl_cpu_isa_sse41, NULL, ONEDNN("sse41"), false, false},
    {dnnl_cpu_isa_avx, NULL, ONEDNN("avx"), false, false},
    {dnnl_cpu_isa_avx2, NULL, ONEDNN("avx2"), false, false},
    {dnnl_cpu_isa_avx2_vnni, NULL, ONEDNN("avx2_vnni"), true, false},
    /* Without VNNI the library may saturate 16-bit sums of two products. */
    {dnnl_cpu_isa_avx512_core, NULL, ONEDNN("avx512_core"), false, false},
    {dnnl_cpu_isa_avx512_core_vnni, NULL, ONEDNN("avx512_core_vnni"), true, false},
    {dnnl_cpu_isa_avx512_core_bf16, ONEDNN("avx512_core_bf16, bf16 native"),
     ONEDNN("avx512_core_bf16, bf16 emulated"), true, true},
    {dnnl_cpu_isa_avx512_core_amx, ONEDNN("avx512_core_amx, bf16 native"),
     ONEDNN("avx512_core_amx, bf16 emulated"), true, true},
};

/* The library decides once in a process; it must hear of a choice before. */
static void limit_library(void)
{
    const char *isa = kernels_get()->name;
    if (strcmp(isa, "baseline") == 0) {
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
    } else if (strcmp(isa, "avx2") == 0) {
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
    }
}

static const struct isa *isa_here(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, limit_library);
    static const struct isa other = {dnnl_cpu_isa_all, NULL, ONEDNN("other"), false, false};
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (isas[i].isa == dnnl_get_effective_cpu_isa()) {
            return &isas[i];
        }
    }
    return &other;
}

bool gemm_int8_native(void)
{
    return isa_here()->int8;
}

bool gemm_bf16_native(void)
{
    const char *asked = getenv("PTQSCALE_BF16");
    return isa_here()->bf16 && !(asked && strcmp(asked, "emulated") == 0);
}

const char *gemm_name(void)
{
    const struct isa *isa = isa_here();
    return isa->bf16 && gemm_bf16_native() ? isa->native : isa->emulated;
}
