"""The smoke study serially and with 1, 2 and 3 workers: the same values. A finished study is left
alone, and who waits sleeps."""

import pathlib
import sys
import tempfile
import time
import unittest

import harness
from harness import SMOKE, RunTest, run, study


class Workers(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._shared = tempfile.TemporaryDirectory(prefix="ptqscale-test-")
        cls.addClassCleanup(cls._shared.cleanup)
        cls.serial = pathlib.Path(cls._shared.name) / "serial"
        result = run("run", SMOKE, "--out", cls.serial)
        if result.returncode != 0:
            raise AssertionError(f"serial run: {result.stdout}\n{result.stderr}")

    def compare_with(self, ranks):
        out = self.folder / "run"
        result = run("run", SMOKE, "--out", out, ranks=ranks)
        self.assert_exit(result, 0)
        self.assert_same_study(self.serial / "study.nc", out / "study.nc")

        cells = [pairs["cell"] for event, pairs in harness.journal(out) if event == "begin"]
        self.assertEqual(len(cells), len(set(cells)), "a cell was begun twice")
        self.assertEqual(len(cells), harness.count(self.serial, "begin"))
        workers = {pairs["worker"] for event, pairs in harness.journal(out) if event == "begin"}
        expected = {str(rank) for rank in range(1, ranks)} if ranks > 1 else {"0"}
        self.assertEqual(workers, expected, "not every worker had a cell")
        first = next(pairs for event, pairs in harness.journal(out) if event == "begin")
        self.assertEqual(first["size"], "2x32", "the longest cells come first")

    def test_one_rank_under_a_launcher(self):
        self.compare_with(1)

    def test_one_worker(self):
        self.compare_with(2)

    def test_two_workers(self):
        self.compare_with(3)

    def test_three_workers(self):
        self.compare_with(4)

    def test_finished_study_is_left_alone(self):
        journal = (self.serial / "journal.log").read_bytes()
        study = (self.serial / "study.nc").stat().st_mtime_ns
        for ranks in (None, 3):
            begun = time.monotonic()
            result = run("run", SMOKE, "--out", self.serial, ranks=ranks)
            took = time.monotonic() - begun
            self.assert_exit(result, 0)
            self.assertIn("is finished", result.stdout)
            self.assertIn("nothing to run", result.stdout)
            self.assertLess(took, 10)  # at once, but for the launcher on a busy machine
            self.assertEqual((self.serial / "journal.log").read_bytes(), journal)
            self.assertEqual((self.serial / "study.nc").stat().st_mtime_ns, study)

    def test_lost_aggregate_is_written_again(self):
        kept = self.folder / "kept.nc"
        (self.serial / "study.nc").rename(kept)
        self.assert_exit(run("run", SMOKE, "--out", self.serial), 0)
        self.assert_same_study(kept, self.serial / "study.nc")

    def test_idle_ranks_sleep(self):
        """Two cells for three workers: coordinator and third worker wait without using a core. There are no
        micro-batches that it could share."""
        out, log = self.folder / "run", self.folder / "log"
        long = study(self.folder / "long.yaml", tokens=1 << 22, seeds=1)
        long.write_text(long.read_text().replace("micro_batch_tokens: 256",
                                                 "micro_batch_tokens: 1024"))
        with open(log, "wb") as output:
            process = harness.start("run", long, "--out", out, ranks=4, log=output)
        self.addCleanup(harness.kill_family, process)
        self.assertTrue(harness.wait_for(lambda: (out / "journal.log").exists()
                                         and harness.count(out, "begin") == 2, 60, process))
        ranks = [pid for pid, name in harness.family(process.pid) if name.startswith("ptqscale")]
        self.assertEqual(len(ranks), 4)
        zero = harness.rank_zero(process)
        time.sleep(1)  # both have their cells, live status is written
        status = run("status", out)
        before = {pid: harness.cpu_seconds(pid) for pid in ranks}
        begun = time.monotonic()
        time.sleep(1.5)
        after = {pid: harness.cpu_seconds(pid) for pid in ranks}
        window = time.monotonic() - begun
        self.assertEqual(harness.count(out, "end"), 0, "the cells are too short for this test")
        used = {pid: (after[pid] - before[pid]) / window for pid in ranks}
        self.assertLess(used[zero], 0.2, used)
        self.assertGreaterEqual(sum(share < 0.2 for share in used.values()), 2, used)
        self.assert_exit(status, 0)
        self.assertIn("2 running", status.stdout)
        self.assertRegex(status.stdout, r"(?m)^ *[123] .* idle ")
        self.assertEqual(process.wait(timeout=120), 0, log.read_text())

    def test_comparison_sees_a_changed_bit(self):
        """The comparison itself: one value changed by one bit in a copy."""
        import compare_studies
        import netCDF4
        import numpy as np

        copy = self.folder / "copy.nc"
        copy.write_bytes((self.serial / "study.nc").read_bytes())
        self.assert_same_study(self.serial / "study.nc", copy)
        with netCDF4.Dataset(copy, "a") as file:
            file.set_auto_maskandscale(False)
            loss = file.variables["loss"]
            loss[0, 0] = np.nextafter(loss[0, 0], np.inf)
            file.variables["wall_time_train"][:] = 0  # provenance: not compared
        found = compare_studies.differences(str(self.serial / "study.nc"), str(copy))
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith("loss: 1 of "), found)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
