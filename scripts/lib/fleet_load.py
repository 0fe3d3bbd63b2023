"""img2posedetect with its network here and at a Triton beside it, in turns. Called by scripts/fleet-load.sh."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

BATCH, FRAMES, SIZE = 4, 48, (640, 360)
LIMIT = 300


def processes(root):
    """The ids of a process and of those that it has started."""
    found = [root]
    for identity in found:
        for task in os.listdir(f"/proc/{identity}/task"):
            with open(f"/proc/{identity}/task/{task}/children") as children:
                found += map(int, children.read().split())
    return found


def processor_time(root):
    """Seconds of processor time of a process and of those that it has started."""
    ticks = 0
    for identity in processes(root):
        with open(f"/proc/{identity}/stat") as stat:
            # Behind the name, which may hold anything: user and system time are the 12th and 13th.
            fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def own_time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Triton:
    """The server, and what it says of itself."""

    def __init__(self, start, grpc, http):
        self.grpc, self.http = grpc, http
        self.process = subprocess.Popen([start, str(grpc), str(http)])
        until = time.monotonic() + LIMIT
        while True:
            try:
                self.ask("health/ready")
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit("error: Triton does not start, see .cache/triton.log") from None
                time.sleep(0.2)

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/{path}", timeout=30) as answer:
            return answer.read()

    def computed(self, model):
        """Batches of a model so far, and the seconds that they were computed, without waiting in the server's queue."""
        numbers = json.loads(self.ask(f"models/{model}/stats"))["model_stats"][0]["inference_stats"]
        seconds = sum(numbers[part]["ns"] for part in ("compute_input", "compute_infer", "compute_output")) / 1e9
        return numbers["success"]["count"], seconds

    def stop(self):
        self.process.terminate()
        self.process.wait()


def raw_frames(clip):
    """The first frames of a clip as they are looked at, so that nothing is decoded while it is measured."""
    width, height = SIZE
    length = width * height * 3
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "frames.rgb")
        pipeline = Gst.parse_launch(
            f"filesrc location={clip} ! decodebin ! videoconvert ! videoscale ! video/x-raw,format=RGB,width={width},height={height} "
            f"! identity eos-after={FRAMES + 4} ! filesink location={file}"
        )
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(LIMIT * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        pipeline.set_state(Gst.State.NULL)
        if message is None or message.type == Gst.MessageType.ERROR:
            raise SystemExit(f"error: {clip} cannot be read")
        with open(file, "rb") as raw:
            frames = [GLib.Bytes.new(raw.read(length)) for _ in range(FRAMES)]
    if any(frame.get_size() != length for frame in frames):
        raise SystemExit(f"error: {clip} has less than {FRAMES} frames")
    return frames


def run(frames, settings):
    """Frames a second, this process's seconds of processor time, and the element's mean seconds for a batch."""
    pipeline = Gst.parse_launch(
        f"appsrc name=source format=time max-bytes=0 caps=video/x-raw,format=RGB,width={SIZE[0]},height={SIZE[1]},framerate=24/1 "
        f"! img2posedetect name=detect batch-size={BATCH} {settings} ! fakesink sync=false async=false"
    )
    source, detect, bus = pipeline.get_by_name("source"), pipeline.get_by_name("detect"), pipeline.get_bus()
    # Loads the model, or tries the server; frames come later.
    if pipeline.set_state(Gst.State.PAUSED) == Gst.StateChangeReturn.FAILURE:
        raise SystemExit(f"error: {bus.pop_filtered(Gst.MessageType.ERROR).parse_error()}")
    began, used = time.monotonic(), own_time()
    pipeline.set_state(Gst.State.PLAYING)
    for number, pixels in enumerate(frames):
        buffer = Gst.Buffer.new_wrapped_bytes(pixels)
        buffer.pts = number * Gst.SECOND // 24
        source.emit("push-buffer", buffer)
    source.emit("end-of-stream")
    message = bus.timed_pop_filtered(LIMIT * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    wall, used = time.monotonic() - began, own_time() - used
    stats = detect.get_property("stats")
    looked, faces = stats.get_value("inferred"), stats.get_value("faces")
    infer = stats.get_value("infer")
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type == Gst.MessageType.ERROR or looked != FRAMES or not faces:
        raise SystemExit(f"error: {message and message.type}, {looked} frames looked at, {faces} faces")
    return FRAMES / wall, used / FRAMES, infer.get_value("mean") / 1e9, faces


def main():
    start, clip, models = sys.argv[1], sys.argv[4], sys.argv[5]
    grpc, http, rounds = (int(sys.argv[place]) for place in (2, 3, 6))
    Gst.init(None)
    frames = raw_frames(clip)
    measure(Triton(start, grpc, http), frames, models, rounds)


def measure(triton, frames, models, rounds):
    """Prints the table."""
    grpc = triton.grpc
    print(f"{SIZE[0]}x{SIZE[1]}, batches of {BATCH}, {rounds} rounds of {FRAMES} frames, medians; load of the machine {os.getloadavg()[0]:.1f}")
    print("| model | network | frames/s | processor ms a frame, element | server | batch, ms | of it on the way |")
    print("|---|---|---|---|---|---|---|")
    try:
        for precision, file in (("fp32", "img2pose-slim.onnx"), ("int8", "img2pose-slim-int8.onnx")):
            model = f"model={models}/{file} num-threads=1"
            here = f"{model} execution-provider=cpu"
            there = f"{model} server-url=grpc://127.0.0.1:{grpc} server-model={precision} server-requests=1 server-timeout=100000000000"
            local, remote = [], []
            faces = set()
            for turn in range(rounds + 1):
                found = run(frames, here)
                faces.add(found[3])
                before, count = processor_time(triton.process.pid), triton.computed(precision)
                asked = run(frames, there)
                faces.add(asked[3])
                after = triton.computed(precision)
                served = (processor_time(triton.process.pid) - before) / FRAMES
                # Of a whole run, the trial of its start among them, which is one small batch.
                computed = (after[1] - count[1]) / max(1, after[0] - count[0] - 1)
                # The first round loads what is loaded once.
                if turn:
                    local.append(found)
                    remote.append((*asked[:3], served, computed))
            if len(faces) != 1:
                raise SystemExit(f"error: not the same faces: {faces}")
            middle = lambda rows, column: statistics.median(row[column] for row in rows)  # noqa: E731
            way = statistics.median((row[2] - row[4]) for row in remote)
            share = statistics.median((row[2] - row[4]) / row[2] for row in remote)
            print(f"| {precision} | here | {middle(local, 0):.2f} | {1e3 * middle(local, 1):.0f} | | {1e3 * middle(local, 2):.0f} | |")
            print(
                f"| {precision} | Triton | {middle(remote, 0):.2f} | {1e3 * middle(remote, 1):.0f} | {1e3 * middle(remote, 3):.0f} "
                f"| {1e3 * middle(remote, 2):.0f} | {1e3 * way:.1f} ms, {100 * share:.1f} % |"
            )
            ratio = statistics.median(there[0] / here[0] for here, there in zip(local, remote))
            print(f"{precision}: with the server {ratio:.2f} times the frames a second of the network here", file=sys.stderr)
    finally:
        triton.stop()


if __name__ == "__main__":
    main()
