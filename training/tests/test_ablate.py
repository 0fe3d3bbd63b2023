import json
import sys
from types import SimpleNamespace

import pytest

from img2pose_train import ablate, train


def figures(recall):
    size = {"recall_at_0.1_false_per_image": recall, "average_precision": recall / 2}
    return {
        "detection": {"by_size": {"32+": size, "16-32": size}, "false_positives_per_image": {"0.5": 0.1}},
        "pose": {"all": {"rotation_median": 6.5}}, "video": {"clip.mp4": {"frames_with_face": 0.25}},
    }


@pytest.mark.parametrize("variant", ablate.VARIANTS)
def test_every_variant_is_a_training_of_its_own(variant):
    given = ["--pack", "p", "--labels", "l", "--out", "o", "--steps", "1"]
    options = train.arguments([*given, *ablate.training_options(variant, ["--fonts", "f"], seed=5)])
    left_out = {*options.without, *([] if options.fonts else ["drawn-pictures"])}
    assert left_out == {variant} - {"everything", "another-seed"}
    assert options.seed == (6 if variant == "another-seed" else 5)


def test_the_table_is_made_of_what_is_there(tmp_path, monkeypatch, capsys):
    for variant, recall in (("everything", 0.9), ("turns", 0.8)):
        (tmp_path / variant).mkdir()
        (tmp_path / variant / "upright.json").write_text(json.dumps(figures(recall)))
        (tmp_path / variant / "turned.json").write_text(json.dumps(figures(round(recall - 0.3, 2))))
    monkeypatch.setattr(sys, "argv", [
        "ablate", "--pack", "p", "--labels", "l", "--out", str(tmp_path), "--fonts", "f", "--video", "clip.mp4",
        "--variants", "everything", "turns",
    ])
    ablate.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[2] == "| everything | 0.9 | 0.9 | 0.45 | 0.45 | 0.1 | 6.5 | 0.6 | 0.25 |"
    assert lines[3].startswith("| turns | 0.8 |")


def test_figures_of_other_options_are_not_taken_for_these(tmp_path):
    options = SimpleNamespace(steps=5, seed=1, out=tmp_path, variants=("everything",))
    ablate.remember(tmp_path / "a" / "options.json", options)
    options.variants = ("turns",)
    ablate.remember(tmp_path / "a" / "options.json", options)
    options.seed = 2
    with pytest.raises(SystemExit, match="made with --seed 1, not 2: give another --out"):
        ablate.remember(tmp_path / "a" / "options.json", options)


def test_a_program_that_fails_ends_the_ablation():
    with pytest.raises(SystemExit, match="img2pose_train.evaluate failed"):
        ablate.run("evaluate", "--no-such-option")
