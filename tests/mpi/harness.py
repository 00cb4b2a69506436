"""What the tests of whole runs share: starting ptqscale with any number of ranks, killing it,
reading its journal.

The environment names what is tested: PTQSCALE_PROGRAM (the executable), PTQSCALE_SOURCE (the source
tree), PTQSCALE_MPIEXEC (mpirun).
"""

import atexit
import gzip
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse

PROGRAM = os.environ.get("PTQSCALE_PROGRAM", "build/ptqscale")
SOURCE = pathlib.Path(os.environ.get("PTQSCALE_SOURCE", ".")).resolve()
MPIEXEC = os.environ.get("PTQSCALE_MPIEXEC", "mpirun")
SMOKE = SOURCE / "jobs" / "smoke.yaml"
TEXT = SOURCE / "data" / "gcide.dict.dz"

ENVIRONMENT = dict(
    os.environ,
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    OMPI_ALLOW_RUN_AS_ROOT="1",  # containers of continuous integration
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    OMPI_MCA_btl_vader_single_copy_mechanism="none",  # which they do not permit
)

# A job that is killed whole leaves its shared memory behind, megabytes per rank: not in /dev/shm itself.
if os.path.isdir("/dev/shm"):
    SHARED_MEMORY = tempfile.mkdtemp(prefix="ptqscale-test-", dir="/dev/shm")
    atexit.register(shutil.rmtree, SHARED_MEMORY, ignore_errors=True)
    ENVIRONMENT["OMPI_MCA_btl_vader_backing_directory"] = SHARED_MEMORY

# What Open MPI 4 needs so that the other ranks go on when one dies. Its exit status is then always 0.
RECOVERY = ["--enable-recovery", "--mca", "orte_abort_on_non_zero_status", "0"]

STUDY = """\
name: {name}
design: one_at_a_time
sizes:
{sizes}
base: {{total_decay: 0.05, precision: bf16, tokens: {tokens}}}
factors:
  total_decay: [0.0005]
seeds: {seeds}
train: {{batch_tokens: 1024, micro_batch_tokens: 256}}
quantizers: [w8a8, w4]
evaluate: {{fractions: [0.5, 1.0], windows: 64, calibration_windows: 16}}
data: {{files: [{text}], cleaning: {cleaning}}}
"""
SMALL = "  - {name: small, layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}"
# Needs terabytes: no machine that tests run on can train it.
GIANT = "  - {name: giant, layers: 2, d_model: 65536, heads: 2, context: 32, learning_rate: 8.0e-3}"


def study(path, name="test", sizes=(SMALL,), tokens=16384, seeds=2, text=TEXT, cleaning="gcide"):
    """Write a study of len(sizes) x 2 settings x seeds cells; 16384 tokens of SMALL take 0.1 s."""
    path.write_text(STUDY.format(name=name, sizes="\n".join(sizes), tokens=tokens, seeds=seeds,
                                 text=text, cleaning=cleaning))
    return path


def small_text(path, size=1 << 20):
    """Text that is loaded at once: the beginning of the dictionary, as a plain file."""
    with gzip.open(TEXT) as text:
        path.write_bytes(text.read(size))
    return path


def command(arguments, ranks=None, recovery=False):
    """The command line; ranks None: without a launcher."""
    line = [PROGRAM, *map(str, arguments)]
    if ranks is not None:
        line = [MPIEXEC, "-n", str(ranks), "--oversubscribe", "--bind-to", "none",
                *(RECOVERY if recovery else []), *line]
    return line


def run(*arguments, ranks=None, recovery=False, timeout=300, env=ENVIRONMENT, **options):
    """Run to the end; the result has returncode, stdout, stderr."""
    return subprocess.run(
        command(arguments, ranks, recovery), env=env, timeout=timeout, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, **options,
    )


def start(*arguments, ranks=None, recovery=False, log=None, env=ENVIRONMENT):
    """Start in a session of its own; output goes to the file `log`."""
    return subprocess.Popen(
        command(arguments, ranks, recovery), env=env, stdin=subprocess.DEVNULL, stdout=log,
        stderr=log, start_new_session=True,
    )


def exit_status(folder):
    """What the run has left for launchers that hide it; None: nothing."""
    try:
        return int((pathlib.Path(folder) / "exit-status").read_text())
    except FileNotFoundError:
        return None


def family(pid):
    """The process and all that descends from it: (pid, command name)."""
    children, names = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # ended meanwhile
        name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
        names[int(entry.name)] = name
        children.setdefault(int(rest.split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        if one in names:
            found.append((one, names[one]))
        todo += children.get(one, [])
    return found


def kill_family(process):
    """SIGKILL for the launcher and every rank, at once: none may react to another's end."""
    members = family(process.pid)
    for pid, _ in members:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
    for pid, _ in family(process.pid) + members:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid, _ in members) and time.monotonic() < deadline:
        time.sleep(0.01)


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def cpu_seconds(pid):
    """Processor time that the process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rank_pids(process):
    """{rank: pid} of what the launcher started."""
    found = {}
    for pid, name in family(process.pid):
        if not name.startswith("ptqscale"):
            continue
        try:
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        for variable in environment:
            name, _, value = variable.partition(b"=")
            if name in (b"OMPI_COMM_WORLD_RANK", b"PMIX_RANK"):
                found[int(value)] = pid
    return found


def rank_zero(process):
    """Pid of the coordinator: rank 0 of what the launcher started, or the serial process."""
    own = [pid for pid, name in family(process.pid) if name.startswith("ptqscale")]
    return rank_pids(process).get(0, own[0] if own else None)


def journal(folder):
    """[(event, {key: value})], in order; a torn last line is left out."""
    events = []
    text = (pathlib.Path(folder) / "journal.log").read_text()
    for line in text.split("\n")[:-1]:
        _, _, _, event, *pairs = line.split(" ")
        events.append((event, {key: urllib.parse.unquote(value)
                               for key, value in (pair.split("=", 1) for pair in pairs)}))
    return events


def count(folder, event):
    return sum(1 for name, _ in journal(folder) if name == event)


def begun_after_finished(folder):
    """Cells that were begun although they were finished and not found damaged."""
    finished, again = set(), []
    for event, pairs in journal(folder):
        if event == "end" and pairs["status"] in ("done", "diverged"):
            finished.add(pairs["cell"])
        elif event == "damaged":
            finished.discard(pairs["cell"])
        elif event == "begin" and pairs["cell"] in finished:
            again.append(pairs["cell"])
    return again


def wait_for(condition, timeout, process=None):
    """Poll until condition() holds. False if it does not in time or before the process ends."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return bool(condition())
        time.sleep(0.005)
    return False


class RunTest(unittest.TestCase):
    """A test with a temporary folder, and the text of the smoke study at hand."""

    @classmethod
    def setUpClass(cls):
        if not TEXT.exists():
            raise AssertionError(f"{TEXT} is missing: run ./jobs/fetch-corpus.sh")

    @classmethod
    def shared_folder(cls):
        """A temporary folder for all tests of the class."""
        shared = tempfile.TemporaryDirectory(prefix="ptqscale-test-")
        cls.addClassCleanup(shared.cleanup)
        return pathlib.Path(shared.name)

    @staticmethod
    def complete(path, out, ranks=None):
        """A run that nothing disturbs, to compare with."""
        result = run("run", path, "--out", out, ranks=ranks)
        if result.returncode != 0:
            raise AssertionError(f"undisturbed run: {result.stdout}\n{result.stderr}")
        return out

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="ptqscale-test-")
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)

    def assert_exit(self, result, expected):
        self.assertEqual(
            result.returncode, expected,
            f"{result.args}\nstdout:\n{result.stdout}\nstderr:\n{result.stderr}",
        )

    def assert_same_study(self, a, b):
        import compare_studies  # needs netCDF4

        found = compare_studies.differences(str(a), str(b))
        self.assertEqual(found, [], f"{a} and {b} differ:\n" + "\n".join(found[:20]))
