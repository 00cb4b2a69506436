#include "study/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/moments.h"
#include "study/quantize.h"

static const float outlier = 6;          /* in absolute terms, and in standard deviations */
static const int outlier_percentage = 6; /* of the positions */

_Static_assert((int)SITES == (int)RECORD_SITES, "the record has all sites");

enum { MOMENTS = sizeof(struct moments) / sizeof(double) };

/* What one rank has seen, zero where another one works: a team adds these arrays up, which is exact. */
struct seen {
    struct moments *moments; /* (layers, SITES, windows) */
    double *largest;         /* (layers, SITES, windows) */
    double *above;           /* (layers, dimensions of all sites) positions with |x| ≥ 6 */
    double *above_std;       /* the same with 6·std */
    double *rmse;            /* (layers, windows) sums over tokens */
};

struct probing {
    const struct cell *cell;
    const struct layout *layout;
    struct model *model;
    const struct corpus *corpus;
    struct team *team;
    struct parameters *parameters;
    int windows; /* probed */
    int first;   /* window of the micro-batch under way */
    bool warned; /* of spectral norms that could not be had */
    struct seen seen;
    size_t before_std, after_std; /* doubles of seen that are known before 6·std is, and after */
    float *threshold;             /* (layers, SITES) 6·std, rounded up: |x| ≥ it says the same */
    float *outputs;               /* (layers, N, d) of the full model */
    uint32_t *inputs;             /* (N) */
    void *memory;
};

static int windows_of(const struct cell *cell)
{
    const int all = cell->evaluate.windows;
    return all < CELL_PROBE_WINDOWS ? all : CELL_PROBE_WINDOWS;
}

/* Where a site's dimensions begin among those of its block; SITES: how many there are. */
static int dimension_of(const struct layout *layout, int site)
{
    int at = 0;
    for (int s = 0; s < site; s++) {
        at += layout->in[s];
    }
    return at;
}

static void carve(struct arena *a, const struct cell *cell, const struct layout *layout,
                  struct probing *p)
{
    const size_t windows = (size_t)windows_of(cell), layers = (size_t)cell->size.layers;
    const size_t rows = (size_t)cell->train.micro_batch * cell->size.context;
    const size_t sites = layers * SITES * windows;
    const size_t dimensions = layers * dimension_of(layout, SITES);
    p->before_std = sites * MOMENTS + sites + dimensions;
    p->after_std = dimensions + layers * windows;
    double *sums = arena_take(a, p->before_std + p->after_std, sizeof *sums);
    p->threshold = arena_take(a, layers * SITES, sizeof *p->threshold);
    p->outputs = arena_take(a, layers * rows * cell->size.d_model, sizeof *p->outputs);
    p->inputs = arena_take(a, rows, sizeof *p->inputs);
    if (sums) {
        p->seen.moments = (struct moments *)(void *)sums;
        p->seen.largest = sums + sites * MOMENTS;
        p->seen.above = p->seen.largest + sites;
        p->seen.above_std = p->seen.above + dimensions;
        p->seen.rmse = p->seen.above_std + dimensions;
    }
}

size_t probe_bytes(const struct cell *cell, const struct layout *layout)
{
    struct arena a = {0};
    struct probing p;
    carve(&a, cell, layout, &p);
    return a.used + quantized_bytes(layout, quantizer_find("w8a8"));
}

/* Activations ================================================================================= */

/* count[in] += how many of the rows have |x| ≥ threshold there. */
static void count_above(int rows, int in, const float *x, float threshold, double *count)
{
    for (int r = 0; r < rows; r++) {
        const float *row = x + (size_t)r * in;
        for (int j = 0; j < in; j++) {
            count[j] += fabsf(row[j]) >= threshold ? 1 : 0;
        }
    }
}

/* First pass over a site's input: moments and largest value of each window, and |x| ≥ 6. */
static void see_input(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct probing *p = context;
    const int t = p->cell->size.context;
    const size_t dimension =
        (size_t)layer * dimension_of(p->layout, SITES) + dimension_of(p->layout, (int)site);
    for (int w = 0; w < rows / t; w++) {
        const size_t at = ((size_t)layer * SITES + site) * p->windows + p->first + w;
        const size_t elements = (size_t)t * in;
        p->seen.moments[at] = moments_of(elements, x + w * elements);
        p->seen.largest[at] = model_kernels(p->model)->absmax(elements, x + w * elements);
    }
    count_above(rows, in, x, outlier, p->seen.above + dimension);
}

/* Second pass, when the standard deviation is known. */
static void see_input_again(void *context, int layer, enum site site, int rows, int in,
                            const float *x)
{
    struct probing *p = context;
    const size_t dimension =
        (size_t)layer * dimension_of(p->layout, SITES) + dimension_of(p->layout, (int)site);
    const float threshold = p->threshold[layer * SITES + (int)site];
    if (threshold > 0) { /* where all elements are the same, none stands out */
        count_above(rows, in, x, threshold, p->seen.above_std + dimension);
    }
}

static void keep_output(void *context, int layer, int rows, int d, const float *x)
{
    struct probing *p = context;
    const size_t most = (size_t)p->cell->train.micro_batch * p->cell->size.context * d;
    memcpy(p->outputs + layer * most, x, (size_t)rows * d * sizeof *x);
}

static void compare_output(void *context, int layer, int rows, int d, const float *x)
{
    struct probing *p = context;
    const int t = p->cell->size.context;
    const size_t most = (size_t)p->cell->train.micro_batch * t * d;
    const float *full = p->outputs + layer * most;
    for (int r = 0; r < rows; r++) {
        double squares = 0;
        for (int j = 0; j < d; j++) {
            const double e = (double)x[(size_t)r * d + j] - full[(size_t)r * d + j];
            squares += e * e;
        }
        p->seen.rmse[(size_t)layer * p->windows + p->first + r / t] += sqrt(squares / d);
    }
}

/* Read all probed windows that are this rank's; the quantized model right after the full one on each
 * micro-batch. */
static int pass(struct error *err, struct probing *p, observe_fn *observe, block_fn *block,
                struct quantized *quantized)
{
    int status = STATUS_OK;
    const struct dropout none = {0};
    const struct weights full = weights_full(p->parameters);
    const struct weights less =
        quantized ? quantized_weights(quantized, p->parameters) : (struct weights){.master = NULL};
    const int context = p->cell->size.context, group = p->cell->train.micro_batch;
    const float *logits;
    const int ranks = p->team->size;
    for (int round = 0; round * ranks * group < p->windows; round++) {
        p->first = (round * ranks + p->team->rank) * group;
        const int count = p->windows - p->first < group ? p->windows - p->first : group;
        TRY(team_check(err, p->team));
        if (count <= 0) {
            TRY(model_attend(err, p->model, &full, NULL, NULL));
            if (quantized) {
                TRY(model_attend(err, p->model, &less, NULL, NULL));
            }
            continue;
        }
        for (int i = 0; i < count; i++) {
            const int64_t all = p->cell->evaluate.windows;
            const int window = (int)((p->first + i) * all / p->windows);
            corpus_held_out_window(p->corpus, context, window, (int)all,
                                   p->inputs + (size_t)i * context, NULL);
        }
        model_watch_blocks(p->model, block, p);
        TRY(model_forward(err, p->model, &full, PRECISION_FP32, &none, p->inputs, count, observe, p,
                          &logits));
        if (quantized) {
            model_watch_blocks(p->model, compare_output, p);
            TRY(model_forward(err, p->model, &less, PRECISION_FP32, &none, p->inputs, count, NULL,
                              NULL, &logits));
        }
    }
cleanup:
    model_watch_blocks(p->model, NULL, NULL);
    return status;
}

/* Dimensions that are outliers. */
static double outliers(const struct probing *p, int site, const double *above)
{
    const double positions = (double)p->windows * p->cell->size.context;
    int dimensions = 0;
    for (int j = 0; j < p->layout->in[site]; j++) {
        dimensions += 100 * above[j] >= outlier_percentage * positions;
    }
    return dimensions;
}

/* The smallest fp32 number that is not below x. */
static float round_up(double x)
{
    const float near = (float)x;
    return (double)near < x ? nextafterf(near, INFINITY) : near;
}

static int probe_activations(struct error *err, struct probing *p, int index, struct record *r)
{
    int status = STATUS_OK;
    const int layers = p->cell->size.layers, windows = p->windows;
    const double positions = (double)windows * p->cell->size.context;
    const int dimensions = dimension_of(p->layout, SITES);
    struct quantized *quantized = NULL;
    TRY(pass(err, p, see_input, NULL, NULL));
    TRY(p->team->sum_double(p->team, (double *)(void *)p->seen.moments, p->before_std));
    for (int i = 0; i < layers * SITES; i++) {
        const struct moments *part = p->seen.moments + (size_t)i * windows;
        const double *largest = p->seen.largest + (size_t)i * windows;
        const size_t at = (size_t)index * layers * SITES + i;
        const double *above = p->seen.above + (size_t)(i / SITES) * dimensions;
        struct moments all = {0};
        r->probe_input_max[at] = 0;
        for (int w = 0; w < windows; w++) { /* in the order of the windows, whoever read them */
            all = moments_merge(&all, &part[w]);
            r->probe_input_max[at] = fmax(r->probe_input_max[at], largest[w]);
        }
        r->probe_input_std[at] = moments_std(&all);
        r->probe_input_kurtosis[at] = moments_kurtosis(&all);
        r->probe_outliers[at] = outliers(p, i % SITES, above + dimension_of(p->layout, i % SITES));
        p->threshold[i] = round_up(outlier * moments_std(&all));
    }
    TRY(quantized_create(err, p->parameters, quantizer_find("w8a8"), NULL, &quantized));
    TRY(pass(err, p, see_input_again, keep_output, quantized));
    TRY(p->team->sum_double(p->team, p->seen.above_std, p->after_std));
    for (int i = 0; i < layers * SITES; i++) {
        r->probe_outliers_relative[(size_t)index * layers * SITES + i] =
            outliers(p, i % SITES,
                     p->seen.above_std + (size_t)(i / SITES) * dimensions +
                         dimension_of(p->layout, i % SITES));
    }
    for (int i = 0; i < layers; i++) {
        double sum = 0;
        for (int w = 0; w < windows; w++) {
            sum += p->seen.rmse[(size_t)i * windows + w];
        }
        r->probe_output_rmse[(size_t)index * layers + i] = sum / positions;
    }
cleanup:
    quantized_free(quantized);
    return status;
}

/* Weights ===================================================================================== */

static int gain_std(struct error *err, const struct probing *p, int tensor, double *std)
{
    int status = STATUS_OK;
    const float *gain;
    *std = NAN;
    if (tensor != LAYOUT_ABSENT) {
        TRY(parameters_tensor(err, p->parameters, tensor, &gain));
        const struct moments m = moments_of((size_t)p->layout->size.d_model, gain);
        *std = moments_std(&m);
    }
cleanup:
    return status;
}

/* ‖W‖₂ in fp32; missing if it cannot be had. */
static int spectral_norm(struct error *err, struct probing *p, int site, const float *w,
                         double *norm)
{
    int status = STATUS_OK;
    struct error failure = {0};
    const struct algebra *algebra = p->team->algebra;
    const int out = p->layout->out[site], in = p->layout->in[site];
    double *sigma = malloc((size_t)(in < out ? in : out) * sizeof *sigma);
    CHECK(err, sigma, STATUS_FAILED, "out of memory");
    *norm = NAN;
    if (algebra->spectrum(&failure, algebra->state, out, in, w, sigma) == STATUS_OK) {
        *norm = (float)sigma[0];
    } else if (!p->warned) {
        p->warned = true;
        fprintf(stderr, "ptqscale: warning: cell %s: spectral norms stay missing: %s\n",
                p->cell->id, failure.message);
    }
cleanup:
    free(sigma);
    return status;
}

static int probe_weights(struct error *err, struct probing *p, int index, struct record *r)
{
    int status = STATUS_OK;
    const struct layout *l = p->layout;
    const int layers = l->size.layers;
    for (int i = 0; i < layers * SITES; i++) {
        const size_t at = (size_t)index * layers * SITES + i;
        const size_t elements = (size_t)l->in[i % SITES] * l->out[i % SITES];
        const float *w;
        TRY(parameters_tensor(err, p->parameters, l->block[i / SITES].weight[i % SITES], &w));
        const struct moments m = moments_of(elements, w);
        const double squares = moments_square_sum(&m);
        CHECK(err, i % SITES || !p->team->cancelled(p->team), STATUS_STOPPED, "cancelled");
        r->probe_weight_max[at] = model_kernels(p->model)->absmax(elements, w);
        r->probe_weight_std[at] = moments_std(&m);
        if (p->team->algebra && isfinite(squares)) {
            TRY(spectral_norm(err, p, i % SITES, w, &r->probe_weight_norm[at]));
            const double norm = r->probe_weight_norm[at];
            r->probe_stable_rank[at] = norm > 0 ? (float)(squares / (norm * norm)) : NAN;
        }
    }
    for (int i = 0; i < layers * RECORD_NORMS; i++) {
        TRY(gain_std(err, p, l->block[i / RECORD_NORMS].norm_gain[i % RECORD_NORMS],
                     &r->probe_gain_std[(size_t)index * layers * RECORD_NORMS + i]));
    }
    TRY(gain_std(err, p, l->final_gain, &r->probe_final_gain_std[index]));
cleanup:
    return status;
}

int probe(struct error *err, struct team *team, const struct corpus *corpus,
          const struct cell *cell, struct model *model, struct parameters *parameters, int index,
          struct record *record)
{
    int status = STATUS_OK;
    struct probing p = {.cell = cell,
                        .layout = model_layout(model),
                        .model = model,
                        .corpus = corpus,
                        .team = team,
                        .parameters = parameters,
                        .windows = windows_of(cell)};
    struct arena arena = {0};
    carve(&arena, cell, p.layout, &p);
    p.memory = aligned_alloc(64, arena.used);
    CHECK(err, p.memory, STATUS_FAILED, "out of memory: probes of size %s need %.1f MiB",
          cell->size.name, (double)arena.used / 1048576.0);
    memset(p.memory, 0, arena.used);
    arena = (struct arena){.base = p.memory};
    carve(&arena, cell, p.layout, &p);
    TRY(probe_weights(err, &p, index, record));
    TRY(probe_activations(err, &p, index, record)); /* ends with a sum: with all ranks or none */
cleanup:
    free(p.memory);
    return status;
}
