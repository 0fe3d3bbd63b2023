"""What each ingredient of the training brings: `python -m img2pose_train.ablate --help`.

Trains a network once with everything and once without each ingredient, with the same steps and seed, evaluates each on the
held-out photos and prints a table. One more has everything and another seed: a difference no larger than that one's is chance.

From scratch it says what helps early, and needs thousands of steps for each before chance is the lesser part. With --initial, all
begin with a network that was trained with everything, and the table says what is lost when an ingredient is left out from
there on: less to see, and seen sooner. What is there already is not made again; other options need another --out.
"""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

from .pack import whole
from .train import LEFT_OUT

VARIANTS = ("everything", "another-seed", *LEFT_OUT, "drawn-pictures")
"""What is left out; of the first two, nothing."""
COLUMNS = ("without", "recall 32+", "recall 16-32", "AP 32+", "AP 16-32", "false at 0.5", "rotation", "turned", "clip")


def training_options(variant, clutter, seed):
    """What `train` is given for a variant, beside what all have in common."""
    options = ["--seed", str(seed + (variant == "another-seed"))]
    if variant != "drawn-pictures":
        options += clutter
    if variant in LEFT_OUT:
        options += ["--without", variant]
    return options


def row(variant, figures, turned):
    """A line of the table, of what `evaluate` wrote for the photos as they are and turned by 40 degrees."""
    large, small = (figures["detection"]["by_size"][size] for size in ("32+", "16-32"))
    recall = "recall_at_0.1_false_per_image"
    clips = [clip["frames_with_face"] for clip in figures.get("video", {}).values()]
    return (
        variant, large[recall], small[recall], large["average_precision"], small["average_precision"],
        figures["detection"]["false_positives_per_image"]["0.5"], figures["pose"]["all"]["rotation_median"],
        turned["detection"]["by_size"]["32+"][recall], *clips[:1],
    )


def run(module, *arguments):
    """Run a program of this package to its end. Ctrl-C reaches the program, too, which then saves: it is waited for."""
    process = subprocess.Popen([sys.executable, "-m", f"img2pose_train.{module}", *map(str, arguments)], stdout=sys.stderr)
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise SystemExit(f"img2pose_train.{module} failed ({code}); its message is above")


def remember(path, options):
    """Write the options that decide about the figures, or fail when those in `path` are others."""
    decisive = {name: str(value) for name, value in vars(options).items() if name not in ("out", "variants")}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as unfinished:
            unfinished.write_text(json.dumps(decisive, indent=1) + "\n")
    made = json.loads(path.read_text())
    other = [f"--{name} {made.get(name)}, not {value}" for name, value in decisive.items() if made.get(name) != value]
    if other:
        raise SystemExit(f"{path.parent} was made with {'; '.join(other)}: give another --out")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--out", required=True, type=Path, help="folder for all trainings and their figures")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--widths", default="tiny")
    parser.add_argument("--initial", help="checkpoint or ONNX file that all begin with, with frozen norms; default: random")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--crops", type=int, default=6)
    parser.add_argument("--sides", nargs="+", default=["224", "256", "320"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fonts", nargs="+", required=True, help="folders with fonts for the drawn pictures")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos without a face for them")
    parser.add_argument("--video", help="a clip without faces")
    options = parser.parse_args()
    clutter = ["--fonts", *options.fonts]
    if options.backgrounds:
        clutter += ["--backgrounds", *options.backgrounds]
    start = ["--initial", options.initial, "--norm", "frozen"] if options.initial else ["--widths", options.widths]
    remember(options.out / "options.json", options)

    data = ["--pack", options.pack, "--labels", options.labels]
    print("| " + " | ".join(COLUMNS if options.video else COLUMNS[:-1]) + " |")
    print("|---" * (len(COLUMNS) - (not options.video)) + "|")
    for variant in options.variants:
        folder = options.out / variant
        upright, turned = folder / "upright.json", folder / "turned.json"
        if not upright.exists() or not turned.exists():
            run("train", *data, "--out", folder, *start, "--rate", options.rate, "--steps", options.steps, "--decay", "0.5",
                "--crops", options.crops, "--sides", *options.sides, "--processes", options.processes,
                *training_options(variant, clutter, options.seed))
            last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["step"]
            if last < options.steps:
                raise SystemExit(f"training was stopped at step {last}; give the same command again to go on")
            video = ["--video", options.video, "--every", "4"] if options.video else []
            common = [folder / "average.pth", *data, "--threads", options.processes]
            run("evaluate", *common, "--out", upright, *video)
            run("evaluate", *common, "--out", turned, "--turn", "40")
        line = row(variant, json.loads(upright.read_text()), json.loads(turned.read_text()))
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)


if __name__ == "__main__":
    main()
