#!/usr/bin/env python3
"""Do the examples for people with their own tools work, and give the numbers that they promise?

    test_examples.py FOLDER FILE.nc

FOLDER: results/examples. FILE.nc: a study of tests/report/planted.c, with cells missing and diverged. What has no program here (R, NCO)
is left out, and said so. One line per fault; exit status 1 if there is any.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import xarray as xr
from scipy import stats

LINES = 25  # most of an example
faults = []


def check(condition, text):
    if not condition:
        faults.append(text)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100,
                          env={**os.environ, "MPLBACKEND": "Agg"})
    check(done.returncode == 0, f"{command[1]}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def paired(ds, setting):
    """METHOD §6: log KL of a setting less that of the base, seeds within sizes pooled: mean, low, high, df."""
    y = ds.log_kl.isel(checkpoint=-1).sel(quantizer="w8a8").values
    done = ds.status.values == ds.status.attrs["flag_meanings"].split().index("done")
    base = {(s, k): v for s, k, v, b, d in zip(ds["size"].values, ds.seed.values, y, ds.base.values, done) if b and d}
    pairs = {}
    for s, k, v, label, d in zip(ds["size"].values, ds.seed.values, y, ds.setting.values, done):
        if label == setting and d and (s, k) in base:
            pairs.setdefault(s, []).append(v - base[s, k])
    pairs = [np.array(p) for p in pairs.values()]
    df = sum(len(p) - 1 for p in pairs)
    variance = sum(((p - p.mean())**2).sum() for p in pairs) / df
    half = stats.t.ppf(0.975, df) * np.sqrt(variance * sum(1 / len(p) for p in pairs)) / len(pairs)
    mean = np.mean([p.mean() for p in pairs])
    return mean, mean - half, mean + half, df


def check_python(folder, file, scratch, answer):
    svg = os.path.join(scratch, "degradation.svg")
    output = run(sys.executable, os.path.join(folder, "degradation.py"), file, svg)
    meanings = answer.verdict.attrs["flag_meanings"].split()
    check(answer.headline in output, "degradation.py does not print the headline")
    for i, name in enumerate(answer.hypothesis.values):
        line = f"H{name} {meanings[int(answer.verdict[i])]}: {float(answer.effect[i]):+.3f} ["
        check(line in output, f"degradation.py does not print \"{line}\"")
    with open(svg, encoding="utf-8") as drawing:
        text = drawing.read()
    bands = len(re.findall(r'id="PolyCollection_\d+"|id="FillBetweenPolyCollection_\d+"', text))
    with xr.open_dataset(file) as ds:
        check(bands == len(set(ds.setting.values)), f"degradation.py draws {bands} bands")
    check("parameters without embeddings" in text and "log KL" in text, "degradation.py does not label its axes")


def check_r(folder, file, answer):
    output = run("Rscript", os.path.join(folder, "effects.R"), file)
    ds = xr.open_dataset(file)
    settings = sorted(set(ds.setting.values[ds.base.values == 0]))
    found = {m[1]: [float(m[i]) for i in range(2, 6)] for m in
             re.finditer(r"^(\S+) +(\S+) \[(\S+), (\S+)\] df (\d+)$", output, re.M)}
    check(sorted(found) == settings, f"effects.R tells of {sorted(found)}")
    for setting, values in found.items():
        want = paired(ds, setting)
        check(np.allclose(values, want, rtol=0, atol=1e-6), f"effects.R: {setting}: {values} is not {want}")
    for i, name in enumerate(answer.hypothesis.values):
        meaning = answer.verdict.attrs["flag_meanings"].split()[int(answer.verdict[i])]
        check(f"H{name} {meaning}: {float(answer.effect[i]):+.3f}" in output, f"effects.R: verdict of H{name}")


def check_ncdump(folder, file, answer):
    output = run("sh", os.path.join(folder, "ncdump.sh"), file)
    ds = xr.open_dataset(file)
    y = ds.log_kl.isel(checkpoint=-1)
    numbers = [float(x) for x in re.findall(r"-?\d+\.\d+", output.split("== mean log KL")[1].split("==")[0])]
    check(np.allclose(numbers, y.where(ds.base == 1).mean("cell").values), f"ncdump.sh: means are {numbers}")
    one = re.search(r"log_kl =\s*(-\d+\.\d+)", output.split("== one number")[1])
    check(one is not None and np.isclose(float(one[1]), y.values[0, 0]), "ncdump.sh: the one number")
    check(answer.headline in output.replace("\\'", "'"), "ncdump.sh does not print the headline")
    check("double kl(cell, checkpoint, quantizer)" in output.split("== only some")[1], "ncdump.sh: the new file")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, file = sys.argv[1:]
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as example:
            check(len(example.readlines()) <= LINES, f"{name} has more than {LINES} lines")
    answer = xr.open_dataset(file, group="analysis", engine="netcdf4")
    with tempfile.TemporaryDirectory() as scratch:
        check_python(folder, file, scratch, answer)
    if shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(ncdf4)"], capture_output=True,
                                                  check=False).returncode == 0:
        check_r(folder, file, answer)
    else:
        print("no R with ncdf4 here: effects.R was not tried")
    if shutil.which("ncks"):
        check_ncdump(folder, file, answer)
    else:
        print("no NCO here: ncdump.sh was not tried")
    for fault in faults:
        print(fault, file=sys.stderr)
    print("examples work" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
