"""Wrong input through the real command line: exit status, message, and nothing left behind."""

import os
import subprocess
import sys
import unittest

import harness
from harness import RunTest, SMOKE, run, study


def snapshot(folder):
    """Every file below with its content."""
    return {path.relative_to(folder): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


class Usage(RunTest):
    def setUp(self):
        super().setUp()
        self.study = study(self.folder / "study.yaml")
        self.out = self.folder / "run"

    def refuse(self, result, status, *texts):
        self.assert_exit(result, status)
        for text in texts:
            self.assertIn(text, result.stderr)
        own = [line for line in result.stderr.splitlines() if line.startswith("ptqscale: ")]
        self.assertEqual(len(own), 1, f"not said once:\n{result.stderr}")

    def change(self, old, new):
        """The study with one place changed; returns the number of the line."""
        text = self.study.read_text()
        self.assertIn(old, text)
        self.study.write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def test_wrong_study_files(self):
        good = self.study.read_text()
        for old, new, *texts in (
            ("seeds: 2", "sedes: 2", "sedes", "seeds"),
            ("tokens: 16384", "tokens: many", "tokens", "many"),
            ("total_decay: [0.0005]", "total_decay: []", "total_decay"),
            ("d_model: 16", "d_model: -16", "d_model", "-16"),
            ("heads: 2", "heads: 3", "heads", "3", "16"),
            ("windows: 64,", "windows: 0,", "windows"),
            ("quantizers: [w8a8, w4]", "quantizers: [w8a9, w4]", "w8a9", "w8a8"),
        ):
            with self.subTest(new=new):
                self.study.write_text(good)
                line = self.change(old, new)
                where = f"{self.study}:{line}"
                for arguments in (("run", self.study, "--out", self.out),
                                  ("plan", self.study, "--check")):
                    self.refuse(run(*arguments), 2, where, *texts)
                self.assertFalse(self.out.exists(), "a folder was made for a wrong study")
        # Under a launcher all ranks end alike, and one of them says why.
        self.refuse(run("run", self.study, "--out", self.out, ranks=3), 2, where)

    def test_missing_study_file(self):
        self.refuse(run("run", self.folder / "none.yaml", "--out", self.out), 1, "none.yaml")
        self.assertFalse(self.out.exists())

    def test_missing_corpus(self):
        study(self.study, text=self.folder / "missing.gz")
        for ranks in (None, 2):
            result = run("run", self.study, "--out", self.out, ranks=ranks)
            self.refuse(result, 1, "missing.gz", "fetch-corpus.sh")
            self.assertFalse(self.out.exists(), "nothing may be written before the text is there")

    def test_folder_that_cannot_be_written(self):
        # /proc takes no new folders, not even from root.
        for ranks in (None, 2):
            result = run("run", self.study, "--out", "/proc/ptqscale", ranks=ranks)
            self.refuse(result, 1, "/proc/ptqscale")
        file = self.folder / "file"
        file.write_text("not a folder\n")
        self.refuse(run("run", self.study, "--out", file), 1, str(file))
        self.refuse(run("run", self.study, "--out", file / "below"), 1, str(file))
        self.assertEqual(file.read_text(), "not a folder\n")

    def test_folder_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        closed = self.folder / "closed"
        closed.mkdir(mode=0o500)
        self.refuse(run("run", self.study, "--out", closed), 1, str(closed))
        self.refuse(run("run", self.study, "--out", closed / "run"), 1, str(closed))

    def test_folder_of_somebody_else(self):
        self.out.mkdir()
        (self.out / "thesis.tex").write_text("precious\n")
        before = snapshot(self.out)
        self.refuse(run("run", self.study, "--out", self.out), 1, str(self.out))
        self.assertEqual(snapshot(self.out), before)

    def test_folder_of_another_study(self):
        self.assert_exit(run("run", self.study, "--out", self.out), 0)
        before = snapshot(self.out)
        other = study(self.folder / "other.yaml", name="other")
        for ranks in (None, 2):
            result = run("run", other, "--out", self.out, ranks=ranks)
            self.refuse(result, 1, str(self.out), "test", "other")
        self.assertEqual(snapshot(self.out), before)

    def test_changed_study_adds_and_reuses(self):
        self.assert_exit(run("run", self.study, "--out", self.out), 0)
        self.assertEqual(harness.count(self.out, "begin"), 4)
        self.change("total_decay: [0.0005]", "total_decay: [0.0005, 0.005]")
        result = run("run", self.study, "--out", self.out, ranks=2)
        self.assert_exit(result, 0)
        self.assertEqual(harness.count(self.out, "begin"), 6)
        self.assertEqual(harness.begun_after_finished(self.out), [])
        self.change("total_decay: [0.0005, 0.005]", "total_decay: [0.005]")
        result = run("run", self.study, "--out", self.out)
        self.assert_exit(result, 0)
        self.assertIn("all 4 cells", result.stdout)
        self.assertEqual(harness.count(self.out, "begin"), 6)
        fresh = self.folder / "fresh"
        self.assert_exit(run("run", self.study, "--out", fresh), 0)
        self.assert_same_study(fresh / "study.nc", self.out / "study.nc")

    def test_commands(self):
        for arguments, status, text in (
            ((), 2, "no command"),
            (("rnu",), 2, "rnu"),
            (("run",), 2, "usage: ptqscale run STUDY.yaml"),
            (("run", SMOKE), 2, "--out"),
            (("run", SMOKE, "--out"), 2, "--out"),
            (("run", SMOKE, "--out", ""), 2, "--out"),
            (("run", SMOKE, "--ouch", "x"), 2, "--ouch"),
            (("run", SMOKE, "extra", "--out", "x"), 2, "extra"),
            (("plan", SMOKE, "--ranks", "0"), 2, "--ranks"),
            (("plan", SMOKE, "--ranks", "two"), 2, "two"),
            (("plan", SMOKE, "--gflops", "-1"), 2, "--gflops"),
            (("status", self.folder / "none"), 1, "none"),
            (("status", self.folder), 1, "not a run's folder"),
            (("report", self.folder / "none"), 1, "none"),
            (("report", self.folder), 1, "not a run's folder"),
            (("report", self.study), 1, "study.yaml"),
            (("explain", self.folder, "0000"), 1, "not a run's folder"),
        ):
            with self.subTest(arguments=arguments):
                result = run(*arguments)
                self.refuse(result, status, text)
                self.assertEqual(result.stdout, "")

    def test_launcher_of_another_mpi(self):
        """Ranks that do not see each other must not each run the whole study."""
        environment = dict(harness.ENVIRONMENT, PMI_RANK="0", PMI_SIZE="2")
        result = subprocess.run(harness.command(["run", self.study, "--out", self.out]),
                                check=False, env=environment, capture_output=True, text=True,
                                timeout=60)
        self.refuse(result, 1, "the launcher started 2 ranks, but MPI sees one")
        self.assertFalse(self.out.exists())

    def test_report_before_the_first_study_nc(self):
        self.assert_exit(run("run", self.study, "--out", self.out), 0)
        (self.out / "study.nc").unlink()
        self.refuse(run("report", self.out), 1, "has not written study.nc yet")

    def test_help(self):
        result = run("--help")
        self.assert_exit(result, 0)
        for name in ("plan", "run", "status", "report", "explain", "quantize"):
            self.assertIn(f"  {name} ", result.stdout)
            one = run(name, "--help")
            self.assert_exit(one, 0)
            self.assertTrue(one.stdout.startswith(f"usage: ptqscale {name} "), one.stdout)
            self.assertEqual(one.stderr, "")
        version = run("--version")
        self.assert_exit(version, 0)
        self.assertRegex(version.stdout, r"^ptqscale \d+\.\d+\.\d+ \(commit .+\)\n$")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run(harness.command(["--help"]), stdout=full, text=True,
                                    stderr=subprocess.PIPE, env=harness.ENVIRONMENT, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write the output", result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
