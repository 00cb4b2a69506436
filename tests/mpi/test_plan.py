"""What plan says of studies that do not fit one rank: the paper's grid, twenty thousand cells, this machine's rates."""

import re
import time
import unittest

from harness import SMOKE, SOURCE, RunTest, run

PAPER = SOURCE / "jobs" / "paper.yaml"
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
TIMES = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "days": 86400, "years": 365.25 * 86400}
NAMED = {"410M": 410e6, "6B": 6e9, "13B": 13e9, "52B": 52e9}


def size_of(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def seconds_of(text):
    number, unit = text.split()
    return float(number) * TIMES[unit]


def teams(text):
    """{size: (ranks, kept or again, bytes of a rank)} of the sizes that fit."""
    rows = re.findall(r"^(\S+) +(\d+) +(kept|again) +([\d.]+ [KMGT]iB)", text, re.M)
    return {name: (int(ranks), how, size_of(memory)) for name, ranks, how, memory in rows}


def chart(text):
    """{size: the columns of the schedule}."""
    return dict(re.findall(r"^(\S+) +\|(.{72})\|$", text, re.M))


class Plan(RunTest):
    def test_the_papers_grid(self):
        result = run("plan", PAPER, "--ranks", 4096, "--memory", "8GiB")
        self.assert_exit(result, 0)
        for name, named in NAMED.items():
            counted = re.search(rf"^{name} +[\d,]+ +([\d,]+) +24 ", result.stdout, re.M).group(1)
            self.assertLess(abs(int(counted.replace(",", "")) / named - 1), 0.03)
        found = teams(result.stdout)
        self.assertEqual(set(found), set(NAMED))
        for name, (ranks, _, memory) in found.items():
            self.assertLessEqual(memory, 8 * 2**30, name)
            self.assertEqual(ranks & (ranks - 1), 0, name)
            # The smallest that fits: half the ranks would need more, whatever is computed again.
            table = result.stdout.split(f"Memory of a rank, {name}:\n")[1]
            half = re.search(rf"^ *{ranks // 2} .* ([\d.]+ [KMGT]iB)\*?$", table, re.M)
            self.assertGreater(size_of(half.group(1)), 8 * 2**30, name)
        self.assertLess(found["410M"][0], found["6B"][0])
        self.assertLess(found["6B"][0], found["52B"][0])
        columns = chart(result.stdout)
        self.assertEqual(set(columns), set(NAMED) | {"idle"})
        for name in NAMED:
            self.assertRegex(columns[name], "[.1-9#]")
        for line in result.stdout.split("Memory of a rank", 1)[1].splitlines():
            self.assertLessEqual(len(line), 100, line)

    def test_what_cannot_fit_is_refused(self):
        result = run("plan", PAPER, "--ranks", 64, "--memory", "1GiB")
        self.assert_exit(result, 1)
        self.assertIn("3 of 4 sizes do not fit 63 workers", result.stderr)
        self.assertEqual(set(teams(result.stdout)), {"410M"})
        for name in ("6B", "13B", "52B"):
            reason = re.search(rf"^size {name}: (.*)$", result.stdout, re.M).group(1)
            self.assertRegex(reason, r"^a cell needs [\d.]+ GiB per rank, with 32 ranks and ")
            self.assertRegex(reason, r"there is \d+ MiB beside program and text; no team is large enough: "
                                     r"give [\d.]+ GiB ")
        self.assertEqual(chart(result.stdout), {})
        # With memory enough for a team that is larger than there are ranks, it says how many.
        result = run("plan", PAPER, "--ranks", 64, "--memory", "8GiB")
        self.assert_exit(result, 1)
        self.assertRegex(result.stdout, r"size 52B: .*; \d+ ranks per cell would do: start more ranks")

    def test_twenty_thousand_cells(self):
        study = self.folder / "many.yaml"
        study.write_text(
            "sizes:\n"
            + "".join(f"  - {{layers: {n}, d_model: {128 * n}, heads: {n}, context: 128, "
                      f"learning_rate: 1.0e-3, ranks_per_cell: {2 ** (n - 1)}}}\n" for n in (1, 2, 3, 4))
            + "base: {tokens: 1000000}\n"
            + "factors: {dropout: [0.1, 0.2], tokens: [2.0e+6, 4.0e+6], grad_clip: [none]}\n"
            + "design: factorial\nseeds: 256\ntrain: {batch_tokens: 4096, micro_batch_tokens: 512}\n"
            + f"data: {{files: [{SOURCE}/data/gcide.dict.dz], cleaning: gcide}}\n")
        start = time.monotonic()
        result = run("plan", study, "--ranks", 1025)
        seconds = time.monotonic() - start
        self.assert_exit(result, 0)
        cells, makespan, least = re.search(
            r"^(\d+) cells on 1024 workers: ([\d.]+ \w+), .* than ([\d.]+ \w+)$", result.stdout, re.M).groups()
        over = seconds_of(makespan) / seconds_of(least)
        print(f"{cells} cells planned in {seconds:.1f} s; makespan {over:.3f} of the bound")
        self.assertEqual(int(cells), 4 * 18 * 256)
        self.assertLess(over, 1.1)
        self.assertLess(seconds, 30)


class Measure(RunTest):
    def check(self, ranks, options):
        """Measured rates are said, used, and taken back as options."""
        start = time.monotonic()
        result = run("plan", SMOKE, "--measure", "--measure-for", "4s", "--ranks", 3, ranks=ranks)
        self.assert_exit(result, 0)
        self.assertLess(time.monotonic() - start, 120)
        said = re.search(r"^For the next plan: (.*)$", result.stdout, re.M).group(1).split()
        self.assertEqual(said[::2], options)
        self.assertTrue(all(float(value) > 0 for value in said[1::2]), said)
        self.assertRegex(result.stdout, rf"Times follow from {said[1]} GFLOP/s per rank, .* as measured")
        products = re.findall(r"^2x\d+ +matrix products in bf16 ([\d.]+) GFLOP/s, with all else of a block ([\d.]+)$",
                              result.stdout, re.M)
        self.assertEqual(len(products), 2)
        again = run("plan", SMOKE, "--ranks", 3, *said)
        self.assert_exit(again, 0)
        self.assertIn(f"Times follow from {said[1]} GFLOP/s", again.stdout)
        self.assertIn("as given", again.stdout)
        return result.stdout

    def test_how_long_of_what(self):
        for options, says in ((("--measure-for", "4s"), "give both"), (("--measure", "--measure-for", "0s"), "--measure-for")):
            result = run("plan", SMOKE, *options)
            self.assert_exit(result, 2)
            self.assertIn(says, result.stderr)

    def test_one_rank_has_no_network(self):
        text = self.check(None, ["--gflops"])
        self.assertIn("no network to measure", text)

    def test_two_ranks(self):
        text = self.check(2, ["--gflops", "--bandwidth", "--latency"])
        self.assertEqual(text.count("Measured on 2 ranks at once:"), 1)


if __name__ == "__main__":
    unittest.main()
