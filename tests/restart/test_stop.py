"""A signal stops a run in order: exit status 3, study.nc written, the same command goes on."""

import os
import signal
import sys
import time
import unittest

import harness
from harness import RunTest, run, study


class Stop(RunTest):
    def setUp(self):
        super().setUp()
        # Four cells of about a second.
        self.study = study(self.folder / "study.yaml", tokens=131072)
        self.out = self.folder / "run"
        self.log = self.folder / "log"

    def start(self, ranks):
        with open(self.log, "wb") as log:
            return harness.start("run", self.study, "--out", self.out, ranks=ranks, log=log)

    def begun(self):
        return (self.out / "journal.log").exists() and harness.count(self.out, "begin") > 0

    def finish_and_compare(self, ranks):
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=ranks), 0)
        self.assertEqual(harness.begun_after_finished(self.out), [])
        undisturbed = self.folder / "undisturbed"
        self.assert_exit(run("run", self.study, "--out", undisturbed, ranks=ranks), 0)
        self.assert_same_study(undisturbed / "study.nc", self.out / "study.nc")

    def stop(self, ranks, which):
        process = self.start(ranks)
        self.assertTrue(harness.wait_for(self.begun, 60, process), self.log.read_text())
        time.sleep(0.3)
        sent = time.monotonic()
        os.kill(harness.rank_zero(process), which)
        status = process.wait(timeout=60)
        took = time.monotonic() - sent
        text = self.log.read_text()
        self.assertEqual(status, 3, text)
        self.assertLess(took, 10, "a running cell was not cancelled")
        self.assertIn("stopped by a signal", text)
        self.assertEqual(text.count("stopped by a signal"), 1, text)

        events = harness.journal(self.out)
        self.assertEqual(events[-1], ("stop", {"why": "interrupted"}))
        begun = [pairs["cell"] for event, pairs in events if event == "begin"]
        ended = {pairs["cell"]: pairs["status"] for event, pairs in events if event == "end"}
        self.assertEqual(set(begun), set(ended), "a begun cell has no end")
        self.assertIn("pending", ended.values(), "no cell was interrupted")
        self.assertTrue((self.out / "study.nc").exists())
        self.assert_exit(run("report", self.out), 0)
        self.finish_and_compare(ranks)

    def test_sigterm_with_workers(self):
        self.stop(3, signal.SIGTERM)

    def test_sigusr1_with_workers(self):
        self.stop(2, signal.SIGUSR1)

    def test_sigint_serial(self):
        self.stop(None, signal.SIGINT)

    def test_worker_leaves_stopping_to_the_coordinator(self):
        process = self.start(2)
        self.assertTrue(harness.wait_for(self.begun, 60, process), self.log.read_text())
        zero = harness.rank_zero(process)
        workers = [pid for pid, name in harness.family(process.pid)
                   if name.startswith("ptqscale") and pid != zero]
        self.assertEqual(len(workers), 1)
        for which in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(workers[0], which)
        self.assertEqual(process.wait(timeout=120), 0, self.log.read_text())
        self.assertEqual(harness.count(self.out, "begin"), 4)

    def test_sigterm_to_the_launcher(self):
        """mpirun gives its ranks about a second: whatever they reach in it, the study can go on."""
        process = self.start(3)
        self.assertTrue(harness.wait_for(self.begun, 60, process), self.log.read_text())
        time.sleep(0.3)
        process.terminate()
        self.assertNotEqual(process.wait(timeout=60), 0)
        self.finish_and_compare(3)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
