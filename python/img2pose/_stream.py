"""Faces of a video, frame by frame."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from . import _gst, _options, _pixels, _record
from ._faces import Faces, Frame
from ._options import Properties
from ._pipeline import Pipeline, Property

#: Schemes of sources that do not wait for whoever reads them.
LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtspt", "rtspu", "rtp", "srt", "udp", "rtmp", "rtmps", "mms", "v4l2"})
#: What a live source may be ahead: the newest frames are looked at, and older ones dropped before anybody has looked.
LEAKY = "queue leaky=downstream max-size-buffers={} max-size-bytes=0 max-size-time=0"


class Launch(str):
    """A source given as the first part of a pipeline, in the words of ``gst-launch-1.0``; it ends in raw or encoded video.

    ``img2pose.faces(img2pose.Launch("videotestsrc num-buffers=10 ! video/x-raw,width=640,height=480"))``
    """

    __slots__ = ()


class Stream(Iterator[Frame]):
    """The frames of a source, with their faces: iterate over it. Made by :func:`faces`.

    It runs in threads of its own, and is closed by its end, by :meth:`close`, by leaving a ``with`` block, by an exception, and when
    nothing refers to it any more. One thread at a time may read it.
    """

    def __init__(self, pipeline: Pipeline, *, image: bool) -> None:
        """Starts the pipeline."""
        self._pipeline = pipeline
        self._image = image
        self._index = 0
        pipeline.element("img2posedetect")
        pipeline.start()

    def __iter__(self) -> Stream:
        """Itself."""
        return self

    def __next__(self) -> Frame:
        """The next frame; waits for it.

        Raises:
            PipelineError: an element has failed. All frames before that have been given.
        """
        if self._pipeline.is_closed:
            raise StopIteration
        try:
            sample = self._pipeline.pull()
            if sample is None:
                self.close()
                raise StopIteration
            frame = self._frame(sample)
            self._pipeline.look_at_messages()
        except BaseException:
            self.close()
            raise
        return frame

    def _frame(self, sample: int) -> Frame:
        g = self._pipeline.gst
        try:
            buffer = g.gst_sample_get_buffer(sample)
            pts = ctypes.cast(buffer, ctypes.POINTER(_gst.Buffer)).contents.pts
            record = _record.read(g, buffer)
            size = _size(g, sample)
        except BaseException:
            g.gst_mini_object_unref(sample)
            raise
        if self._image:
            image = _pixels.rgb_of(g, sample, size)
        else:
            image = None
            g.gst_mini_object_unref(sample)
        index = self._index
        self._index += 1
        return Frame(
            pts=_gst.real_time(pts),
            index=index,
            size=size,
            faces=record.faces if record else Faces(),
            looked_at=record is not None,
            reused=record.reused if record else False,
            orientation=record.orientation if record else "",
            pixel_aspect_ratio=record.pixel_aspect_ratio if record else 1.0,
            image=image,
        )

    def stats(self) -> dict[str, int]:
        """Counts of the detector so far: ``frames-in``, ``frames-out``, ``inferred``, ``batches``, ...; empty once it is closed.

        A frame is in ``frames-out`` a moment after it is here: when the pipeline has heard that it arrived.
        """
        return {} if self._pipeline.is_closed else self._pipeline.stats()

    def close(self) -> None:
        """Stops the source and frees everything; iterating ends. May be called twice."""
        self._pipeline.close()

    def __enter__(self) -> Stream:
        """Itself; leaving the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes it."""
        self.close()


def faces(
    source: str | os.PathLike[str] | int,
    *,
    batch_size: int | None = None,
    image: bool = False,
    track: bool = False,
    whole_frame_interval: int | None = None,
    live: bool | None = None,
    model: str | os.PathLike[str] | None = None,
    score_threshold: float | None = None,
    min_size: int | None = None,
    max_faces: int | None = None,
    precision: str | None = None,
    execution_provider: str | None = None,
    num_threads: int | None = None,
    properties: Properties | None = None,
) -> Stream:
    """Finds the faces in every frame of a video, and says how each head is turned and where it is.

    ::

        for frame in img2pose.faces("clip.mp4"):
            print(frame.time, frame.faces.yaw_pitch_roll)

    Args:
        source: a file; the number of a camera (0 is ``/dev/video0``); an address such as ``rtsp://...``; or a :class:`Launch`.
        batch_size: frames that go through the network in one run, 1 to 64. The result does not depend on it. Unless given, 8,
            and 1 for a live source, which would wait for the others.
        image: whether frames have their picture, ``(height, width, 3)`` uint8 RGB.
        track: whether faces are followed: each has an id, a calm box and pose (``img2posetrack``).
        whole_frame_interval: look at every n-th frame as a whole, and in between only around the known faces, which takes a small
            part of the time. A face that is new is seen with the next whole frame.
        live: whether the source does not wait for whoever reads it. Of a live source the newest frames are looked at, and those that
            come while there is no time for them are left out. Unless given, it follows from the source: cameras and ``rtsp://`` are.
        model: an ONNX file made by ``img2pose convert``; unless given, the one that comes with the plugin.
        score_threshold: lowest score of a face, 0 to 1; 0.5 unless given.
        min_size: short side in pixels that frames are resized to for the network; smaller is faster and misses small faces.
        max_faces: at most this many faces of a frame, those with the highest scores; -1: all.
        precision: ``auto``, ``fp32``, ``int8``, ``bf16`` or ``fp16``.
        execution_provider: ``auto``, ``cpu``, ``openvino``, ``cuda`` or ``tensorrt``.
        num_threads: threads for inference on the processor; 0: one for each core.
        properties: other properties of ``img2posedetect``, by their names: ``gst-inspect-1.0 img2posedetect`` lists them.

    Returns:
        A :class:`Stream`, which gives a :class:`Frame` for each frame of the source. It has started, and runs ahead a little.

    Raises:
        FileNotFoundError: there is no such file, camera or model.
        ValueError: an option has a value that the element does not take.
        SetupError: GStreamer, the plugin or ONNX Runtime is missing.
        PipelineError: an element fails, now or while frames are read: all frames before that are given first.
    """
    description, values, is_live = _source(source)
    if live is not None:
        is_live = live
    if batch_size is None:
        batch_size = 1 if is_live else 8
    detect = _options.properties(
        batch_size=batch_size,
        model=model,
        score_threshold=score_threshold,
        min_size=min_size,
        max_faces=max_faces,
        precision=precision,
        execution_provider=execution_provider,
        num_threads=num_threads,
        others=properties,
    )
    if whole_frame_interval is not None:
        detect["whole-frame-interval"] = whole_frame_interval
    parts = [description, "videoconvert"]
    if is_live:
        parts.append(LEAKY.format(max(2, batch_size) if isinstance(batch_size, int) else 2))
    parts.append("img2posedetect name=img2posedetect")
    if track:
        parts.append("img2posetrack name=img2posetrack")
    if image:
        # Behind the detector, which sees the same pixels with it and without.
        parts += ["videoconvert", "video/x-raw,format=RGB"]
    # It never waits for a clock. What it holds was looked at, and is never dropped.
    parts.append("appsink name=sink sync=false max-buffers=4 enable-last-sample=false")
    pipeline = Pipeline(" ! ".join(parts), {**values, "img2posedetect": detect})
    return Stream(pipeline, image=image)


def _source(source: str | os.PathLike[str] | int) -> tuple[str, dict[str, dict[str, Property]], bool]:
    """Elements that read the source, what is to be set there, and whether it is live."""
    if isinstance(source, bool):
        raise TypeError("the source is a bool; it is a file, the number of a camera, or an address")
    if isinstance(source, int):
        device = f"/dev/video{source}"
        if source < 0:
            raise ValueError(f"there is no camera {source}; the first is 0")
        try:
            is_device = stat.S_ISCHR(os.stat(device).st_mode)
        except OSError:
            is_device = False
        if not is_device:
            present = sorted(str(path) for path in Path("/dev").glob("video*"))
            raise FileNotFoundError(f"no camera {device}; this machine has {', '.join(present) or 'none'}")
        return "v4l2src name=source ! decodebin", {"source": {"device": device}}, True
    if isinstance(source, Launch):
        return f"{source} ! decodebin", {}, False
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"the source is a {type(source).__name__}; it is a file, the number of a camera, or an address")
    path = os.fspath(source)
    scheme = urlsplit(path).scheme if isinstance(source, str) and "://" in path else ""
    if scheme:
        return "uridecodebin name=source", {"source": {"uri": path}}, scheme.lower() in LIVE_SCHEMES
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; give a file, or the pictures in it to img2pose.detect")
    if not os.path.exists(path):
        raise FileNotFoundError(f"no such file: {path}")
    return "filesrc name=source ! decodebin", {"source": {"location": path}}, False


def _size(g: _gst.Gst, sample: int) -> tuple[int, int]:
    """Width and height in pixels, from the caps."""
    structure = g.gst_caps_get_structure(g.gst_sample_get_caps(sample), 0)
    width, height = ctypes.c_int(), ctypes.c_int()
    g.gst_structure_get_int(structure, b"width", ctypes.byref(width))
    g.gst_structure_get_int(structure, b"height", ctypes.byref(height))
    return width.value, height.value
