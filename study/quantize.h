/* Quantized weights of a model, and calibration of static activation scales (METHOD §3). */
#ifndef STUDY_QUANTIZE_H
#define STUDY_QUANTIZE_H

#include "jobs/quantizer.h"
#include "study/corpus.h"
#include "study/model.h"

struct quantized;

/* Largest |input| of every site, (layers, SITES), over `windows` training windows drawn with `seed`, by the full-precision
 * model. */
int calibrate(struct error *err, struct model *model, const struct corpus *corpus,
              const float *master, int windows, uint64_t seed, int micro_batch, float *absmax);

/* Quantize all sites of `master`. `absmax` is calibrate's; needed for static activation scales only. */
int quantized_create(struct error *err, const struct layout *layout, const float *master,
                     const struct quantizer *quantizer, const float *absmax,
                     struct quantized **quantized);
void quantized_free(struct quantized *quantized); /* NULL is fine */

/* (layers, SITES), for struct weights. */
const struct quantized_site *quantized_sites(const struct quantized *quantized);

/* Bytes that quantized_create takes. */
size_t quantized_bytes(const struct layout *layout, const struct quantizer *quantizer);

/* One matrix (rows, columns): a scale per row and integer codes, limit = 2^(bits−1) − 1. */
void quantize_rows(const struct kernels *kernels, int rows, int columns, int bits, const float *w,
                   float *scale, int8_t *codes);

#endif
