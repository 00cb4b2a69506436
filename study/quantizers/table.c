/* Which part carries out which fact of a descriptor. */
#include "study/quantizers/parts.h"

const struct format *format_of(enum weight_format weights)
{
    static const struct format *const formats[] = {
        [WEIGHTS_INT] = &format_int, [WEIGHTS_NF4] = &format_nf4, [WEIGHTS_MXFP4] = &format_mxfp4,
        [WEIGHTS_FP8] = &format_fp8, [WEIGHTS_FULL] = NULL,
    };
    return formats[weights];
}

const struct transform_part *transform_of(enum transform transform)
{
    static const struct transform_part *const transforms[] = {
        [TRANSFORM_NONE] = NULL,
        [TRANSFORM_SMOOTH] = &transform_smooth,
        [TRANSFORM_HADAMARD] = &transform_hadamard,
    };
    return transforms[transform];
}
