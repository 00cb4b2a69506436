"""Workers that die or hang in the run: it finishes in the same mpirun with those that remain, and gives
the values of an undisturbed run."""

import os
import random
import signal
import sys
import time
import unittest

import harness
from harness import run
from lost_case import LostCase

KILLS = 20
SEED = 4711


class Lost(LostCase):
    def test_twenty_workers_killed(self):
        moments = random.Random(SEED)
        lost = resumed = 0
        for kill in range(KILLS):
            begun, delay = moments.randint(1, len(self.cells) - 2), moments.uniform(0, 0.3)
            victim = moments.randint(1, 3)
            with self.subTest(kill=kill, begun=begun, delay=delay, victim=victim):
                process = self.start(out=self.folder / f"run-{kill}")
                self.wait_for_begun(process, begun)
                time.sleep(delay)
                pid = harness.rank_pids(process).get(victim)
                if pid is not None:  # else the run had just ended
                    os.kill(pid, signal.SIGKILL)
                self.assert_ends(process, 0)
                self.assert_complete()
                events = harness.journal(self.out)
                self.assertEqual(sum(event == "run" for event, _ in events), 1)
                ranks = [pairs["worker"] for event, pairs in events if event == "lost"]
                self.assertIn(ranks, ([], [str(victim)]))
                lost += len(ranks)
                resumed += any(event == "resumed" for event, _ in events)
        self.assertGreaterEqual(lost, KILLS - 4, "most kills came too late to matter")
        self.assertGreaterEqual(resumed, 3, "hardly any cell went on from a checkpoint")

    def test_two_of_three_workers_die(self):
        process = self.start()
        self.wait_for_begun(process, 3)
        ranks = harness.rank_pids(process)
        os.kill(ranks[1], signal.SIGKILL)
        os.kill(ranks[3], signal.SIGKILL)
        self.assert_ends(process, 0)
        self.assert_complete()
        self.assertEqual(harness.count(self.out, "lost"), 2)

    def test_all_workers_die(self):
        process = self.start(ranks=3)
        self.wait_for_begun(process, 3)
        ranks = harness.rank_pids(process)
        os.kill(ranks[1], signal.SIGKILL)
        os.kill(ranks[2], signal.SIGKILL)
        self.assert_ends(process, 3)
        self.assertIn("all workers are lost", self.log.read_text())
        self.assertEqual(harness.journal(self.out)[-1][1]["why"], "no workers")
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=3), 0)
        self.assert_complete()

    def test_hung_worker_that_wakes_up(self):
        """SIGSTOP is as good as dead. After SIGCONT it is told to leave, and does no harm."""
        self.longer_study(tokens=1 << 20)
        process = self.start(options=("--heartbeat-timeout", "1s", "--checkpoint-every", "0.1s"))
        self.wait_for_begun(process, 3)
        pid = harness.rank_pids(process)[2]
        os.kill(pid, signal.SIGSTOP)
        self.assertTrue(harness.wait_for(lambda: harness.count(self.out, "lost") == 1, 30, process),
                        self.log.read_text())
        self.assertTrue(harness.alive(pid))
        shown = []
        self.assertTrue(
            harness.wait_for(lambda: shown.append(run("status", self.out).stdout)
                             or "1 of 3 workers are lost" in shown[-1], 10, process), shown[-1:])
        self.assertRegex(shown[-1], r"(?m)^ *2 .* lost ")
        os.kill(pid, signal.SIGCONT)
        self.assertTrue(harness.wait_for(lambda: not harness.alive(pid), 10), "it did not leave")
        self.assert_ends(process, 0)
        self.assert_complete()
        self.assertEqual([pairs["worker"] for event, pairs in harness.journal(self.out)
                          if event == "lost"], ["2"])
        self.assertIn("silent for", self.log.read_text())

    def test_status_is_watched(self):
        """From another process, while it runs, until it is interrupted."""
        self.longer_study(tokens=1 << 19)
        process = self.start()
        self.wait_for_begun(process, 1)
        with open(self.folder / "watched", "wb") as log:
            watcher = harness.start("status", self.out, "--watch", log=log)
        self.addCleanup(harness.kill_family, watcher)
        self.assert_ends(process, 0)
        watched = self.folder / "watched"
        self.assertTrue(harness.wait_for(lambda: "Run:     finished" in watched.read_text(), 20,
                                         watcher), watched.read_text())
        watcher.send_signal(signal.SIGINT)
        self.assertEqual(watcher.wait(timeout=20), -signal.SIGINT)
        self.assertGreaterEqual(watched.read_text().count("Cells:   4 = "), 2)
        self.assertIn("active, last heard of", watched.read_text())

    def test_hung_worker_that_stays_so(self):
        process = self.start(options=("--heartbeat-timeout", "1s"))
        self.wait_for_begun(process, 2)
        pid = harness.rank_pids(process)[1]
        os.kill(pid, signal.SIGSTOP)
        self.assert_ends(process, 0)  # mpirun does not wait for it
        self.assertFalse(harness.alive(pid))
        self.assert_complete()

    def test_coordinator_dies(self):
        """The workers find out and leave; the same command goes on."""
        process = self.start(options=("--heartbeat-timeout", "1s", "--checkpoint-every", "0.1s"))
        self.wait_for_begun(process, 2)
        os.kill(harness.rank_pids(process)[0], signal.SIGKILL)
        process.wait(timeout=20)  # on another host only its silence would tell: 30 seconds
        self.assertIn("the process of rank 0 is gone", self.log.read_text())
        self.assertIsNone(harness.exit_status(self.out))
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=3), 0)
        self.assertEqual(harness.exit_status(self.out), 0)
        self.assert_complete()

    def test_without_recovery(self):
        """A worker's death ends the run; it was said before, and the same command goes on."""
        process = self.start(recovery=False)
        self.wait_for_begun(process, 2)
        os.kill(harness.rank_pids(process)[1], signal.SIGKILL)
        self.assertNotEqual(process.wait(timeout=60), 0)
        self.assertIn("--enable-recovery", self.log.read_text())
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=3), 0)
        self.assert_complete()


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
