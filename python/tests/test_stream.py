"""img2pose.faces: video, frame by frame."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, Lines, same_as_lines, threads

import img2pose
from img2pose import Launch


def test_a_file_has_the_elements_numbers(clip: Path, lines: Lines) -> None:
    frames = list(img2pose.faces(clip, min_size=QUICK))
    wanted = lines(
        "filesrc", f'location="{str(clip).replace(chr(34), chr(92) + chr(34))}"', "!", "decodebin", "!", "videoconvert", "!",
        "img2posedetect", f"min-size={QUICK}",
    )  # fmt: skip
    assert len(frames) >= 12
    assert sum(len(frame.faces) for frame in frames) >= 12
    same_as_lines(frames, wanted)
    assert frames[1].time == frames[1].pts / 1e9  # type: ignore[operator]


def test_batches_change_nothing_and_pictures_neither(clip: Path) -> None:
    one = list(img2pose.faces(str(clip), batch_size=1, min_size=QUICK))
    many = list(img2pose.faces(clip.as_uri(), batch_size=5, min_size=QUICK, image=True))
    assert [frame.faces for frame in one] == [frame.faces for frame in many]
    assert all(frame.image is None for frame in one)
    for frame in many:
        assert frame.image is not None
        assert frame.image.shape == (180, 320, 3)
        assert frame.image.dtype == np.uint8


def test_many_faces_followed_have_the_trackers_numbers(media: Path, lines: Lines) -> None:
    still = f"filesrc location={media / 'multi_face.jpg'} ! decodebin ! videoconvert ! imagefreeze num-buffers=7"
    stream = img2pose.faces(Launch(still), track=True, whole_frame_interval=3, min_size=QUICK, batch_size=4)
    frames = list(stream)
    wanted = lines(
        *still.split(), "!", "decodebin", "!", "videoconvert", "!", "img2posedetect", f"min-size={QUICK}", "batch-size=4",
        "whole-frame-interval=3", "!", "img2posetrack",
    )  # fmt: skip
    assert len(frames[0].faces) == 5
    same_as_lines(frames, wanted)
    assert sorted(frames[0].faces.track_ids) == [1, 2, 3, 4, 5]
    assert set(frames[6].faces.track_states) == {"seen"}
    assert all(frames[6].faces.track_ages > 0)


def test_frames_that_nobody_looked_at_are_told_apart(clip: Path) -> None:
    frames = list(img2pose.faces(clip, min_size=QUICK, properties={"inference_interval": 4}))
    assert [frame.looked_at for frame in frames[:9]] == [True, False, False, False] * 2 + [True]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert not any(frame.reused for frame in frames)
    frames = list(img2pose.faces(clip, min_size=QUICK, properties={"inference-interval": 4, "reuse-faces": True}))
    assert [frame.reused for frame in frames[:5]] == [False, True, True, True, False]


def test_the_picture_is_that_of_the_frame_and_ones_own() -> None:
    red = Launch("videotestsrc pattern=red num-buffers=3 ! video/x-raw,format=RGB,width=66,height=50")
    with img2pose.faces(red, image=True, min_size=64) as stream:
        frames = list(stream)
    pictures = [frame.image for frame in frames]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture is not None
        # Rows of 198 bytes are padded to 200; nothing of that shows.
        assert picture.shape == (50, 66, 3)
        assert (picture == [255, 0, 0]).all()
        picture[:] = 7
    del frames, stream
    gc.collect()
    # It lives as long as somebody has it.
    assert all((picture == 7).all() for picture in pictures if picture is not None)


def test_pixels_that_are_not_square_and_frames_that_are_turned() -> None:
    source = "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48,pixel-aspect-ratio=16/15"
    source += " ! taginject tags=image-orientation=rotate-90"
    (frame,) = img2pose.faces(Launch(source), min_size=64)
    assert frame.pixel_aspect_ratio == pytest.approx(16 / 15)
    assert frame.orientation == "90r"
    assert frame.camera[0, 0] == pytest.approx(64 + 48 * 15 / 16)
    assert frame.camera[1, 1] == pytest.approx(64 * 16 / 15 + 48)
    assert frame.camera[:2, 2] == pytest.approx([32, 24])


ENDLESS = Launch("videotestsrc pattern=black ! video/x-raw,width=64,height=64,framerate=1000/1")


def test_closing_ends_threads_and_iteration() -> None:
    list(img2pose.faces(Launch("videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64"), min_size=64))
    before = threads()
    stream = img2pose.faces(ENDLESS, min_size=64)
    next(stream)
    assert threads() > before
    # A frame counts when its push has come back, a moment after it is here.
    _waits(lambda: stream.stats()["frames-out"] >= 1)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert stream.stats() == {}
    _settles(before)


def test_a_stream_that_nobody_has_is_closed() -> None:
    list(img2pose.faces(Launch("videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64"), min_size=64))
    before = threads()
    for frame in img2pose.faces(ENDLESS, min_size=64):
        if frame.index == 3:
            break
    gc.collect()
    _settles(before)
    with img2pose.faces(ENDLESS, min_size=64) as stream:
        next(stream)
    assert list(stream) == []
    _settles(before)


def _waits(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def _settles(wanted: int) -> None:
    _waits(lambda: threads() <= wanted)


def test_ctrl_c_while_nothing_comes() -> None:
    program = (
        # Whoever starts the tests in the background of a shell has them ignore it.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import img2pose\n"
        "source = img2pose.Launch('videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=1/1000')\n"
        "stream = img2pose.faces(source, live=True, min_size=64)\n"
        "next(stream)\n"
        "print('waits', flush=True)\n"
        "next(stream)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        try:
            _, text = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert text.rstrip().endswith("KeyboardInterrupt")


def _alive(program: str) -> list[str]:
    """What a program leaves in memory, by GStreamer's own search for leaks."""
    program += "import ctypes, gc\ngc.collect()\nctypes.CDLL('libgstreamer-1.0.so.0').gst_deinit()\nprint('done')\n"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "GST_TRACERS": "leaks", "GST_DEBUG": "GST_TRACER:7", "GST_DEBUG_NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "done\n"
    return [line for line in ended.stderr.splitlines() if "object-alive, type-name=(string)Gst" in line]


def test_nothing_stays_in_memory() -> None:
    use = (
        "import numpy, img2pose\n"
        "small = img2pose.Launch('videotestsrc num-buffers=5 ! video/x-raw,width=64,height=64')\n"
        "list(img2pose.faces(small, min_size=64, track=True, image=True))\n"
        "next(img2pose.faces(small, min_size=64))\n"
        "try: img2pose.faces(small, model='/etc/hostname')\n"
        "except img2pose.PipelineError: pass\n"
        "try: img2pose.faces(small, batch_size=0)\n"
        "except ValueError: pass\n"
        "black = numpy.zeros((64, 64, 3), numpy.uint8)\n"
        "with img2pose.Detector(min_size=64) as detector: detector.detect([black, black[:32]])\n"
        "img2pose.draw(black, img2pose.Faces())\n"
    )
    assert _alive(use) == []
    held = "frame = next(img2pose.faces(small, min_size=64, image=True))\n"
    assert any("GstBuffer" in line for line in _alive(use + held)), "a picture that is held has to be seen"
