"""Opens a page in headless Chromium and says, as JSON, what a reader would see: errors, requests, empty charts, overflow, paper.

Usage: look_at_page.py CHROMIUM PAGE.html [FOLDER for screenshots and the PDF]
Speaks the DevTools protocol over Chromium's pipe (file descriptors 3 and 4), so the standard library is enough.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 240


class Browser:
    """One tab of a browser process of its own, with a fresh profile."""

    def __init__(self, program, profile):
        to_browser, self.to_browser = os.pipe()
        self.from_browser, from_browser = os.pipe()
        # Out of the way of the numbers 3 and 4, which Chromium expects.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser, from_browser)]

        def connect():  # in the child
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        options = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen([program, *options], preexec_fn=connect, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        self.deadline = time.monotonic() + DEADLINE_S
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def receive(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_browser], [], [], max(0, self.deadline - time.monotonic()))
            if not ready:
                raise SystemExit(f"Chromium did not answer within {DEADLINE_S} s")
            data = os.read(self.from_browser, 1 << 20)
            if not data:
                raise SystemExit(f"Chromium ended with {self.process.wait()}")
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())
        self.events = [event for event in self.events if event.get("method") != method]

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def end(self):
        self.call("Browser.close")
        self.process.wait(timeout=30)


# Of every canvas: how many different colours it holds (1: it is blank), and whether it is as wide as its card at most.
CANVASES = """Array.from(document.querySelectorAll('canvas')).map((canvas) => {
  const copy = document.createElement('canvas');  // reading the page's own canvas would change how it is drawn
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const ink = copy.getContext('2d', {willReadFrequently: true});
  ink.drawImage(canvas, 0, 0);
  const pixels = new Uint32Array(ink.getImageData(0, 0, copy.width, copy.height).data.buffer);
  const box = canvas.getBoundingClientRect();
  const painted = pixels.filter((pixel) => pixel !== 0).length;
  return {id: canvas.id, colours: new Set(pixels).size, painted, width: box.width, height: box.height};
})"""
# What sticks out of the window, apart from what lies in a box that scrolls by itself; and the smallest letters.
LAYOUT = """(() => {
  const inside = (e) => e.closest('.scroll, pre') !== null;
  const all = Array.from(document.body.querySelectorAll('*')).filter((e) => e.tagName !== 'SCRIPT');
  const wide = all.filter((e) => !inside(e) && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5);
  const letters = all.filter((e) => Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim() !== ''));
  return {overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
          sticking_out: wide.map((e) => e.tagName + '.' + e.className).slice(0, 5),
          smallest_letters: Math.min(...letters.map((e) => parseFloat(getComputedStyle(e).fontSize))),
          background: getComputedStyle(document.documentElement).backgroundColor};
})()"""


def complaints(events):
    """Exceptions, console errors and warnings, refused and foreign requests."""
    found = []
    for event in events:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            found.append(parameters["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            found.append(" ".join(str(argument.get("value")) for argument in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            found.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent" and parameters["documentURL"] != parameters["request"]["url"]:
            found.append("request: " + parameters["request"]["url"])
    return found


def look(browser, width, scheme, folder):
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")  # charts follow their boxes
    seen = {"width": width, "scheme": scheme, "canvases": browser.value(CANVASES), **browser.value(LAYOUT)}
    if folder:
        size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
        for name, height in (("first", 900), ("whole", size["height"])):
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            (folder / f"{width}-{scheme}-{name}.png").write_bytes(base64.b64decode(shot["data"]))
    return seen


def main():
    program, page = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable")
        browser.call("Page.navigate", url=page.as_uri())
        browser.wait_for("Page.loadEventFired")
        report = {"title": browser.value("document.title"), "text": browser.value("document.body.innerText"),
                  "harmed": browser.value("window.harmed === true"), "scripts": browser.value("document.scripts.length")}
        report["views"] = [look(browser, width, scheme, folder) for width in (1280, 400) for scheme in ("light", "dark")]
        paper = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
        if folder:
            (folder / "paper.pdf").write_bytes(paper)
        report["paper"] = {"is_pdf": paper.startswith(b"%PDF"), "bytes": len(paper)}
        report["after_paper"] = browser.value(CANVASES)
        report["complaints"] = complaints(browser.events)
        browser.end()
    print(json.dumps(report))


main()
