"""A pipeline: made from a description, started, read from, closed."""

from __future__ import annotations

import ctypes
import math
import os
import time
import warnings
import weakref
from collections.abc import Mapping
from ctypes import POINTER, byref

from . import _gst
from .errors import Img2PoseWarning, PipelineError

#: How long one look for a frame takes at most: Ctrl-C is answered between two of them.
PATIENCE = 50 * _gst.MILLISECOND
#: After an error upstream, the frames that came before it are still on their way; this is for how long.
GRACE = 10.0

#: A value of a property.
Property = bool | int | float | str


class Pipeline:
    """Elements that run until they are closed. ``sink`` is the name of its appsink."""

    def __init__(self, description: str, properties: Mapping[str, Mapping[str, Property]]) -> None:
        """Makes it. ``properties``: for names of elements, what is set there; values never pass the parser of descriptions."""
        self.gst = _gst.gst()
        error = POINTER(_gst.Error)()
        self._bin = self.gst.gst_parse_launch(description.encode(), byref(error))
        if error:
            text = self.gst.take_error(error)
            if self._bin:
                self.gst.gst_object_unref(self._bin)
            raise PipelineError("pipeline", text + _missing(text))
        self._bus = self.gst.gst_element_get_bus(self._bin)
        self._error: PipelineError | None = None
        self._elements: dict[str, int] = {}
        # Also when nobody closes it: threads of its own run in it.
        self._close = weakref.finalize(self, _close, os.getpid(), self.gst, self._bin, self._bus, self._elements)
        try:
            for name, values in properties.items():
                for key, value in values.items():
                    self.set(name, key, value)
        except BaseException:
            self.close()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    def close(self) -> None:
        """Stops it and frees everything. Twice is once."""
        self._close()

    def element(self, name: str) -> int:
        """The element of that name."""
        found = self._elements.get(name)
        if found is None:
            found = self.gst.gst_bin_get_by_name(self._bin, name.encode())
            if not found:
                raise ValueError(f"the pipeline has no element named '{name}'")
            self._elements[name] = found
        return found

    def set(self, name: str, key: str, value: Property) -> None:
        """Sets a property.

        Raises:
            ValueError: the element has no such property, or the value is not one of its.
        """
        element, g = self.element(name), self.gst
        object_class = ctypes.cast(element, POINTER(ctypes.c_void_p))[0]
        spec = g.g_object_class_find_property(object_class, key.encode())
        if not spec:
            raise ValueError(f"'{key}' is no property of {name}; gst-inspect-1.0 {name} lists them")
        holder = _gst.Value()
        g.g_value_init(byref(holder), spec.contents.value_type)
        try:
            if not _store(g, holder, spec.contents.value_type, value) or g.g_param_value_validate(spec, byref(holder)):
                raise ValueError(f"{value!r} is no value of '{key}' of {name}; gst-inspect-1.0 {name} says what it takes")
            g.g_object_set_property(element, key.encode(), byref(holder))
        finally:
            g.g_value_unset(byref(holder))

    def start(self) -> None:
        """Lets it run.

        Raises:
            PipelineError: it does not start; the text is that of the element that does not.
        """
        if self.gst.gst_element_set_state(self._bin, _gst.PLAYING) == _gst.STATE_FAILURE:
            self._look_at_messages()
            error = self._error or PipelineError("pipeline", "it does not start, and no element says why")
            self.close()
            raise error

    def pull(self) -> int | None:
        """Waits for the next sample of the appsink ``sink``, which belongs to the caller; ``None`` at the end of the stream.

        Raises:
            PipelineError: an element has failed, and all that came before has been pulled. The pipeline is closed then.
        """
        sink = self.element("sink")
        deadline: float | None = None
        while True:
            sample: int | None = self.gst.gst_app_sink_try_pull_sample(sink, PATIENCE)
            if sample:
                return sample
            # Before the messages: what was posted before the end is seen.
            ended = self.gst.gst_app_sink_is_eos(sink)
            self._look_at_messages()
            if self._error is not None:
                if deadline is None:
                    deadline = time.monotonic() + GRACE
                    # An error in the preroll leaves the pipeline in it, and with it the first frames.
                    self.gst.gst_element_set_state(sink, _gst.PLAYING)
                    continue
                if ended or self._is_drained() or time.monotonic() > deadline:
                    error = self._error
                    self.close()
                    raise error
            elif ended:
                return None

    def look_at_messages(self) -> None:
        """Answers what elements have posted; to be called now and then while frames come."""
        self._look_at_messages()

    def _look_at_messages(self) -> None:
        wanted = _gst.ERROR | _gst.WARNING | _gst.LATENCY
        while message := self.gst.gst_bus_pop_filtered(self._bus, wanted):
            try:
                self._take(message.contents, ctypes.cast(message, ctypes.c_void_p).value)
            finally:
                self.gst.gst_mini_object_unref(message)

    def _take(self, message: _gst.Message, pointer: int | None) -> None:
        g = self.gst
        if message.type == _gst.LATENCY:
            g.gst_bin_recalculate_latency(self._bin)
            return
        error, debug = POINTER(_gst.Error)(), ctypes.c_void_p()
        is_error = message.type == _gst.ERROR
        parse = g.gst_message_parse_error if is_error else g.gst_message_parse_warning
        parse(pointer, byref(error), byref(debug))
        name = g.take_text(g.gst_object_get_name(message.source)) if message.source else "pipeline"
        text, details = g.take_error(error), g.take_text(debug.value)
        if not is_error:
            warnings.warn(f"{name}: {text}", Img2PoseWarning, stacklevel=5)
        elif self._error is None:
            # What follows is what it caused.
            self._error = PipelineError(name, text + _missing(text), details)

    def _is_drained(self) -> bool:
        """Whether the detector has given on all that it was given."""
        if "img2posedetect" not in self._elements:
            return True
        counts = self.stats()
        return counts.get("frames-in", 0) == counts.get("frames-out", 0)

    def stats(self) -> dict[str, int]:
        """The counts in the property ``stats`` of the detector."""
        g, holder, counts = self.gst, _gst.Value(), {}
        g.g_value_init(byref(holder), g.gst_structure_get_type())
        try:
            g.g_object_get_property(self.element("img2posedetect"), b"stats", byref(holder))
            structure = g.gst_value_get_structure(byref(holder))
            number = ctypes.c_uint64()
            for name in ("frames-in", "frames-out", "inferred", "skipped", "late", "faces", "batches"):
                if structure and g.gst_structure_get_uint64(structure, name.encode(), byref(number)):
                    counts[name] = number.value
        finally:
            g.g_value_unset(byref(holder))
        return counts


def _store(g: _gst.Gst, holder: _gst.Value, kind: int, value: Property) -> bool:
    """Puts a value of Python into one of GObject; whether it is one of that type."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind == _gst.TYPE_STRING:
        # Not parsed: a file may have any name.
        g.g_value_set_string(byref(holder), str(value).encode(errors="surrogateescape"))
        return isinstance(value, str)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return bool(g.gst_value_deserialize(byref(holder), text.encode(errors="replace")))


def _missing(text: str) -> str:
    """What to install for an element that is not there."""
    if "no element" in text or "missing a plug-in" in text:
        return " Debian, Ubuntu: apt install gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav"
    return ""


def _close(process: int, g: _gst.Gst, pipeline: int, bus: int, elements: dict[str, int]) -> None:
    if os.getpid() != process:
        # A forked process has none of the threads that would have to stop.
        return
    g.gst_element_set_state(pipeline, _gst.NULL)
    for element in elements.values():
        g.gst_object_unref(element)
    elements.clear()
    g.gst_object_unref(bus)
    g.gst_object_unref(pipeline)
