"""Tests the page of `img2pose run --view` in a browser: view_test.py PROGRAM MEDIA PICTURES chromium|firefox. Called by scripts/test-view.sh.

PROGRAM is img2pose, MEDIA the folder of the test media, PICTURES where screenshots go. Standard library only.
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import browser as chromium
import firefox
from browser import PATIENCE

PROGRAM, MEDIA, PICTURES, BROWSER = sys.argv[1:]

# Shares of the pixels along the edges of boxes that have the colour of a box: on the boxes of the lines, and 12 pixels inside of them.
EDGES = """(async (boxes, colour, width) => {
    const image = document.getElementById("picture");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const scale = canvas.width / width;
    const is = (x, y) => [-1, 0, 1].some((dx) => [-1, 0, 1].some((dy) => {
        const at = 4 * ((Math.round(y) + dy) * canvas.width + Math.round(x) + dx);
        return colour.every((value, index) => Math.abs(pixels[at + index] - value) < 70);
    }));
    const share = (inset) => {
        let hits = 0, all = 0;
        for (const box of boxes) {
            const [left, top, right, bottom] = box.map((value) => value * scale);
            for (let step = 0.1; step < 0.95; step += 0.05) {
                const [x, y] = [left + step * (right - left), top + step * (bottom - top)];
                for (const point of [[x, top + inset], [x, bottom - inset], [left + inset, y], [right - inset, y]]) {
                    all += 1;
                    hits += is(...point);
                }
            }
        }
        return hits / all;
    };
    return [share(0), share(12)];
})"""
YELLOW = [0xFF, 0xD6, 0x33]
# The angles that the cards show, in their order.
ANGLES = """[...document.querySelectorAll(".face")].map((card) => [...card.querySelectorAll("output")].map((angle) => parseFloat(angle.value)))"""
# How many pixels of a canvas are not empty.
DRAWN = """((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((value, index) => index % 4 === 3 && value > 0).length)"""


class Run:
    """`img2pose run SOURCE --view`, and where its page is."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.lines_path = os.path.join(self.folder.name, "lines.jsonl")
        self.said_path = os.path.join(self.folder.name, "said.txt")
        with open(self.said_path, "wb") as said:
            command = [PROGRAM, "run", *arguments, "--view", "0", "--json", self.lines_path]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said)
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"^page: (\S+)\n", self.said())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"there is no page: {self.said()}")
            time.sleep(0.05)
        self.url = found[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def said(self):
        with open(self.said_path) as said:
            return said.read()

    def lines(self):
        with open(self.lines_path) as lines:
            return [json.loads(line) for line in lines]

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE)


def same_angles(page, line):
    """The cards have the angles of the line's faces, which are shown with one digit."""
    shown = page.evaluate(ANGLES)
    wanted = [face["yaw_pitch_roll_deg"] for face in line["faces"]]
    assert len(shown) == len(wanted) > 0, (shown, wanted)
    for one, other in zip(shown, wanted):
        assert all(abs(a - b) < 0.051 for a, b in zip(one, other)), (shown, wanted)


def boxes_drawn(page, line):
    """The picture comes to have boxes where the line has them, and not beside them."""
    boxes = [face["box"] for face in line["faces"]]
    shares = f"{EDGES}({json.dumps(boxes)}, {YELLOW}, {line['width']})"
    page.wait(f"{shares}.then(([on, beside]) => on > 0.85 && beside < 0.4)")


def ended(page):
    page.wait("document.body.dataset.state === 'ended'")
    assert page.evaluate("document.getElementById('state').textContent") == "the stream has ended"
    page.wait("document.getElementById('picture').naturalWidth > 0")


def a_picture_has_its_faces_where_the_line_says(browser):
    with Run(f"{MEDIA}/multi_face.jpg") as run:
        page = browser.page(run.url)
        ended(page)
        page.wait("document.querySelectorAll('.face').length === 5")
        (line,) = run.lines()
        same_angles(page, line)
        boxes_drawn(page, line)
        for canvas in ("above", "side"):
            assert page.evaluate(f"{DRAWN}(document.getElementById('{canvas}'))") > 500, canvas
        page.screenshot(f"{PICTURES}/picture.png")
        # Loaded again after the end, everything is there again; and so it is for another who comes only now.
        page.reload()
        late = browser.page(run.url, width=640)
        for viewer in (page, late):
            page.wait("document.querySelectorAll('.face').length === 5")
            ended(viewer)
            viewer.wait("document.querySelectorAll('.face').length === 5")
            same_angles(viewer, line)
            boxes_drawn(viewer, line)
            assert viewer.errors() == [], viewer.errors()
        late.screenshot(f"{PICTURES}/narrow.png")
        # Nothing came from anywhere else.
        names = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert len(names) > 5 and all(name.startswith(run.url) for name in names), names
        assert run.interrupt() == 0, run.said()
        # Who looks on learns that nobody is there any more.
        page.wait("document.body.dataset.state === 'lost'")
        assert "has ended" in page.evaluate("document.getElementById('message').textContent")
        page.close()
        late.close()


def a_clip_is_followed_to_its_end(browser):
    with Run(f"{MEDIA}/single_face.mp4", "--track") as run:
        page = browser.page(run.url)
        # In the middle of it, and once more from there.
        page.wait("document.body.dataset.state === 'running' && document.body.dataset.frame >= 8")
        page.screenshot(f"{PICTURES}/running.png")
        page.reload()
        ended(page)
        page.wait("document.body.dataset.frame === '71'")
        lines = run.lines()
        assert len(lines) == 72
        same_angles(page, lines[-1])
        boxes_drawn(page, lines[-1])
        assert page.evaluate("document.querySelector('.face .name').textContent") == "id 1"
        # The plots have the lines from before it was loaded, too: three of the ten seconds are drawn.
        assert page.evaluate(f"{DRAWN}(document.querySelector('.face .yaw canvas'))") > 200
        for figure in ("speed", "latency", "fill"):
            text = page.evaluate(f"document.getElementById('{figure}').textContent")
            assert re.match(r"\d", text), (figure, text)
        assert page.errors() == [], page.errors()
        page.screenshot(f"{PICTURES}/ended.png")
        assert run.interrupt() == 0, run.said()
        page.close()


def a_source_that_fails_says_why(browser):
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/many"
        os.mkdir(source)
        with open(f"{source}/a.jpg", "w") as file:
            file.write("no picture")
        with Run(source) as run:
            page = browser.page(run.url)
            page.wait("document.body.dataset.state === 'failed'")
            message = page.evaluate("document.getElementById('message').textContent")
            assert f"{source}/a.jpg" in message, message
            page.screenshot(f"{PICTURES}/failed.png")
            assert run.interrupt() == 1, run.said()
            page.close()


class Forwarder:
    """Another port of this machine that leads to one of it, as `ssh -L` makes one."""

    def __init__(self, host, port):
        self.to = (host, port)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        with near, socket.create_connection(self.to) as far:
            other = {near: far, far: near}
            while True:
                for end in select.select([near, far], [], [])[0]:
                    try:
                        data = end.recv(1 << 16)
                        if not data:
                            return
                        other[end].sendall(data)
                    except OSError:
                        return

    def close(self):
        # accept() does not end by close() alone.
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def it_is_the_same_through_a_forwarded_port(browser):
    with Run(f"{MEDIA}/multi_face.jpg") as run:
        host, port = re.match(r"http://([^:]+):(\d+)/", run.url).groups()
        forwarder = Forwarder(host, int(port))
        page = browser.page(f"http://localhost:{forwarder.port}/")
        ended(page)
        page.wait("document.querySelectorAll('.face').length === 5")
        (line,) = run.lines()
        same_angles(page, line)
        boxes_drawn(page, line)
        assert page.errors() == [], page.errors()
        assert run.interrupt() == 0, run.said()
        page.wait("document.body.dataset.state === 'lost'")
        page.close()
        forwarder.close()


def main():
    tests = [a_picture_has_its_faces_where_the_line_says, a_clip_is_followed_to_its_end, a_source_that_fails_says_why]
    tests += [it_is_the_same_through_a_forwarded_port]
    failed = 0
    with {"chromium": chromium, "firefox": firefox}[BROWSER].Browser() as browser:
        for test in tests:
            name = test.__name__.replace("_", " ")
            try:
                test(browser)
                print(f"ok      {BROWSER}: {name}")
            except Exception:
                failed += 1
                print(f"FAILED  {BROWSER}: {name}")
                traceback.print_exc()
    # scripts/test.sh counts it with the others of its kind.
    print(f"acceptance: {len(tests) - failed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
