/* A running mean and sum of squared deviations (Welford). */
#ifndef RESULTS_SAMPLE_H
#define RESULTS_SAMPLE_H

struct sample {
    int n;
    double mean, squares; /* of all so far; Σ(x − mean)² */
};

static inline void sample_add(struct sample *sample, double x)
{
    sample->n++;
    double step = x - sample->mean;
    sample->mean += step / sample->n;
    sample->squares += step * (x - sample->mean);
}

#endif
