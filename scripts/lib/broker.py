"""Numbered lines through img2posemqtt and a real mosquitto that is restarted. Called by scripts/test-broker.sh."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

RATE = 1000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Broker:
    """A mosquitto of our own that writes down what it is sent: sessions and messages outlive a restart, as on a real one."""

    def __init__(self, folder):
        self.port = free_port()
        self.config = Path(folder, "mosquitto.conf")
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        Path(folder).chmod(0o777)
        self.start()

    def start(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit("error: mosquitto does not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Subscriber(threading.Thread):
    """A plain MQTT 3.1.1 client that takes every line with QoS 1 in a session that lasts, over as many connections as it needs."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.lines, self.ends, self.subscribed = port, [], False, threading.Event()

    def run(self):
        while not self.ends:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as stream:
                    self.serve(stream)
            except OSError:
                time.sleep(0.1)

    def serve(self, stream):
        identity = b"img2pose-test"
        stream.sendall(bytes([0x10, 12 + len(identity)]) + b"\x00\x04MQTT\x04\x00\x00\x3c" + len(identity).to_bytes(2, "big") + identity)
        topic = b"cameras/+/faces"
        subscribe = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic + b"\x01"
        stream.sendall(bytes([0x82, len(subscribe)]) + subscribe)
        stream.settimeout(1)
        data = b""
        while not self.ends:
            try:
                chunk = stream.recv(1 << 16)
            except TimeoutError:
                continue
            if not chunk:
                return
            data = self.take(data + chunk, stream)

    def take(self, data, stream):
        """Handles the whole packets at the front of the data; returns the rest."""
        while len(data) >= 2:
            length, digits = 0, 0
            while True:
                if 1 + digits >= len(data):
                    return data
                length |= (data[1 + digits] & 127) << 7 * digits
                digits += 1
                if not data[digits] & 128:
                    break
            end = 1 + digits + length
            if len(data) < end:
                return data
            kind, body, data = data[0], data[1 + digits : end], data[end:]
            if kind & 0xF0 == 0x90:
                self.subscribed.set()
            if kind & 0xF0 == 0x30:
                name = 2 + int.from_bytes(body[:2], "big")
                packet = b""
                if kind & 0x06:
                    packet, name = body[name : name + 2], name + 2
                self.lines.append(json.loads(body[name:])["pts"])
                if packet:
                    stream.sendall(b"\x40\x02" + packet)
        return data


def main():
    count = int(sys.argv[1])
    Gst.init(None)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(folder)
        subscriber = Subscriber(broker.port)
        subscriber.start()
        if not subscriber.subscribed.wait(10):
            raise SystemExit("error: mosquitto takes no subscription")
        pipeline = Gst.parse_launch(
            f"appsrc name=source caps=application/x-ndjson max-bytes=0 ! img2posemqtt name=sink uri=mqtt://127.0.0.1:{broker.port} "
            "eos-timeout=60000000000"
        )
        source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        began = time.monotonic()
        for number in range(count):
            source.emit("push-buffer", Gst.Buffer.new_wrapped(b'{"pts":%d,"source":"gate"}\n' % number))
            if number == count // 3:
                broker.stop()
            if number == count // 2:
                broker.start()
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        source.emit("end-of-stream")
        message = pipeline.get_bus().timed_pop_filtered(90 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        stats = sink.get_property("stats")
        found = {name: stats.get_value(name) for name in ("lines", "published", "dropped", "queued", "outages")}
        pipeline.set_state(Gst.State.NULL)
        for _ in range(300):
            if len(set(subscriber.lines)) >= found["published"]:
                break
            time.sleep(0.1)
        subscriber.ends = True
        subscriber.join(5)
        broker.stop()
    lines = subscriber.lines
    firsts = list(dict.fromkeys(lines))
    print(f"{found}; arrived {len(lines)}, of them {len(lines) - len(firsts)} a second time")
    ok = message is not None and message.type == Gst.MessageType.EOS and found["outages"] >= 1
    ok = ok and found["lines"] == count and found["published"] + found["dropped"] == count
    ok = ok and len(firsts) == found["published"] and firsts == sorted(firsts)
    print("PASS" if ok else "FAIL")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
