"""A small study with workers that may be lost: what the tests of that have in common."""


import harness
from harness import RunTest, run, study

# Checkpoints so often that most cells that change hands go on from one.
PACE = ("--heartbeat-timeout", "2s", "--checkpoint-every", "0.05s")
MIDDLE = "  - {name: middle, layers: 2, d_model: 32, heads: 2, context: 32, learning_rate: 8.0e-3}"


class LostCase(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared = cls.shared_folder()
        text = harness.small_text(shared / "text.txt")
        cls.study = study(shared / "study.yaml", sizes=(harness.SMALL, MIDDLE), tokens=16384,
                          seeds=2, text=text, cleaning="none")
        cls.undisturbed = cls.complete(cls.study, shared / "undisturbed")
        cls.cells = [pairs["cell"] for event, pairs in harness.journal(cls.undisturbed)
                     if event == "begin"]

    def longer_study(self, tokens):
        """Cells that take long enough for something to be seen while they run."""
        self.study = study(self.folder / "longer.yaml", tokens=tokens, seeds=2,
                           text=self.undisturbed.parent / "text.txt", cleaning="none")
        self.undisturbed = self.folder / "undisturbed"
        self.assert_exit(run("run", self.study, "--out", self.undisturbed, ranks=3), 0)

    def setUp(self):
        super().setUp()
        self.out = self.folder / "run"
        self.log = self.folder / "log"

    def start(self, ranks=4, out=None, recovery=True, options=PACE, env=harness.ENVIRONMENT):
        self.out = out or self.out
        with open(self.log, "wb") as log:
            process = harness.start("run", self.study, "--out", self.out, *options, ranks=ranks,
                                    recovery=recovery, log=log, env=env)
        self.addCleanup(harness.kill_family, process)
        return process

    def wait_for_begun(self, process, cells):
        self.assertTrue(
            harness.wait_for(lambda: (self.out / "journal.log").exists()
                             and harness.count(self.out, "begin") >= cells, 60, process),
            self.log.read_text())

    def assert_ends(self, process, expected, timeout=60):
        process.wait(timeout=timeout)
        self.assertEqual(harness.exit_status(self.out), expected, self.log.read_text())

    def assert_complete(self):
        self.assert_same_study(self.undisturbed / "study.nc", self.out / "study.nc")
        self.assertEqual(harness.begun_after_finished(self.out), [])
        left = [path.name for path in (self.out / "cells").iterdir()
                if path.suffix != ".nc" and not path.name.endswith(".tmp")]
        self.assertEqual(left, [])
