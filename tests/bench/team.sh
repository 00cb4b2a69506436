#!/bin/sh
# How much faster two ranks train one cell than one: the same cell alone and on a team of two, in turn.
#
#     tests/bench/team.sh PTQSCALE [ROUNDS [LAYERS D_MODEL]]     (3 rounds of 6 x 512; two idle cores)
#
# Prints of each round the training time of both, their ratio, and the share of the team's time that its first rank waited for messages.
set -eu
program=$1 rounds=${2:-3} layers=${3:-6} width=${4:-512}
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

study() { # ranks
    cat <<END
name: team
design: list
cells: [{}]
sizes: [{name: cell, layers: $layers, d_model: $width, heads: $((width / 64)), context: 256, learning_rate: 1.0e-3, ranks_per_cell: $1}]
base: {total_decay: 0.5, dropout: 0.1, grad_clip: 1.0, precision: bf16, tokens: 65536}
seeds: [1]
train: {batch_tokens: 16384, micro_batch_tokens: 4096}
quantizers: [w8a8]
evaluate: {fractions: [1.0], windows: 8}
data: {files: [$here/data/gcide.dict.dz], cleaning: gcide}
END
}

seconds() { # file variable
    ncdump -v "$2" "$1" | sed -n "s/^ $2 = *\([0-9.e+-]*\).*/\1/p"
}

for ranks in 1 2; do
    study $ranks >"$work/$ranks.yaml"
done
round=1
while [ "$round" -le "$rounds" ]; do
    for ranks in 1 2; do
        mpirun -n $((ranks + 1)) --oversubscribe --bind-to none "$program" run "$work/$ranks.yaml" \
            --out "$work/$round-$ranks" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    done
    one=$(seconds "$work/$round-1/study.nc" wall_time_train)
    two=$(seconds "$work/$round-2/study.nc" wall_time_train)
    wait=$(seconds "$work/$round-2/study.nc" wall_time_wait)
    awk -v r="$round" -v a="$one" -v b="$two" -v w="$wait" 'BEGIN {
        printf "round %d: one rank %.2f s, two ranks %.2f s: %.2f times as fast; %.1f %% of that waiting\n", r, a, b, a / b, 100 * w / b }'
    round=$((round + 1))
done
