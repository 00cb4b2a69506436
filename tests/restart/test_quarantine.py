"""Cells that kill their workers are given up; cells that diverge, or whose job was killed, are not."""

import sys
import time
import unittest

import harness
from harness import RunTest, run, study
from lost_case import LostCase


class Quarantine(LostCase):
    def fault(self, kind, cell):
        return dict(harness.ENVIRONMENT, PTQSCALE_FAULT=f"{kind}:{cell[:12]}")

    def test_cell_that_segfaults(self):
        victim = self.cells[1]
        process = self.start(ranks=5, env=self.fault("segfault", victim))
        self.assert_ends(process, 1)
        text = self.log.read_text()
        self.assertIn("ptqscale: quarantined: ", text)
        self.assertIn("3 workers died while they ran this cell", text)
        events = harness.journal(self.out)
        self.assertEqual([pairs["cell"] for event, pairs in events if event == "lost"],
                         [victim] * 3)
        self.assertEqual([pairs["cell"] for event, pairs in events if event == "quarantined"],
                         [victim])
        done = {pairs["cell"] for event, pairs in events
                if event == "end" and pairs["status"] == "done"}
        self.assertEqual(done, set(self.cells) - {victim}, "the rest is not finished")
        import netCDF4

        with netCDF4.Dataset(self.out / "study.nc") as file:
            status = file["status"]
            meaning = dict(zip(status.flag_meanings.split(), status.flag_values))
            index = [str(cell) for cell in file["cell_id"][:]].index(victim)
            self.assertEqual(status[index], meaning["quarantined"])

        # It stays quarantined.
        again = run("run", self.study, "--out", self.out, ranks=3)
        self.assert_exit(again, 1)
        self.assertIn("1 of 8 cells are quarantined", again.stderr)
        self.assertEqual(len(harness.journal(self.out)), len(events))
        listed = run("status", self.out)
        self.assert_exit(listed, 0)
        self.assertIn("1 quarantined", listed.stdout)
        self.assertIn("3 workers died", listed.stdout)
        explained = run("explain", self.out, victim)
        self.assert_exit(explained, 0)
        self.assertEqual(explained.stdout.count(" lost "), 3, explained.stdout)
        self.assertIn("quarantined", explained.stdout)

        # Until it is asked for; then it has three lives again.
        self.assert_exit(run("run", self.study, "--out", self.out, "--retry-failed", ranks=3), 0)
        self.assert_complete()

    def test_deaths_add_up_over_runs(self):
        """Two workers: the study stops when both have died, and goes on; three deaths in all."""
        victim = self.cells[0]
        for expected, deaths in ((3, 2), (1, 3)):
            process = self.start(ranks=3, env=self.fault("segfault", victim))
            self.assert_ends(process, expected)
            self.assertEqual(harness.count(self.out, "lost"), deaths)
        self.assertEqual(harness.count(self.out, "quarantined"), 1)
        self.assert_exit(run("run", self.study, "--out", self.out, "--retry-failed"), 0)
        self.assert_complete()

    def test_kills_of_the_whole_job_do_not_count(self):
        for _ in range(4):
            process = self.start(ranks=3, env=self.fault("hang", self.cells[0]))
            self.wait_for_begun(process, harness.count(self.out, "begin") + 1
                                if (self.out / "journal.log").exists() else 1)
            time.sleep(0.2)
            harness.kill_family(process)
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=3), 0)
        self.assertEqual(harness.count(self.out, "quarantined"), 0)
        self.assert_complete()


class Diverged(RunTest):
    def test_a_diverged_cell_is_a_result(self):
        text = harness.small_text(self.folder / "text.txt")
        wild = study(self.folder / "study.yaml", seeds=1, text=text, cleaning="none")
        wild.write_text(wild.read_text().replace(
            "total_decay: [0.0005]", "learning_rate: [1.0e+30]"))
        out = self.folder / "run"
        result = run("run", wild, "--out", out, ranks=3, recovery=True)
        self.assert_exit(result, 0)
        self.assertEqual(harness.exit_status(out), 0, result.stdout)
        self.assertIn("1 of them diverged, which is a result", result.stdout)
        ends = sorted(pairs["status"] for event, pairs in harness.journal(out) if event == "end")
        self.assertEqual(ends, ["diverged", "done"])
        self.assert_exit(run("run", wild, "--out", out), 0)
        self.assertEqual(harness.count(out, "begin"), 2)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
