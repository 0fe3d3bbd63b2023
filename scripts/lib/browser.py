"""Drives a headless Chromium over its DevTools pipe. Standard library only.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Messages are JSON, each with a zero byte behind it; Chromium reads
them from file descriptor 3 and writes to 4 (--remote-debugging-pipe), so no port is opened.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

# Nothing takes so long, however loaded the machine is.
PATIENCE = 120


class Browser:
    """A Chromium with a profile of its own, which is deleted at the end of the with block."""

    def __init__(self, program="chromium"):
        self.profile = tempfile.mkdtemp(prefix="browser.")
        commands, commands_end = os.pipe()
        answers_end, answers = os.pipe()

        def descriptors():
            # Copies first: one of the pipe's ends may be 3 or 4 itself.
            read, write = os.dup(commands), os.dup(answers)
            os.dup2(read, 3)
            os.dup2(write, 4)

        arguments = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--no-first-run", "--hide-scrollbars"]
        arguments += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"]
        if os.geteuid() == 0:
            # Chromium refuses to run as root with it.
            arguments.append("--no-sandbox")
        with open(os.path.join(self.profile, "log.txt"), "wb") as log:
            self.process = subprocess.Popen(
                [program, *arguments, "about:blank"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False, preexec_fn=descriptors
            )
        os.close(commands)
        os.close(answers)
        self.commands, self.answers = commands_end, answers_end
        self.buffer = b""
        self.number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, **parameters):
        """Calls a method of the protocol; its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.answers, 1 << 20) if ready else b""
            if not data:
                with open(os.path.join(self.profile, "log.txt"), errors="replace") as log:
                    raise RuntimeError("the browser does not answer; it wrote:\n" + log.read()[-2000:])
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def page(self, url, width=1280, height=900):
        """Opens a page in a window of this size."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.call("Page.navigate", url=url)
        return page


class Waiting:
    """What a page can do by evaluating expressions."""

    def wait(self, expression):
        """Waits until an expression is true; its value. It may fail until then: a page that loads has no body yet."""
        deadline = time.monotonic() + PATIENCE
        while True:
            why = "the page's text: "
            try:
                value = self.evaluate(expression)
                if value:
                    return value
                why += self.evaluate("document.body.innerText")
            except RuntimeError as error:
                why = str(error)
            if time.monotonic() > deadline:
                raise RuntimeError(f"never true: {expression}; {why}")
            time.sleep(0.05)


class Page(Waiting):
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression):
        """The value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def reload(self):
        self.call("Page.reload")

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.call("Page.close")

    def errors(self):
        """What the page's scripts and the browser have complained of."""
        self.evaluate("0")  # what has happened until now has arrived then
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found
