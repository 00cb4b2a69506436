/*
 * What quantizers need to know of a site's inputs, from windows of training text (METHOD §3): the largest |x| of each input, and
 * for each transform that is asked for the largest |x| after it and Gram matrices 2XᵀX.
 */
#ifndef STUDY_CALIBRATE_H
#define STUDY_CALIBRATE_H

#include "study/corpus.h"
#include "study/model.h"
#include "study/team.h"

enum { TRANSFORMS = TRANSFORM_HADAMARD + 1 };

struct calibration_source {
    struct team *team;
    struct model *model; /* an inference model */
    const struct corpus *corpus;
    struct parameters *parameters;
    int windows, micro_batch; /* windows go through the model in groups of micro_batch */
    uint64_t seed;
    void (*alive)(void *context); /* called now and then, for whoever waits; may be NULL */
    void *context;
};

static inline void calibration_alive(const struct calibration_source *source)
{
    if (source->alive) {
        source->alive(source->context);
    }
}

struct calibration {
    const struct layout *layout;
    float *input_absmax[SITES]; /* (layers, in) */
    float *absmax[TRANSFORMS]; /* (layers, SITES), of the transformed inputs; NULL: not asked for */
    struct gram **gram[TRANSFORMS]; /* (layers, SITES), NULL where there is none */
    const struct algebra *algebra;
};

/* Bytes of Gram matrices that are held at a time; a layer's are held together in any case. */
#define CALIBRATION_GRAM_BYTES ((size_t)64 << 20)

/* input_absmax, and of each transform in `absmax` the largest |x| after it. */
int calibration_create(struct error *err, const struct calibration_source *source,
                       const bool absmax[TRANSFORMS], struct calibration **calibration);
void calibration_free(struct calibration *calibration); /* NULL is fine */

/* Gram matrices of `layers` layers from `first` for each transform in `wanted`, in place of those there were. Collective over
 * the team, which has algebra. */
int calibration_grams(struct error *err, const struct calibration_source *source,
                      const bool wanted[TRANSFORMS], int first, int layers,
                      struct calibration *calibration);

/* Layers whose Gram matrices of `transforms` transforms are held together. */
int calibration_layers(const struct layout *layout, int transforms);

/* A transform's parameters for a site (malloc'ed); NULL for no transform. */
int calibration_parameters(struct error *err, const struct calibration *calibration,
                           struct parameters *weights, enum transform transform, int layer,
                           enum site site, float **parameters);

/* Run the windows of this rank's groups, or of all groups, through the full-precision model. Ranks that have fewer groups than others
 * attend (model_attend) instead: the observer sees no rows as often as it sees some elsewhere. Collective over the team. */
int calibration_windows(struct error *err, const struct calibration_source *source, bool all,
                        observe_fn *observe, void *context);

#endif
