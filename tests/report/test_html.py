#!/usr/bin/env python3
"""Is report.html a page that people can read?

    test_html.py PTQSCALE PLANTED FOLDER

Writes the pages of a finished run (FOLDER, of a study one factor at a time) and of a study made by PLANTED (a balanced fraction), and
looks at them in Chromium: no complaint, no request, every figure drawn, labelled and legible, in light and dark, on paper. One line
per fault; exit status 1 if there is any.
"""
import os
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from browser import Browser, pixels

VOID = {"meta", "input", "br", "hr", "img", "link"}
UNITS = {  # what the axes of each figure must say
    "shares": ["share of the variance of log KL, %"],
    "claims": ["effect on KL, %"],
    "settings": ["effect on KL, %"],
    "scale": ["non-embedding parameters", "nats per token"],
    "early": ["fraction of the training run", "Spearman correlation"],
    "probes": ["nats per token", "weight spectral norm"],
    "training": ["training tokens", "training loss, nats per token"],
    "quantizers": ["w8a8", "w4"],
}
faults = []


def check(condition, text):
    if not condition:
        faults.append(text)


def run(*command, status=0, env=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60,
                          check=False, env=env)
    check(done.returncode == status, f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
    return done


class Page(HTMLParser):
    """Elements in their places, ids, what is fetched."""

    def __init__(self, name, text):
        super().__init__()
        self.name, self.open, self.ids, self.tags = name, [], [], []
        self.figures, self.texts = {}, {}
        self.feed(text)
        check(not self.open, f"{name}: {self.open} are not closed")

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs:
            check(attrs["id"] not in self.ids, f"{self.name}: two elements have the id {attrs['id']}")
            self.ids.append(attrs["id"])
        for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            check(name not in attrs or attrs[name].startswith("#"), f"{self.name}: {tag} {name}={attrs.get(name)}")
        if tag not in VOID:
            self.open.append((tag, attrs))
        if tag == "svg":
            figure = next(a["id"] for t, a in self.open if t == "figure")
            self.figures[figure.removeprefix("fig-")] = attrs
        check(tag not in ("link", "iframe", "img", "object", "embed", "base"), f"{self.name}: a <{tag}>")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            check(False, f"{self.name}: </{tag}> closes {self.open[-1:]}")
            return
        self.open.pop()

    def handle_data(self, data):
        figure = next((a.get("id", "") for t, a in self.open if t == "figure"), "").removeprefix("fig-")
        if figure and self.open[-1][0] in ("text", "desc"):
            self.texts.setdefault(figure, {}).setdefault(self.open[-1][0], []).append(data.strip())


def check_source(name, text, figures):
    """What a screen reader, a validator and a wary person ask of the file."""
    page = Page(name, text)
    tags = [tag for tag, _ in page.tags]
    check(text.startswith("<!DOCTYPE html>\n<html lang=\"en\">"), f"{name}: no doctype or language")
    check(tags.count("h1") == 1 and tags.count("main") == 1 and "h2" in tags, f"{name}: headings")
    check(tags.count("table") == tags.count("caption"), f"{name}: a table has no caption")
    check("default-src 'none'" in text, f"{name}: no content security policy")
    check(not re.search(r"@import|url\(|//[a-z]+\.[a-z]{2,}/", re.sub(r"http://www\.w3\.org/\d+/(svg|xlink)", "", text)),
          f"{name}: something is to be fetched")
    check(set(page.figures) == set(figures), f"{name}: the figures are {sorted(page.figures)}, not {sorted(figures)}")
    for figure, attrs in page.figures.items():
        check(attrs.get("role") == "img" and attrs.get("aria-labelledby"), f"{name}: {figure} is not named")
        described = " ".join(page.texts[figure].get("desc", []))
        check(re.search(r"\d", described) and len(described) > 40, f"{name}: {figure} is not described by numbers")
        shown = " ".join(page.texts[figure].get("text", []))
        for unit in UNITS[figure]:
            check(unit in shown, f"{name}: {figure} does not say \"{unit}\"")
    drawn = re.findall(r"<svg.*?</svg>", text, re.S)
    check(not any(re.search(r"rgb\(|[\"']black[\"']|#[0-9a-f]{6}", svg) for svg in drawn),
          f"{name}: a figure has a colour that does not follow the page's")


def backdrop(image):
    """The commonest colour, and the share of pixels that differ from it."""
    flat = image[..., :3].reshape(-1, 3).astype(np.int32)
    packed = (flat[:, 0] << 16) | (flat[:, 1] << 8) | flat[:, 2]
    values, counts = np.unique(packed, return_counts=True)
    common = int(values[counts.argmax()])
    return (common >> 16, common >> 8 & 255, common & 255), 1 - counts.max() / len(packed), len(values)


BOXES = """Array.from(document.querySelectorAll('figure svg')).map(svg => {
  const r = svg.getBoundingClientRect();
  const texts = Array.from(svg.querySelectorAll('text')).filter(t => t.textContent.trim()).map(t => {
    const b = t.getBoundingClientRect();
    return {s: t.textContent.trim(), x: b.x, y: b.y + scrollY, w: b.width, h: b.height,
            turned: /rotate/.test(t.parentNode.getAttribute('transform'))};});
  return {name: svg.closest('figure').id.slice(4), x: r.x, y: r.y + scrollY, width: r.width, height: r.height, texts};
})"""


def check_texts(where, box):
    """Nothing is cut off, nothing lies on something else."""
    for text in box["texts"]:
        inside = (text["x"] >= box["x"] - 1 and text["y"] >= box["y"] - 2
                  and text["x"] + text["w"] <= box["x"] + box["width"] + 1
                  and text["y"] + text["h"] <= box["y"] + box["height"] + 3)
        check(inside, f"{where}: \"{text['s']}\" is cut off")
    flat = [text for text in box["texts"] if not text["turned"]]
    for i, a in enumerate(flat):
        for b in flat[:i]:
            wide = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
            high = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
            check(wide < 2 or high < 5, f"{where}: \"{a['s']}\" lies on \"{b['s']}\"")


def check_look(browser, name, path, dark):
    """The page as it is seen; returns the page's background."""
    where = f"{name}, {'dark' if dark else 'light'}"
    browser.window(1440, 900, dark)
    browser.open(path.as_uri())
    check(not browser.complaints(), f"{where}: {browser.complaints()}")
    check(browser.requests() == [path.as_uri()], f"{where}: requests {browser.requests()}")
    check(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where}: wider than the window")
    bottom = browser.evaluate("document.querySelector('table.claims').getBoundingClientRect().bottom")
    check(bottom <= 900, f"{where}: the verdicts end at {bottom:.0f}, below the first screen")
    behind, _, _ = backdrop(pixels(browser.screenshot({"x": 0, "y": 0, "width": 200, "height": 60})))
    boxes = browser.evaluate(BOXES)
    for box in boxes:
        image = pixels(browser.screenshot({key: box[key] for key in ("x", "y", "width", "height")}, 0.5))
        color, differs, colors = backdrop(image)
        check(differs > 0.01 and colors > 20, f"{where}: figure {box['name']} is blank ({differs:.4f}, {colors})")
        check(color == behind or box["name"] == "quantizers", f"{where}: figure {box['name']} is on {color}")
        if not dark:
            check_texts(f"{where}: {box['name']}", box)
    return behind


def check_behaviour(browser, name):
    """Sorting, filtering, opening, light and dark: the few lines of script."""
    first = "document.querySelector('table.cells tbody tr').cells"
    browser.evaluate("document.querySelectorAll('table.cells thead th')[6].click()")
    low = float(browser.evaluate(f"{first}[6].dataset.v"))
    browser.evaluate("document.querySelectorAll('table.cells thead th')[6].click()")
    high = float(browser.evaluate(f"{first}[6].dataset.v"))
    check(0 < low < high, f"{name}: sorting by KL gives {low}, then {high}")
    browser.evaluate("(()=>{const i=document.querySelector('#filter input');i.value='fp16 done';i.oninput()})()")
    shown = browser.evaluate("Array.from(document.querySelectorAll('table.cells tbody tr')).filter(r=>!r.hidden)"
                             ".map(r=>r.textContent)")
    check(shown and all("fp16" in row and "done" in row for row in shown), f"{name}: the filter shows {shown[:2]}")
    target = browser.evaluate(f"{first}[0].querySelector('a').getAttribute('href')")
    browser.evaluate(f"new Promise(f=>{{location.hash={target!r};setTimeout(f,50)}})")
    check(browser.evaluate(f"document.querySelector({target!r}).closest('details').open"), f"{name}: a link opens no cell")
    background = "getComputedStyle(document.body).backgroundColor"
    before = browser.evaluate(background)
    browser.evaluate("document.getElementById('theme').click()")
    check(browser.evaluate(background) != before, f"{name}: the button does not change light and dark")


def check_without_gnuplot(program, source, folder):
    empty = folder / "empty"
    empty.mkdir()
    page = folder / "bare.html"
    done = run(program, "report", source, "--html", page, env=dict(os.environ, PATH=str(empty)))
    check("warning" in done.stderr and "gnuplot-nox" in done.stderr, f"without gnuplot: {done.stderr}")
    text = page.read_text(encoding="utf-8")
    check("<svg" not in text and "could not be drawn" in text and "In words and numbers" in text,
          "without gnuplot: the page does not say so")


def check_places(program, source, folder):
    """Where pages and figures go, and what happens when they cannot."""
    run(program, "report", source, "--no-html", "--figures", "gif", status=2)
    run(program, "report", source, "--html", folder / "none" / "x.html", status=1)
    for kind, start in (("svg", b"<?xml"), ("pdf", b"%PDF-"), ("png", b"\x89PNG")):
        target = folder / f"figures-{kind}"
        run(program, "report", source, "--no-html", "--figures", kind, "--figures-dir", target)
        files = sorted(target.iterdir())
        check(len(files) == 8 and all(f.suffix == "." + kind and f.read_bytes().startswith(start) for f in files),
              f"--figures {kind} wrote {[f.name for f in files]}")
    check(not source.with_suffix(".html").exists(), "--no-html wrote a page")
    source.with_suffix(".html").mkdir()  # something in the way
    done = run(program, "report", source)
    check("warning" in done.stderr and "H" in done.stdout, "a page that cannot be written is no warning")
    source.with_suffix(".html").rmdir()


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    program, planted, finished = (Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ptqscale-html-") as name:
        folder = Path(name)
        source = folder / "planted.nc"
        run(planted, source, "--missing", "5", "--diverged", "3", "--windows", "2", "--seeds", "3", "--quantizers", "12")
        check_places(program, source, folder)
        check_without_gnuplot(program, source, folder)
        done = run(program, "report", source)
        check(not done.stderr and "8 figures" in done.stdout, f"report says {done.stderr or done.stdout[-80:]}")
        run(program, "report", finished)
        pages = {"planted": source.with_suffix(".html"), "finished run": finished / "report.html"}
        text = pages["planted"].read_text(encoding="utf-8")
        check_source("planted", text, UNITS)
        check_source("finished run", pages["finished run"].read_text(encoding="utf-8"),
                     [figure for figure in UNITS if figure not in ("shares", "early")])
        run(program, "report", source)
        check(pages["planted"].read_text(encoding="utf-8") == text, "the same study gives another page")
        with Browser(seconds=80) as browser:
            for each, path in pages.items():
                light, dark = (check_look(browser, each, path, mode) for mode in (False, True))
                check(sum(light) > 600 and sum(dark) < 200, f"{each}: backgrounds {light}, {dark}")
            browser.open(pages["planted"].as_uri())
            check_behaviour(browser, "planted")
            pdf = browser.pdf()
            check(pdf.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 5, "no PDF of five pages")
    for fault in faults:
        print(fault, file=sys.stderr)
    print("report.html: " + ("as it should be" if not faults else f"{len(faults)} faults"))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
