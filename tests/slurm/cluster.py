"""A real two-node Slurm on this machine (slurm/local-cluster.sh) for a test, and what tests do with it."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
from harness import PROGRAM, SOURCE, RunTest

SCRIPT = SOURCE / "slurm" / "local-cluster.sh"
PREFLIGHT = SOURCE / "slurm" / "preflight.sh"
# Virtual nodes share a kernel: shared memory between "nodes" would not survive what these tests do.
TCP = ["--mpirun-arg=--mca", "--mpirun-arg=btl", "--mpirun-arg=self,tcp"]
SKIP = 77


def require():
    """Leave with the skip code where Slurm cannot be installed; where it can, its absence is a failure."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged")
               if shutil.which(name, path=path) is None]
    if missing and shutil.which("apt-get") is None:
        print(f"skipped: {', '.join(missing)} not installed, and there is no apt-get to do it")
        sys.exit(SKIP)
    if missing:
        print(f"missing: {', '.join(missing)}; ./jobs/install.sh --tests installs them")
        sys.exit(1)


def script(command, folder, *arguments):
    return subprocess.run([SCRIPT, command, "--dir", folder, *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, check=False)


def processes():
    """[(pid, command line, environment, open files)] of everything that can be seen."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().split(b"\0")
                files = []
                for link in (entry / "fd").iterdir():
                    try:
                        files.append(os.readlink(link))
                    except OSError:
                        pass
            except OSError:
                continue  # ended meanwhile, or not ours
            found.append((int(entry.name), line, environment, files))
    return found


class Cluster:
    def __init__(self, nodes=2):
        self._folder = tempfile.TemporaryDirectory(prefix="ptqscale-slurm-test-")
        self.folder = pathlib.Path(self._folder.name) / "slurm"
        self.nodes = nodes
        self.environment = dict(harness.ENVIRONMENT)
        self.start()

    def start(self):
        """Start what is not running."""
        result = script("start", self.folder, "--nodes", str(self.nodes))
        if result.returncode != 0:
            raise AssertionError(f"local-cluster.sh: {result.stdout}\n{result.stderr}")
        self.environment.update(re.findall(r"(?:export | )([A-Z][A-Za-z_]*)=(\S+)", result.stdout))

    def submit(self, study, out, *options, nodes=2, ntasks=2, **environment):
        """The job's id."""
        result = self.run(PROGRAM, "submit", study, "--out", out, f"--nodes={nodes}",
                          f"--ntasks={ntasks}", *TCP, *options, **environment)
        found = re.match(r"job (\d+): study ", result.stdout)
        if result.returncode != 0 or found is None:
            raise AssertionError(f"{result.args}\n{result.stdout}\n{result.stderr}")
        return found[1]

    def stop(self):
        result = script("stop", self.folder)
        self._folder.cleanup()
        if result.returncode != 0:
            raise AssertionError(f"local-cluster.sh: {result.stdout}\n{result.stderr}")

    def run(self, *command, timeout=120, **environment):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False,
                              env={**self.environment, **environment})

    def of_node(self, node):
        """Processes of a node: its slurmd, job steps, and what they have started; newest first."""
        found = []
        for pid, line, environment, files in processes():
            if b"SLURM_CONF=" + bytes(self.folder / "slurm.conf") in environment and (
                    b"SLURMD_NODENAME=" + node.encode() in environment
                    or f"slurmd -N {node} " in line
                    or (line.startswith("slurmstepd")
                        and any(name.endswith(f"slurmd.{node}.log") for name in files))):
                found.append(pid)
        return sorted(found, reverse=True)

    def kill_node(self, node):
        """The node fails: all that runs on it is gone at once. Helpers die before those whom they would
        miss, and nobody is stopped before (the kernel would wake the orphans)."""
        while pids := self.of_node(node):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            harness.wait_for(lambda: not any(harness.alive(pid) for pid in pids), 5)

    def queue(self):
        """One line per job or array task: id of the job (of the whole array), state, reason."""
        return self.run("squeue", "-h", "-o", "%F %T %r").stdout

    def queued(self, job, state=""):
        return any(line.startswith(f"{job} {state}") for line in self.queue().splitlines())

    def state(self, job):
        text = self.run("scontrol", "show", "job", "-o", job).stdout
        return re.findall(r"JobState=(\S+)", text)


class SlurmTest(RunTest):
    """Tests with one cluster for all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster(cls.nodes)
        cls.addClassCleanup(cls.cluster.stop)

    nodes = 2  # of the cluster

    def submit(self, *arguments, **options):
        job = self.cluster.submit(*arguments, **options)
        self.addCleanup(self.cluster.run, "scancel", job)
        return job

    def logs(self, out):
        """All that a run has left to read, for messages."""
        texts = []
        for path in sorted(out.glob("slurm/*.log")) + sorted(out.glob("**/restarts.log")):
            texts.append(f"--- {path}\n{path.read_text()}")
        return "\n".join([*texts, self.cluster.queue()])

    def wait_for(self, condition, seconds, out, what):
        if not harness.wait_for(condition, seconds):
            self.fail(f"{what}: not within {seconds} s\n{self.logs(out)}")

    def wait_job(self, job, seconds, out):
        """Until the job has left the queue; it must have ended well."""
        def left():
            time.sleep(0.3)
            return not self.cluster.queued(job)
        self.wait_for(left, seconds, out, f"job {job} ends")
        self.assertEqual(set(self.cluster.state(job)), {"COMPLETED"}, self.logs(out))

    def restarts(self, out):
        path = out / "restarts.log"
        return path.read_text().splitlines() if path.exists() else []

    @staticmethod
    def begun(out, cells=1):
        return (out / "journal.log").exists() and harness.count(out, "begin") >= cells
