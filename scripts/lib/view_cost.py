"""What viewers of the page cost: view_cost.py PROGRAM VIDEO [TIMES]. Called by scripts/view-cost.sh.

Runs `img2pose run VIDEO --view` without viewers, with one, with five, and with a slow one, in turn, TIMES times; prints the processor time
of the program for each frame, in the middle of these times. Viewers are sockets that read the pictures and the events, as a
browser does. One frame in a batch, as from a camera: frames that leave together would make fewer pictures. Standard library only.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

PROGRAM, VIDEO = sys.argv[1:3]
TIMES = int(sys.argv[3]) if len(sys.argv) > 3 else 3
# Name, number of viewers, bytes that each reads in a second (None: all there is).
KINDS = [("no viewer", 0, None), ("1 viewer", 1, None), ("5 viewers", 5, None), ("1 slow viewer, 20 kB/s", 1, 20_000)]


class Viewer:
    """Reads one path until the run ends."""

    def __init__(self, host, port, path, rate, ended):
        self.stream = socket.socket()
        if rate:
            # What the system holds for it would hide how slow it is.
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.stream.connect((host, port))
        self.stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        self.read, self.rate, self.ended = 0, rate, ended
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        pause = threading.Event()
        while True:
            try:
                data = self.stream.recv(self.rate // 10 if self.rate else 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.read += len(data)
            if b'"state":"ended"' in data:
                self.ended.set()
            if self.rate:
                pause.wait(0.1)


def measure(viewers, rate):
    """Processor seconds of a run, its frames, bytes that viewers read."""
    with tempfile.TemporaryDirectory() as folder:
        lines = os.path.join(folder, "lines.jsonl")
        command = [PROGRAM, "run", VIDEO, "--view", "0", "--json", lines, "--batch-size", "1"]
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found = re.match(r"page: http://([^:]+):(\d+)/", run.stderr.readline())
        said = threading.Thread(target=run.stderr.read, daemon=True)
        said.start()
        host, port = found[1], int(found[2])
        ended = threading.Event()
        # It tells when the run has ended, in all kinds alike, and costs next to nothing.
        watcher = Viewer(host, port, "/events", None, ended)
        looking = [Viewer(host, port, path, rate, threading.Event()) for _ in range(viewers) for path in ("/picture", "/events")]
        if not ended.wait(timeout=1800):
            raise RuntimeError("the run does not end")
        run.terminate()
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        for viewer in [watcher, *looking]:
            viewer.stream.close()
        with open(lines) as file:
            frames = sum(1 for line in file if json.loads(line))
        return used.ru_utime + used.ru_stime, frames, sum(viewer.read for viewer in looking)


def main():
    results = {name: [] for name, _, _ in KINDS}
    for _ in range(TIMES):
        for name, viewers, rate in KINDS:
            results[name].append(measure(viewers, rate))
    for name, measured in results.items():
        seconds, frames, read = (statistics.median(values) for values in zip(*measured))
        spread = max(one[0] for one in measured) - min(one[0] for one in measured)
        print(f"{name:24} {1000 * seconds / frames:6.1f} ms a frame (all runs within {1000 * spread / frames:.1f}), {read / 1e6:.1f} MB read")


main()
