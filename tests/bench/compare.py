#!/usr/bin/python3
"""Training speed beside PyTorch's, in alternation on one core.

    tests/bench/compare.py [--build DIR] [--rounds N] [--seconds S]

Needs Debian's python3-torch and `cmake --build build --target bench`. Each round runs every program once, so that drift of the
machine meets all of them; ratios are medians over rounds. The model: batch 32 × 128 tokens, vocabulary 256, sequential
blocks with biases.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--build", default=str(here.parent.parent / "build"))
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--seconds", type=float, default=5)
options = options.parse_args()

environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
SHAPES = [(2, 64, 2), (4, 128, 4), (6, 256, 8)]
OURS, THEIRS = ("fp32", "bf16", "fp16"), ("fp32", "bf16")


def run(command, shape, precision):
    layers, width, heads = shape
    command = command + ["--layers", layers, "--width", width, "--heads", heads, "--precision", precision,
                         "--seconds", options.seconds]
    done = subprocess.run(["taskset", "-c", "0"] + [str(word) for word in command], env=environment,
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("%s failed:\n%s" % (command[0], done.stderr))
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def median(values):
    return statistics.median(float(value) for value in values)


for shape in SHAPES:
    ours = {precision: [] for precision in OURS}
    theirs = {precision: [] for precision in THEIRS}
    for _ in range(options.rounds):
        for precision in OURS:
            bench = run([options.build + "/bench_train"], shape, precision)
            ours[precision].append(bench)
            if precision in THEIRS:
                theirs[precision].append(run(["/usr/bin/python3", here / "peer_train.py"], shape, precision))
    print("%d × %d" % shape[:2])
    for precision in OURS:
        print("  ours    %s  %8.0f tokens/s   %6.1f GFLOP/s   fraction of matmul %.2f" % (
            precision, median(b["tokens_per_second"] for b in ours[precision]),
            median(b["gflops"] for b in ours[precision]),
            median(b["fraction_of_matmul"] for b in ours[precision])))
    for precision in THEIRS:
        print("  PyTorch %s  %8.0f tokens/s" % (precision, median(b["tokens_per_second"] for b in theirs[precision])))

    def ratios(numerator, denominator):
        return [float(a["tokens_per_second"]) / float(b["tokens_per_second"])
                for a, b in zip(numerator, denominator)]

    def best(runs):
        return max(runs.values(), key=lambda r: median(b["tokens_per_second"] for b in r))

    for name, numerator, denominator in [
            ("best / PyTorch's best", best(ours), best(theirs)),
            ("fp32 / PyTorch fp32", ours["fp32"], theirs["fp32"]),
            ("bf16 / our fp32", ours["bf16"], ours["fp32"]),
            ("fp16 time / fp32 time", ours["fp32"], ours["fp16"])]:
        values = ratios(numerator, denominator)
        print("  ratio   %-22s  %.2f   [%.2f, %.2f]" % (name, statistics.median(values), min(values), max(values)))
    sys.stdout.flush()
