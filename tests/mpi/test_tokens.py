"""Runs on tokens of every kind, from the user's text to study.nc: a SentencePiece model, token files as nanoGPT and
llm.c write them, prepared folders. What is wrong with data shows before anything is trained."""

import array
import gzip
import json
import math
import random
import shutil
import signal
import struct
import subprocess
import time
import unittest

from harness import RunTest, run, small_text, start, study


def lines_of(text):
    return [line for line in text.read_bytes().decode("utf-8", "ignore").split("\n") if line]


class Tokens(RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = cls.shared_folder()
        cls.text = small_text(cls.shared / "text.txt", 1 << 20)
        result = run("prepare", "--out", cls.shared / "pieces", "--train-vocabulary", 384, "--jobs", 2,
                     cls.text)
        if result.returncode != 0:
            raise AssertionError(result.stderr)
        cls.model = cls.shared / "pieces" / "tokenizer.model"

    def study(self, data, name="test.yaml"):
        path = study(self.folder / name, seeds=2, text="x", cleaning="none")
        text = path.read_text()
        path.write_text(text[: text.index("data:")] + f"data: {data}\n")
        return path

    def tokens(self, path, count, vocabulary=300, header=None, typecode="H"):
        """A token file: words with a frequency near 1/n."""
        draw = random.Random(17)
        numbers = array.array(typecode, (int(vocabulary ** draw.random()) - 1 for _ in range(count)))
        with path.open("wb") as file:
            if header:
                file.write(struct.pack("<256i", *header, count, *([0] * 253)))
            file.write(numbers.tobytes())
        return path

    def run_study(self, path, name="run", ranks=None):
        out = self.folder / name
        result = run("run", path, "--out", out, ranks=ranks)
        self.assert_exit(result, 0)
        return out / "study.nc"

    def refused(self, data, *words):
        """The study ends with a message that has these words, and has trained nothing."""
        out = self.folder / "refused"
        result = run("run", self.study(data), "--out", out)
        self.assertIn(result.returncode, (1, 2), result.stdout + result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)
        self.assertFalse(out.exists() and list(out.glob("cells/*.nc")))

    def losses(self, file):
        import netCDF4
        import numpy

        with netCDF4.Dataset(file) as data:
            return {name: numpy.ma.filled(data[name][:].astype(float), math.nan)
                    for name in ("loss", "bits_per_byte", "quantized_loss", "quantized_bits_per_byte",
                                 "unigram_entropy", "vocabulary")}

    def test_sentencepiece_serial_and_three_workers(self):
        path = self.study(f"{{files: [{self.text}], tokenizer: sentencepiece, tokenizer_model: {self.model}}}")
        one, four = self.run_study(path), self.run_study(path, "four", 4)
        self.assert_same_study(one, four)
        values = self.losses(one)
        self.assertTrue((values["vocabulary"] == 384).all())
        self.assertTrue((values["loss"] < math.log(384)).all())
        # Every window has the same tokens, and so the same number of bytes for each of them.
        for name in ("loss", "quantized_loss"):
            bits = values[name.replace("loss", "bits_per_byte")]
            per_token = values[name] / math.log(2) / bits
            self.assertTrue((abs(per_token - per_token.flat[0]) < 1e-9 * per_token).all())
            self.assertTrue(1.2 < per_token.flat[0] < 4)
        # The prepared folder was made with this model: the same tokens, split and windows.
        prepared = self.losses(self.run_study(self.study(f"{{prepared: {self.shared}/pieces}}"), "prepared"))
        for name, value in values.items():
            self.assertEqual(value.tobytes(), prepared[name].tobytes(), name)

    def test_token_files_serial_and_three_workers(self):
        first = self.tokens(self.folder / "train_0.bin", 150000)
        second = self.tokens(self.folder / "train_1.bin", 90001, header=(20240520, 1))
        path = self.study(f"{{shards: [{first}, {second}], vocabulary: 300, held_out: 0.3}}")
        one, four = self.run_study(path), self.run_study(path, "four", 4)
        self.assert_same_study(one, four)
        values = self.losses(one)
        self.assertTrue((values["loss"] < math.log(300) + 0.1).all())
        self.assertTrue(all(map(math.isnan, values["bits_per_byte"].flat)), "nobody knows the bytes")
        report = run("report", self.folder / "run")
        self.assert_exit(report, 0)
        self.assertIn("bits per", report.stdout)
        wide = self.tokens(self.folder / "wide.bin", 150000, header=(20240801, 7), typecode="I")
        self.run_study(self.study(f"{{shards: [{wide}], vocabulary: 300, held_out: 0.3}}"), "wide")

    def test_bytes(self):
        """Prepared bytes, and the same text as it is: bits per byte is the loss in bits."""
        result = run("prepare", "--out", self.folder / "bytes", self.text)
        self.assert_exit(result, 0)
        for data in (f"{{prepared: {self.folder}/bytes}}", f"{{files: [{self.text}]}}"):
            values = self.losses(self.run_study(self.study(data), "run-" + data[1:6]))
            self.assertTrue((abs(values["bits_per_byte"] - values["loss"] / math.log(2)) < 1e-12).all())
        explained = run("explain", self.folder / "run-files", "small/base/1")
        self.assert_exit(explained, 0)
        self.assertIn("bits per", explained.stdout)

    def test_damaged_token_files(self):
        good = self.tokens(self.folder / "good.bin", 150000)
        bad = self.folder / "bad.bin"

        def shards(path, vocabulary=300):
            return f"{{shards: [{good}, {path}], vocabulary: {vocabulary}}}"

        self.refused(shards(bad), bad, "No such file")
        bad.write_bytes(good.read_bytes()[:-1])
        self.refused(shards(bad), bad, "299999 bytes", "2-byte tokens")
        whole = self.tokens(bad, 1000, header=(20240520, 1)).read_bytes()
        bad.write_bytes(whole[:-2])
        self.refused(shards(bad), bad, "1000 tokens", "3024", "3022", "cut off")
        bad.write_bytes(whole + b"\0\0")
        self.refused(shards(bad), bad, "appended")
        bad.write_bytes(whole[:500])
        self.refused(shards(bad), bad, "500 bytes")
        bad.write_bytes(struct.pack("<2i", 20240520, 3) + whole[8:])
        self.refused(shards(bad), bad, "version is 3")
        numbers = array.array("H", [7] * 1000)
        numbers[777] = 300
        bad.write_bytes(numbers.tobytes())
        self.refused(shards(bad), bad, "token 777 (at byte 1554) is 300", "vocabulary has only 300")
        bad.write_bytes(whole[:1024] + numbers.tobytes())
        self.refused(shards(bad), bad, "token 777 (at byte 2578) is 300")
        bad.write_bytes(b"")
        self.refused(shards(bad), bad, "empty")
        self.refused(f"{{shards: [{good}]}}", "data.vocabulary", "missing")
        self.refused(f"{{shards: [{good}], vocabulary: 300, files: [{good}]}}", "data.shards", "files is given too")

    def test_changed_folders(self):
        folder = self.folder / "folder"

        def fresh():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.shared / "pieces", folder)

        data = f"{{prepared: {folder}}}"
        self.refused(data, folder / "manifest.json", "No such file")
        for name in ("tokens-00000.bin", "tokenizer.model", "held-out-lengths.bin"):
            fresh()
            content = bytearray((folder / name).read_bytes())
            content[len(content) // 2] ^= 1
            (folder / name).write_bytes(content)
            self.refused(data, folder / name, "was changed since it was made")
            (folder / name).write_bytes(content[:-4])
            self.refused(data, folder / name)
            (folder / name).unlink()
            self.refused(data, folder / name, "No such file")
        fresh()
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["shards"][0]["tokens"] += 1
        (folder / "manifest.json").write_text(json.dumps(manifest))
        self.refused(data, folder / "manifest.json", "different numbers of tokens")
        (folder / "manifest.json").write_text("{\n \"format\": \n}")
        self.refused(data, f"{folder}/manifest.json:3")
        # Two folders, one after the other, are two studies: no cell of one is taken for one of the other.
        fresh()
        out = self.folder / "mixed"
        path = self.study(data)
        self.assert_exit(run("run", path, "--out", out), 0)
        first = self.ids(out)
        shutil.rmtree(folder)
        self.assert_exit(run("prepare", "--out", folder, "--split-seed", 2, "--tokenizer", self.model, self.text), 0)
        self.assert_exit(run("run", path, "--out", out), 0)
        self.assertEqual(len(self.ids(out)), len(first))
        self.assertFalse(self.ids(out) & first)

    def ids(self, out):
        import netCDF4

        with netCDF4.Dataset(out / "study.nc") as file:
            return set(file["cell_id"][:])

    def test_missing_tokenizer(self):
        missing = self.folder / "none.model"
        self.refused(f"{{files: [{self.text}], tokenizer: sentencepiece, tokenizer_model: {missing}}}", missing)
        self.refused(f"{{files: [{self.text}], tokenizer: sentencepiece}}", "data.tokenizer_model", "missing")
        self.refused(f"{{files: [{self.text}], tokenizer: sentencepiece, tokenizer_model: {self.text}}}",
                     self.text, "no SentencePiece model")
        self.refused(f"{{files: [{self.text}], tokenizer: sentencepiece, tokenizer_model: {self.model}, "
                     "vocabulary: 383}", "383", "384")

    def prepare_fails(self, files, *words, options=()):
        out = self.folder / "out"
        result = run("prepare", "--out", out, *options, *files)
        self.assertIn(result.returncode, (1, 2), result.stdout)
        for word in words:
            self.assertIn(str(word), result.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith("out")], [])

    def test_prepare_refuses(self):
        bad = self.folder / "bad.jsonl"
        good = [json.dumps({"text": line}) for line in lines_of(self.text)]
        for line, word in (('{"text": "x"', "}"), ('{"txet": "x"}', 'field "text"'), ('{"text": 3}', 'field "text"'),
                           ("[1]", "field"), ('{"text": "x"} y', "end of file"), ("text", "expected near 'text'")):
            bad.write_text("\n".join(good[:6] + [line] + good[6:]))
            self.prepare_fails([bad], f"{bad}:7:", word)
        bad.write_bytes("\n".join(good[:2]).encode() + b'\n{"text": "\xff"}\n')
        self.prepare_fails([bad], f"{bad}:3:", "0xff")
        packed = self.folder / "text.txt.gz"
        whole = gzip.compress(self.text.read_bytes())
        packed.write_bytes(whole[: len(whole) // 2])
        self.prepare_fails([self.text, packed], packed, "after")
        packed.write_bytes(whole[:1000] + b"\0\0\0\0" + whole[1004:])
        self.prepare_fails([packed], packed, "after")
        packed = self.folder / "text.txt.zst"
        if shutil.which("zstd"):
            whole = subprocess.run(["zstd", "-c", self.text], check=True, stdout=subprocess.PIPE).stdout
            packed.write_bytes(whole[: len(whole) // 2])
            self.prepare_fails([packed], packed, "cut off")
        self.prepare_fails([self.folder / "none"], self.folder / "none", "No such file")
        self.prepare_fails([self.text], self.text, "SentencePiece model", options=("--tokenizer", self.text))
        self.prepare_fails([self.text], "cannot train a vocabulary of 1000000",
                           options=("--train-vocabulary", 1000000))
        small = self.folder / "small.txt"
        small.write_text("too little\n")
        self.prepare_fails([small], "11 bytes", "two blocks")
        (self.folder / "taken").mkdir()
        (self.folder / "taken" / "file").write_text("mine")
        result = run("prepare", "--out", self.folder / "taken", self.text)
        self.assert_exit(result, 1)
        self.assertIn("is there already", result.stderr)
        self.assertEqual((self.folder / "taken" / "file").read_text(), "mine")

    def test_prepare_interrupted(self):
        large, log = self.folder / "large.txt", self.folder / "log"
        large.write_bytes(self.text.read_bytes() * 100)
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with log.open("w") as file:
                process = start("prepare", "--out", self.folder / "out", "--jobs", 1, "--tokenizer", self.model,
                                large, log=file)
                self.addCleanup(process.kill)
                end = time.monotonic() + 60
                while not list(self.folder.glob("out.partial-*/tokens-*")) and time.monotonic() < end:
                    time.sleep(0.02)
                process.send_signal(sent)
                self.assertNotEqual(process.wait(60), 0, log.read_text())
            self.assertFalse((self.folder / "out").exists())
            if sent != signal.SIGKILL:
                self.assertEqual(list(self.folder.glob("out*")), [])
                self.assertIn("interrupted", log.read_text())


if __name__ == "__main__":
    unittest.main()
