"""scripts/train.sh, which sets up what it needs and runs the programs of this package one after the other.

To the end it runs only when scripts/test.sh calls, which has set up what it needs (Rust, GStreamer, the test videos).
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import onnx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SHORT = {
    "--widths": "tiny", "--steps": 4, "--crops": 2, "--sides": "160 192", "--late-sides": "192", "--tune-steps": 2,
    "--tune-crops": 2, "--tune-sides": "224", "--pictures": 16, "--min-size": 160,
    "--fonts": Path(matplotlib.get_data_path()) / "fonts/ttf",
}


def train(pack, out, **changed):
    """Run the script; returns its exit status and messages."""
    options = SHORT | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    done = subprocess.run(
        [ROOT / "scripts/train.sh", *(str(part) for option in options.items() for part in option), pack, out],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200,
    )
    return done.returncode, done.stdout


def steps(out, run):
    """All steps that a run logged; each at most once, unless it began anew."""
    return [json.loads(line)["step"] for line in (out / run / "log.jsonl").read_text().splitlines()]


def contents(out):
    """SHA-256 of all files by name."""
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.rglob("*") if p.is_file()}


@pytest.mark.skipif("TRAINING_PYTHON" not in os.environ, reason="only from scripts/test.sh")
def test_from_a_pack_to_models_and_on(pack, tmp_path):
    folder, out, wallpapers = pack[2], tmp_path / "out", tmp_path / "wallpapers"
    wallpapers.mkdir()
    picture = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    Image.fromarray(picture).resize((640, 480)).save(wallpapers / "noise.png")
    common = {"backgrounds": wallpapers}

    code, said = train(folder, out, **common)
    assert code == 0, said
    assert steps(out, "run") == [2, 4] and steps(out, "tuned") == [2]
    for name in ("model", "model-int8"):
        onnx.checker.check_model(str(out / f"{name}.onnx"))
        figures = json.loads((out / f"{name}.json").read_text())
        assert figures["detection"]["images"] >= 1 and set(figures["video"]) == {"no_face.mp4", "WolfgangLanger_Pexels.mp4"}
        assert f"{name}.onnx:" in said

    before = contents(out)
    assert train(folder, out, **common)[0] == 0
    assert contents(out) == before, "nothing is made twice"

    # Without the times, and elsewhere.
    moved = tmp_path / "moved"
    shutil.copytree(out, moved, copy_function=shutil.copyfile)
    code, said = train(folder, moved, **common, tune_steps=3)
    assert code == 0, said
    assert steps(moved, "run") == [2, 4] and steps(moved, "tuned") == [2, 3], "goes on where it was"
    assert contents(moved)["model.onnx"] != before["model.onnx"]

    code, said = train(folder, moved, **common)
    assert code == 1 and "has done 3 steps, more than 2" in said
    code, said = train(folder, moved, **common, tune_sides="256")
    assert code == 1 and "tune-sides 224" in said and "give another OUT" in said


@pytest.mark.parametrize("changed, message", [
    ({"sides": ""}, "no sides of crops are given"),
    ({"sides": "100"}, "'100' is no side of crops; they are multiples of 32"),
    ({"steps": "many"}, "'many' is not a whole number above 0"),
    ({"fonts": "nowhere"}, "no such folder: nowhere"),
    ({"backgrounds": SHORT["--fonts"]}, f"{SHORT['--fonts']} holds no file .jpg or .jpeg or .png or .webp"),
    ({"licence": "nowhere"}, "no such file: nowhere"),
])
def test_nonsense_is_refused_before_anything_is_set_up(pack, tmp_path, changed, message):
    code, said = train(pack[2], tmp_path / "out", **changed)
    assert code == 1 and said.removesuffix("; see --help\n").removesuffix("\n") == f"error: {message}"
    assert not list(tmp_path.rglob("*.npz"))


def test_a_pack_that_is_none_is_named(tmp_path):
    code, said = train(tmp_path, tmp_path / "out")
    assert code == 1 and said == f"error: no such file: {tmp_path}/images.bin (img2pose_train.prepare makes it)\n"
