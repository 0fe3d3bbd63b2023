"""Drives a headless Firefox as browser.py does Chromium. Standard library only.

The protocol is WebDriver BiDi (https://w3c.github.io/webdriver-bidi/): JSON messages over a WebSocket (RFC 6455) at a port of the loopback
address that Firefox chooses.
"""

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from browser import PATIENCE, Waiting

# Firefox makes no page of its own at its first start, and asks nobody for anything.
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class Socket:
    """The client's end of a WebSocket."""

    def __init__(self, host, port, path):
        self.stream = socket.create_connection((host, port), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.reader = self.stream.makefile("rb")
        status = self.reader.readline()
        while self.reader.readline() not in (b"\r\n", b""):
            pass
        if b" 101 " not in status:
            raise RuntimeError(f"Firefox speaks no WebSocket: {status!r}")

    def send(self, text, kind=1):
        data, mask = text.encode() if isinstance(text, str) else text, os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack(">BB", 0x80 | kind, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 0x80 | 127, size)
        self.stream.sendall(head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)))

    def receive(self):
        """The next message, as text."""
        message = b""
        while True:
            first, size = self.reader.read(2) or (8, 0)
            if size == 126:
                (size,) = struct.unpack(">H", self.reader.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.reader.read(8))
            data = self.reader.read(size)
            kind = first & 15
            if kind == 8:
                raise RuntimeError("Firefox has closed the connection")
            if kind == 9:
                self.send(data, kind=10)
            elif kind < 3:
                message += data
                if first & 0x80:
                    return message.decode()

    def close(self):
        self.reader.close()
        self.stream.close()


class Browser:
    """A Firefox with a profile of its own, which is deleted at the end of the with block."""

    def __init__(self, program="firefox"):
        self.profile = tempfile.mkdtemp(prefix="browser.")
        with open(os.path.join(self.profile, "user.js"), "w") as file:
            file.writelines(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
        self.log = os.path.join(self.profile, "log.txt")
        with open(self.log, "wb") as log:
            arguments = ["--headless", "--remote-debugging-port", "0", "--profile", self.profile, "--new-instance", "about:blank"]
            # Where root runs it, the folder of its user may be somebody else's, which it refuses.
            home = {**os.environ, "HOME": self.profile}
            self.process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=home)
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"BiDi listening on ws://([^:]+):(\d+)", self.said())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Firefox does not start; it wrote:\n" + self.said()[-2000:])
            time.sleep(0.05)
        self.socket = Socket(found[1], int(found[2]), "/session")
        self.number = 0
        self.events = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **parameters):
        """Calls a method of the protocol; its result."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get("id") == self.number:
                if answer["type"] == "error":
                    raise RuntimeError(f"{method}: {answer['message']}")
                return answer["result"]
            self.events.append(answer)

    def page(self, url, width=1280, height=900):
        """Opens a page in a window of this size."""
        context = self.call("browsingContext.create", type="window")["context"]
        self.call("browsingContext.setViewport", context=context, viewport={"width": width, "height": height})
        self.call("browsingContext.navigate", context=context, url=url, wait="none")
        return Page(self, context)


class Page(Waiting):
    def __init__(self, browser, context):
        self.browser, self.context = browser, context

    def evaluate(self, expression):
        """The value of an expression of JavaScript."""
        text = f"(async () => JSON.stringify(await ({expression})))()"
        result = self.browser.call("script.evaluate", expression=text, target={"context": self.context}, awaitPromise=True)
        if result["type"] == "exception":
            raise RuntimeError(f"{expression}: {result['exceptionDetails']['text']}")
        # undefined has no JSON.
        return json.loads(result["result"].get("value", "null"))

    def reload(self):
        self.browser.call("browsingContext.reload", context=self.context, wait="none")

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.browser.call("browsingContext.captureScreenshot", context=self.context)["data"]))

    def close(self):
        self.browser.call("browsingContext.close", context=self.context)

    def errors(self):
        """What the page's scripts have complained of."""
        self.evaluate("0")  # what has happened until now has arrived then
        entries = [event["params"] for event in self.browser.events if event.get("method") == "log.entryAdded"]
        here = [entry for entry in entries if entry["source"].get("context") == self.context]
        return [entry["text"] for entry in here if entry["level"] == "error"]
