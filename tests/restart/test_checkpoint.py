"""A cell that is stopped or killed goes on from its checkpoint, with the same results."""

import os
import re
import signal
import sys
import unittest

import harness
from harness import RunTest, run, study

# One cell of 400 steps, a few seconds; evaluated in its middle and at its end.
STEPS = 400


class Checkpoint(RunTest):
    def setUp(self):
        super().setUp()
        self.study = study(self.folder / "study.yaml", tokens=1024 * STEPS, seeds=1)
        text = self.study.read_text()
        self.study.write_text(text.replace("design: one_at_a_time", "design: list")
                              .replace("factors:\n  total_decay: [0.0005]", "cells: [{}]"))
        self.out = self.folder / "run"
        self.log = self.folder / "log"

    def states(self):
        return sorted((self.out / "checkpoints").glob("*/state"))

    def start(self):
        with open(self.log, "ab") as log:
            return harness.start("run", self.study, "--out", self.out, log=log)

    def begun(self):
        journal = self.out / "journal.log"
        return harness.count(self.out, "begin") if journal.exists() else 0

    def stop_after(self, seconds, before=lambda: None):
        """SIGTERM after so much processor time in the cell, of which reading the text is a part."""
        begun = self.begun()
        process = self.start()
        self.assertTrue(harness.wait_for(lambda: self.begun() > begun, 60, process),
                        self.log.read_text())
        since = harness.cpu_seconds(process.pid)
        self.assertTrue(
            harness.wait_for(lambda: harness.cpu_seconds(process.pid) > since + seconds, 60,
                             process), self.log.read_text())
        before()
        os.kill(process.pid, signal.SIGTERM)
        return process.wait(timeout=60)

    def stop_in_mid_cell(self):
        """The same, after some steps, on machines and builds of any speed."""
        old = self.identity()
        for seconds in (0.5, 1, 2, 4, 8):
            status = self.stop_after(seconds)
            if status != 3 or self.identity() not in (old, []):
                break  # else stopped before the first step: nothing is saved then
        self.assertEqual(status, 3, self.log.read_text())

    def identity(self):
        """Which file is the checkpoint? Each is another."""
        return [(state.stat().st_ino, state.stat().st_mtime_ns) for state in self.states()]

    def finish(self):
        self.assertEqual(self.start().wait(timeout=120), 0, self.log.read_text())

    def resumed(self):
        """Steps at which the journal says that the cell went on; the log says the same."""
        steps = [int(pairs["step"]) for event, pairs in harness.journal(self.out)
                 if event == "resumed"]
        shown = re.findall(r"resume .* at step (\d+) of (\d+)", self.log.read_text())
        self.assertEqual(shown, [(str(step), str(STEPS)) for step in steps])
        return steps

    def check_same_results(self):
        self.assertEqual(list((self.out / "checkpoints").iterdir()), [])
        undisturbed = self.folder / "undisturbed"
        self.assert_exit(run("run", self.study, "--out", undisturbed), 0)
        self.assertFalse((undisturbed / "checkpoints").exists(), "a checkpoint of a short cell")
        self.assert_same_study(undisturbed / "study.nc", self.out / "study.nc")

    def test_sigterm(self):
        """Twice stopped in mid-cell; the same command goes on from there, and then finishes."""
        self.stop_in_mid_cell()
        self.assertEqual(len(self.states()), 1)
        cell = self.states()[0].parent.name
        self.assertIn(cell, [pairs.get("cell") for _, pairs in harness.journal(self.out)])
        self.stop_in_mid_cell()
        self.assertEqual([state.parent.name for state in self.states()], [cell])
        self.finish()
        steps = self.resumed()
        self.assertEqual(steps, sorted(steps))
        self.assertTrue(1 <= steps[0] < steps[-1] < STEPS, steps)
        self.check_same_results()

    def test_killed(self):
        """Killed between two checkpoints: goes on from the last one."""
        with self.study.open("a") as text:
            text.write("run: {checkpoint_every: 0.02s}\n")
        for _ in range(3):
            old = self.identity()
            process = self.start()
            new = harness.wait_for(lambda: self.identity() not in (old, []), 60, process)
            self.assertTrue(new, self.log.read_text())
            harness.kill_family(process)
        self.finish()
        steps = self.resumed()
        self.assertEqual(len(steps), 3)
        self.assertTrue(0 < steps[0] < steps[1] < steps[2] < STEPS, steps)
        self.study.write_text(self.study.read_text().replace("0.02s", "120s"))
        self.check_same_results()

    def test_damaged(self):
        """A damaged checkpoint is put aside with a warning; the cell starts anew."""
        self.stop_in_mid_cell()
        state = self.states()[0]
        content = bytearray(state.read_bytes())
        content[len(content) // 2] ^= 1
        state.write_bytes(content)
        self.stop_in_mid_cell()
        self.assertIn(f"{state} is damaged", self.log.read_text())
        self.assertEqual((state.parent / "state.damaged").read_bytes(), content)
        self.assertEqual(self.resumed(), [])
        self.assertTrue(state.exists(), "stopped again, and nothing saved")
        self.finish()
        self.assertEqual(len(self.resumed()), 1)
        self.check_same_results()

    def test_cannot_save(self):
        """A stop whose checkpoint cannot be written says what is lost; once it can, all is well."""
        checkpoints = self.out / "checkpoints"
        for seconds in (0.5, 1, 2, 4, 8):
            self.log.unlink(missing_ok=True)
            status = self.stop_after(seconds, lambda: checkpoints.write_text("in the way"))
            if "cannot open" not in self.log.read_text():
                break  # else the cell had not begun, and could not look for a checkpoint
            checkpoints.unlink()
        self.assertEqual(status, 1, self.log.read_text())
        self.assertRegex(self.log.read_text(),
                         rf"stopped at step \d+ of {STEPS}, and what was done since step 0 is lost")
        self.assertIn(f"{checkpoints}/", self.log.read_text())
        checkpoints.unlink()
        self.stop_in_mid_cell()
        self.assertEqual(len(self.states()), 1)
        self.finish()
        self.check_same_results()


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
