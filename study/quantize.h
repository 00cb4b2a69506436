/* A model's sites, quantized (METHOD §3), and what that does to each site's output. */
#ifndef STUDY_QUANTIZE_H
#define STUDY_QUANTIZE_H

#include "jobs/quantizer.h"
#include "study/calibrate.h"
#include "study/model.h"

struct quantized;

/* Quantize all sites, from what calibration found of their inputs (NULL for quantizers that do not ask). Not for GPTQ, which needs
 * more. The layout must outlive the result. Collective over the team that holds the weights; it holds what is made of them in pieces, too. */
int quantized_create(struct error *err, struct parameters *parameters,
                     const struct quantizer *quantizer, const struct calibration *calibration,
                     struct quantized **quantized);
void quantized_free(struct quantized *quantized); /* NULL is fine */

/* Quantize all sites of source->parameters by each of `count` quantizers, with one calibration for all that need it. GPTQ takes the layers
 * in turn whose Gram matrices fit (calibration_layers), and needs a team with algebra. A quantizer that cannot be carried
 * out on these weights is there, but has failed. The layout must outlive the result, of which each is freed with
 * quantized_free. Collective over the team. */
int quantized_create_all(struct error *err, const struct calibration_source *source, int count,
                         const struct quantizer *const *quantizer, struct quantized **quantized);

/* (layers, SITES), for struct weights; NULL where a team holds them in pieces. */
const struct quantized_site *quantized_sites(const struct quantized *quantized);
/* A block's sites (SITES), until others of the same quantized_create_all are opened. Collective over the team. */
int quantized_open(struct error *err, struct quantized *quantized, int layer,
                   const struct quantized_site **sites);
/* For a forward pass with these sites and those weights. */
struct weights quantized_weights(struct quantized *quantized, struct parameters *parameters);

/* Was a Hessian not positive definite, with the most damping either? */
bool quantized_failed(const struct quantized *quantized);

/* Share of the Hessian's mean diagonal that GPTQ added, (layers, SITES); NaN where it did not round. */
const double *quantized_damping(const struct quantized *quantized);

/* Bytes of what quantized_create keeps of one quantizer. */
size_t quantized_bytes(const struct layout *layout, const struct quantizer *quantizer);

/* error (count, layers, SITES): ‖X Wᵀ − X̂ Ŵᵀ‖ / ‖X Wᵀ‖ over the calibration windows, where X are the full-precision model's
 * inputs; NaN for quantizers that failed. Does not depend on the team's size. Collective over the team. */
int quantized_errors(struct error *err, const struct calibration_source *source, int count,
                     struct quantized *const *quantized, double *error);

/* One matrix (rows, columns): a scale per row and integer codes, limit = 2^(bits−1) − 1. */
void quantize_rows(const struct kernels *kernels, int rows, int columns, int bits, const float *w,
                   float *scale, int8_t *codes);

#endif
