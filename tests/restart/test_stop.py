"""A run that is asked to stop does so in order: exit status 3, checkpoints, study.nc written, the same
command goes on. Asked twice, it stops at once, and still nothing is lost."""

import os
import signal
import sys
import time
import unittest

import harness
from harness import RunTest, run, study


class Stop(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared = cls.shared_folder()
        text = harness.small_text(shared / "text.txt")
        # Two cells of some seconds.
        cls.study = study(shared / "study.yaml", tokens=1 << 21, seeds=1, text=text,
                          cleaning="none")
        cls.undisturbed = cls.complete(cls.study, shared / "undisturbed", ranks=3)

    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"
        self.log = self.folder / "log"

    def start(self, ranks, *options, recovery=False, env=harness.ENVIRONMENT):
        with open(self.log, "wb") as log:
            process = harness.start("run", self.study, "--out", self.out, *options, ranks=ranks,
                                    recovery=recovery, env=env, log=log)
        self.addCleanup(harness.kill_family, process)
        return process

    def begun(self):
        return (self.out / "journal.log").exists() and harness.count(self.out, "begin") > 0

    def finish_and_compare(self, ranks):
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=ranks), 0)
        self.assertEqual(harness.begun_after_finished(self.out), [])
        self.assert_same_study(self.undisturbed / "study.nc", self.out / "study.nc")

    def training(self):
        """Some worker is in the middle of a cell."""
        try:
            lines = (self.out / "live").read_text().split("\n")[1:]
        except FileNotFoundError:
            return False
        return any(" train " in line for line in lines)

    def stop(self, ranks, ask, text="stopped by a signal", why="interrupted"):
        """`ask` gets the launcher's process, to make the run stop."""
        process = self.start(ranks)
        self.assertTrue(harness.wait_for(self.training, 60, process), self.log.read_text())
        asked = time.monotonic()
        ask(process)
        status = process.wait(timeout=60)
        took = time.monotonic() - asked
        said = self.log.read_text()
        self.assertEqual(status, 3, said)
        self.assertEqual(harness.exit_status(self.out), 3)
        self.assertLess(took, 10, "a running cell was not cancelled")
        self.assertEqual(said.count(text), 1, said)
        self.assert_stopped(why)
        self.finish_and_compare(ranks)
        self.assertGreater(harness.count(self.out, "resumed"), 0, "no cell went on")

    def assert_stopped(self, why):
        events = harness.journal(self.out)
        self.assertEqual((events[-1][0], events[-1][1]["why"]), ("stop", why))
        begun = [pairs["cell"] for event, pairs in events if event == "begin"]
        ended = {pairs["cell"]: pairs["status"] for event, pairs in events if event == "end"}
        self.assertEqual(set(begun), set(ended), "a begun cell has no end")
        self.assertIn("pending", ended.values(), "no cell was interrupted")
        self.assertTrue((self.out / "study.nc").exists())
        self.assert_exit(run("report", self.out), 0)

    def test_sigterm_with_workers(self):
        self.stop(3, lambda process: os.kill(harness.rank_zero(process), signal.SIGTERM))

    def test_sigusr1_to_the_launcher(self):
        """mpirun hands it on to every rank; only rank 0 minds it."""
        self.stop(2, lambda process: process.send_signal(signal.SIGUSR1))

    def test_sigint_serial(self):
        self.stop(None, lambda process: process.send_signal(signal.SIGINT))

    def test_stop_file(self):
        for ranks in (3, None):
            with self.subTest(ranks=ranks):
                self.out = self.folder / f"run-{ranks}"
                self.stop(ranks, lambda process: (self.out / "stop").touch(),
                          text=f"stopped by the file {self.out}/stop", why="stop file")
                self.assertFalse((self.out / "stop").exists(), "it would stop the next run, too")

    def test_deadline(self):
        for ranks in (3, None):
            with self.subTest(ranks=ranks):
                self.out = self.folder / f"run-{ranks}"
                begun = time.monotonic()
                process = self.start(ranks, "--deadline", "+10s", "--margin", "8s")
                status = process.wait(timeout=60)
                self.assertLess(time.monotonic() - begun, 10 + 2)  # and what the launcher takes
                self.assertEqual(status, 3, self.log.read_text())
                self.assertIn("stopped before the deadline", self.log.read_text())
                self.assertEqual(harness.journal(self.out)[-1][1]["why"], "deadline")
                self.assertEqual(harness.exit_status(self.out), 3)
                self.finish_and_compare(ranks)

    def test_nothing_is_begun_too_late(self):
        result = run("run", self.study, "--out", self.out, "--deadline", "+20s", "--margin", "30s",
                     ranks=2)
        self.assert_exit(result, 3)
        self.assertEqual(harness.count(self.out, "begin"), 0)
        for text in ("soon", "12"):
            result = run("run", self.study, "--out", self.out, "--deadline", text)
            self.assert_exit(result, 2)
            self.assertIn("--deadline", result.stderr)

    def test_second_sigterm_stops_at_once(self):
        """A worker that hangs would hold up an orderly stop for the heartbeat's timeout."""
        victim = next(pairs["cell"] for event, pairs in harness.journal(self.undisturbed)
                      if event == "begin")
        env = dict(harness.ENVIRONMENT, PTQSCALE_FAULT=f"hang:{victim}")
        for recovery in (True, False):
            with self.subTest(recovery=recovery):
                self.out = self.folder / f"run-{recovery}"
                process = self.start(3, recovery=recovery, env=env)
                self.assertTrue(harness.wait_for(self.training, 60, process),
                                self.log.read_text())
                zero = harness.rank_zero(process)
                os.kill(zero, signal.SIGTERM)
                time.sleep(1.5)
                self.assertTrue(harness.alive(zero), "it does not wait for the hanging worker")
                asked = time.monotonic()
                os.kill(zero, signal.SIGTERM)
                status = process.wait(timeout=60)
                self.assertLess(time.monotonic() - asked, 10)
                said = self.log.read_text()
                self.assertIn("stopped by a signal at once", said)
                self.assertEqual(harness.exit_status(self.out), 3, said)
                self.assertEqual(status, 0 if recovery else 3, said)
                self.assertFalse((self.out / "study.nc").exists())
                self.finish_and_compare(3)

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
        self.assertEqual(harness.count(self.out, "begin"), 2)

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
