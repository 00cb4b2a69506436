"""A run in one process, as a user types it: MPI, which ScaLAPACK needs, must not show, and threads that
libraries bring must not get in the way of signals."""

import signal
import time
import unittest

import harness
from harness import RunTest, run, start, study

# Nothing for Open MPI or a BLAS in the environment, and no folder for temporary files.
BARE = {name: value for name, value in harness.ENVIRONMENT.items()
        if not name.startswith(("OMPI_", "OMP_", "OPENBLAS_"))} | {"TMPDIR": "/proc"}


class Serial(RunTest):
    def test_mpi_does_not_show(self):
        import netCDF4
        import numpy

        out = self.folder / "run"
        result = run("run", study(self.folder / "test.yaml", seeds=1), "--out", out, env=BARE)
        self.assert_exit(result, 0)
        for word in ("ORTE", "MPI", "mpi"):
            self.assertNotIn(word, result.stdout + result.stderr)
        with netCDF4.Dataset(out / "study.nc") as file:
            norms = numpy.ma.filled(file["probe_weight_norm"][:], numpy.nan)
        self.assertTrue((norms > 0).all(), "a spectral norm is missing")

    def test_signal(self):
        out, log = self.folder / "run", self.folder / "log"
        path = study(self.folder / "test.yaml", tokens=1 << 24)
        with log.open("w") as file:
            process = start("run", path, "--out", out, log=file, env=BARE)
            self.addCleanup(process.kill)
            end = time.monotonic() + 60
            while "begin" not in log.read_text() and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), 3, log.read_text())


if __name__ == "__main__":
    unittest.main()
