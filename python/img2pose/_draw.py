"""Faces drawn into a picture."""

from __future__ import annotations

import ctypes
from ctypes import byref

import numpy as np

from . import _gst, _pixels, _record
from ._faces import Faces, Image
from ._pipeline import Pipeline, Property


def draw(image: Image, faces: Faces, *, label: str = "score+angles", channels: str = "RGB", **properties: Property) -> Image:
    """Draws faces into a copy of a picture, as ``img2poseoverlay`` does: boxes, head axes, keypoints, labels.

    Args:
        image: ``(height, width, 3)`` uint8 (or grey, or four channels), the picture that the faces were found in.
        faces: its faces.
        label: what is written at each, joined by ``+``: ``number``, ``score``, ``angles``, ``position``, ``track``; ``0``: nothing.
        channels: ``RGB`` or ``BGR``.
        **properties: other properties of ``img2poseoverlay``, such as ``draw_axes=False`` or ``blur_faces="pixelate"``:
            ``gst-inspect-1.0 img2poseoverlay`` lists them.

    Returns:
        A new picture of the same shape.

    Raises:
        TypeError, ValueError: the picture is none, a number of a face is not finite, or a property has a value that the element does
            not take.
    """
    given, name = _pixels.check(image, "the picture", channels)
    if not isinstance(faces, Faces):
        raise TypeError(f"faces are a {type(faces).__name__}; give those of img2pose.detect, or the faces of a frame")
    numbers = (faces.boxes, faces.scores, faces.poses, faces.yaw_pitch_roll, faces.keypoints)
    if not all(np.isfinite(array).all() for array in numbers):
        raise ValueError("a number of a face is not finite")
    canvas = given.copy()
    size = canvas.shape[1], canvas.shape[0]
    values: dict[str, Property] = {"label": label}
    values.update({key.replace("_", "-"): value for key, value in properties.items()})
    pipeline = Pipeline(
        "appsrc name=source format=time ! img2poseoverlay name=img2poseoverlay ! video/x-raw "
        "! appsink name=sink sync=false enable-last-sample=false",
        {"img2poseoverlay": values},
    )
    g = pipeline.gst
    try:
        pipeline.start()
        source = pipeline.element("source")
        caps = g.gst_caps_from_string(_pixels.caps(canvas, name).encode())
        g.gst_app_src_set_caps(source, caps)
        g.gst_mini_object_unref(caps)
        buffer = _pixels.buffer_of(g, canvas, name, 0, writable=True)
        _record.write(g, buffer, faces, size)
        g.gst_app_src_push_buffer(source, buffer)
        sample = pipeline.pull()
        if sample is None:
            raise RuntimeError("the stream ended before the picture")
        try:
            _take(g, sample, canvas)
        finally:
            g.gst_mini_object_unref(sample)
    finally:
        pipeline.close()
    drawn: Image = canvas.reshape(image.shape)
    return drawn


def _take(g: _gst.Gst, sample: int, canvas: Image) -> None:
    """The pixels of the sample into the array, unless they are there: the element draws in place where it can."""
    buffer = g.gst_sample_get_buffer(sample)
    info = _gst.MapInfo()
    if not g.gst_buffer_map(buffer, byref(info), _gst.READ):
        raise MemoryError("the pixels of the picture cannot be read")
    try:
        if info.data != canvas.ctypes.data:
            # It has kept the layout that it was given.
            ctypes.memmove(canvas.ctypes.data, info.data, min(canvas.nbytes, info.size))
    finally:
        g.gst_buffer_unmap(buffer, byref(info))
