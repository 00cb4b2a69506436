#!/usr/bin/env bash
# The table of the README's scaling section: the real scheduler in virtual time, by build/simulate. Seconds are of CPU for
# one simulation, of this machine; all else is the same on any.
#
#     tests/bench/scaling.sh [build/simulate]
set -euo pipefail
simulate=${1:-build/simulate}

# row STUDY WORKERS OPTIONS...: a line of the table: medians over the seeds, and the worst ratio.
row() {
    local study=$1 workers=$2
    shift 2
    "$simulate" --workers "$workers" --runs 9 "$@" | awk -v study="$study" -v workers="$workers" '
        function median(list, n,   i, j, x) {
            for (i = 2; i <= n; i++) {
                x = list[i]
                for (j = i - 1; j > 0 && list[j] > x; j--) { list[j + 1] = list[j] }
                list[j + 1] = x
            }
            return list[int((n + 1) / 2)]
        }
        $1 == "seed" { n++ }
        $1 == "ratio" { ratio[n] = $2 }
        $1 == "nested_ratio" { nested[n] = $2 }
        $1 == "busy_fraction" { busy[n] = $2 }
        $1 == "makespan_seconds" { makespan[n] = $2 }
        $1 == "longest_reservation_seconds" { waited[n] = $2 }
        $1 == "deaths" { deaths[n] = $2 }
        $1 == "stuck" { stuck[n] = $2 }
        $1 == "widened" { widened[n] = $2 }
        $1 == "cpu_seconds" { cpu[n] = $2 }
        $1 == "ratio_worst" { worst = $2 }
        END {
            span = median(makespan, n)
            printf "| %s | %d | %d | %.3f (%.3f) | %.3f | %.1f %% | %.1f %% | %d | %d | %.1f |\n", study, workers,
                   median(deaths, n), median(ratio, n), worst, median(nested, n), 100 * median(busy, n),
                   100 * median(waited, n) / span, median(widened, n), median(stuck, n), median(cpu, n)
        }'
}

echo "| study | workers | deaths | makespan / lower bound, median (worst) | / bound by widths | workers busy | longest wait / makespan | widened | stuck | CPU s |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for workers in 64 256 1024 4096 16384; do
    row "20,000 cells of 1, 1, 2, 4 workers" $workers --cells 20000 --mixture --widths 1,1,2,4 --doublings 2 \
        --shortest 600
done
# The cells, widths and FLOPs of jobs/paper.yaml as `ptqscale plan jobs/paper.yaml --memory 8GiB` gives them: 96 cells; the paper's own
# are far longer than a job, so the shortest here takes about an hour.
paper=(--one-budget --costs 21.1,4470,21300,330000 --widths 4,64,128,1024 --shortest 14400 --checkpoint-every 600 --doublings 1 --restart 300)
for workers in 1024 4096 4095 16384; do
    row "the paper's grid, 96 cells of 4 … 1,024" $workers --cells 96 --deaths 0 "${paper[@]}"
done
# A lost worker costs a place for a team of 1,024, unless there are some to spare.
for workers in 4096 4160; do
    row "the same" $workers --cells 96 --deaths 0.01 "${paper[@]}"
    row "ten times the same, 960 cells" $workers --cells 960 --deaths 0.01 "${paper[@]}"
done
