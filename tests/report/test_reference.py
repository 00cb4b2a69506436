#!/usr/bin/env python3
"""Is the committed reference study what README and jobs/reference.yaml say of it?

    test_reference.py PROGRAM [--reproduce CELL]

README's tables are compared with the numbers in results/reference.nc, the study file with the one inside, and what
`ptqscale report` says of the file with its own group /analysis. With --reproduce, the cell is trained again; on another
instruction set, or with other libraries, that is refused and nothing is compared. One line per fault; exit status 1 if there
is any.
"""
import math
import os
import re
import subprocess
import sys

import netCDF4
import numpy as np
import scipy.stats

FILE, STUDY, README = "results/reference.nc", "jobs/reference.yaml", "README.md"
NUMBER = r"[+−]?[\d.,]+"
BETWEEN = rf"\[({NUMBER}), ({NUMBER})\]"
PARTS = {"optimization choices": "optimization", "scale": "scale", "scale × optimization": "scale × optimization",
         "seed noise": "seed"}
VERDICTS = {"contradicted_opposite": "contradicted: the opposite", "contradicted_negligible": "contradicted: negligible"}


faults = []


def check(condition, text):
    if not condition:
        faults.append(text)


def number(text):
    return float(text.replace("−", "-").replace("+", "").replace(",", ""))


def shown(text, value):
    """Is `value` what `text` says, to its digits?"""
    digits = len(text.partition(".")[2])
    return abs(number(text) - value) <= 0.500001 * 10 ** -digits


def rows(readme):
    """Cells of all table rows of the section with the answer."""
    section = readme.partition("\n## The current answer\n")[2].partition("\n## ")[0]
    return section, [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()
                     if line.startswith("|")]


def triple(text):
    found = re.search(rf"({NUMBER}) ?%? {BETWEEN}", text)
    return found.groups() if found else None


def check_triple(what, text, values):
    found = triple(text)
    check(found and all(shown(t, v) for t, v in zip(found, values)),
          f"{README}: {what}: {text!r} where {FILE} has {[round(float(v), 3) for v in values]}")


def check_shares(answer, table):
    names = list(answer["share"][:])
    seen = 0
    for row in table:
        if row[0] in PARTS:
            i = names.index(PARTS[row[0]])
            check_triple(row[0], row[1], [100 * float(answer["share_estimate" + end][i]) for end in ("", "_low", "_high")])
            seen += 1
    check(seen == 4, f"{README}: {seen} shares instead of 4")


def check_claims(answer, table):
    names = list(answer["hypothesis"][:])
    flags = dict(zip(np.atleast_1d(answer["verdict"].flag_values).tolist(), answer["verdict"].flag_meanings.split()))
    seen = 0
    for row in table:
        name = row[0].partition(":")[0]
        if name == "6":
            i = list(answer["fraction"][:]).index(0.25)
            check_triple("claim 6", row[1], [float(answer["early_rho" + end][i]) for end in ("", "_low", "_high")])
            check(row[3] == ("supported" if answer.early_supported == "yes" else "not supported"), f"claim 6 is {row[3]!r}")
        if name not in names:
            continue
        seen += 1
        i = names.index(name)
        for cell, prefix in ((row[1], "effect"), (row[2], "matched_effect")):
            if not cell:
                check(np.ma.is_masked(answer[prefix][i]), f"{README}: claim {name} lacks its {prefix}")
                continue
            values = [math.exp(float(answer[prefix + end][i])) for end in ("", "_low", "_high")]
            check_triple(f"claim {name}", cell, values if "×" in cell else [100 * (value - 1) for value in values])
        verdict = flags[int(answer["verdict"][i])]
        check(row[3] == VERDICTS.get(verdict, verdict.replace("_", " ")),
              f"{README}: claim {name} is {row[3]!r}, but {FILE} has {verdict}")
    check(seen == len(names), f"{README}: {seen} of {len(names)} claims")


def check_said(section, pattern, values):
    """The numbers in README's sentence, each to its digits."""
    said = re.search(pattern, section)
    check(said and len(said.groups()) == len(values) and all(shown(text, value) for text, value in zip(said.groups(), values)),
          f"{README}: {said[0] if said else pattern!r} where {FILE} has {[float(f'{value:.4g}') for value in values]}")


def t_interval(blocks, confidence=0.95):
    """Mean over sizes of the seeds' means, with the error of seeds within sizes. blocks: (sizes, seeds)."""
    sizes, seeds = blocks.shape
    df = sizes * (seeds - 1)
    half = scipy.stats.t.ppf(0.5 + confidence / 2, df) * math.sqrt(blocks.var(axis=1, ddof=1).mean() / (sizes * seeds))
    return blocks.mean(), blocks.mean() - half, blocks.mean() + half


def check_companions(ds, section):
    """What stands beside the effects, worked out here: at equal loss (numpy.interp on each seed's ladder), and on Δloss."""
    answer = ds["analysis"]
    last, tokens, rate = ds["loss"].shape[1] - 1, ds["train_tokens"][:], ds["learning_rate"][:]
    seed, dropout, size = ds["seed"][:], ds["dropout"][:], ds["size"][:]
    loss, quantizers = ds["loss"][:, last], list(ds["quantizer"][:])
    base = ds["base"][:] != 0
    sizes, seeds = list(dict.fromkeys(size)), sorted(set(seed))
    best = np.array([rate[base & (size == each)].max() for each in size])
    decay, schedule = ds["total_decay"][:], ds["schedule"][:]
    plain = schedule == schedule[base][0]
    fraction = plain & (tokens == tokens[base][0]) & np.isin(decay, (0.5, 0.005)) & np.isin(dropout, (0, 0.1))
    grad_clip, precision = np.ma.filled(ds["grad_clip"][:], -1), ds["precision"][:]
    same = plain & (decay == 0.5) & (dropout == 0) & (rate == best) & (precision == precision[base][0]) & (
        grad_clip == grad_clip[base][0])
    check(fraction.sum() == 16 * len(sizes) * len(seeds), f"{FILE}: {fraction.sum()} cells of the fraction")
    low = rate < 0.9 * best

    def main_effect(values, high):
        return np.array([[values[b & high].mean() - values[b & ~high].mean() for k in seeds
                          for b in [fraction & (size == s) & (seed == k)]] for s in sizes])

    for quantizer in ("w8a8", "w4"):
        log_kl = np.log(ds["kl"][:, last, quantizers.index(quantizer)])
        matched = np.full(len(size), np.nan)
        for s in sizes:
            for k in seeds:
                block = (size == s) & (seed == k)
                rungs = np.flatnonzero(block & same)
                rungs = rungs[np.argsort(loss[rungs])]
                matched[block] = log_kl[block] - np.interp(loss[block], loss[rungs], log_kl[rungs], np.nan, np.nan)
        worked_out = t_interval(main_effect(matched, low))
        row = [i for i, each in enumerate(answer["contrast"][:])
               if each.startswith("learning rate") and answer["contrast_quantizer"][i] == quantizer]
        check(len(row) == 1, f"{FILE}: {len(row)} effects of the learning rate under {quantizer}")
        stored = [float(answer["contrast_matched_effect" + end][row[0]]) for end in ("", "_low", "_high")]
        check(np.allclose(worked_out, stored, rtol=0, atol=1e-9),
              f"{FILE}: at equal loss, the rate under {quantizer}: {stored}, but worked out {worked_out}")
        check_said(section, {"w8a8": "nothing at equal loss:", "w4": "under `w4`"}[quantizer] + rf" ({NUMBER}) % {BETWEEN}",
                   [100 * math.expm1(value) for value in stored])
    delta = ds["delta_loss"][:, last, quantizers.index("w8a8")]
    h2 = list(answer["hypothesis"][:]).index("2")
    worked_out = t_interval(main_effect(delta, dropout == 0.1), float(answer.confidence_of_claims))
    stored = [float(answer["delta_loss_effect" + end][h2]) for end in ("", "_low", "_high")]
    check(np.allclose(worked_out, stored, rtol=0, atol=1e-12), f"{FILE}: 2 on the loss: {stored}, but worked out {worked_out}")
    # the smallest models at a third of their rate, against both ends at their best
    log_kl = np.log(ds["kl"][:, last, quantizers.index("w8a8")])
    mean = {(s, l): log_kl[fraction & (size == s) & (low == l)].mean() for s in sizes for l in (False, True)}
    smallest, largest = sizes[0], sizes[-1]
    part = (mean[smallest, False] - mean[smallest, True]) / (mean[smallest, False] - mean[largest, False])
    check_said(section, rf"({NUMBER}) % of the difference in log KL", [100 * part])


def check_text(ds, section):
    """Numbers outside the tables."""
    answer = ds["analysis"]
    three = rf"({NUMBER}) {BETWEEN}"

    def ends(name, index, of):
        return [of(float(answer[name + end][index])) for end in ("", "_low", "_high")]

    def percent(value):
        return 100 * math.expm1(value)

    shares = dict(zip(answer["share"][:], 100 * answer["share_estimate"][:]))
    factor = dict(zip(answer["factor"][:], 100 * answer["factor_share"][:]))
    less = [100 * float(answer["optimization_less_scale" + end][...]) for end in ("", "_low", "_high")]
    check_said(section, rf"({NUMBER}) % of its variance against ({NUMBER}) %, ({NUMBER}) points more {BETWEEN}",
               [shares["optimization"], shares["scale"], *less])
    check_said(section, rf"scale would lead \(({NUMBER}) against ({NUMBER})\)",
               [shares["scale"], shares["optimization"] - factor["dropout"]])
    check_said(section, rf"dropout \(0, 0.1\) ({NUMBER}), learning rate \(best, a third\) ({NUMBER}), total decay \(0.5, 0.005\) "
               rf"({NUMBER}), clipping ({NUMBER}), fp16 or bf16 ({NUMBER}) ",
               [factor[name] for name in ("dropout", "learning rate", "total decay", "clip", "precision")])
    slopes = list(answer["matching"][:])
    for words, name in (("×{} at equal tokens,", "equal tokens"), ("×{} at equal loss", "equal loss"),
                        ("×{} at equal tokens per parameter", "equal tokens per parameter")):
        check_said(section, words.format(three), ends("slope", slopes.index(name), math.exp))
    contrasts = list(zip(answer["contrast"][:], answer["contrast_quantizer"][:]))
    at = {(name.partition(" 0.333")[0], of): i for i, (name, of) in enumerate(contrasts)}
    check_said(section, rf"A third of the learning rate saves ({NUMBER}) %",
               [-percent(float(answer["contrast_effect"][at["learning rate", "w8a8"]]))])
    check_said(section, rf"though ({NUMBER}) % under `w4a4`",
               [percent(float(answer["contrast_matched_effect"][at["learning rate", "w4a4"]]))])
    check_said(section, rf"0\.4, at two sizes: ({NUMBER}) %, and ({NUMBER}) % {BETWEEN};",
               [-percent(float(answer["contrast_effect"][at["dropout=0.4", "w8a8"]])),
                *(-value for value in np.array(ends("contrast_matched_effect", at["dropout=0.4", "w8a8"], percent))[[0, 2, 1]])])
    check(np.ma.getmaskarray(answer["contrast_matched_effect"][:])[at["dropout=0.8", "w8a8"]], "dropout 0.8 is within the ladder")
    ceiling = float(answer["early_rho"][-1])
    check_said(section, rf"of training; ceiling ({NUMBER})", [ceiling])
    check(not np.any(answer["mechanism_supported"][:]), f"{FILE}: a mechanism is supported")
    check_said(section, rf"effect of ({NUMBER}) % from none", [percent(max(answer["detectable"][:-1]))])
    last = ds["loss"].shape[1] - 1
    base = ds["base"][:] != 0
    cost = 100 * ds["relative_loss_increase"][base, last, list(ds["quantizer"][:]).index("w8a8")]
    size = ds["size"][:][base]
    check_said(section, rf"costs the base recipe ({NUMBER}) % {BETWEEN} of its loss",
               t_interval(np.array([cost[size == s] for s in dict.fromkeys(size)])))


def check_provenance(ds, readme):
    with open(STUDY, encoding="utf-8") as file:
        check(ds.study_file == file.read(), f"{STUDY} is not the study file in {FILE}")
    check(ds.corpus_files == "../data/gcide.dict.dz", f"{FILE} names {ds.corpus_files}")
    check("\"/" not in ds.study_expanded, f"{FILE}: an absolute path in study_expanded")
    commits = set(ds["commit"][:])
    check(len(commits) == 1 and next(iter(commits))[:7] in readme, f"{README} does not name the commit {commits}")
    check(os.path.getsize(FILE) <= 20e6, f"{FILE} is larger than 20 MB")
    check((ds["status"][:] == ds["status"].flag_values[ds["status"].flag_meanings.split().index("done")]).all(),
          f"{FILE}: not all cells are done")


def check_report(program, ds):
    run = subprocess.run([program, "report", FILE, "--no-html"], capture_output=True, text=True)
    check(run.returncode == 0, f"report: exit {run.returncode}: {run.stderr}")
    said = " ".join(run.stdout.split())
    check(ds["analysis"].headline in said, "report has another headline than the file")
    check(f"commit {ds['commit'][0]}" in said, f"report does not name the commit of the runs, {ds['commit'][0]}")


def check_again(program, cell):
    run = subprocess.run([program, "reproduce", FILE, STUDY, "--cell", cell], capture_output=True, text=True)
    output = run.stdout + run.stderr
    if run.returncode == 1 and "--any-isa" in output:
        print(f"not reproduced, since it was another machine: {output}")
    else:
        check(run.returncode == 0 and "the same" in output, f"reproduce: exit {run.returncode}: {output}")


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    program = sys.argv[1]
    with open(README, encoding="utf-8") as file:
        readme = file.read()
    section, table = rows(readme)
    with netCDF4.Dataset(FILE) as ds:
        check_shares(ds["analysis"], table)
        check_claims(ds["analysis"], table)
        check_companions(ds, section)
        check_text(ds, section)
        check_provenance(ds, section)
        check_report(program, ds)
    if len(sys.argv) == 4:
        check_again(program, sys.argv[3])
    for fault in faults:
        print(fault, file=sys.stderr)
    print("the reference study is what README says" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
