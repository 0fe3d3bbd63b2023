"""What scripts/train.sh runs, without the programs that take long: which of them run when, and that nothing is made twice."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from img2pose_train.recipe import made, options, packages, steps
from img2pose_train.recipe.__main__ import main
from img2pose_train.recipe.say import Refused


@pytest.fixture
def given(tmp_path):
    """Options of a pack and a folder for results, and fonts and pictures for them."""
    pack, fonts, pictures = tmp_path / "pack", tmp_path / "fonts", tmp_path / "pictures"
    for folder, names in ((pack, ("images.bin", "labels.npz")), (fonts, ("a.TTF",)), (pictures, ("b/c.png",))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    return ["--fonts", str(fonts), "--backgrounds", str(pictures), "--steps", "4", "--tune-steps", "2", str(pack), str(tmp_path / "out")]


@pytest.fixture
def ran(monkeypatch):
    """The programs that ran, which leave behind what the true ones would; what a file holds is what it was made of."""
    calls = []
    value = lambda arguments, name: arguments[arguments.index(name) + 1]

    def write(path, *of):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("".join(Path(p).read_text() for p in of) + Path(path).name)

    def run_module(name, *arguments):
        arguments = [str(a) for a in arguments]
        out = Path(value(arguments, "--out"))
        calls.append(name if name != "train" else f"train {out.name}")
        if name == "train":
            wanted = value(arguments, "--until") if "--until" in arguments else value(arguments, "--steps")
            out.mkdir(exist_ok=True)
            if steps.steps_done(out) == int(wanted):
                calls.pop()
                return
            with open(out / "log.jsonl", "a") as log:
                log.write(json.dumps({"step": int(wanted)}) + "\n")
            began = Path(value(arguments, "--initial")).read_text() if "--initial" in arguments else ""
            (out / "average.pth").write_text(f"{began}weights after {wanted} ")
        elif name == "regions":
            write(out / "regions.npz")
        else:
            write(out, *[p for p in arguments if p.endswith((".pth", ".onnx")) and Path(p).is_file() and Path(p) != out])

    def run(command, **_):
        command = [str(c) for c in command]
        if "convert" in command:
            calls.append("convert")
            write(command[-1], command[2])

    monkeypatch.setattr(steps, "run_module", run_module)
    monkeypatch.setattr(steps, "run", run)
    return calls


FULL = ["refine", "train run", "refine", "train run", "train tuned", "regions", "harden", "convert", "quantize", "evaluate", "evaluate"]


def test_everything_is_made_once_and_in_order(given, ran, capsys):
    assert main(given) == 0 and ran == FULL
    said = capsys.readouterr()
    assert said.out.startswith("model.onnx:\n") and "model-int8.onnx:\n" in said.out and "The models are" in said.err
    ran.clear()
    assert main(given) == 0 and ran == [], "nothing is made twice"


def test_more_steps_make_anew_what_follows_from_them(given, ran, tmp_path):
    main(given)
    ran.clear()
    more = [*given[:-1], str(tmp_path / "moved")]
    more[more.index("--tune-steps") + 1] = "3"
    # Without the times: what was made of what is seen by content.
    shutil.copytree(tmp_path / "out", tmp_path / "moved", copy_function=shutil.copyfile)
    assert main(more) == 0 and ran == ["train tuned", "regions", "harden", "convert", "quantize", "evaluate", "evaluate"]
    ran.clear()
    more[more.index("--steps") + 1] = "6"
    assert main(more) == 0 and ran == ["train run", *FULL[4:]], "the labels stay, the tuning begins anew"


def test_what_was_interrupted_or_taken_away_is_made(given, ran, tmp_path):
    main(given)
    for taken, again in ((["model-int8.onnx"], ["quantize"]), (["model.json"], ["evaluate"]), (["hardened.pth.of"], ["regions", "harden"])):
        ran.clear()
        for name in taken:
            (tmp_path / "out" / name).unlink()
        assert main(given) == 0 and ran == again


def test_fewer_steps_than_were_done_are_refused(given, ran, capsys):
    main(given)
    given[given.index("--tune-steps") + 1] = "1"
    assert main(given) == 1 and "tuned has done 2 steps, more than 1; give at least as many" in capsys.readouterr().err


def test_a_training_that_was_stopped_says_how_to_go_on(given, ran, monkeypatch, capsys):
    whole = steps.run_module
    monkeypatch.setattr(steps, "run_module", lambda name, *a: whole(name, *a) if name != "train" else None)
    assert main(given) == 1
    assert "training was stopped at step 0 of 2; give the same command again to go on" in capsys.readouterr().err


def test_other_options_are_refused_with_what_differs(given, ran, tmp_path, capsys):
    assert main(["--check", *given]) == 0 and ran == []
    assert main(["--check", "--seed", "2", *given]) == 1
    assert "< seed 1\n> seed 2\n" in capsys.readouterr().err
    (tmp_path / "fonts/b.otf").write_text("more")
    assert main(["--check", *given]) == 1 and "fonts" in capsys.readouterr().err


def test_folders_that_older_versions_began_are_gone_on_with(tmp_path, given):
    """Hashes as sha256sum writes them, with a dash for a name."""
    read = options.read(given)
    checked = options.checked(read)
    of = lambda path: subprocess.run(["sha256sum"], stdin=open(path), capture_output=True, text=True, check=True).stdout
    text = options.described(read, checked)
    assert f"pack {of(checked.pack / 'labels.npz')}" in text and "licence \n" in text and "late-sides 320 320 416\n" in text
    listed = subprocess.run("find . -type f -printf '%P %s\n' | LC_ALL=C sort | sha256sum", shell=True, cwd=checked.fonts, capture_output=True, text=True)
    assert f"fonts {listed.stdout}" in text
    weights, folder = tmp_path / "average.pth", tmp_path / "tuned"
    weights.write_text("w")
    folder.mkdir()
    (folder / "run.pt").write_text("state")
    (folder / "of").write_text(of(weights))
    made.folder_of(folder, weights)
    assert (folder / "run.pt").exists()
    weights.write_text("others")
    made.folder_of(folder, weights)
    assert os.listdir(folder) == ["of"]


def test_a_file_is_outdated_by_content_alone(tmp_path):
    file, source = tmp_path / "file", tmp_path / "source"
    source.write_text("a")
    assert made.outdated(file, source)
    file.write_text("made")
    assert made.outdated(file, source), "of something, but nobody knows what"
    made.note(file, source)
    os.utime(source, (2e9, 2e9))
    assert not made.outdated(file, source)
    source.write_text("b")
    assert made.outdated(file, source)
    assert made.hash_of(source) == hashlib.sha256(b"b").hexdigest() == made.hash_of_text(b"b")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_program_save(number, tmp_path):
    """SIGTERM is passed on; Ctrl-C goes to both by itself."""
    child = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: (open({str(tmp_path / 'saved')!r}, 'w').close(), sys.exit(0)))\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(60)"
    )

    def send():
        while not (tmp_path / "ready").exists():
            pass
        if number == signal.SIGTERM:
            os.kill(os.getpid(), number)
        else:
            for task in Path(f"/proc/{os.getpid()}/task").iterdir():
                for pid in (task / "children").read_text().split():
                    if b"ready" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(int(pid), number)
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=send)
    thread.start()
    steps.run([sys.executable, "-c", child])
    thread.join()
    assert (tmp_path / "saved").exists() and signal.getsignal(number) is before


def test_a_program_that_fails_ends_the_script_with_its_status():
    with pytest.raises(steps.Stopped) as stopped:
        steps.run([sys.executable, "-c", "raise SystemExit(3)"])
    assert stopped.value.args == (3,)


def test_a_package_that_cannot_be_fetched_is_named(tmp_path, monkeypatch):
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (bare / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bare}:{os.environ['PATH']}")
    with pytest.raises(Refused, match="fonts-none could not be fetched; try apt-get update"):
        packages.unpacked(tmp_path / "fonts", ["fonts-none"], tmp_path)
    assert not (tmp_path / "fonts/done").exists()
