"""Faces of pictures that are arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import overload

from . import _gst, _options, _pixels, _record
from ._faces import Faces, Image
from ._options import Properties
from ._pipeline import Pipeline, Property


class Detector:
    """A model that stays loaded, for pictures that are arrays: use it as :func:`detect`, as often as you like.

    ::

        with img2pose.Detector(batch_size=16) as detector:
            for pictures in batches:
                results = detector.detect(pictures)

    The model is loaded with the first picture. Several threads may call it; one is served at a time.
    """

    def __init__(
        self,
        *,
        batch_size: int = 8,
        model: str | os.PathLike[str] | None = None,
        score_threshold: float | None = None,
        min_size: int | None = None,
        max_faces: int | None = None,
        precision: str | None = None,
        execution_provider: str | None = None,
        num_threads: int | None = None,
        properties: Properties | None = None,
    ) -> None:
        """Takes the options of :func:`img2pose.faces`; nothing is loaded yet.

        Raises:
            FileNotFoundError: there is no such model.
        """
        self._values: dict[str, Property] = _options.properties(
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
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None

    @overload
    def detect(self, images: Image, *, channels: str = "RGB") -> Faces: ...

    @overload
    def detect(self, images: Sequence[Image], *, channels: str = "RGB") -> list[Faces]: ...

    def detect(self, images: Image | Sequence[Image], *, channels: str = "RGB") -> Faces | list[Faces]:
        """As :func:`img2pose.detect`."""
        alone = not isinstance(images, (list, tuple))
        checked = [
            _pixels.check(image, "the picture" if alone else f"picture {number}", channels)
            for number, image in enumerate([images] if alone else images)
        ]
        with self._lock:
            found = self._run(checked)
        return found[0] if alone else found

    def _run(self, images: list[tuple[Image, str]]) -> list[Faces]:
        if not images:
            return []
        # Pictures of one size share a run of the network, wherever they are in the list.
        places: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for place, (image, name) in enumerate(images):
            places.setdefault((image.shape, name), []).append(place)
        order = [place for group in places.values() for place in group]
        found: dict[int, Faces] = {}
        try:
            pipeline = self._started()
            start = 0
            for group in places.values():
                self._push([images[place] for place in group], start)
                start += len(group)
            for place in order:
                sample = pipeline.pull()
                if sample is None:
                    raise RuntimeError("the stream of pictures ended before the last one")
                try:
                    record = _record.read(pipeline.gst, pipeline.gst.gst_sample_get_buffer(sample))
                finally:
                    pipeline.gst.gst_mini_object_unref(sample)
                if record is None:
                    raise RuntimeError(f"picture {place} was not looked at")
                found[place] = record.faces
            pipeline.look_at_messages()
        except BaseException:
            # Whatever is under way reads the memory of the pictures.
            self._stop()
            raise
        return [found[place] for place in range(len(images))]

    def _started(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.is_closed:
            description = (
                "appsrc name=source format=time block=false max-bytes=0 ! img2posedetect name=img2posedetect "
                "! appsink name=sink sync=false enable-last-sample=false"
            )
            pipeline = Pipeline(description, {"img2posedetect": self._values})
            pipeline.start()
            self._pipeline = pipeline
        return self._pipeline

    def _push(self, images: list[tuple[Image, str]], start: int) -> None:
        """Pictures of one size; then the word that no more come, so that their batch waits for none. ``start``: how many came before."""
        pipeline = self._started()
        g, source = pipeline.gst, pipeline.element("source")
        first, name = images[0]
        caps = g.gst_caps_from_string(_pixels.caps(first, name).encode())
        g.gst_app_src_set_caps(source, caps)
        g.gst_mini_object_unref(caps)
        for number, (image, _) in enumerate(images, start):
            g.gst_app_src_push_buffer(source, _pixels.buffer_of(g, image, name, number * _gst.MILLISECOND))
        end = (start + len(images)) * _gst.MILLISECOND
        g.gst_element_send_event(source, g.gst_event_new_gap(end, _gst.NO_TIME))

    def _stop(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def close(self) -> None:
        """Frees the model. Another call of :meth:`detect` loads it again."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Detector:
        """Itself; leaving the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes it."""
        self.close()


_lock = threading.Lock()
#: The detectors of :func:`detect`, the last one used at the end. One model takes some 100 MB.
_detectors: dict[tuple[object, ...], Detector] = {}
MOST_DETECTORS = 2


def _forget() -> None:
    """In a forked process: their threads stayed in the parent."""
    global _lock
    _lock = threading.Lock()
    _detectors.clear()


@overload
def detect(
    images: Image,
    *,
    channels: str = ...,
    batch_size: int = ...,
    model: str | os.PathLike[str] | None = ...,
    score_threshold: float | None = ...,
    min_size: int | None = ...,
    max_faces: int | None = ...,
    precision: str | None = ...,
    execution_provider: str | None = ...,
    num_threads: int | None = ...,
) -> Faces: ...


@overload
def detect(
    images: Sequence[Image],
    *,
    channels: str = ...,
    batch_size: int = ...,
    model: str | os.PathLike[str] | None = ...,
    score_threshold: float | None = ...,
    min_size: int | None = ...,
    max_faces: int | None = ...,
    precision: str | None = ...,
    execution_provider: str | None = ...,
    num_threads: int | None = ...,
) -> list[Faces]: ...


def detect(
    images: Image | Sequence[Image],
    *,
    channels: str = "RGB",
    batch_size: int = 8,
    model: str | os.PathLike[str] | None = None,
    score_threshold: float | None = None,
    min_size: int | None = None,
    max_faces: int | None = None,
    precision: str | None = None,
    execution_provider: str | None = None,
    num_threads: int | None = None,
) -> Faces | list[Faces]:
    """Finds the faces in one picture, or in each of a list of pictures.

    ::

        faces = img2pose.detect(numpy.asarray(PIL.Image.open("group.jpg")))
        first, second = img2pose.detect([picture, another])

    Pictures may have any sizes. Those of one size go through the network together, ``batch_size`` at a time; on a processor a picture
    has the same faces, bit for bit, whatever is looked at beside it. Pixels are read where they lie.

    The model stays loaded for the next call with the same options; :class:`Detector` gives control over that.

    Args:
        images: a picture, ``(height, width, 3)`` uint8; ``(height, width)`` is grey, of four channels the last is left out. Or
            a list of them; an empty list gives an empty list.
        channels: ``RGB``, or ``BGR`` for pictures that OpenCV has read.
        batch_size: pictures that go through the network in one run, 1 to 64.
        model: as in :func:`img2pose.faces`, like all that follow.
        score_threshold: lowest score of a face, 0 to 1.
        min_size: short side in pixels that pictures are resized to for the network.
        max_faces: at most this many faces of a picture.
        precision: ``auto``, ``fp32``, ``int8``, ``bf16`` or ``fp16``.
        execution_provider: ``auto``, ``cpu``, ``openvino``, ``cuda`` or ``tensorrt``.
        num_threads: threads for inference on the processor; 0: one for each core.

    Returns:
        :class:`Faces` for a picture, a list of them for a list, in the same order.

    Raises:
        TypeError, ValueError: what was given is no picture, or an option has a value that the element does not take. Nothing was
            looked at then.
        PipelineError: the element has failed.
    """
    options: dict[str, object] = {
        "batch_size": batch_size,
        "model": None if model is None else os.fspath(model),
        "score_threshold": score_threshold,
        "min_size": min_size,
        "max_faces": max_faces,
        "precision": precision,
        "execution_provider": execution_provider,
        "num_threads": num_threads,
    }
    key = tuple(options.values())
    oldest: Detector | None = None
    with _lock:
        detector = _detectors.pop(key, None) or Detector(**options)  # type: ignore[arg-type]
        _detectors[key] = detector
        if len(_detectors) > MOST_DETECTORS:
            oldest = _detectors.pop(next(iter(_detectors)))
    if oldest is not None:
        oldest.close()
    return detector.detect(images, channels=channels)


os.register_at_fork(after_in_child=_forget)
