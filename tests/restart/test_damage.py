"""A run's folder that was damaged, or a world that gets in the way: said clearly, and repaired or
refused."""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import unittest

import harness
from harness import GIANT, SMALL, RunTest, run, study


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))


class Damage(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared = cls.shared_folder()
        cls.study = study(shared / "study.yaml")
        cls.whole = cls.complete(cls.study, shared / "whole")

    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"
        shutil.copytree(self.whole, self.out)
        self.journal = self.out / "journal.log"
        self.before = len(harness.journal(self.out))

    def begun(self):
        return [pairs["cell"] for event, pairs in harness.journal(self.out)[self.before :]
                if event == "begin"]

    def recomputes(self, damage, ranks):
        """`damage` one cell file: that cell alone runs again, and is named; same values."""
        victim = sorted((self.out / "cells").glob("*.nc"))[1]
        damage(victim)
        result = run("run", self.study, "--out", self.out, ranks=ranks)
        self.assert_exit(result, 0)
        self.assertIn(victim.stem, result.stderr)
        self.assertIn("is computed again", result.stderr)
        # that cell alone; twice where an idle worker joins it, as it may the last cell of a run
        self.assertEqual(set(self.begun()), {victim.stem})
        self.assert_same_study(self.whole / "study.nc", self.out / "study.nc")

    def test_truncated_cell_file(self):
        self.recomputes(lambda path: os.truncate(path, path.stat().st_size // 2), ranks=None)

    def test_missing_cell_file_with_workers(self):
        self.recomputes(pathlib.Path.unlink, ranks=3)

    def test_flipped_bit_in_cell_file(self):
        def flip(path):
            data = bytearray(path.read_bytes())
            data[len(data) // 3] ^= 4
            path.write_bytes(data)

        self.recomputes(flip, ranks=2)

    def test_flipped_bit_in_the_aggregate(self):
        """Never handed to a library that may crash on it; the run command rebuilds it."""
        file = self.out / "study.nc"
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 4
        file.write_bytes(data)
        result = run("report", file)
        self.assert_exit(result, 1)
        self.assertIn("study.nc: the file is damaged", result.stderr)
        self.assert_exit(run("run", self.study, "--out", self.out), 0)
        self.assertEqual(self.begun(), [])
        self.assert_exit(run("report", file), 0)
        self.assert_same_study(self.whole / "study.nc", file)

    def test_corrupt_journal_line(self):
        lines = self.journal.read_bytes().split(b"\n")
        lines[3] = lines[3].replace(b"seconds=", b"secOnds=")
        damaged = b"\n".join(lines)
        self.journal.write_bytes(damaged)
        for arguments, ranks in ((("run", self.study, "--out", self.out), None),
                                 (("run", self.study, "--out", self.out), 3),
                                 (("status", self.out), None)):
            result = run(*arguments, ranks=ranks)
            self.assert_exit(result, 1)
            self.assertIn("journal.log:4:", result.stderr)
            self.assertEqual(result.stderr.count("journal.log:4:"), 1, result.stderr)
        self.assertEqual(self.journal.read_bytes(), damaged, "a damaged journal was changed")

    def test_torn_last_line_is_cut_off(self):
        whole = self.journal.read_bytes()
        self.journal.write_bytes(whole[:-9])
        result = run("run", self.study, "--out", self.out)
        self.assert_exit(result, 0)
        self.assertIn("journal.log", result.stderr)
        self.assertEqual(self.begun(), [])  # only the event "stop" was lost
        self.assert_same_study(self.whole / "study.nc", self.out / "study.nc")

    def test_folder_in_use(self):
        long = study(self.folder / "long.yaml", tokens=1 << 20)
        busy = self.folder / "busy"
        with open(self.folder / "log", "wb") as log:
            process = harness.start("run", long, "--out", busy, log=log)
        self.addCleanup(harness.kill_family, process)
        self.assertTrue(harness.wait_for(lambda: (busy / "journal.log").exists()
                                         and harness.count(busy, "begin") > 0, 60, process))
        result = run("run", long, "--out", busy, ranks=2)
        self.assert_exit(result, 1)
        self.assertIn(str(process.pid), result.stderr)
        self.assertEqual(harness.count(busy, "run"), 1)
        self.assert_exit(run("status", busy), 0)  # looking is allowed

    def test_failing_cell_does_not_end_the_study(self):
        mixed = study(self.folder / "mixed.yaml", name="mixed", sizes=(SMALL, GIANT), seeds=1)
        out = self.folder / "mixed"
        for attempt, ranks, options in ((1, None, ()), (1, None, ()), (2, 2, ("--retry-failed",))):
            # The limit makes the allocation fail on machines that promise any amount of memory.
            result = run("run", mixed, "--out", out, *options, ranks=ranks,
                         preexec_fn=limit_memory)
            self.assert_exit(result, 1)
            self.assertIn("2 of 4 cells failed", result.stderr)
            self.assertIn("--retry-failed", result.stderr)
            self.assertIn("giant base seed", result.stderr)
            self.assertIn("out of memory", result.stderr)
            self.assertEqual(harness.exit_status(out), 1)
            events = harness.journal(out)
            begun = {}
            for event, pairs in events:
                if event == "begin":
                    key = pairs["size"], pairs["setting"]
                    begun[key] = begun.get(key, 0) + 1
            # Failed cells are tried again when that is asked for, finished ones never.
            self.assertEqual(begun, {("small", "base"): 1, ("small", "total_decay=0.0005"): 1,
                                     ("giant", "base"): attempt,
                                     ("giant", "total_decay=0.0005"): attempt})
        listed = run("status", out)
        self.assert_exit(listed, 0)
        self.assertIn("2 failed", listed.stdout)
        self.assertIn("out of memory", listed.stdout)

    def test_text_too_short_for_training(self):
        text = self.folder / "short.txt"
        text.write_text("Too little to learn from.\n")
        short = study(self.folder / "short.yaml", name="short", text=text, cleaning="none")
        for ranks in (None, 3):
            out = self.folder / f"short-{ranks}"
            result = run("run", short, "--out", out, ranks=ranks)
            self.assert_exit(result, 1)
            self.assertIn("on host", result.stderr)
            self.assertEqual(result.stderr.count("ptqscale: rank"), 1, result.stderr)
            ends = {pairs["status"] for event, pairs in harness.journal(out) if event == "end"}
            self.assertEqual(ends, {"pending"}, "not the cells' fault")

    def test_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a small file system: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        out = disk / "run"
        for ranks in (None, 3):
            result = run("run", self.study, "--out", out, ranks=ranks)
            self.assert_exit(result, 3)
            self.assertIn("give the same command again", result.stderr)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        self.assert_exit(run("run", self.study, "--out", out), 0)
        self.assertEqual(harness.begun_after_finished(out), [])
        self.assert_same_study(self.whole / "study.nc", out / "study.nc")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
