"""What each ingredient of the training brings: `python -m img2pose_train.ablate --help`.

Trains a network once with everything and once without each ingredient, with the same steps and seed, evaluates each on the
held-out photos and prints a table. One more has everything and another seed: a difference no larger than that one's is chance.
Networks and trainings are small, so that all of it takes hours and not days: the table says what helps early. What is there
already is not made again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--out", required=True, type=Path, help="folder for all trainings and their figures")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--widths", default="tiny")
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

    def run(module, *arguments):
        command = [sys.executable, "-m", f"img2pose_train.{module}", *map(str, arguments)]
        subprocess.run(command, check=True, stdout=sys.stderr)

    data = ["--pack", options.pack, "--labels", options.labels]
    print("| " + " | ".join(COLUMNS if options.video else COLUMNS[:-1]) + " |")
    print("|---" * (len(COLUMNS) - (not options.video)) + "|")
    for variant in options.variants:
        folder = options.out / variant
        upright, turned = folder / "upright.json", folder / "turned.json"
        if not upright.exists() or not turned.exists():
            run("train", *data, "--out", folder, "--widths", options.widths, "--steps", options.steps, "--decay", "0.5",
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
