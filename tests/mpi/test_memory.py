"""The peak memory of a run is what plan says, within ten percent, at three sizes and of teams of one, two and four ranks."""

import json
import re
import unittest

import harness
from harness import RunTest, run

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
STUDY = """
name: memory
design: one_at_a_time
sizes: [{{layers: {0}, d_model: {1}, heads: {2}, context: 128, learning_rate: 1.0e-3}}]
model: {{block: sequential}}
base: {{total_decay: 0.5, precision: bf16, tokens: 4096}}
seeds: 1
train: {{batch_tokens: 4096, micro_batch_tokens: 1024}}
quantizers: [w8a8, w4, w8a8-tensor]
evaluate: {{fractions: [1.0], windows: 8, calibration_windows: 8}}
data: {{files: [{3}], cleaning: gcide}}
"""


class Memory(RunTest):
    def check(self, layers, width, heads):
        import netCDF4

        path, out = self.folder / "memory.yaml", self.folder / "run"
        path.write_text(STUDY.format(layers, width, heads, json.dumps(str(harness.TEXT))))
        plan = run("plan", path)
        self.assert_exit(plan, 0)
        number, unit = re.search(rf"^{layers}x{width} +1 +kept +([\d.]+) ([KMG]iB)", plan.stdout, re.M).groups()
        planned = float(number) * UNITS[unit]
        self.assert_exit(run("run", path, "--out", out), 0)
        with netCDF4.Dataset(out / "study.nc") as file:
            measured = float(file["peak_memory"][0])
        print(f"{layers} x {width}: planned {planned / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB")
        self.assertLess(abs(measured / planned - 1), 0.1)

    def test_4_128(self):
        self.check(4, 128, 4)

    def test_6_256(self):
        self.check(6, 256, 8)

    def test_6_384(self):
        self.check(6, 384, 8)


# Weights, moments and gradients are most of it: they are what a team shares out.
TEAM_STUDY = """
name: memory
design: one_at_a_time
sizes: [{{name: team, layers: 4, d_model: 768, heads: 12, context: 64, learning_rate: 1.0e-3, ranks_per_cell: {0}}}]
base: {{total_decay: 0.5, precision: bf16, tokens: 512}}
seeds: 1
train: {{batch_tokens: 512, micro_batch_tokens: 64}}
quantizers: [w8a8, w4]
evaluate: {{fractions: [1.0], windows: 8, calibration_windows: 8}}
data: {{files: [{1}], cleaning: none}}
"""


class TeamMemory(RunTest):
    def peak(self, ranks, text):
        """Bytes planned and measured, of the rank that needs most."""
        import netCDF4

        path, out = self.folder / f"{ranks}.yaml", self.folder / f"run{ranks}"
        path.write_text(TEAM_STUDY.format(ranks, json.dumps(str(text))))
        plan = run("plan", path, "--ranks", ranks + 1)
        self.assert_exit(plan, 0)
        number, unit = re.search(rf"^team +{ranks} +kept +([\d.]+) ([KMG]iB)", plan.stdout, re.M).groups()
        self.assert_exit(run("run", path, "--out", out, ranks=ranks + 1, timeout=600), 0)
        with netCDF4.Dataset(out / "study.nc") as file:
            return float(number) * UNITS[unit], float(file["peak_memory"][0])

    def test_teams(self):
        text = harness.small_text(self.folder / "text.txt")
        before = None
        for ranks in (1, 2, 4):
            planned, measured = self.peak(ranks, text)
            print(f"{ranks} ranks: planned {planned / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB")
            self.assertLess(abs(measured / planned - 1), 0.1)
            if before:
                self.assertLess(measured, 0.75 * before, "memory does not fall with the team's size")
            before = measured


if __name__ == "__main__":
    unittest.main()
