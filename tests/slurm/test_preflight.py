"""slurm/preflight.sh: one real misconfiguration after the other, and each is explained."""

import os
import shutil
import subprocess
import sys
import unittest

import cluster
from cluster import PREFLIGHT
from harness import MPIEXEC, PROGRAM, TEXT

GiB = 1 << 30


class Preflight(cluster.SlurmTest):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"
        self.bin = self.folder / "bin"  # in front of PATH
        self.bin.mkdir()

    def tool(self, name, text):
        """A program that stands in for another one."""
        path = self.bin / name
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(0o755)
        return path

    def preflight(self, *arguments, nodes=2, launcher=None, folder=None, status=0):
        """Run it in an allocation of that many nodes (0: outside of Slurm)."""
        line = ["bash", PREFLIGHT, "--folder", folder or self.out, *arguments]
        if launcher is not None:
            line += ["--", *launcher]
        if nodes > 0:
            line = ["salloc", "--quiet", f"--nodes={nodes}", f"--ntasks={nodes}", *line]
        result = self.cluster.run(*line, PATH=f"{self.bin}:{os.environ['PATH']}")
        self.assert_exit(result, status)
        left = [path.name for path in self.out.glob(".preflight*")]
        self.assertEqual(left, [], "files were left behind")
        if status == 1:
            self.assertIn("nothing was started", result.stderr)
            self.assertNotIn("\n\n", result.stderr)
        return result

    def mpirun(self, ranks):
        return [MPIEXEC, "-n", ranks, "--oversubscribe", "--bind-to", "none", "--mca", "btl",
                "self,tcp"]

    def test_all_well(self):
        common = ["--program", PROGRAM, "--corpus", TEXT, "--memory", 1 << 20]
        for nodes, ranks, launcher in ((0, 2, self.mpirun(2)), (1, 2, self.mpirun(2)),
                                       (2, 3, self.mpirun(3)), (2, 3, ["srun", "--mpi=pmix", "-O",
                                                                       "--ntasks=3"]), (2, 3, None)):
            self.cluster.environment["OMPI_MCA_btl"] = "self,tcp"
            result = self.preflight(*common, "--ranks", ranks, nodes=nodes, launcher=launcher)
            self.assertEqual(result.stdout, "")
            self.assertEqual(result.stderr, "")

    def test_text(self):
        result = self.preflight("--corpus", "/no/text.txt", "--corpus", TEXT, "--corpus", self.folder,
                                status=1)
        self.assertIn("/no/text.txt of the study is not there on n1, n2", result.stderr)
        self.assertIn(f"{self.folder} of the study cannot be read on n1, n2", " ".join(
            result.stderr.split()))
        self.assertIn("2 problems", result.stderr)

    def test_memory(self):
        result = self.preflight("--ranks", 5, "--memory", 2000 * GiB, status=1)
        self.assertIn("3 ranks with up to 2048001 MiB each", " ".join(result.stderr.split()))
        self.assertIn("--mem=0", result.stderr)

    def test_program(self):
        broken = self.tool("broken", "echo libgsl.so.27: cannot open shared object file >&2; exit 127\n")
        result = self.preflight("--program", broken, status=1)
        self.assertIn("does not start on n", result.stderr)
        self.assertIn("libgsl.so.27", result.stderr)
        other = self.tool("other", 'echo "ptqscale $SLURMD_NODENAME"\n')
        result = self.preflight("--program", other, status=1)
        self.assertIn("not the same on all nodes", " ".join(result.stderr.split()))

    def test_folder(self):
        self.assertIn("cannot be made", self.preflight(folder="/proc/no", status=1).stderr)
        full = self.folder / "full"
        full.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", full],
                                 capture_output=True, check=False)
        if mounted.returncode == 0:  # not everybody may, nor root in every container
            self.addCleanup(subprocess.run, ["umount", full], check=True)
            self.assertIn("MiB left", self.preflight(folder=full, status=1).stderr)

    def test_locks(self):
        """A file system without locks is no problem: the run is told."""
        self.tool("flock", "exit 1\n")
        result = self.preflight(nodes=0)
        self.assertEqual(result.stdout, "export HDF5_USE_FILE_LOCKING=FALSE\n")
        self.assertIn("no file locks", result.stderr)

    def test_launcher(self):
        common = ["--program", PROGRAM, "--ranks", 3]
        result = self.preflight(*common, launcher=["/no/mpirun"], status=1)
        self.assertIn("there is no mpirun on this node", result.stderr)
        # Ranks of another MPI: each is alone.
        alone = self.tool("mpirun", "for i in 1 2 3; do env -i HOME=/ PATH=\"$PATH\" OMPI_ALLOW_RUN_AS_ROOT=1 "
                          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \"${@:3}\" & done; wait\n")
        result = self.preflight(*common, launcher=[alone, "-n", 3], nodes=0, status=1)
        self.assertIn("each takes itself for the only one", " ".join(result.stderr.split()))
        failing = self.tool("mpirun", "echo no orted here >&2; exit 5\n")
        result = self.preflight(*common, launcher=[failing, "-n", 3], status=1)
        self.assertIn("exit status 5", result.stderr)
        self.assertIn("no orted here", result.stderr)
        # Slurm without PMIx, as srun itself tells.
        srun = shutil.which("srun")
        self.tool("srun", 'if [ "$1" = --mpi=list ]; then echo "MPI plugin types are..." "none" >&2; '
                          f'else exec {srun} "$@"; fi\n')
        result = self.preflight(*common, launcher=["srun", "--mpi=pmix", "--ntasks=3"], status=1)
        self.assertIn("no PMIx plugin", " ".join(result.stderr.split()))
        self.assertIn("--launcher mpirun", " ".join(result.stderr.split()))

    def test_usage(self):
        for arguments in (("--what",), ("--ranks", "x"), ("--corpus",)):
            self.assertIn("usage", self.preflight(*arguments, nodes=0, status=2).stderr)

    def test_job_that_cannot_start(self):
        """In a job: it ends at once, with the explanation in its log."""
        from harness import study

        text = self.folder / "text.txt"
        text.write_text("some text\n" * 20000)
        out = self.folder / "job"
        small = study(self.folder / "study.yaml", text=text, cleaning="none")
        text.rename(self.folder / "gone")
        job = self.submit(small, out)
        self.wait_for(lambda: not self.cluster.queued(job), 60, out, "the job ends")
        self.assertEqual(self.cluster.state(job), ["FAILED"])
        self.assertIn("text.txt of the study is not there", " ".join(self.logs(out).split()))
        self.assertEqual(self.restarts(out), [], "it is of no use to try that again")


@unittest.skipUnless(os.getuid() == 0, "needs mounts of a node's own")
class NotShared(cluster.SlurmTest):
    """The second node has a disk of its own at the run's folder: its slurmd has its own mounts."""

    def setUp(self):
        super().setUp()
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
            self.skipTest("no mount name spaces here (a container without the right, or a chroot)")
        self.local = self.folder / "local"
        self.local.mkdir()
        self.cluster.kill_node("n2")
        # The daemon goes into the background: the name space stays with it.
        result = self.cluster.run(
            "unshare", "--mount", "bash", "-c",
            f"mount -t tmpfs tmpfs {self.local} && touch {self.local}/other && exec slurmd -N n2",
            PATH=os.environ["PATH"] + ":/usr/sbin")
        self.assert_exit(result, 0)
        self.cluster.start()

    def preflight(self, folder, *more):
        result = self.cluster.run("salloc", "--quiet", "--nodes=2", "--ntasks=2", "bash", PREFLIGHT,
                                  "--folder", folder, *more)
        self.assert_exit(result, 1)
        return " ".join(result.stderr.split())

    def test_folder_is_another_one(self):
        text = self.local / "text.txt"
        text.write_text("here only")
        said = self.preflight(self.local, "--corpus", text)
        self.assertIn(f"on n2, {self.local} is another folder", said)
        self.assertIn("$SCRATCH", said)
        self.assertIn(f"{text} of the study is not there on n2", said)
        self.assertIn("2 problems", said)
        # Below it, the folder does not exist at all.
        said = self.preflight(self.local / "run")
        self.assertIn(f"n2 cannot see the run's folder {self.local}/run", said)
        self.assertIn("1 problem;", said)


if __name__ == "__main__":
    cluster.require()
    sys.exit(unittest.main(verbosity=2))
