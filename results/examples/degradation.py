#!/usr/bin/env python3
"""degradation.py STUDY.nc OUT.svg: log KL against parameters by setting, bands over seeds; and the verdicts."""
import sys

import matplotlib.pyplot as plt
import xarray as xr

file, out = sys.argv[1:]
kl = xr.open_dataset(file).log_kl.isel(checkpoint=-1).sel(quantizer="w8a8")
figure, axes = plt.subplots(figsize=(9, 5), constrained_layout=True)
axes.set_prop_cycle(plt.cycler(marker="osD^") * plt.rcParams["axes.prop_cycle"])
for setting, cells in kl.groupby("setting"):
    by_size = cells.groupby("parameters")
    line, = axes.plot(by_size.mean().parameters, by_size.mean(), label=setting)
    axes.fill_between(by_size.mean().parameters, by_size.min(), by_size.max(), color=line.get_color(), alpha=0.2)
axes.set(xscale="log", xlabel="parameters without embeddings", ylabel="log KL under w8a8, nats per token")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="x-small", frameon=False)
figure.savefig(out)

answer = xr.open_dataset(file, group="analysis")
meaning = answer.verdict.attrs["flag_meanings"].split()
print(answer.headline)
for a in (answer.isel(hypothesis=i) for i in range(answer.sizes["hypothesis"])):
    print(f"H{a.hypothesis.item()} {meaning[int(a.verdict)]}: {float(a.effect):+.3f} "
          f"[{float(a.effect_low):+.3f}, {float(a.effect_high):+.3f}] {a.contrast_of_claim.item()}")
