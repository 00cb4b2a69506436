#!/usr/bin/env python3
"""Are cells of a study.nc computed again, and told when they are not the same?

    test_reproduce.py PTQSCALE FOLDER

FOLDER is that of the finished study jobs/smoke.yaml. One line per fault; exit status 1 if there is any.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import netCDF4
import numpy as np

STUDY = "jobs/smoke.yaml"
faults = []


def check(condition, text):
    if not condition:
        faults.append(text)


def reproduce(program, file, *arguments, study=STUDY, **environment):
    done = subprocess.run([program, "reproduce", file, study, *arguments], capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, **environment})
    return done.returncode, re.sub(r"\s+", " ", done.stdout + " " + done.stderr)


def fingerprint(folder):
    """Of every file below it."""
    hashes = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                hashes[path] = hashlib.sha256(file.read()).hexdigest()
    return hashes


def chosen(output):
    return re.findall(r"\d+/\d+ \S+ \(([0-9a-f]{32})\)", output)


def change(source, target, variable, index, value):
    """A copy of a file, with one value changed by another program."""
    shutil.copy(source, target)
    with netCDF4.Dataset(target, "r+") as ds:
        ds.set_auto_mask(False)
        ds[variable][index] = value(ds[variable][index])


def check_same(program, folder, study):
    before = fingerprint(folder)
    code, output = reproduce(program, study)
    check(code == 0 and "reproduced: all cells are the same" in output, f"not reproduced: {output}")
    five = chosen(output)
    check(len(five) == 5 and len(set(five)) == 5, f"not five cells: {five}")
    check("not in the file" not in output, f"a whole file lacks something: {output}")
    code, output = reproduce(program, study, "--cells", "2")
    check(code == 0 and chosen(output) == five[:2], "the same seed gives other cells")
    code, output = reproduce(program, study, "--cells", "2", "--seed", "3")
    check(code == 0 and chosen(output) != five[:2], "another seed gives the same cells")
    check(fingerprint(folder) == before, "the run's folder has changed")
    return five[0]


def check_changed(program, study, scratch):
    """By the smallest step there is, in each of the ways to store a number."""
    with netCDF4.Dataset(study) as ds:
        cell = ds["cell_id"][3]
    up = lambda x: np.nextafter(x, np.inf, dtype=x.dtype)
    for variable, index, says, step in (
            ("kl", (3, 1, 0), "kl (checkpoint 1, quantizer w8a8)", up),
            ("window_kl", (3, 1, 5, 7), "window_kl (checkpoint 1, quantizer w3, window 7)", up),
            ("site_error", (3, 1, 2, 1, 3), "quantizer w8a8-tensor, layer 1, site ffn_out)", up),
            ("tokens", (3, 0), "tokens (checkpoint 0)", lambda x: x + 1),
            ("final_loss_scale", (3,), "final_loss_scale", lambda x: -x),
            ("reason", (3,), "reason", lambda x: "none"),
    ):
        file = os.path.join(scratch, f"{variable}.nc")
        change(study, file, variable, index, step)
        code, output = reproduce(program, file, "--cell", cell[:8])
        check(code == 1, f"{variable} was changed: exit {code}: {output}")
        check(cell in output and says in output and "DIFFERENT" in output, f"{variable} was changed, but: {output}")
    # Other cells of that file are as they were.
    code, output = reproduce(program, file, "--cell", "2x16/base/1", "--cell", "2x16/base/2")
    check(code == 0 and len(chosen(output)) == 2, f"other cells: {output}")


def check_machine(program, study, scratch):
    file = os.path.join(scratch, "isa.nc")
    change(study, file, "isa", 0, lambda x: "quantum")
    code, output = reproduce(program, file, "--cell", "2x16/base/1")
    check(code == 1 and "quantum" in output and "--any-isa" in output, f"another instruction set: {output}")
    code, output = reproduce(program, file, "--cell", "2x16/base/1", "--any-isa")
    check(code == 0, f"--any-isa: {output}")
    with netCDF4.Dataset(study) as ds:
        isa = ds["isa"][0]
    if isa != "baseline":  # other kernels give other bits: the cells are computed indeed
        code, output = reproduce(program, study, "--cells", "1", PTQSCALE_ISA="baseline")
        check(code == 1 and "--any-isa" in output, f"on another instruction set: {output}")
        code, output = reproduce(program, study, "--cells", "1", "--any-isa", PTQSCALE_ISA="baseline")
        check(code == 1 and "DIFFERENT" in output, f"other kernels give the same bits: {output}")


def check_refused(program, study, scratch):
    code, output = reproduce(program, study, study="jobs/quick.yaml")
    check(code == 1 and "no cell with that id" in output, f"another study: {output}")
    with open(STUDY, encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(scratch, "text"), "wb") as file:
        file.write(b"Another text, which is long enough to be cut. " * 20000)
    other = os.path.join(scratch, "other.yaml")
    with open(other, "w", encoding="utf-8") as file:
        file.write(text.replace("../data/gcide.dict.dz", "text").replace("cleaning: gcide", "cleaning: none"))
    code, output = reproduce(program, study, study=other)
    check(code == 1 and "another text" in output, f"another text: {output}")
    file = os.path.join(scratch, "pending.nc")
    change(study, file, "status", 0, lambda x: 0)
    code, output = reproduce(program, file, "--cell", "2x16/base/1")
    check(code == 1 and "pending" in output, f"an unfinished cell: {output}")
    for arguments in (("--cell", "2x16/none/1"), ("--cells", "0")):
        code, output = reproduce(program, study, *arguments)
        check(code == 2, f"{arguments}: exit {code}")


def check_compact(program, folder, scratch):
    file = os.path.join(scratch, "compact.nc")
    subprocess.run([program, "merge", "--compact", file, folder], check=True, stdout=subprocess.DEVNULL)
    with netCDF4.Dataset(file) as ds:
        check("window_kl" not in ds.variables and "kl" in ds.variables, "compact: other variables than expected")
    code, output = reproduce(program, file, "--cells", "2")
    check(code == 0 and "not in the file: window_loss" in output, f"compact: {output}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, folder = sys.argv[1:]
    study = os.path.join(folder, "study.nc")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = os.path.join(scratch, "tmp")
        os.mkdir(os.environ["TMPDIR"])
        check_same(program, folder, study)
        check_changed(program, study, scratch)
        check_machine(program, study, scratch)
        check_refused(program, study, scratch)
        check_compact(program, folder, scratch)
        check(os.listdir(os.environ["TMPDIR"]) == [], "temporary files are left")
    for fault in faults:
        print(fault, file=sys.stderr)
    print("reproduced as it should be" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
