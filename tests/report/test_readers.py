#!/usr/bin/env python3
"""Does a study.nc mean the same to the tools that people have?

    test_readers.py FILE.nc

Opens it with xarray and ncdump, and checks dimensions, attributes, coordinates and group-by on factor
levels. One line per fault; exit status 1 if there is any.
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


def main():
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
    check_ncdump(file)
    for fault in faults:
        print(f"{file}: {fault}", file=sys.stderr)
    print(f"{file}: {'read as it should be' if not faults else f'{len(faults)} faults'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
