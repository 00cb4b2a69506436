"""Teams whose members die, hang, fail, or are stopped: the others are back at work at once, and the values are those
of a run that nothing disturbs."""

import os
import random
import signal
import sys
import time
import unittest

import harness
from harness import RunTest, run, study
from lost_case import LostCase

RUNS, KILLS = 2, 5
SEED = 1789
TIMEOUT = 2  # seconds, of the heartbeat
MARGIN = 1.5  # for machines with other things to do
PACE = ("--heartbeat-timeout", f"{TIMEOUT}s", "--checkpoint-every", "0.1s")
SIZE = ("  - {{name: {name}, layers: 2, d_model: {d_model}, heads: 2, context: 32, "
        "learning_rate: 8.0e-3, ranks_per_cell: {ranks}}}")


def size(ranks, name="team", d_model=32):
    return SIZE.format(name=name, ranks=ranks, d_model=d_model)


class TeamLost(LostCase):
    @classmethod
    def setUpClass(cls):
        RunTest.setUpClass.__func__(cls)
        cls.shared = cls.shared_folder()
        cls.text = harness.small_text(cls.shared / "text.txt")
        cls.study = cls.of_ranks("study", 4)
        cls.undisturbed = cls.complete(cls.study, cls.shared / "undisturbed")

    @classmethod
    def of_ranks(cls, name, ranks, **options):
        """Two cells of some seconds, for teams of so many ranks: the same cells."""
        options = dict(dict(tokens=1 << 20, sizes=(size(ranks),)), **options)
        return study(cls.shared / f"{name}.yaml", seeds=1, text=cls.text, cleaning="none", **options)

    def take_small(self, name, *sizes):
        """Cells that are over at once instead. The id of the first one."""
        self.study = self.of_ranks(name, 4, tokens=16384, sizes=sizes)
        self.undisturbed = self.complete(self.study, self.folder / "undisturbed")
        return next(pairs["cell"] for event, pairs in harness.journal(self.undisturbed)
                    if event == "begin" and pairs["size"] == "team")

    def start(self, ranks=6, options=PACE, **others):
        return super().start(ranks=ranks, options=options, **others)

    def members(self):
        """Ranks of the team that was begun last, if it trains, the leader first; else []."""
        try:
            lines = [line.split(" ") for line in (self.out / "live").read_text().split("\n")[1:-1]]
        except FileNotFoundError:
            return []
        leader = next((pairs["worker"] for event, pairs in reversed(harness.journal(self.out))
                       if event == "begin"), None)
        team = [line for line in lines if int(line[-1]) > 0 and line[-2] == leader]
        return [int(line[0]) for line in team] if team and team[0][2] == "train" else []

    def wait_for_team(self, process, ranks=4, without=()):
        team = []

        def there():
            team[:] = self.members()
            return len(team) == ranks and not set(team) & set(without)

        self.assertTrue(harness.wait_for(there, 60, process), self.log.read_text())
        return team

    def begins(self):
        return harness.count(self.out, "begin") if (self.out / "journal.log").exists() else 0

    def seconds_until_begun(self, process, begins):
        since = time.monotonic()
        self.assertTrue(harness.wait_for(lambda: self.begins() > begins, 30, process),
                        self.log.read_text())
        return time.monotonic() - since

    def test_members_killed(self):
        """One cell, so that there is always room for its next team; long enough for all kills on a fast machine."""
        self.study = self.of_ranks("one", 4, tokens=1 << 22)
        self.study.write_text(self.study.read_text().replace("[0.0005]", "[0.05]"))  # as the base
        self.undisturbed = self.complete(self.study, self.folder / "undisturbed")
        moments = random.Random(SEED)
        waits, leaders = [], 0
        for attempt in range(RUNS):
            process = self.start(out=self.folder / f"run-{attempt}", ranks=1 + 4 + KILLS)
            victims = []
            for _ in range(KILLS):
                team = self.wait_for_team(process, without=victims)
                time.sleep(moments.uniform(0, 0.3))
                victim = moments.choice([team[0], *team])  # leaders more often
                begins = self.begins()
                os.kill(harness.rank_pids(process)[victim], signal.SIGKILL)
                waits.append(self.seconds_until_begun(process, begins))
                self.assertLess(waits[-1], TIMEOUT + MARGIN)
                leaders += victim == team[0]
                victims.append(victim)
            self.assert_ends(process, 0)
            self.assert_complete()
            lost = [pairs for event, pairs in harness.journal(self.out) if event == "lost"]
            self.assertEqual([(pairs["worker"], pairs.get("counted")) for pairs in lost],
                             [(str(victim), "yes") for victim in victims])
            self.assertGreater(harness.count(self.out, "resumed"), 0)
        print(f"{len(waits)} members killed, {leaders} of them leaders: the others were at work again "
              f"after {min(waits):.2f} to {max(waits):.2f} s (timeout {TIMEOUT} s)")
        self.assertTrue(0 < leaders < len(waits))

    def test_member_that_hangs(self):
        process = self.start()
        team = self.wait_for_team(process)
        pid = harness.rank_pids(process)[team[2]]
        begins = self.begins()
        os.kill(pid, signal.SIGSTOP)
        wait = self.seconds_until_begun(process, begins)
        print(f"a member hung: the others were at work again after {wait:.2f} s (timeout {TIMEOUT} s)")
        self.assertLess(wait, TIMEOUT + MARGIN)
        os.kill(pid, signal.SIGCONT)  # it is told to leave, and does no harm
        self.assertTrue(harness.wait_for(lambda: not harness.alive(pid), 10), "it did not leave")
        self.assert_ends(process, 0)
        self.assert_complete()

    def test_too_few_are_left(self):
        process = self.start(ranks=5)
        team = self.wait_for_team(process)
        os.kill(harness.rank_pids(process)[team[1]], signal.SIGKILL)
        self.assert_ends(process, 3)
        self.assertIn("a cell needs 4 workers", self.log.read_text())
        self.assertEqual(harness.journal(self.out)[-1][1]["why"], "too few workers")
        self.study = self.of_ranks("fewer", 2)
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=4), 0)
        self.assertGreater(harness.count(self.out, "resumed"), 0)
        self.assert_complete()

    def test_stop_and_go_on_with_another_size(self):
        """4 ranks, 2, 1 and again 4: each stopped in the middle, with what the one before has left."""
        for ranks, workers in ((4, 4), (2, 2), (1, 1)):
            self.study = self.of_ranks(f"of-{ranks}", ranks)
            begins = self.begins()
            process = self.start(ranks=workers + 1, recovery=False,
                                 options=("--checkpoint-every", "0s"))
            self.seconds_until_begun(process, begins)
            time.sleep(0.5)
            asked = time.monotonic()
            os.kill(harness.rank_zero(process), signal.SIGTERM)
            self.assertEqual(process.wait(timeout=60), 3, self.log.read_text())
            self.assertLess(time.monotonic() - asked, 10, "the team did not stop")
            events = harness.journal(self.out)
            self.assertEqual((events[-1][0], events[-1][1]["why"]), ("stop", "interrupted"))
            self.assertTrue(any((self.out / "checkpoints").iterdir()))
        self.study = self.of_ranks("of-4", 4)
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=5), 0)
        steps = [int(pairs["step"]) for event, pairs in harness.journal(self.out)
                 if event == "resumed"]
        self.assertGreaterEqual(len(steps), 3, "a stop lost what was done")
        self.assertEqual(steps, sorted(steps))
        self.assertGreater(steps[-1], steps[0], "nobody got on")
        self.assert_complete()

    def test_member_that_fails(self):
        """The others are told, the cell has failed for that reason, the next one runs."""
        victim = self.take_small("fails", size(4))
        process = self.start(ranks=5, env=dict(harness.ENVIRONMENT, PTQSCALE_FAULT=f"fail:{victim}"))
        self.assert_ends(process, 1)
        ended = {pairs["cell"]: pairs for event, pairs in harness.journal(self.out)
                 if event == "end"}
        self.assertEqual(sorted(pairs["status"] for pairs in ended.values()), ["done", "failed"])
        self.assertIn("PTQSCALE_FAULT makes it fail", ended[victim]["reason"])
        self.assertEqual(harness.count(self.out, "lost"), 0)
        self.assert_exit(run("run", self.study, "--out", self.out, "--retry-failed", ranks=5), 0)
        self.assert_complete()

    def test_cell_that_kills_its_leader(self):
        """Three deaths, one for each team, and it is quarantined; who is left finishes the rest."""
        victim = self.take_small("killer", size(4), size(2, "pair", 16))
        process = self.start(ranks=7, env=dict(harness.ENVIRONMENT,
                                               PTQSCALE_FAULT=f"segfault:{victim}"))
        self.assert_ends(process, 1)
        events = harness.journal(self.out)
        self.assertEqual([pairs["cell"] for event, pairs in events if event == "lost"], [victim] * 3)
        self.assertEqual([pairs["cell"] for event, pairs in events if event == "quarantined"],
                         [victim])
        self.assertEqual(sum(event == "end" and pairs["status"] == "done"
                             for event, pairs in events), 3)
        self.assert_exit(run("run", self.study, "--out", self.out, "--retry-failed", ranks=5), 0)
        self.assert_complete()


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
