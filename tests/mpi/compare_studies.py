"""Do two study.nc hold the same values, bit for bit?

    compare_studies.py A.nc B.nc

Compared are the dimensions, the set of variables, their types, shapes and attributes, and every
value as bytes (so NaN equals NaN and 0 differs from -0). Left out is what tells how a cell was made
and not what it gave: the variables in PROVENANCE below, and global attributes (dates, hosts, job
ids, history).

Exit status 0: the same; 1: the differences, one per line; 2: a file cannot be read.
"""

import sys

import netCDF4
import numpy as np

PROVENANCE = {
    "wall_time_train",
    "wall_time_evaluate",
    "probe_wall_time",
    "wall_time_wait",
    "tokens_per_second",
    "peak_memory",  # of the process, so of the cells that it ran before, too
    "attempts",
    "team_size",
    "host",
    "cpu",
    "started",
    "finished",
}


def as_bytes(values):
    """One bytes object per element, so that text and numbers compare alike."""
    if values.dtype == object or values.dtype.kind in "US":
        return [str(value).encode() for value in values.reshape(-1)]
    flat = np.ascontiguousarray(values).reshape(-1)
    return [flat[i : i + 1].tobytes() for i in range(flat.size)]


def compare_variable(name, a, b):
    if a.dtype != b.dtype or a.dimensions != b.dimensions or a.shape != b.shape:
        shapes = [f"{x.dtype}{x.dimensions}{x.shape}" for x in (a, b)]
        return [f"{name}: {shapes[0]} against {shapes[1]}"]
    found = []
    attributes = {key: (str(a.__dict__.get(key)), str(b.__dict__.get(key)))
                  for key in set(a.ncattrs()) | set(b.ncattrs())}
    for key, (left, right) in sorted(attributes.items()):
        if left != right:
            found.append(f"{name}:{key}: {left} against {right}")
    left, right = np.asarray(a[...]), np.asarray(b[...])
    if left.dtype != object and left.tobytes() == right.tobytes():
        return found
    pairs = zip(as_bytes(left), as_bytes(right))
    different = [i for i, (x, y) in enumerate(pairs) if x != y]
    if different:
        at = np.unravel_index(different[0], left.shape or (1,))
        x, y = left.reshape(-1)[different[0]], right.reshape(-1)[different[0]]
        found.append(
            f"{name}: {len(different)} of {left.size} values differ, first at "
            f"{[int(i) for i in at]}: {x!r} against {y!r}"
        )
    return found


def differences(path_a, path_b):
    """A list of texts, empty when both hold the same values."""
    with netCDF4.Dataset(path_a) as a, netCDF4.Dataset(path_b) as b:
        a.set_auto_maskandscale(False)
        b.set_auto_maskandscale(False)
        sizes_a = {name: len(dimension) for name, dimension in a.dimensions.items()}
        sizes_b = {name: len(dimension) for name, dimension in b.dimensions.items()}
        found = [] if sizes_a == sizes_b else [f"dimensions: {sizes_a} against {sizes_b}"]
        for name in sorted(set(a.variables) ^ set(b.variables)):
            found.append(f"{name}: only in {path_a if name in a.variables else path_b}")
        compared = sorted((set(a.variables) & set(b.variables)) - PROVENANCE)
        if not compared:
            found.append("nothing to compare")
        for name in compared:
            found += compare_variable(name, a.variables[name], b.variables[name])
    return found


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = differences(sys.argv[1], sys.argv[2])
    except OSError as failure:
        print(f"compare_studies: {failure}", file=sys.stderr)
        return 2
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
