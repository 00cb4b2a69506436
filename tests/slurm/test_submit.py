"""ptqscale submit: the script, what it refuses, and studies that run in Slurm to the end: with mpirun, with
srun, and as an array of shards that are merged. Values are those of a serial run."""

import re
import subprocess
import sys
import unittest

import cluster
import harness
from harness import SMOKE, TEXT, RunTest, run, study


class Script(RunTest):
    def dry_run(self, *arguments, status=0, **options):
        result = run("submit", self.study, "--out", self.folder / "out", "--dry-run", *arguments,
                     **options)
        self.assert_exit(result, status)
        self.assertFalse((self.folder / "out").exists(), "a dry run has written something")
        return result.stdout if status == 0 else result.stderr

    def setUp(self):
        super().setUp()
        self.study = study(self.folder / "study.yaml", seeds=3)

    def test_options(self):
        text = self.dry_run(
            "--nodes", 4, "--ntasks", 250, "--time", "2-00:00:00", "--partition", "long", "--account",
            "abc", "--array", 6, "--sbatch-arg=--mem=0", "--sbatch-arg", "--comment=two words",
            "--sbatch-arg=--exclude=n[1-3]", "--max-restarts", 7, "--mpirun-arg=--mca",
            "--mpirun-arg=x", "--mpirun-arg", "it's $HOME")
        lines = text.splitlines()
        for line in ("--nodes=4", "--ntasks=250", "--time=2-00:00:00", "--partition=long",
                     "--account=abc", "--array=1-6", "--mem=0", '--comment="two words"',
                     "--exclude=n[1-3]", "--signal=B:USR1@120", "--requeue", "--open-mode=append",
                     "--job-name=test", f"--output={self.folder}/out/slurm/job-%A_%a.log"):
            self.assertIn("#SBATCH " + line, lines)
        self.assertEqual(lines[0], "#!/bin/bash")
        self.assertIn("max_restarts=7", lines)
        self.assertIn("shards=6", text)
        self.assertIn("launcher=mpirun", text)
        self.assertIn(r"launcher_arguments=(--mca x 'it'\''s $HOME')", lines)
        self.assertIn(f"corpus=({TEXT})", lines)
        self.assertIn("OMP_NUM_THREADS=1", text)
        self.assertNotRegex(text, r"@[A-Z_]+@")
        last = max(i for i, line in enumerate(lines) if line.startswith("#SBATCH"))
        first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
        self.assertLess(last, first, "a line for sbatch behind the first command is not read")

    def test_memory_is_that_of_the_teams(self):
        needs = []
        for run_section in ("", "run: {memory_per_rank: 2GiB}\n"):
            self.study.write_text(
                "sizes: [{layers: 8, d_model: 2048, heads: 16, context: 64, learning_rate: 1.0e-3}]\n"
                "base: {tokens: 65536}\nseeds: 1\ntrain: {batch_tokens: 2048, micro_batch_tokens: 64}\n"
                f"data: {{files: [{TEXT}], cleaning: gcide}}\n{run_section}")
            text = self.dry_run("--ntasks", 16)
            needs.append(int(re.search(r"^memory=(\d+) ", text, re.M).group(1)))
        self.assertGreater(needs[0], 8 * 2**30)
        self.assertLessEqual(needs[1], 2 * 2**30)
        # No team of so few ranks has the memory: it says so now, not in the job.
        self.assertIn("start more ranks", self.dry_run("--ntasks", 2, status=1))

    def test_is_bash(self):
        for more in ((), ("--array", 2), ("--launcher", "srun"), ("--mpirun-arg=a'b\"c d",)):
            for workers in ("--ntasks", "--nodes"):
                text = self.dry_run(workers, 2, *more)
                self.assertIn("#SBATCH --exclusive" if workers == "--nodes" else "#SBATCH --ntasks=2",
                              text.splitlines())
                checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True,
                                         check=False)
                self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_odd_names(self):
        odd = self.folder / "a b's %j"
        odd.mkdir()
        self.study = study(odd / "study.yaml")
        result = run("submit", self.study, "--out", odd / "run", "--ntasks", 2, "--dry-run")
        self.assert_exit(result, 0)
        quoted = str(odd / "run").replace("'", r"'\''")
        self.assertIn(f"folder='{quoted}'", result.stdout.splitlines())
        name = str(odd / "run").replace("%", "%%")
        self.assertIn(f'#SBATCH --output="{name}/slurm/job-%j.log"', result.stdout.splitlines())

    def test_refusals(self):
        for arguments, says in (
            ((), "how many workers"),
            (("--ntasks", 0), "--ntasks"),
            (("--ntasks", 2, "--array", 7), "only 6 cells"),
            (("--ntasks", 2, "--array", 0), "--array"),
            (("--ntasks", 2, "--launcher", "ssh"), "ssh"),
            (("--ntasks", 2, "--sbatch-arg", "mem"), "mem"),
            (("--ntasks", 2, "--sbatch-arg", "--comment=a\nb"), "--sbatch-arg"),
            (("--ntasks", 2, "--time", "1\n#SBATCH --uid=0"), "--time"),
            (("--ntasks", 2, "more"), "more"),
        ):
            self.assertIn(says, self.dry_run(*arguments, status=2))
        self.study.write_text(self.study.read_text() + "shard: 1/2\n")
        self.assertIn("shard", self.dry_run("--ntasks", 2, "--array", 2, status=2))
        self.study.write_text("sizes: []")
        self.dry_run("--ntasks", 2, status=2)

    def test_without_slurm(self):
        """The script is there; what is missing is said."""
        out = self.folder / "out"
        result = subprocess.run([harness.PROGRAM, "submit", self.study, "--out", out, "--ntasks", "2"],
                                env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
        self.assert_exit(result, 1)
        self.assertIn("cannot start sbatch", result.stderr)
        self.assertTrue((out / "submit.sbatch").stat().st_mode & 0o100)
        self.assert_exit(run("status", out), 0)
        self.assertIn("6 waiting", run("status", out).stdout)
        # The folder is the run's, whoever starts it.
        self.assert_exit(run("run", out / "study.yaml", "--out", out), 0)


class Submit(cluster.SlurmTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.shared_folder()
        # A relative path to the text, and no name but the file's: the copy must mean the same.
        (folder / "text.dz").symlink_to(TEXT)
        cls.study = study(folder / "small.yaml", seeds=3, text="text.dz")
        cls.study.write_text(cls.study.read_text().replace("name: test\n", "# a comment\n"))
        cls.serial = cls.complete(cls.study, folder / "serial")

    def test_to_the_end(self):
        out = self.folder / "run"
        job = self.submit(self.study, out, "--time", "10")
        self.wait_job(job, 60, out)
        self.assert_same_study(self.serial / "study.nc", out / "study.nc")
        self.assertEqual(self.restarts(out), [])
        self.assertIn("# a comment", (out / "study.yaml").read_text())
        self.assertIn("2 workers on n[1-2]", self.logs(out))
        workers = {pairs["worker"] for event, pairs in harness.journal(out) if event == "begin"}
        self.assertEqual(workers, {"1", "2"})
        # Finished: another submission says so and ends.
        begun = harness.count(out, "begin")
        self.wait_job(self.submit(self.study, out), 60, out)
        self.assertEqual(harness.count(out, "begin"), begun)
        # Another study does not get into the folder.
        other = self.cluster.run(harness.PROGRAM, "submit", SMOKE, "--out", out, "--ntasks", 2)
        self.assertEqual(other.returncode, 1)
        self.assertIn("holds the run of study", other.stderr)

    def test_whole_nodes_with_srun(self):
        out = self.folder / "run"
        result = self.cluster.run(harness.PROGRAM, "submit", self.study, "--out", out, "--nodes", 2,
                                  "--launcher", "srun", OMPI_MCA_btl="self,tcp")
        self.assert_exit(result, 0)
        self.wait_job(re.match(r"job (\d+):", result.stdout)[1], 60, out)
        self.assert_same_study(self.serial / "study.nc", out / "study.nc")
        self.assertIn("2 workers on n[1-2]: srun --mpi=pmix", self.logs(out))

    def test_array(self):
        """Four shards in a job array, merged: the file of the unsharded run."""
        out = self.folder / "run"
        job = self.submit(self.study, out, "--array", "4", nodes=1, ntasks=1)
        self.wait_job(job, 120, out)
        self.assertEqual([harness.count(out / f"shard-{i}", "begin") for i in range(1, 5)],
                         [1, 1, 2, 2], self.logs(out))
        merged = out / "study.nc"
        self.assert_exit(run("merge", merged, out), 0)
        self.assert_same_study(self.serial / "study.nc", merged)
        self.assert_exit(run("merge", merged, *(out / f"shard-{i}" for i in (4, 2, 3, 1))), 0)
        self.assert_same_study(self.serial / "study.nc", merged)
        self.assertIn("6 done", run("report", merged).stdout)
        # The number of shards cannot change under way.
        for shards in ("3", "5"):
            result = run("submit", self.study, "--out", out, "--ntasks", 1, "--array", shards)
            self.assertEqual(result.returncode, 1 if shards == "3" else result.returncode)


if __name__ == "__main__":
    cluster.require()
    sys.exit(unittest.main(verbosity=2))
