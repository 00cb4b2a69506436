"""Cells of 1, 2 and 4 ranks in one run: the values of a serial run, and what the run's own accounting says of
its makespan."""

import sys
import unittest

import harness
from harness import RunTest, run, study

SIZE = ("  - {{name: {name}, layers: 2, d_model: {d_model}, heads: 2, context: 32, "
        "learning_rate: 8.0e-3{ranks}}}")


def size(name, d_model, ranks=None):
    return SIZE.format(name=name, d_model=d_model,
                       ranks=f", ranks_per_cell: {ranks}" if ranks else "")


class Teams(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared = cls.shared_folder()
        cls.text = harness.small_text(shared / "text.txt")
        cls.study = study(shared / "study.yaml", tokens=65536, seeds=2, text=cls.text,
                          cleaning="none",
                          sizes=(size("one", 16), size("two", 32, 2), size("four", 64, 4)))
        cls.serial = cls.complete(cls.study, shared / "serial")

    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"

    def test_serial_is_a_team_of_one(self):
        self.assertEqual([pairs for _, pairs in harness.journal(self.serial) if "ranks" in pairs
                          and "cells" not in pairs], [])

    def test_mixed_widths(self):
        workers = 4
        self.assert_exit(run("run", self.study, "--out", self.out, ranks=workers + 1), 0)
        self.assert_same_study(self.serial / "study.nc", self.out / "study.nc")
        events = harness.journal(self.out)
        ranks, used, longest = {}, 0, 0
        for event, pairs in events:
            if event == "begin":
                ranks[pairs["cell"]] = int(pairs.get("ranks", 1))
                self.assertEqual(ranks[pairs["cell"]],
                                 {"one": 1, "two": 2, "four": 4}[pairs["size"]])
            elif event == "end":
                self.assertEqual(pairs["status"], "done")
                used += ranks[pairs["cell"]] * float(pairs["seconds"])
                longest = max(longest, float(pairs["seconds"]))
        self.assertEqual(len(ranks), 12)
        self.assertEqual(events[-1][0], "stop")
        busy, had = (float(events[-1][1][key]) for key in ("busy", "had"))
        makespan, bound = had / workers, max(used / workers, longest)
        print(f"makespan {makespan:.2f} s, lower bound {bound:.2f} s: "
              f"{makespan / bound:.2f} times; ranks were busy {busy / had:.0%} of it")
        self.assertLessEqual(used, busy * 1.001)
        self.assertLessEqual(busy, had)
        self.assertLess(makespan, 2 * bound)  # a few seconds on a machine with other things to do

        import netCDF4

        with netCDF4.Dataset(self.out / "study.nc") as file:
            found = {str(cell): int(size) for cell, size
                     in zip(file["cell_id"][:], file["team_size"][:])}
        self.assertEqual(found, ranks)

    def test_status_shows_teams(self):
        long = study(self.folder / "long.yaml", tokens=1 << 21, seeds=1, text=self.text,
                     cleaning="none", sizes=(size("four", 32, 4),))
        log = self.folder / "log"
        with open(log, "wb") as output:
            process = harness.start("run", long, "--out", self.out, ranks=5, log=output)
        self.addCleanup(harness.kill_family, process)
        shown = []
        self.assertTrue(harness.wait_for(
            lambda: (self.out / "live").exists()
            and shown.append(run("status", self.out).stdout) is None
            and " train " in shown[-1], 60, process), log.read_text())
        self.assertRegex(shown[-1], r"(?m)^ *1 .* train +4 ranks ")
        for rank in (2, 3, 4):
            self.assertRegex(shown[-1], rf"(?m)^ *{rank} .* member +of 1 ")
        self.assertIn("1 running", shown[-1])

    def test_widened_at_the_end(self):
        """Two workers are done early: what still runs goes on with them, in the same attempt."""
        uneven = study(self.folder / "uneven.yaml", tokens=1 << 20, seeds=1, text=self.text,
                       cleaning="none", sizes=(size("short", 16), size("long", 64)))
        serial = self.complete(uneven, self.folder / "serial")
        result = run("run", uneven, "--out", self.out, "--checkpoint-every", "0s", ranks=5)
        self.assert_exit(result, 0)
        self.assertRegex(result.stdout, r"widen  long .* ranks")
        self.assert_same_study(serial / "study.nc", self.out / "study.nc")
        begins, widened = {}, []
        for event, pairs in harness.journal(self.out):
            if event == "begin":
                begins.setdefault(pairs["cell"], []).append(
                    (int(pairs["attempt"]), int(pairs.get("ranks", 1))))
            elif event == "end" and pairs.get("reason") == "widened":
                self.assertEqual(pairs["status"], "pending")
                widened.append(pairs["cell"])
        self.assertGreater(len(widened), 0)
        for cell, found in begins.items():
            self.assertEqual({attempt for attempt, _ in found}, {1}, "it counts as another attempt")
            self.assertEqual(len(found), 1 + widened.count(cell))
            ranks = [ranks for _, ranks in found]
            self.assertEqual(ranks, sorted(set(ranks)), "it was not widened")
        self.assertEqual(harness.count(self.out, "resumed"), len(widened))
        print("widened:", *(" to ".join(str(ranks) for _, ranks in found)
                            for cell, found in begins.items() if cell in widened))

    def test_more_ranks_than_there_are(self):
        result = run("run", self.study, "--out", self.out, ranks=4)
        self.assert_exit(result, 1)
        self.assertIn("start more ranks", result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
