"""Pictures as arrays and as buffers, without copying pixels."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import byref

import numpy as np

from . import _gst
from ._faces import Image

#: GStreamer's name of the format for the number of channels and their order.
FORMATS = {
    (1, "RGB"): "GRAY8",
    (1, "BGR"): "GRAY8",
    (3, "RGB"): "RGB",
    (3, "BGR"): "BGR",
    (4, "RGB"): "RGBA",
    (4, "BGR"): "BGRA",
}
#: Longest side of a picture, in pixels.
LARGEST_SIDE = 32767


def check(image: object, what: str, channels: str) -> tuple[Image, str]:
    """An array whose rows GStreamer can read as they lie, and the name of its format. Only rows that are not contiguous are copied.

    Raises:
        TypeError: it is no array of uint8.
        ValueError: its shape is not that of a picture.
    """
    if channels not in ("RGB", "BGR"):
        raise ValueError(f"channels is {channels!r}; it is 'RGB' or 'BGR'")
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{what} is a {type(image).__name__}; a picture is a numpy array of uint8, such as numpy.asarray(picture)")
    if image.dtype != np.uint8:
        raise TypeError(f"{what} has numbers of type {image.dtype}; pixels are uint8, 0 to 255")
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(f"{what} has the shape {image.shape}; a picture is (height, width), (height, width, 3) or (height, width, 4)")
    if not (0 < image.shape[0] <= LARGEST_SIDE and 0 < image.shape[1] <= LARGEST_SIDE):
        raise ValueError(f"{what} is {image.shape[1]}x{image.shape[0]}; the sides of a picture have 1 to {LARGEST_SIDE} pixels")
    depth = image.shape[2]
    # A part of a larger picture is read where it lies; one that is mirrored, or has every second pixel, is not.
    as_it_lies = (depth == 1 or image.strides[2] == 1) and image.strides[1] == depth and image.strides[0] >= image.shape[1] * depth
    return (image if as_it_lies else np.ascontiguousarray(image)), FORMATS[depth, channels]


def caps(image: Image, name: str) -> str:
    """The caps of a picture."""
    return f"video/x-raw,format={name},width={image.shape[1]},height={image.shape[0]},framerate=0/1"


def buffer_of(g: _gst.Gst, image: Image, name: str, pts: int, *, writable: bool = False) -> int:
    """A buffer whose memory is that of the array, which must live as long as the buffer is read."""
    height, width, depth = image.shape
    stride = image.strides[0]
    size = stride * (height - 1) + width * depth
    read_only = 0 if writable else 1 << 1  # GST_MEMORY_FLAG_READONLY, which is GST_MINI_OBJECT_FLAG_LOCK_READONLY
    buffer: int = g.gst_buffer_new_wrapped_full(read_only, image.ctypes.data, size, 0, size, None, None)
    offsets, strides = (ctypes.c_size_t * 4)(), (ctypes.c_int * 4)(stride)
    video_format = g.gst_video_format_from_string(name.encode())
    g.gst_buffer_add_video_meta_full(buffer, 0, video_format, width, height, 1, offsets, strides)
    ctypes.cast(buffer, ctypes.POINTER(_gst.Buffer)).contents.pts = pts
    return buffer


def rgb_of(g: _gst.Gst, sample: int, size: tuple[int, int]) -> Image:
    """The RGB picture of a sample, ``(height, width, 3)``: a view of the buffer's memory, which lives as long as the array.

    The sample is used up.
    """
    buffer = g.gst_mini_object_ref(g.gst_sample_get_buffer(sample))
    g.gst_mini_object_unref(sample)
    # Whoever else has the memory keeps it as it is: mapping to write makes a copy then, and only then.
    buffer = g.gst_mini_object_make_writable(buffer)
    width, height = size
    offset, stride = 0, (3 * width + 3) // 4 * 4
    meta = g.gst_buffer_get_meta(buffer, g.gst_video_meta_api_get_type())
    if meta:
        layout = ctypes.cast(meta, ctypes.POINTER(_gst.VideoMeta)).contents
        offset, stride = layout.offset[0], layout.stride[0]
    info = _gst.MapInfo()
    if not g.gst_buffer_map(buffer, byref(info), _gst.READ | _gst.WRITE):
        g.gst_mini_object_unref(buffer)
        raise MemoryError(f"the pixels of a frame of {width}x{height} cannot be read")
    if info.size < offset + stride * (height - 1) + 3 * width:
        found = info.size
        _release(g, buffer, info)
        raise ValueError(f"a frame of {width}x{height} has only {found} bytes")
    memory = (ctypes.c_uint8 * info.size).from_address(info.data)
    weakref.finalize(memory, _release, g, buffer, info).atexit = False
    pixels: Image = np.ndarray((height, width, 3), np.uint8, memory, offset, (stride, 3, 1))
    return pixels


def _release(g: _gst.Gst, buffer: int, info: _gst.MapInfo) -> None:
    g.gst_buffer_unmap(buffer, byref(info))
    g.gst_mini_object_unref(buffer)
