"""The steps of the recipe, each made only where what it is made of has changed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from . import packages
from .made import folder_of, note, outdated
from .say import Refused, say, step

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache"


class Stopped(Exception):
    """A program ended with this exit status, after it said why."""


def run(command, **more):
    """Runs a program to its end; what it prints goes with the other messages. A signal reaches it, too: it saves and ends, and only
    then does this one."""
    # Handlers, unlike ignored signals, are not handed on to the program.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        program = subprocess.Popen([str(part) for part in command], stdout=sys.stderr, **more)
        # Ctrl-C goes to all processes of a terminal, SIGTERM to this one alone.
        signal.signal(signal.SIGTERM, lambda *_: program.send_signal(signal.SIGTERM))
        status = program.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status:
        raise Stopped(status if status > 0 else 128 - status)


def run_module(name, *arguments):
    """One of this package's programs."""
    run([sys.executable, "-m", f"img2pose_train.{name}", *arguments], cwd=ROOT / "training")


def steps_done(folder):
    """Steps that the run in a folder has done, by its log."""
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines() if log.is_file() else []
    return json.loads(lines[-1])["step"] if lines else 0


class Recipe:
    """options: `options.Options`, checked."""

    def __init__(self, options):
        self.options, self.out = options, options.out
        self.target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
        self.media = Path(os.environ.get("MEDIA") or CACHE / "media")

    def make(self):
        """Everything, in its order."""
        fonts = self.options.fonts or packages.unpacked(CACHE / "clutter/fonts", packages.FONTS, ROOT)
        backgrounds = self.options.backgrounds or packages.unpacked(CACHE / "clutter/backgrounds", packages.BACKGROUNDS, ROOT)
        self.clutter = ["--fonts", fonts, "--backgrounds", backgrounds]
        self.build()
        labels = self.labels()
        self.model(self.hardened(self.tuned(labels), labels), labels)
        self.figures(labels)
        say(f"The models are {self.out}/model.onnx and {self.out}/model-int8.onnx; try one: img2posedetect model={self.out}/model.onnx")

    def build(self):
        step("Building the command-line tool and the detector (release)")
        for what in (["-p", "img2pose-cli", "--bins"], ["-p", "img2pose", "--example", "detect_stdin"]):
            run(["cargo", "build", "--release", "--locked", "--quiet", *what], cwd=ROOT)

    def train(self, wanted, name, *arguments):
        """Goes on with a run until it has done so many steps; one that was interrupted has ended well, too."""
        folder = self.out / name
        # At more steps its learning rate has not fallen yet, or to another end.
        if (done := steps_done(folder)) > wanted:
            raise Refused(f"{folder} has done {done} steps, more than {wanted}; give at least as many")
        run_module(
            "train", "--pack", self.options.pack, "--out", folder, "--decay", "0.5", "--processes", self.options.processes,
            *self.clutter, *arguments,
        )
        if (done := steps_done(folder)) != wanted:
            raise Refused(f"training was stopped at step {done} of {wanted}; give the same command again to go on")

    def labels(self):
        """The labels of the second half, and with them the network before its tuning."""
        o, first, second = self.options, self.out / "refined.npz", self.out / "relabelled.npz"
        # Of another pack they cannot be (see options.txt).
        if not first.is_file():
            step("Labels for training")
            run_module("refine", "--pack", o.pack, "--out", first)
        whole = ["--widths", o.widths, "--steps", o.steps, "--crops", o.crops, "--seed", o.seed]
        # Halfway, where the learning rate begins to fall, the network is good enough to give poses to faces that have none.
        if not second.is_file():
            step(f"Training, the first half of {o.steps} steps")
            self.train(o.steps // 2, "run", *whole, "--labels", first, "--sides", *o.sides, "--until", o.steps // 2)
            step("Labels for the second half")
            cores = len(os.sched_getaffinity(0))
            run_module("refine", "--pack", o.pack, "--checkpoint", self.out / "run/average.pth", "--threads", cores, "--out", second)
        step(f"Training, {o.steps} steps")
        self.train(o.steps, "run", *whole, "--labels", second, "--sides", *o.late_sides)
        return second

    def tuned(self, labels):
        """Few large crops fit into a step: too few to measure means and variances on, which therefore stay what they are."""
        o, average = self.options, self.out / "run/average.pth"
        step(f"Tuning, {o.tune_steps} steps")
        folder_of(self.out / "tuned", average)
        self.train(
            o.tune_steps, "tuned", "--initial", average, "--norm", "frozen", "--rate", "4e-4", "--warmup", "100", "--steps", o.tune_steps,
            "--crops", o.tune_crops, "--seed", o.seed + 1, "--labels", labels, "--sides", *o.tune_sides,
        )
        return self.out / "tuned/average.pth"

    def hardened(self, final, labels):
        o, regions, hardened = self.options, self.out / "regions", self.out / "hardened.pth"
        if outdated(hardened, final):
            step(f"Hardening with {o.pictures} pictures")
            folder_of(regions, final)
            run_module(
                "regions", "--pack", o.pack, "--labels", labels, "--initial", final, *self.clutter, "--pictures", o.pictures,
                "--seed", o.seed, "--out", regions,
            )
            run_module("harden", "--initial", final, "--regions", regions, "--seed", o.seed, "--out", hardened)
            note(hardened, final)
        return hardened

    def model(self, hardened, labels):
        """The ONNX files."""
        o, model, small = self.options, self.out / "model.onnx", self.out / "model-int8.onnx"
        if outdated(model, hardened):
            step("ONNX file")
            licence = ["--licence", o.licence] if o.licence else []
            run([self.target / "img2pose", "convert", hardened, "--pose-stats", "wider", "--min-size", o.min_size, *licence, "-o", model])
            note(model, hardened)
        if outdated(small, model):
            step("The same in 8 bits")
            run_module("quantize", model, "--pack", o.pack, "--labels", labels, "--seed", o.seed, "--out", small)
            note(small, model)

    def figures(self, labels):
        step("Evaluation on the held-out photos and two clips")
        clips = [self.media / name for name in ("no_face.mp4", "WolfgangLanger_Pexels.mp4")]
        for name in ("model", "model-int8"):
            model, figures = self.out / f"{name}.onnx", self.out / f"{name}.json"
            if outdated(figures, model):
                run_module(
                    "evaluate", model, "--detector", self.target / "examples/detect_stdin", "--pack", self.options.pack, "--labels", labels,
                    "--min-size", self.options.min_size, "--video", *clips, "--out", figures,
                )
                note(figures, model)
            print(f"{name}.onnx:\n{figures.read_text()}", end="", flush=True)
