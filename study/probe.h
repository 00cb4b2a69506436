/*
 * Probes of one checkpoint (METHOD §5): what the inputs of each quantized site look like, how far the
 * w8a8-quantized model's blocks are from the full ones, LayerNorm gains and weights.
 *
 * Activations are those of the fp32 model on CELL_PROBE_WINDOWS held-out windows (all, if there are fewer),
 * spread evenly over the evaluation's. Positions are (window, token); elements are positions × dimensions.
 *
 *     input std, kurtosis   over all elements of a site's input
 *     outlier dimensions    those with |x| ≥ 6 (or 6·std, that std) in at least 6 % of the positions
 *     output RMSE           of a token: √(mean over d of (y − ŷ)²), y and ŷ the residual stream behind the
 *                           block in the full model and in the one quantized with w8a8 from its first block on;
 *                           mean over tokens
 *     ‖W‖₂, stable rank     rounded to fp32, far above the rounding errors of one or another way to get there
 */
#ifndef STUDY_PROBE_H
#define STUDY_PROBE_H

#include "results/record.h"
#include "study/corpus.h"
#include "study/model.h"
#include "study/team.h"

/* Fill the probes of checkpoint `index` of the record from the fp32 weights. `model` is an inference model for
 * micro-batches of the cell. Windows are shared out over the team; the result does not depend on its size.
 * Without team->algebra, or when it fails (a warning on stderr), ‖W‖₂ and stable rank stay missing.
 * Collective over team; every rank gets the whole result. */
int probe(struct error *err, struct team *team, const struct corpus *corpus,
          const struct cell *cell, struct model *model, struct parameters *parameters, int index,
          struct record *record);

/* Bytes that probe takes. */
size_t probe_bytes(const struct cell *cell, const struct layout *layout);

#endif
