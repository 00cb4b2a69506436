"""Jobs that end before their study does: the warning before the time limit, signals, a stop file, nodes that
fail. They go on where they stopped, in the queue or at once, and the values are those of a serial run."""

import sys
import time
import unittest

import cluster
import harness
from harness import study

SILENCE = 12  # seconds until a second node takes the batch script's for lost


class Requeue(cluster.SlurmTest):
    nodes = 3  # the third is for the time limit, which takes its time beside the other tests

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.shared_folder()
        # Four cells of some seconds; what they give, computed beside the tests.
        cls.study = study(folder / "study.yaml", seeds=2, tokens=1 << 20)
        cls.serial = folder / "serial"
        cls.reference = cls.compute(cls.study, cls.serial)
        # Slurm looks at time limits each 30 seconds of slurmctld's life. Begun after half of that, the job has
        # less than 50 seconds of its minute left when it does; on a fast machine it must not be done by then.
        cls.long_study = study(folder / "long.yaml", seeds=5, tokens=1 << 21)
        cls.limited = folder / "limited"
        cls.limited_job = cls.cluster.submit(
            cls.long_study, cls.limited, "--time=1", "--sbatch-arg=--signal=B:USR1@53",
            "--sbatch-arg=--begin=now+15", "--sbatch-arg=--nodelist=n3", nodes=1, ntasks=1)

    @classmethod
    def compute(cls, path, out):
        """The values to compare with, in a process beside the tests."""
        with open(f"{out}.log", "wb") as log:
            process = harness.start("run", path, "--out", out, log=log)
        cls.addClassCleanup(harness.kill_family, process)
        return process

    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"

    def submit(self, *arguments, **options):
        return super().submit(*arguments, "--sbatch-arg=--nodelist=n[1-2]", **options)

    def wait_finished(self, job, seconds=180):
        self.wait_job(job, seconds, self.out)
        self.assertEqual(harness.begun_after_finished(self.out), [], "finished cells ran again")
        self.assertEqual(self.reference.wait(timeout=180), 0)
        self.assert_same_study(self.serial / "study.nc", self.out / "study.nc")

    def wait_begun(self, cells=2, seconds=60):
        self.wait_for(lambda: self.begun(self.out, cells), seconds, self.out, f"{cells} cells begin")

    def wait_restarts(self, count, seconds=60):
        self.wait_for(lambda: len(self.restarts(self.out)) == count, seconds, self.out,
                      f"restart {count}")

    def wait_runs(self, count, seconds=60):
        self.wait_for(lambda: harness.count(self.out, "run") == count
                      and harness.journal(self.out)[-1][0] in ("begin", "resumed"),
                      seconds, self.out, f"run {count}")

    def test_signals(self):
        """scancel --signal=USR1 to the ranks, then TERM to the batch script: both times checkpoints and the
        queue again."""
        job = self.submit(self.study, self.out)
        self.wait_begun()
        time.sleep(2)
        self.cluster.run("scancel", "--signal=USR1", job)
        self.wait_restarts(1)
        self.assertIn(f"job={job} requeued (1 of at most 50): stopped with status 3",
                      self.restarts(self.out)[0])
        self.assertTrue(list(self.out.glob("checkpoints/*/state")), "no checkpoints were written")
        self.wait_runs(2)
        time.sleep(1)
        self.cluster.run("scancel", "--batch", "--signal=TERM", job)
        self.wait_restarts(2)
        self.assertIn("after SIGTERM", self.restarts(self.out)[1])
        self.wait_finished(job)
        self.assertIn(" resume ", self.logs(self.out))
        self.assertEqual(harness.count(self.out, "run"), 3)

    def test_time_limit(self):
        """The warning before the time limit."""
        self.out = self.limited
        self.wait_for(lambda: self.restarts(self.out), 90, self.out, "the first restart")
        self.assertIn("stopped with status 3 after SIGUSR1", self.restarts(self.out)[0])
        serial = self.folder / "serial"
        reference = self.compute(self.long_study, serial)
        self.wait_job(self.limited_job, 240, self.out)
        self.assertEqual(harness.begun_after_finished(self.out), [], "finished cells ran again")
        self.assertEqual(reference.wait(timeout=240), 0)
        self.assert_same_study(serial / "study.nc", self.out / "study.nc")

    def test_array(self):
        """One task of an array goes back into the queue; the others do not even notice. The last task has the
        array's own id."""
        job = super().submit(self.study, self.out, "--array", "2", "--sbatch-arg=--exclude=n3",
                             nodes=1, ntasks=1)
        shards = [self.out / f"shard-{i}" for i in (1, 2)]
        for shard in shards:
            self.wait_for(lambda: self.begun(shard), 60, self.out, f"{shard.name} begins")
        time.sleep(2)
        self.cluster.run("scancel", "--batch", "--signal=USR1", f"{job}_2")
        self.wait_for(lambda: len(self.restarts(shards[1])) == 1, 60, self.out, "task 2 is requeued")
        self.wait_job(job, 180, self.out)
        self.assertEqual([harness.count(shard, "run") for shard in shards], [1, 2], self.logs(self.out))
        self.assertEqual(self.restarts(shards[0]), [])
        merged = self.out / "study.nc"
        self.assert_exit(harness.run("merge", merged, self.out), 0)
        self.assertEqual(self.reference.wait(timeout=180), 0)
        self.assert_same_study(self.serial / "study.nc", merged)

    def test_bound_and_stop_file(self):
        """A job is not put back more often than allowed, and not when somebody wants it to stop."""
        job = self.submit(self.study, self.out, "--max-restarts=0")
        self.wait_begun()
        self.cluster.run("scancel", "--batch", "--signal=USR1", job)
        self.wait_for(lambda: not self.cluster.queued(job), 60, self.out, "the job ends")
        self.assertEqual(self.cluster.state(job), ["FAILED"])
        self.assertIn("not requeued, after 0 times", self.restarts(self.out)[0])

        job = self.submit(self.study, self.out)
        self.wait_runs(2)
        (self.out / "stop").touch()
        self.wait_for(lambda: not self.cluster.queued(job), 60, self.out, "the job ends")
        self.assertEqual(self.cluster.state(job), ["FAILED"])
        self.assertIn("not requeued: stopped by the file", self.restarts(self.out)[1])
        self.assertIn("stopped by the file", self.logs(self.out))
        self.assertEqual(harness.count(self.out, "run"), 2)

    def test_node_failure(self):
        """The second node fails: the study goes on with the first, in the same job."""
        job = self.submit(self.study, self.out)
        self.addCleanup(self.cluster.start)
        self.wait_begun()
        self.cluster.kill_node("n2")
        self.wait_for(lambda: "n2 down" in self.cluster.run("sinfo", "-h", "-N", "-o", "%N %T").stdout,
                      60, self.out, "Slurm sees it")
        self.assertTrue(self.cluster.queued(job, "RUNNING"), self.logs(self.out))
        self.wait_finished(job)
        self.assertEqual(self.restarts(self.out), [])
        self.assertEqual(harness.count(self.out, "run"), 1)

    def test_batch_node_failure(self):
        """The node of the batch script fails: another one puts the job back into the queue."""
        job = self.submit(self.study, self.out, PTQSCALE_SILENCE=str(SILENCE))
        self.addCleanup(self.cluster.start)
        self.wait_begun()
        self.cluster.kill_node("n1")
        self.wait_restarts(1)
        self.assertIn("the node of the batch script is lost", self.restarts(self.out)[0])
        self.wait_for(lambda: self.cluster.queued(job, "PENDING"), 60, self.out, "back in the queue")
        self.cluster.start()
        self.wait_finished(job)
        self.assertEqual(harness.count(self.out, "run"), 2)


if __name__ == "__main__":
    cluster.require()
    sys.exit(unittest.main(verbosity=2))
