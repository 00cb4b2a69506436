"""Runs with tasks, made from the text and read from a file: the same answers from any number of ranks, whatever the tokens
are; what is wrong with a file shows before anything is trained."""

import json
import sys
import unittest

import harness
from harness import RunTest, run, study

SIZE = ("  - {{name: {name}, layers: 2, d_model: {d_model}, heads: 2, context: 32, "
        "learning_rate: 8.0e-3, ranks_per_cell: {ranks}}}")
TASKS = "[{{name: pairs, items: 21}}, {{name: continuation, items: 9}}, {{name: mine, format: blimp, path: {}, shots: 1}}]"


class Tasks(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = cls.shared_folder()
        cls.text = harness.small_text(cls.shared / "text.txt")
        cls.file = cls.shared / "mine.jsonl"
        cls.file.write_text("".join(json.dumps({"sentence_good": f"The {word} is here.",
                                                "sentence_bad": f"The is {word} here."}) + "\n"
                                    for word in ("tree", "house", "river", "stone", "\u00e9t\u00e9")))

    def study(self, data, file=None):
        """Cells of 1 and of 4 ranks."""
        path = study(self.folder / "study.yaml", tokens=32768, seeds=1, text="x", cleaning="none",
                     sizes=(SIZE.format(name="one", d_model=16, ranks=1),
                            SIZE.format(name="four", d_model=32, ranks=4)))
        text = path.read_text()
        path.write_text(text[: text.index("data:")] + f"tasks: {TASKS.format(file or self.file)}\n"
                        f"data: {data}\n")
        return path

    def run_both(self, path):
        serial = self.complete(path, self.folder / "serial") / "study.nc"
        ranks = self.folder / "ranks"
        self.assert_exit(run("run", path, "--out", ranks, ranks=5), 0)
        self.assert_same_study(serial, ranks / "study.nc")
        return serial

    def answers(self, file):
        import netCDF4

        with netCDF4.Dataset(file) as data:
            return {name: data[name][:].tobytes() for name in
                    ("accuracy", "quantized_accuracy", "item_correct", "quantized_item_correct")}

    def test_bytes(self):
        out = self.run_both(self.study(f"{{files: [{self.text}], held_out: 0.4}}"))
        report = run("report", out.parent)
        self.assert_exit(report, 0)
        for task in ("pairs", "continuation", "mine"):
            self.assertIn(task, report.stdout)

    def test_sentencepiece_and_prepared(self):
        pieces = self.folder / "pieces"
        self.assert_exit(run("prepare", "--out", pieces, "--train-vocabulary", 384, "--held-out", 0.4,
                             self.text), 0)
        first = self.run_both(self.study(f"{{files: [{self.text}], tokenizer: sentencepiece, held_out: 0.4, "
                                         f"tokenizer_model: {pieces}/tokenizer.model}}"))
        prepared = self.complete(self.study(f"{{prepared: {pieces}}}"), self.folder / "prepared")
        self.assertEqual(self.answers(first), self.answers(prepared / "study.nc"))

    def test_damaged_file(self):
        broken = self.folder / "broken.jsonl"
        broken.write_text(self.file.read_text() + '{"sentence_good": "No other"}\n')
        out = self.folder / "refused"
        result = run("run", self.study(f"{{files: [{self.text}]}}", broken), "--out", out)
        self.assert_exit(result, 1)
        self.assertIn("broken.jsonl:6: sentence_bad", result.stderr)
        self.assertFalse(list(out.glob("cells/*.nc")))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
