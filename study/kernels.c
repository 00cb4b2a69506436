/* Choice of the instruction set at run time. */
#include "study/kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern const struct kernels kernels_baseline;
#ifdef PTQSCALE_X86
extern const struct kernels kernels_avx2, kernels_avx512;

/* x86-64-v3 and -v4 by their features: clang knows the levels' names only since version 18. F16C, LZCNT
 * and MOVBE, which it cannot ask for either, came with AVX2 and BMI2. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

const struct kernels *kernels_named(const char *name)
{
#ifdef PTQSCALE_X86
    __builtin_cpu_init();
    if (strcmp(name, kernels_avx512.name) == 0 && has_avx512()) {
        return &kernels_avx512;
    }
    if (strcmp(name, kernels_avx2.name) == 0 && has_avx2()) {
        return &kernels_avx2;
    }
#endif
    return strcmp(name, kernels_baseline.name) == 0 ? &kernels_baseline : NULL;
}

const struct kernels *kernels_get(void)
{
    const char *asked = getenv("PTQSCALE_ISA");
    const struct kernels *k = asked ? kernels_named(asked) : NULL;
    if (k == NULL) {
        k = kernels_named("avx512");
    }
    if (k == NULL) {
        k = kernels_named("avx2");
    }
    return k ? k : &kernels_baseline;
}

size_t attention_scratch(int context, int head_dim)
{
    size_t padded = (size_t)(context + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK;
    size_t width = (size_t)(head_dim + ATTENTION_WIDTH - 1) / ATTENTION_WIDTH * ATTENTION_WIDTH;
    return 9 * padded * width + 2 * ATTENTION_BLOCK * padded;
}
