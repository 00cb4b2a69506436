"""slurm/local-cluster.sh: starts and stops as often as one likes, and leaves nothing behind."""

import pathlib
import sys
import tempfile
import unittest

import cluster


class LocalCluster(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="ptqscale-slurm-test-")
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name) / "slurm"

    def ours(self):
        return [line for _, line, environment, _ in cluster.processes()
                if b"SLURM_CONF=" + bytes(self.folder / "slurm.conf") in environment
                and "local-cluster.sh" not in line]

    def script(self, command, *arguments, status=0):
        result = cluster.script(command, self.folder, *arguments)
        self.assertEqual(result.returncode, status, f"{result.args}\n{result.stdout}\n{result.stderr}")
        return result

    def test_life(self):
        self.script("status", status=1)
        self.script("stop")
        self.addCleanup(cluster.script, "stop", self.folder)
        first = self.script("start")
        self.assertIn(f"export SLURM_CONF={self.folder}/slurm.conf", first.stdout)
        running = sorted(self.ours())
        self.assertEqual(len(running), 5, running)  # munged, slurmctld and its helper, two slurmd
        self.assertEqual(self.script("start").stdout, first.stdout)
        self.assertEqual(sorted(self.ours()), running, "a second start has started something")
        self.assertIn("n2", self.script("status").stdout)
        self.script("start", "--nodes", "3", status=1)

        # A job that ignores SIGTERM, a detached child, a dead slurmd: all gone after stop.
        both = cluster.Cluster.__new__(cluster.Cluster)
        both.folder, both.environment = self.folder, dict(cluster.harness.ENVIRONMENT)
        both.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        job = self.folder.parent / "job.sh"
        job.write_text("#!/bin/bash\n#SBATCH --output=/dev/null --nodes=2\ntrap '' TERM\n"
                       f"setsid sleep 1000 &\ntouch {self.folder.parent}/begun\n"
                       "while true; do sleep 1; done\n")
        self.assertEqual(both.run("sbatch", job).returncode, 0)
        self.assertTrue(cluster.harness.wait_for((self.folder.parent / "begun").exists, 30))
        both.kill_node("n2")
        self.script("status", status=1)
        self.script("start")
        self.assertIn("running", self.script("status").stdout)
        self.script("stop")
        self.assertEqual(self.ours(), [])
        self.assertFalse(self.folder.exists())
        self.script("stop")

    def test_two_clusters(self):
        """They do not know each other."""
        other = self.folder.parent / "other"
        self.addCleanup(cluster.script, "stop", self.folder)
        self.addCleanup(cluster.script, "stop", other)
        self.script("start", "--nodes", "1")
        self.assertEqual(cluster.script("start", other, "--nodes", "3").returncode, 0)
        self.assertEqual(len(self.ours()), 4)
        self.assertEqual(cluster.script("stop", other).returncode, 0)
        self.assertIn("running", self.script("status").stdout)

    def test_refusals(self):
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text("mine")
        self.script("start", status=1)
        self.script("stop", status=1)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["notes.txt"])
        self.script("start", "--nodes", "0", status=2)
        self.script("start", "--what", status=2)
        self.script("restart", status=2)
        self.assertIn("local-cluster.sh start", self.script("--help").stdout)


if __name__ == "__main__":
    cluster.require()
    sys.exit(unittest.main(verbosity=2))
