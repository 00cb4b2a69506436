#!/usr/bin/env python3
"""Are the analysis's numbers those of statsmodels and scipy?

    test_statistics.py PROGRAM

PROGRAM is tests/report/statistics.c. Data of a half fraction 2^(5-1) crossed with sizes and seeds are made here, complete and
damaged; sums of squares come from nested fits with the nesting written out, contrasts from fits of block sums on C(size). One
line per fault; exit status 1 if there is any.
"""
import itertools
import math
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.multitest import multipletests

FACTORS = "abcde"  # not C, which patsy calls
PAIRS = list(itertools.combinations(range(5), 2))
# the settings in the order of results/design.h: a slowest, the base first, an even number of high levels
RUNS = [run for run in itertools.product((-1, 1), repeat=5) if run.count(1) % 2 == 0]
TOLERANCE = 1e-8
faults = []


def check(name, ours, theirs):
    """Equal to 1e-8, absolutely below 1 and relatively above; what is tiny, like p, to 1e-6 relatively, too."""
    same = (math.isnan(ours) and math.isnan(theirs)) or (
        abs(ours - theirs) <= TOLERANCE * max(1, abs(theirs))
        and (abs(theirs) < 1e-14 or abs(ours - theirs) <= 1e-6 * abs(theirs)))
    if not same:
        faults.append(f"{name}: {ours!r}, statsmodels {theirs!r}")


def levels(run):
    return sum(1 << f for f in range(5) if run[f] > 0)


def make(sizes, seeds, random):
    """A table of all cells, with effects of everything."""
    rows = []
    main, pair = random.normal(0, 0.3, (2, sizes, 15))
    for size in range(sizes):
        for seed in range(1, seeds + 1):
            block = random.normal(0, 0.2)
            for run in RUNS:
                signs = list(run) + [run[f] * run[g] for f, g in PAIRS]
                y = -5 - 0.6 * size + block + random.normal(0, 0.1)
                y += np.dot(signs, main[0] + 0.3 * pair[size])
                rows.append((size, seed, levels(run), y) + run)
    return pandas.DataFrame(rows, columns=["size", "seed", "levels", "y"] + list(FACTORS))


def run_program(program, data):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for row in data.itertuples():
            file.write(f"{row.size} {row.seed} {row.levels} {row.y!r}\n")
        file.flush()
        text = subprocess.run([program, file.name], check=True, capture_output=True, text=True).stdout
    return {line.split()[0]: [float(x) for x in line.split()[1:]] for line in text.splitlines()}


def blocks_that_enter(data):
    """At least half of the settings have a value."""
    values = data.dropna()
    return values.groupby(["size", "seed"]).filter(lambda block: 2 * len(block) >= len(RUNS))


def term_formulas():
    """(kind, f, g, formula) in order; kinds as enum anova_kind."""
    yield 0, -1, -1, "C(size)"
    yield 1, -1, -1, "C(size):C(seed)"
    for kind, by_size in ((2, ""), (4, "C(size):")):
        for f in range(5):
            yield kind, f, -1, by_size + FACTORS[f]
        for f, g in PAIRS:
            yield kind + 1, f, g, by_size + FACTORS[f] + ":" + FACTORS[g]


def anova(data):
    """Sequential sums of squares: patsy would reorder the terms of one model, so each nested model is fitted."""
    formula = "y ~ 1"
    before = smf.ols(formula, data).fit()
    rows = []
    for kind, f, g, text in term_formulas():
        formula += " + " + text
        fitted = smf.ols(formula, data).fit()
        rows.append([kind, f, g, round(before.df_resid - fitted.df_resid), before.ssr - fitted.ssr])
        before = fitted
    rows.append([6, -1, -1, round(before.df_resid), before.ssr])
    return rows


def f_test(kind, df, ss, errors):
    """F and p: size against seed within size, the rest against the residual."""
    error_df, error_ss = errors[1 if kind == 0 else 6]
    if kind in (1, 6) or df == 0 or error_df == 0:
        return math.nan, math.nan
    F = (ss / df) / (error_ss / error_df)
    return F, stats.f.sf(F, df, error_df)


def check_variance(name, ours, data):
    used = blocks_that_enter(data)
    rows = anova(used)
    by_kind = {kind: (sum(r[3] for r in rows if r[0] == kind), sum(r[4] for r in rows if r[0] == kind))
               for kind in range(7)}
    for kind, f, g, df, ss in rows:
        key = f"anova:{kind}:{f}:{g}"
        for what, mine, theirs in zip(("df", "ss", "F", "p"), ours[key],
                                      (df, ss) + f_test(kind, df, ss, by_kind)):
            check(f"{name} {key} {what}", mine, theirs)
    for kind, (df, ss) in by_kind.items():
        for what, mine, theirs in zip(("df", "ss", "F", "p"), ours[f"kind:{kind}"],
                                      (df, ss) + f_test(kind, df, ss, by_kind)):
            check(f"{name} kind {kind} {what}", mine, theirs)
    check_shares(name, ours, used, rows, by_kind)


def check_shares(name, ours, used, rows, kinds):
    """By the formulas of METHOD section 6, written again."""
    cells = len(used)
    per_block = used.groupby(["size", "seed"]).size()
    per_size = used.groupby("size").size()
    squares = sum(n * n / per_size[size] for (size, _), n in per_block.items())
    coefficient = (cells - squares) / kinds[1][0]
    seed, residual = kinds[1][1] / kinds[1][0], kinds[6][1] / kinds[6][0]
    scale = (kinds[0][1] - kinds[0][0] * seed) / cells
    optimization = sum(kinds[k][1] - kinds[k][0] * residual for k in (2, 3)) / cells
    interaction = sum(kinds[k][1] - kinds[k][0] * residual for k in (4, 5)) / cells
    noise = (seed - residual) / coefficient + residual
    total = scale + optimization + interaction + noise
    check(name + " cells", ours["data"][0], cells)
    check(name + " mean", ours["data"][2], used.y.mean())
    check(name + " cells per block", ours["data"][3], coefficient)
    for s, variance in enumerate((scale, optimization, interaction, noise)):
        check(f"{name} variance {s}", ours[f"share:{s}"][0], variance)
        check(f"{name} share {s}", ours[f"share:{s}"][1], variance / total)
    check(name + " difference", ours["optimization_less_scale"][0], (optimization - scale) / total)
    for kind, f, _, df, ss in rows:
        if kind == 2:
            check(f"{name} share of {FACTORS[f]}", ours[f"of_factor:{f}"][0],
                  (ss - df * residual) / cells / total)


def block_sums(data, weight):
    """Per block that has them all: the weighted sum over its cells with a weight; weight(row of signs) -> number."""
    rows = []
    for (size, seed), block in data.groupby(["size", "seed"]):
        weights = np.array([weight(tuple(run)) for run in block[list(FACTORS)].values])
        needed = sum(weight(run) != 0 for run in RUNS)
        has = block.y.notna().values & (weights != 0)
        if has.sum() == needed:
            rows.append((size, seed, float(np.dot(weights[has], block.y.values[has]))))
    return pandas.DataFrame(rows, columns=["size", "seed", "d"])


def contrasts(data):
    """name -> (weights of a run, its alpha, which sizes: all, the first, or by their slope)."""
    half = len(RUNS) // 2
    out = {}
    for f in range(5):
        out[f"main:{f}:-1"] = (lambda run, f=f: run[f] / half, 0.05, "all")
        out[f"first:{f}:-1"] = (lambda run, f=f: run[f] / half, 0.05 / 7, "first")
    for f, g in PAIRS:
        out[f"pair:{f}:{g}"] = (lambda run, f=f, g=g: 2 * run[f] * run[g] / half, 0.05 / 7, "all")
    out["setting:5:0"] = (lambda run: float(run == RUNS[5]) - float(run == RUNS[0]), 0.05, "all")
    out["slope:0:0"] = (lambda run: float(run == RUNS[0]), 0.05, "slope")
    return out


def check_contrasts(name, ours, data):
    p = {}
    for key, (weight, alpha, which) in contrasts(data).items():
        sums = block_sums(data, weight)
        sizes = sorted(sums["size"].unique())
        fitted = smf.ols("d ~ C(size) - 1", sums).fit()
        x = np.array(sizes, float) - np.mean(sizes)
        over = {"all": np.ones(len(sizes)) / len(sizes), "first": (np.array(sizes) == 0) * 1.0,
                "slope": x / np.dot(x, x)}[which]
        test = fitted.t_test(over)
        low, high = test.conf_int(alpha)[0]
        blocks = sums.shape[0] if which != "first" else (sums["size"] == 0).sum()
        p[key] = float(test.pvalue)
        theirs = (fitted.df_resid, blocks, test.effect[0], low, high, test.sd[0][0], test.tvalue[0][0],
                  p[key])
        for what, a, b in zip(("df", "blocks", "estimate", "low", "high", "se", "t", "p"),
                              ours["contrast:" + key], theirs):
            check(f"{name} {key} {what}", a, float(b))
    adjusted = multipletests(list(p.values()), method="holm")[1]
    for key, value in zip(p, adjusted):
        check(f"{name} {key} Holm", ours["contrast:" + key][8], value)


def check_spearman(name, ours, data):
    rounded = data.assign(y=np.rint(4 * data.y)).dropna()
    pairs = 0
    for size, part in rounded.groupby("size"):
        by_seed = part.pivot(index="levels", columns="seed", values="y")
        for a, b in itertools.combinations(by_seed.columns, 2):
            both = by_seed[[a, b]].dropna()
            if len(both) > 2:
                check(f"{name} Spearman {size} {a} {b}", ours[f"spearman:{size}:{a}:{b}"][0],
                      stats.spearmanr(both[a], both[b])[0])
                pairs += 1
    if pairs != sum(key.startswith("spearman") for key in ours):
        faults.append(f"{name}: {pairs} pairs of seeds, and not as many correlations")


def damaged(data, random):
    """Single cells lost; a seed of the second size not run; one just begun."""
    data = data.copy()
    data.loc[random.choice(len(data), 6, replace=False), "y"] = math.nan
    lost = (data["size"] == 1) & (data.seed == 4)
    begun = (data["size"] == 2) & (data.seed == 4) & (data.levels != 0)
    data.loc[lost | begun, "y"] = math.nan
    return data


def level_lost(data):
    """All but one setting with b high diverged at the largest size: terms there have fewer degrees of freedom."""
    data = data.copy()
    data.loc[(data["size"] == 2) & (data.b > 0) & (data.levels % 3 != 1), "y"] = math.nan
    return data


def main():
    program = sys.argv[1]
    random = np.random.default_rng(8)
    cases = {
        "complete": make(3, 3, random),
        "damaged": damaged(make(3, 4, random), random),
        "level lost": level_lost(make(3, 4, random)),
    }
    warnings.simplefilter("ignore")
    for name, data in cases.items():
        ours = run_program(program, data)
        check_variance(name, ours, data)
        check_contrasts(name, ours, data)
        check_spearman(name, ours, data)
        print(f"{name}: {int(data.y.notna().sum())} of {len(data)} cells, {len(ours)} rows compared")
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
