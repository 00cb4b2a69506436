#!/usr/bin/env python3
"""Does a study.nc mean the same to the tools that people have?

    test_readers.py FILE.nc            a finished study of cells that were run
    test_readers.py --planted FILE.nc  a complete one of tests/report/planted.c

Opens it with xarray and ncdump, and checks dimensions, attributes, coordinates and group-by on factor
levels; of a planted one the group /analysis, whose numbers are computed again. One line per fault; exit status 1
if there is any.
"""
import re
import subprocess
import sys

import numpy as np
import xarray as xr

DIMENSIONS = ("cell", "checkpoint", "quantizer", "window", "trace", "layer", "site", "norm")
GLOBALS = ("Conventions", "title", "summary", "keywords", "id", "source", "history", "date_created",
           "study_name", "study_design", "study_file", "study_expanded", "version", "commit",
           "compiler", "method_version", "libraries", "mpi", "job_ids", "corpus_fingerprint",
           "corpus_files")
COORDINATES = ("cell_id", "size", "setting", "base", "seed", "parameters", "train_tokens",
               "learning_rate", "total_decay", "weight_decay", "dropout", "grad_clip", "precision",
               "schedule")
RESPONSES = {
    "loss": ("cell", "checkpoint"),
    "tokens": ("cell", "checkpoint"),
    "quantized_loss": ("cell", "checkpoint", "quantizer"),
    "delta_loss": ("cell", "checkpoint", "quantizer"),
    "kl": ("cell", "checkpoint", "quantizer"),
    "log_kl": ("cell", "checkpoint", "quantizer"),
    "top1_agreement": ("cell", "checkpoint", "quantizer"),
    "quantizer_outcome": ("cell", "checkpoint", "quantizer"),
    "site_error": ("cell", "checkpoint", "quantizer", "layer", "site"),
    "window_kl": ("cell", "checkpoint", "quantizer", "window"),
    "trace_loss": ("cell", "trace"),
    "status": ("cell",),
    "isa": ("cell",),
}
SITE = ("cell", "checkpoint", "layer", "site")
PROBES = {
    "probe_input_std": SITE,
    "probe_input_max": SITE,
    "probe_input_kurtosis": SITE,
    "probe_outliers": SITE,
    "probe_outliers_relative": SITE,
    "probe_output_rmse": ("cell", "checkpoint", "layer"),
    "probe_gain_std": ("cell", "checkpoint", "layer", "norm"),
    "probe_final_gain_std": ("cell", "checkpoint"),
    "probe_weight_max": SITE,
    "probe_weight_std": SITE,
    "probe_weight_norm": SITE,
    "probe_stable_rank": SITE,
}
faults = []


def check(condition, text):
    if not condition:
        faults.append(text)


def check_names(ds):
    for name in DIMENSIONS:
        check(name in ds.sizes and ds.sizes[name] > 0, f"dimension {name} is missing")
    for name in GLOBALS:
        check(name in ds.attrs, f"global attribute {name} is missing")
    check("CF-1.10" in ds.attrs.get("Conventions", ""), "Conventions do not name CF-1.10")
    check("ACDD-1.3" in ds.attrs.get("Conventions", ""), "Conventions do not name ACDD-1.3")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ds.attrs.get("date_created", "")),
          "date_created is not an ISO 8601 time")
    check("sizes:" in ds.attrs.get("study_file", ""), "study_file does not hold the study")
    for name, variable in ds.variables.items():
        for attribute in ("units", "long_name", "comment"):
            check(variable.attrs.get(attribute, "") != "" or attribute in variable.encoding,
                  f"{name} has no {attribute}")


def check_coordinates(ds):
    for name in COORDINATES:
        check(name in ds.coords and ds[name].dims == ("cell",), f"{name} is no coordinate on cell")
    for name, of in (("training_fraction", "checkpoint"), ("quantizer", "quantizer"), ("site", "site")):
        check(name in ds.coords and ds[name].dims == (of,), f"{name} is no coordinate on {of}")
    for name, dims in RESPONSES.items():
        check(name in ds and ds[name].dims == dims, f"{name} has not the dimensions {dims}")
    fraction = ds.training_fraction.values
    check((np.diff(fraction) > 0).all() and fraction[-1] == 1, "training_fraction does not rise to 1")
    check(len(set(ds.cell_id.values)) == ds.sizes["cell"], "cell_id does not identify the cells")
    check(not np.isnan(ds.grad_clip.values).any(), "grad_clip has missing values: group-by drops them")


def check_probes(ds, done):
    for name, dims in PROBES.items():
        check(name in ds and ds[name].dims == dims, f"{name} has not the dimensions {dims}")
        check("METHOD §5" in ds[name].attrs.get("comment", ""), f"{name} does not name its definition")
    check(list(ds.site.values) == ["qkv", "attn_out", "ffn_in", "ffn_out"], "site does not name the sites")
    check(list(ds.norm.values) == ["ln1", "ln2"], "norm does not name the LayerNorms")
    for i in np.flatnonzero(done):
        cell = ds.isel(cell=i)
        depth = int(cell.layers)
        for name in PROBES:
            probe = cell[name].isel(norm=0) if "norm" in cell[name].dims else cell[name]
            if "layer" in probe.dims:
                check(np.isnan(probe.isel(layer=slice(depth, None))).all(), f"{name} goes on behind the last block")
                probe = probe.isel(layer=slice(0, depth))
            check(np.isfinite(probe).all(), f"{name} of a finished cell is missing")
        check((cell.probe_weight_norm.isel(layer=0) >= cell.probe_weight_max.isel(layer=0) * 0.999999).all(),
              "a weight is larger than its matrix's spectral norm")
        rank = cell.probe_stable_rank.isel(layer=0)
        check((rank >= 0.999).all() and (rank <= float(cell.d_model)).all(), "a stable rank is out of range")
        check((cell.probe_output_rmse.isel(layer=0) > 0).all(), "quantized blocks give the full outputs")


def check_values(ds):
    meanings = ds.status.attrs["flag_meanings"].split()
    check(len(meanings) == len(ds.status.attrs["flag_values"]), "status: flags and meanings differ")
    done = (ds.status == meanings.index("done")).values
    check(done.any(), "no cell is done")
    w8a8 = "w8a8" in ds["quantizer"].values
    name = "w8a8" if w8a8 else str(ds["quantizer"].values[0])
    last = ds.isel(checkpoint=-1).sel(quantizer=name)
    for response in ("loss", "quantized_loss", "kl", "log_kl"):
        check(np.isfinite(last[response].values[done]).all(), f"{response} of a finished cell is missing")
    check_probes(ds, done)
    check((ds.loss.where(ds.loss > 1e30).isnull()).all(), "_FillValue was not decoded")


def check_group_by(file):
    # The three lines that the README shows.
    ds = xr.open_dataset(file)
    kl = ds.log_kl.isel(checkpoint=-1).sel(quantizer=ds["quantizer"].values[0])
    by_setting, by_precision = (kl.groupby(level).mean() for level in ("setting", "precision"))

    check(set(by_setting.setting.values) == set(ds.setting.values), "group-by lost a setting")
    check(set(by_precision.precision.values) == set(ds.precision.values), "group-by lost a precision")
    for level in ("size", "seed", "dropout", "grad_clip", "total_decay", "base"):
        groups = ds.groupby(level).mean()
        check(groups.sizes[level] == len(np.unique(ds[level].values)), f"group-by {level} lost a level")
    ds.close()


def check_ncdump(file):
    dump = subprocess.run(["ncdump", "-h", file], capture_output=True, text=True, check=False)
    check(dump.returncode == 0, f"ncdump -h: exit {dump.returncode}: {dump.stderr.strip()}")
    for name in DIMENSIONS:
        check(re.search(rf"^\s+{name} = \d+ ;", dump.stdout, re.M), f"ncdump shows no dimension {name}")


def check_analysis(file, fraction):
    """The group that tells what the analysis found; `fraction`: the study has a balanced one."""
    answer = xr.open_dataset(file, group="analysis", engine="netcdf4")
    for name, variable in answer.variables.items():
        for attribute in ("units", "long_name", "comment"):
            check(variable.attrs.get(attribute, "") != "", f"analysis: {name} has no {attribute}")
        check("METHOD §" in variable.attrs.get("comment", ""), f"analysis: {name} does not name its definition")
    check(list(answer.hypothesis.values) == ["1", "2", "3a", "3b", "4a", "4b", "5"], "analysis: hypotheses")
    meanings = answer.verdict.attrs["flag_meanings"].split()
    check(len(meanings) == len(answer.verdict.attrs["flag_values"]) and meanings[1] == "supported",
          "analysis: flags and meanings of the verdicts differ")
    asked = answer.verdict.values != meanings.index("not_asked")
    check(asked.any(), "analysis: no hypothesis is asked")
    check((np.isfinite(answer.effect.values) == asked).all(), "analysis: an effect without a claim, or a claim without")
    for name in ("headline", "quantizer", "confidence", "confidence_of_claims"):
        check(name in answer.attrs, f"analysis: attribute {name} is missing")
    check(("anova_ss" in answer) == fraction and ("share_estimate" in answer) == fraction,
          "analysis: shares are there without a balanced fraction, or not there with one")
    return answer


def pooled(blocks):
    """METHOD §6: mean over sizes of the blocks' mean, its standard error and df; blocks (size, seed)."""
    sizes, seeds = blocks.shape
    df = sizes * (seeds - 1)
    variance = ((blocks - blocks.mean(axis=1, keepdims=True))**2).sum() / df
    return blocks.mean(), np.sqrt(variance * sizes / seeds) / sizes, df


def close(a, b):
    return np.allclose(a, b, rtol=1e-9, atol=1e-12)


def check_planted(file):
    answer = check_analysis(file, True)
    ds = xr.open_dataset(file, engine="netcdf4")
    y = ds.log_kl.isel(checkpoint=-1).sel(quantizer="w8a8").values
    size, seed = ds["size"].values, ds.seed.values
    sizes = sorted(set(size), key=lambda s: ds.parameters.values[size == s][0])
    base_rate = {s: ds.learning_rate.values[(size == s) & (ds.base == 1).values][0] for s in sizes}
    high = {
        "total decay": ds.total_decay.values < 0.05,
        "dropout": ds.dropout.values > 0,
        "clip": ds.grad_clip.values == 0,
        "precision": ds.precision.values == "fp16",
        "learning rate": ds.learning_rate.values < 0.9 * np.array([base_rate[s] for s in size]),
    }
    whole = ds.train_tokens.values == 2097152  # the fraction; other numbers of tokens are the ladder
    tokens_per_parameter = ds.setting.values == "tokens_per_parameter=10"
    check(list(answer.factor.values) == list(high), "analysis: factors")
    check(whole.sum() == 16 * len(sizes) * len(set(seed)), "the fraction is not whole")

    def by_block(weight):
        return np.array([[(weight * y)[whole & (size == s) & (seed == k)].sum() for k in sorted(set(seed))]
                         for s in sizes])

    sign = {name: np.where(level, 1, -1) for name, level in high.items()}
    contrasts = [sign["total decay"] / 8, sign["dropout"] / 8, sign["clip"] / 8,
                 sign["total decay"] * sign["clip"] / 4, sign["precision"] / 8,
                 sign["total decay"] * sign["precision"] / 4]
    for i, weight in enumerate(contrasts):
        mean, se, df = pooled(by_block(weight))
        name = f"analysis: hypothesis {answer.hypothesis.values[i]}"
        check(close(answer.effect[i], mean), f"{name}: effect {float(answer.effect[i])} is not {mean}")
        check(close(answer.effect_se[i], se), f"{name}: standard error {float(answer.effect_se[i])} is not {se}")
        check(int(answer.effect_df[i]) == df, f"{name}: {int(answer.effect_df[i])} df are not {df}")
        check(close(answer.effect_high[i] - mean, mean - answer.effect_low[i]), f"{name}: lopsided interval")
    x = [np.log10(ds.parameters.values[size == s][0]) for s in sizes]
    slope = np.polyfit(x, [y[tokens_per_parameter & (size == s)].mean() for s in sizes], 1)[0]
    check(close(answer.effect[6], slope), f"analysis: hypothesis 5: slope {float(answer.effect[6])} is not {slope}")

    total = ((y[whole] - y[whole].mean())**2).sum()
    check(close(answer.anova_ss.sum(), total), "analysis: sums of squares do not add up")
    check(close(answer.stratum_ss.sum(), total), "analysis: sums of squares of the strata do not add up")
    check(int(answer.anova_df.sum()) == whole.sum() - 1, "analysis: degrees of freedom do not add up")
    check(close(answer.share_estimate.sum(), 1), "analysis: shares do not add up")
    check(((answer.share_estimate_low < answer.share_estimate) &
           (answer.share_estimate < answer.share_estimate_high)).all(), "analysis: a share is not in its interval")
    effects = answer.contrast_effect.groupby("contrast_quantizer")
    check(set(effects.groups) == set(ds["quantizer"].values), "analysis: quantizers of the effects")
    check(effects.count().sel(contrast_quantizer="w8a8") == 1, "analysis: w8a8 is explored for the learning rate alone")
    check(np.isfinite(answer.early_rho).all() and answer.fraction.values[-1] == 1, "analysis: early checkpoints")
    check(np.isfinite(answer.slope).all(), "analysis: slopes")
    dump = subprocess.run(["ncdump", "-g", "analysis", file], capture_output=True, text=True, check=False)
    check(dump.returncode == 0 and "double effect(hypothesis)" in dump.stdout, "ncdump -g analysis")


def finish(file):
    for fault in faults:
        print(f"{file}: {fault}", file=sys.stderr)
    print(f"{file}: {'read as it should be' if not faults else f'{len(faults)} faults'}")
    return 1 if faults else 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--planted":
        check_planted(sys.argv[2])
        return finish(sys.argv[2])
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    file = sys.argv[1]
    with xr.open_dataset(file, engine="netcdf4") as ds:
        check_names(ds)
        if not faults:
            check_coordinates(ds)
        if not faults:
            check_values(ds)
    if not faults:
        check_group_by(file)
        check_analysis(file, False)
    check_ncdump(file)
    return finish(file)


if __name__ == "__main__":
    sys.exit(main())
