/*
 * The fp32 weights of a model, unit by unit: on a rank alone they are all here; in a team, which holds them in pieces
 * (study/shards.h), a unit is gathered when it is opened, and the one to come while this one is used.
 */
#ifndef STUDY_PARAMETERS_H
#define STUDY_PARAMETERS_H

#include "study/shards.h"
#include "study/team.h"

struct parameters_slot {
    int unit; /* −1: none */
    struct transfer *transfer;
    float *whole;
};

struct parameters {
    const struct layout *layout;
    const float *own; /* what this rank holds; of a rank alone, the layout's buffer */
    const struct shards *shards;
    struct team *team; /* NULL: all is here */
    struct parameters_slot slot[2];
    void *memory;
};

/* All of them, in the layout's buffer, which must outlive the result. Nothing to free. */
static inline struct parameters parameters_flat(const struct layout *layout, const float *master)
{
    return (struct parameters){.layout = layout, .own = master};
}

/* Those of which a team holds the pieces `own` (shards->length). All must outlive the result. */
int parameters_create(struct error *err, struct team *team, const struct shards *shards,
                      const float *own, struct parameters *parameters);
void parameters_free(struct parameters *parameters); /* zero-initialized is fine */

/* *whole: the unit's weights, until two others have been opened. `next` will be opened after it (−1: not known). Collective
 * over the team: all ranks open the same units in the same order. */
int parameters_open(struct error *err, struct parameters *parameters, int unit, int next,
                    const float **whole);

/* The same, one tensor: of the unit opened last, or another. */
int parameters_tensor(struct error *err, struct parameters *parameters, int tensor,
                      const float **weights);

/* The pieces are about to change: what was gathered is forgotten. */
int parameters_changed(struct error *err, struct parameters *parameters);

/* Let transfers move on. */
static inline void parameters_poll(struct parameters *parameters)
{
    if (parameters->team) {
        parameters->team->cancelled(parameters->team);
    }
}

#endif
