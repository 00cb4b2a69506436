/*
 * Counter-based randomness (METHOD §2): Philox 4×32-10 of Random123, keyed by the seed; the counter says
 * what the number is for, so that no number depends on how work was divided.
 */
#ifndef STUDY_RNG_H
#define STUDY_RNG_H

#include <Random123/philox.h>
#include <stdint.h>

enum rng_purpose {
    RNG_INIT = 1,    /* a = tensor, b = element / 4 (low, high) */
    RNG_DATA = 2,    /* training windows */
    RNG_DROPOUT = 3, /* masks */
    RNG_CALIBRATION = 4,
    RNG_ROTATION = 5, /* signs; c = input / 128 */
    RNG_TASK = 6,     /* items: sub = task format, a = what for, b = place (low, high) */
};

/* Four words for counter (purpose | sub, a, b, c); sub < 2^24. */
static inline philox4x32_ctr_t rng_draw(uint64_t seed, enum rng_purpose purpose, uint32_t sub,
                                        uint32_t a, uint32_t b, uint32_t c)
{
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t counter = {{c, b, a, (uint32_t)purpose << 24 | sub}};
    return philox4x32(counter, key);
}

/* Uniform in 0 … n−1 from 64 random bits (bias below n / 2^64). */
static inline uint64_t rng_below(philox4x32_ctr_t r, uint64_t n)
{
    uint64_t bits = (uint64_t)r.v[1] << 32 | r.v[0];
    return (uint64_t)(((unsigned __int128)bits * n) >> 64);
}

#endif
