"""Adaptive replication: seeds are added at looks until the verdicts are decided, serially and with workers alike,
and a run that is killed around a look goes on as if nothing had happened."""

import os
import shutil
import signal
import unittest

import harness
from harness import RunTest, run

STUDY = """\
name: looks
sizes:
  - {{name: a, layers: 1, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}}
  - {{name: b, layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}}
base: {{total_decay: {decay}, tokens: 8192}}
factors: {factors}
seeds: {seeds}
train: {{batch_tokens: 1024, micro_batch_tokens: 256}}
quantizers: [w8a8]
evaluate: {{fractions: [1.0], windows: 32, calibration_windows: 16}}
data: {{files: [{text}]}}
run: {{checkpoint_every: 0s}}
"""
LOOKS = "{looks: [2, 3, 4], until: verdicts}"


def looks(folder):
    """[(seeds, decision, undecided, next)]"""
    return [(int(pairs["seeds"]), pairs["decision"], pairs.get("undecided", ""), int(pairs["next"]))
            for event, pairs in harness.journal(folder) if event == "look"]


class Looks(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = cls.shared_folder()
        cls.text = harness.small_text(cls.shared / "text.txt", 1 << 18)
        # Dropout of 0.1 in so short a run: noise, which four seeds do not decide.
        cls.study = cls.write(cls.shared / "study.yaml")
        cls.undisturbed = cls.complete(cls.study, cls.shared / "undisturbed")

    @classmethod
    def write(cls, path, decay="0.5", factors="{dropout: [0.1]}", seeds=LOOKS):
        path.write_text(STUDY.format(decay=decay, factors=factors, seeds=seeds, text=cls.text))
        return path

    def test_goes_to_the_last_look_alike_with_workers(self):
        self.assertEqual(looks(self.undisturbed), [(2, "more", "H2", 3), (3, "more", "H2", 4),
                                                   (4, "last", "H2", 4)])
        self.assertEqual(harness.count(self.undisturbed, "begin"), 16)  # none twice
        out = self.complete(self.study, self.folder / "workers", ranks=3)
        self.assertEqual(looks(out), looks(self.undisturbed))
        self.assertEqual(harness.count(out, "run"), 1)  # the workers waited
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")
        status = run("status", out).stdout
        self.assertIn("at 2, 3, 4 seeds", status)
        self.assertIn("with 4 seeds: H2 undecided; it was the last look", status)
        # Nothing to do: no second look.
        self.assert_exit(run("run", self.study, "--out", out), 0)
        self.assertEqual(len(looks(out)), 3)

    def test_same_cells_as_fixed_seeds(self):
        fixed = self.write(self.folder / "fixed.yaml", seeds="[1, 2, 3, 4]")
        out = self.complete(fixed, self.folder / "fixed")
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")

    def test_ends_when_decided(self):
        import netCDF4

        # A decay that takes the weights away: an effect of forty standard errors.
        path = self.write(self.folder / "decided.yaml", decay="4", factors="{total_decay: [0.005]}")
        out = self.complete(path, self.folder / "decided")
        self.assertEqual(looks(out)[-1][1:], ("decided", "", looks(out)[-1][0]))
        seeds = looks(out)[-1][0]
        self.assertLess(seeds, 4)
        with netCDF4.Dataset(out / "study.nc") as file:
            self.assertEqual(len(file.dimensions["cell"]), 4 * seeds)
            self.assertEqual(list(file["cell"][:]), list(range(4 * seeds)))
            self.assertEqual((file.looks_planned, file.looks_seeds, file.looks_decision),
                             ("2, 3, 4", str(seeds), "decided"))
            self.assertLess(float(file.looks_level), 0.05 / 7)
            self.assertLessEqual(float(file.looks_spent), 0.05 / 7)

    def goes_on(self, out, begun, ranks=None):
        before = harness.count(out, "begin")
        self.assert_exit(run("run", self.study, "--out", out, ranks=ranks), 0)
        self.assertEqual(harness.count(out, "begin") - before, begun)
        self.assertEqual(harness.begun_after_finished(out), [])
        self.assertEqual(looks(out), looks(self.undisturbed))
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")

    def test_killed_during_the_second_block(self):
        for ranks in (None, 3):
            out = self.folder / f"killed-{ranks}"
            with open(self.folder / "log", "w") as log:
                process = harness.start("run", self.study, "--out", out, ranks=ranks, log=log)

                def second():
                    return (out / "journal.log").exists() and harness.count(out, "end") > 9

                self.assertTrue(harness.wait_for(second, 60, process))
                harness.kill_family(process)
            done = len(list((out / "cells").glob("*.nc")))
            self.goes_on(out, 16 - done, ranks)

    def test_a_lost_worker_stays_lost(self):
        out = self.folder / "lost"
        with open(self.folder / "log", "w") as log:
            process = harness.start("run", self.study, "--out", out, "--heartbeat-timeout", "2s",
                                    ranks=3, recovery=True, log=log)
            self.addCleanup(lambda: process.poll() is None and harness.kill_family(process))

            def begun():
                return (out / "journal.log").exists() and harness.count(out, "end") > 1

            self.assertTrue(harness.wait_for(begun, 60, process))
            os.kill(harness.rank_pids(process)[2], signal.SIGKILL)
            process.wait(60)
        self.assertEqual(harness.exit_status(out), 0, (self.folder / "log").read_text())
        self.assertEqual(harness.count(out, "lost"), 1)
        self.assertEqual(looks(out), looks(self.undisturbed))
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")

    def cut(self, name, keep):
        """A copy of the undisturbed run, as a kill leaves it: the journal ends before the first event that `keep` does
        not want, and of the cells there are those that have ended."""
        out = self.folder / name
        shutil.copytree(self.undisturbed, out)
        events = harness.journal(out)
        kept = next(i for i in range(len(events)) if not keep(events[:i + 1]))
        lines = (out / "journal.log").read_text().splitlines(keepends=True)
        (out / "journal.log").write_text("".join(lines[:kept]))
        ended = {pairs["cell"] for event, pairs in events[:kept] if event == "end"}
        for path in (out / "cells").glob("*.nc"):
            if path.stem not in ended:
                path.unlink()
        return out, len(ended)

    def test_killed_around_a_decision(self):
        for name, keep in {
            "all cells of the look, no look": lambda e: e[-1][0] != "look",
            "a look, no cell of it": lambda e: e[-1][0] != "begin" or all(x[0] != "look" for x in e),
            "the last look, no end": lambda e: e[-1][0] != "stop",
        }.items():
            with self.subTest(name):
                out, done = self.cut(name.replace(" ", "-"), keep)
                expanded = out / "study.expanded.yaml"  # written after the event
                expanded.write_text(expanded.read_text().replace("reached: 4", "reached: 2"))
                self.assert_exit(run("status", out), 0)
                self.goes_on(out, 16 - done)
                self.assertIn("reached: 4", expanded.read_text())

    def test_budget(self):
        seeds = "{looks: [2, 3, 4], budget: %s}"
        out = self.folder / "budget"
        path = self.write(self.folder / "budget.yaml", seeds=seeds % "0.001s")
        self.complete(path, out)
        self.assertEqual(looks(out), [(2, "budget", "H2", 2)])
        self.complete(path, out)
        self.assertEqual(len(looks(out)), 1)
        self.complete(self.write(path, seeds=seeds % "100h"), out)
        self.assertEqual(looks(out)[1:], looks(self.undisturbed))
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")

    def test_plan(self):
        result = run("plan", self.study)
        self.assert_exit(result, 0)
        lines = result.stdout.splitlines()
        table = lines[next(i for i, line in enumerate(lines) if line.startswith("By number of")):]
        rows = [line.split() for line in table[2:5]]
        self.assertEqual([row[:2] for row in rows], [["2", "8"], ["3", "12"], ["4", "16"]])
        hours = [float(row[2]) for row in rows]
        self.assertAlmostEqual(hours[1] / hours[0], 1.5, places=2)
        self.assertAlmostEqual(hours[2] / hours[0], 2, places=2)

    def test_refused(self):
        result = run("run", self.study, "--out", self.folder / "shard", "--shard", "1/2")
        self.assert_exit(result, 2)
        self.assertIn("a look needs all cells of the study in one run", result.stderr)
        self.assertFalse((self.folder / "shard").exists())
        result = run("submit", self.study, "--out", self.folder / "array", "--array", 2,
                     "--ntasks", 1, "--dry-run")
        self.assert_exit(result, 2)
        self.assertIn("leave out --array", result.stderr)
        out = self.folder / "changed"
        shutil.copytree(self.undisturbed, out)
        for seeds in ("{looks: [2, 3, 5]}", "{looks: [2, 3, 4], first: 2}", "16"):
            path = self.write(self.folder / "changed.yaml", seeds=seeds)
            result = run("run", path, "--out", out)
            self.assert_exit(result, 1)
            self.assertIn("planned as 2, 3, 4 from 1", result.stderr)


if __name__ == "__main__":
    unittest.main()
