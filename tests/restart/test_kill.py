"""kill -9 of the whole job at random moments, then the same command: it completes, recomputes no
finished cell, and gives the values of an undisturbed run. Cells that were running go on from their last
checkpoint."""

import random
import sys
import time
import unittest

import harness
from harness import RunTest, run, study

KILLS = 20
SEED = 20231
PACE = ("--checkpoint-every", "0.05s")


def lines(folder):
    try:
        return (folder / "journal.log").read_bytes().count(b"\n")
    except OSError:
        return 0


class Kill(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared = cls.shared_folder()
        text = harness.small_text(shared / "text.txt")
        cls.study = study(shared / "study.yaml", tokens=32768, seeds=3, text=text, cleaning="none")
        cls.undisturbed = cls.complete(cls.study, shared / "undisturbed", ranks=3)
        cls.events = lines(cls.undisturbed)
        cls.cells = harness.count(cls.undisturbed, "begin")

    def setUp(self):
        super().setUp()
        self.interrupted = 0  # runs that were killed with cells left
        self.resumed = 0  # cells that went on from a checkpoint after it

    def kill_when(self, out, event, delay, ranks):
        """Run, and kill everything `delay` after the journal has `event` lines."""
        with open(self.folder / "log", "ab") as log:
            process = harness.start("run", self.study, "--out", out, *PACE, ranks=ranks, log=log)
            reached = harness.wait_for(lambda: lines(out) >= event, 120, process)
            time.sleep(delay)
            harness.kill_family(process)
        self.assertTrue(reached, (self.folder / "log").read_text())

    def finish(self, out, ranks):
        self.assert_exit(run("status", out), 0)  # a folder in any state can be looked at
        before = {pairs["cell"] for event, pairs in harness.journal(out)
                  if event == "end" and pairs["status"] == "done"}
        # Accepted, and killed before the journal could say so: as finished as the others.
        before |= {path.stem for path in (out / "cells").glob("*.nc")}
        events = len(harness.journal(out))
        result = run("run", self.study, "--out", out, *PACE, ranks=ranks)
        self.assert_exit(result, 0)
        begun = [pairs["cell"] for event, pairs in harness.journal(out)[events:]
                 if event == "begin"]
        self.assertEqual(len(begun), self.cells - len(before))
        self.assertEqual(set(begun) & before, set(), "a finished cell was begun again")
        self.assertEqual(harness.begun_after_finished(out), [])
        self.interrupted += len(begun) > 0
        self.resumed += sum(event == "resumed" for event, _ in harness.journal(out)[events:])
        self.assert_same_study(self.undisturbed / "study.nc", out / "study.nc")

    def test_twenty_random_moments(self):
        moments = random.Random(SEED)
        for kill in range(KILLS):
            # From the first line to the last but two: each run is killed before it has finished.
            event, delay = moments.randint(1, self.events - 3), moments.uniform(0, 0.1)
            with self.subTest(kill=kill, event=event, delay=delay):
                out = self.folder / f"killed-{kill}"
                self.kill_when(out, event, delay, ranks=3)
                self.finish(out, ranks=3)
        # A late kill may find the last cell just finished; all of them must not.
        self.assertGreaterEqual(self.interrupted, KILLS - 3)
        self.assertGreaterEqual(self.resumed, KILLS // 4)

    def test_again_and_again_in_one_folder(self):
        moments = random.Random(SEED + 1)
        out = self.folder / "killed"
        for kill in range(3):
            event = lines(out) + moments.randint(3, self.events // 5)
            self.kill_when(out, event, moments.uniform(0, 0.1), ranks=3)
        self.finish(out, ranks=2)  # also with another number of workers

    def test_serial_run(self):
        out = self.folder / "killed"
        self.kill_when(out, self.events // 2, 0.05, ranks=None)
        self.finish(out, ranks=None)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
