"""A headless Chromium, spoken to over its DevTools pipe; and PNG files as arrays. Standard library and numpy only."""
import base64
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """with Browser() as browser: browser.open(url); browser.evaluate("document.title")"""

    def __init__(self, seconds=60.0):
        program = next((path for path in map(shutil.which, NAMES) if path), None)
        if program is None:
            raise FileNotFoundError("there is no Chromium: apt-get install chromium")
        self.end = time.monotonic() + seconds
        self.profile = tempfile.TemporaryDirectory(prefix="ptqscale-chromium-",
                                                   ignore_cleanup_errors=True)
        to_browser, self.writing = os.pipe()
        self.reading, from_browser = os.pipe()
        arguments = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--disable-dev-shm-usage", "--force-color-profile=srgb", "--no-first-run",
                     "--disable-background-networking", "--remote-debugging-pipe",
                     f"--user-data-dir={self.profile.name}", "about:blank"]
        # Chromium reads commands at 3 and writes answers at 4.
        shell = f"exec {' '.join(arguments)} 3<&{to_browser} 4>&{from_browser}"
        self.process = subprocess.Popen(["bash", "-c", shell], pass_fds=(to_browser, from_browser),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.rest, self.session = 0, b"", None
        self.events = []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        try:  # an orderly end also ends its helpers, which write to the profile
            self.session = None
            self.call("Browser.close")
            self.process.wait(5)
        except (OSError, EOFError, TimeoutError, RuntimeError, subprocess.TimeoutExpired):
            pass
        self.process.kill()
        self.process.wait()
        os.close(self.writing)
        os.close(self.reading)
        self.profile.cleanup()

    def receive(self):
        while b"\0" not in self.rest:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.reading], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self.reading, 1 << 20)
            if not data:
                raise EOFError("Chromium ended")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.writing, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        """Load a page and wait for it; events from here on are in self.events."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())
        self.evaluate("new Promise(f=>requestAnimationFrame(()=>requestAnimationFrame(f)))")

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def window(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", media="",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, box, scale=1.0):
        """PNG bytes of {x, y, width, height} of the page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                         clip=dict(box, scale=scale))
        return base64.b64decode(shot["data"])

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def complaints(self):
        """What the page wrote to the console, exceptions, and what the browser holds against it."""
        found = []
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("text", "exception"))
            elif method == "Runtime.consoleAPICalled":
                found.append(f"console.{params['type']}")
            elif method == "Log.entryAdded":
                found.append(params["entry"]["text"])
        return found

    def requests(self):
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]


def pixels(png):
    """(height, width, channels) uint8 of an 8-bit PNG without interlacing."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            data += body
        at += 12 + length
    channels = {0: 1, 2: 3, 4: 2, 6: 4}.get(color)
    if depth != 8 or interlace or channels is None:
        raise ValueError("a PNG of another kind")
    raw = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * channels)
    image = np.zeros((height, width * channels), np.uint8)
    for y in range(height):
        image[y] = unfilter(raw[y, 0], raw[y, 1:], image[y - 1] if y else np.zeros_like(image[0]), channels)
    return image.reshape(height, width, channels)


def unfilter(kind, line, above, channels):
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    if kind == 1:
        return np.add.accumulate(line.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
    out = bytearray(line.tobytes())
    up = above.tobytes()
    for i, _ in enumerate(out):
        left = out[i - channels] if i >= channels else 0
        if kind == 3:
            out[i] = (out[i] + (left + up[i]) // 2) & 255
            continue
        corner = up[i - channels] if i >= channels else 0
        guess = left + up[i] - corner
        near = min((abs(guess - left), 0, left), (abs(guess - up[i]), 1, up[i]), (abs(guess - corner), 2, corner))
        out[i] = (out[i] + near[2]) & 255
    return np.frombuffer(bytes(out), np.uint8)
