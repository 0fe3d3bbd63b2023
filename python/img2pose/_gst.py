"""The functions of GStreamer that this package calls, through ctypes: whatever Python it runs in, nothing has to be compiled.

Only what GStreamer 1.20 and newer declare stable is used: exported functions, and the public head of ``GstBuffer``, ``GstMessage``,
``GstMapInfo``, ``GstVideoMeta`` and ``GParamSpec``. Each function has its types, so that a wrong call is a Python error.
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import POINTER, c_char_p, c_double, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any, Protocol

from . import _setup
from .errors import SetupError

#: A time that is not known.
NO_TIME = 2**64 - 1
MILLISECOND = 1_000_000

# GstState
NULL, PAUSED, PLAYING = 1, 3, 4
STATE_FAILURE = 0

# GstMessageType
EOS, ERROR, WARNING, LATENCY = 1 << 0, 1 << 1, 1 << 2, 1 << 19

# GstMapFlags
READ, WRITE = 1, 2

# Fundamental GTypes
TYPE_BOOLEAN, TYPE_INT, TYPE_UINT, TYPE_UINT64, TYPE_DOUBLE, TYPE_STRING = 5 << 2, 6 << 2, 7 << 2, 11 << 2, 15 << 2, 16 << 2

HINT = (
    "install GStreamer 1.20 or newer (Debian, Ubuntu: apt install gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav)"
)


class Error(ctypes.Structure):
    """GError."""

    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


class MiniObject(ctypes.Structure):
    """GstMiniObject."""

    _fields_ = (
        ("type", c_size_t),
        ("refcount", c_int),
        ("lockstate", c_int),
        ("flags", c_uint),
        ("copy", c_void_p),
        ("dispose", c_void_p),
        ("free", c_void_p),
        ("priv_uint", c_uint),
        ("priv_pointer", c_void_p),
    )


class Buffer(ctypes.Structure):
    """The public head of GstBuffer."""

    _fields_ = (
        ("mini_object", MiniObject),
        ("pool", c_void_p),
        ("pts", c_uint64),
        ("dts", c_uint64),
        ("duration", c_uint64),
    )


class Message(ctypes.Structure):
    """The public head of GstMessage."""

    _fields_ = (("mini_object", MiniObject), ("type", c_uint), ("timestamp", c_uint64), ("source", c_void_p))


class MapInfo(ctypes.Structure):
    """GstMapInfo."""

    _fields_ = (
        ("memory", c_void_p),
        ("flags", c_int),
        ("data", c_void_p),
        ("size", c_size_t),
        ("maxsize", c_size_t),
        ("user_data", c_void_p * 4),
        ("reserved", c_void_p * 4),
    )


class VideoMeta(ctypes.Structure):
    """The public head of GstVideoMeta."""

    _fields_ = (
        ("flags", c_int),
        ("info", c_void_p),
        ("buffer", c_void_p),
        ("video_flags", c_int),
        ("format", c_int),
        ("id", c_int),
        ("width", c_uint),
        ("height", c_uint),
        ("n_planes", c_uint),
        ("offset", c_size_t * 4),
        ("stride", c_int * 4),
    )


class RegionMeta(ctypes.Structure):
    """The public head of GstVideoRegionOfInterestMeta."""

    _fields_ = (("flags", c_int), ("info", c_void_p), ("roi_type", c_uint), ("id", c_int), ("parent_id", c_int))


class ParamSpec(ctypes.Structure):
    """The public head of GParamSpec."""

    _fields_ = (("type_class", c_void_p), ("name", c_char_p), ("flags", c_int), ("value_type", c_size_t))


class Value(ctypes.Structure):
    """GValue. Begins as nothing: see ``g_value_init``."""

    _fields_ = (("type", c_size_t), ("data", c_uint64 * 2))


class Function(Protocol):
    """A C function with its types."""

    def __call__(self, *arguments: Any) -> Any:
        """Calls it."""


#: Library, and for each function of it the type of what it returns and those of what it takes.
FUNCTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "libgstreamer-1.0.so.0": {
        "gst_is_initialized": (c_int,),
        "gst_init_check": (c_int, c_void_p, c_void_p, POINTER(POINTER(Error))),
        "gst_version_string": (c_void_p,),
        "gst_registry_get": (c_void_p,),
        "gst_registry_scan_path": (c_int, c_void_p, c_char_p),
        "gst_plugin_load_file": (c_void_p, c_char_p, POINTER(POINTER(Error))),
        "gst_element_factory_find": (c_void_p, c_char_p),
        "gst_parse_launch": (c_void_p, c_char_p, POINTER(POINTER(Error))),
        "gst_bin_get_by_name": (c_void_p, c_void_p, c_char_p),
        "gst_bin_recalculate_latency": (c_int, c_void_p),
        "gst_element_get_bus": (c_void_p, c_void_p),
        "gst_element_set_state": (c_int, c_void_p, c_int),
        "gst_element_send_event": (c_int, c_void_p, c_void_p),
        "gst_event_new_gap": (c_void_p, c_uint64, c_uint64),
        "gst_bus_pop_filtered": (POINTER(Message), c_void_p, c_uint),
        "gst_message_parse_error": (None, c_void_p, POINTER(POINTER(Error)), POINTER(c_void_p)),
        "gst_message_parse_warning": (None, c_void_p, POINTER(POINTER(Error)), POINTER(c_void_p)),
        "gst_object_get_name": (c_void_p, c_void_p),
        "gst_object_unref": (None, c_void_p),
        "gst_mini_object_ref": (c_void_p, c_void_p),
        "gst_mini_object_unref": (None, c_void_p),
        "gst_mini_object_make_writable": (c_void_p, c_void_p),
        "gst_sample_get_buffer": (c_void_p, c_void_p),
        "gst_sample_get_caps": (c_void_p, c_void_p),
        "gst_caps_from_string": (c_void_p, c_char_p),
        "gst_caps_get_structure": (c_void_p, c_void_p, c_uint),
        "gst_buffer_new_wrapped_full": (
            c_void_p,
            c_int,
            c_void_p,
            c_size_t,
            c_size_t,
            c_size_t,
            c_void_p,
            c_void_p,
        ),
        "gst_buffer_map": (c_int, c_void_p, POINTER(MapInfo), c_int),
        "gst_buffer_unmap": (None, c_void_p, POINTER(MapInfo)),
        "gst_buffer_get_meta": (c_void_p, c_void_p, c_size_t),
        "gst_buffer_get_custom_meta": (c_void_p, c_void_p, c_char_p),
        "gst_buffer_add_custom_meta": (c_void_p, c_void_p, c_char_p),
        "gst_custom_meta_get_structure": (c_void_p, c_void_p),
        "gst_structure_new_empty": (c_void_p, c_char_p),
        "gst_structure_free": (None, c_void_p),
        "gst_structure_get_type": (c_size_t,),
        "gst_structure_has_field": (c_int, c_void_p, c_char_p),
        "gst_structure_get_boolean": (c_int, c_void_p, c_char_p, POINTER(c_int)),
        "gst_structure_get_double": (c_int, c_void_p, c_char_p, POINTER(c_double)),
        "gst_structure_get_int": (c_int, c_void_p, c_char_p, POINTER(c_int)),
        "gst_structure_get_uint": (c_int, c_void_p, c_char_p, POINTER(c_uint)),
        "gst_structure_get_uint64": (c_int, c_void_p, c_char_p, POINTER(c_uint64)),
        "gst_structure_get_string": (c_char_p, c_void_p, c_char_p),
        "gst_structure_get_fraction": (c_int, c_void_p, c_char_p, POINTER(c_int), POINTER(c_int)),
        "gst_structure_get_value": (c_void_p, c_void_p, c_char_p),
        "gst_structure_set_value": (None, c_void_p, c_char_p, POINTER(Value)),
        "gst_value_get_structure": (c_void_p, c_void_p),
        "gst_value_set_structure": (None, POINTER(Value), c_void_p),
        "gst_value_deserialize": (c_int, POINTER(Value), c_char_p),
        "gst_fraction_get_type": (c_size_t,),
        "gst_value_set_fraction": (None, POINTER(Value), c_int, c_int),
    },
    "libgstapp-1.0.so.0": {
        "gst_app_sink_try_pull_sample": (c_void_p, c_void_p, c_uint64),
        "gst_app_sink_is_eos": (c_int, c_void_p),
        "gst_app_src_set_caps": (None, c_void_p, c_void_p),
        "gst_app_src_push_buffer": (c_int, c_void_p, c_void_p),
    },
    "libgstvideo-1.0.so.0": {
        "gst_video_meta_api_get_type": (c_size_t,),
        "gst_video_format_from_string": (c_int, c_char_p),
        "gst_buffer_add_video_region_of_interest_meta": (
            POINTER(RegionMeta),
            c_void_p,
            c_char_p,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
        ),
        "gst_buffer_add_video_meta_full": (
            c_void_p,
            c_void_p,
            c_int,
            c_int,
            c_uint,
            c_uint,
            c_uint,
            POINTER(c_size_t),
            POINTER(c_int),
        ),
    },
    "libgobject-2.0.so.0": {
        "g_object_class_find_property": (POINTER(ParamSpec), c_void_p, c_char_p),
        "g_object_get_property": (None, c_void_p, c_char_p, POINTER(Value)),
        "g_object_set_property": (None, c_void_p, c_char_p, POINTER(Value)),
        "g_param_value_validate": (c_int, POINTER(ParamSpec), POINTER(Value)),
        "g_value_init": (c_void_p, POINTER(Value), c_size_t),
        "g_value_unset": (None, POINTER(Value)),
        "g_value_set_boolean": (None, POINTER(Value), c_int),
        "g_value_set_double": (None, POINTER(Value), c_double),
        "g_value_set_int": (None, POINTER(Value), c_int),
        "g_value_set_uint": (None, POINTER(Value), c_uint),
        "g_value_set_uint64": (None, POINTER(Value), c_uint64),
        "g_value_set_string": (None, POINTER(Value), c_char_p),
    },
    "libglib-2.0.so.0": {
        "g_free": (None, c_void_p),
        "g_error_free": (None, POINTER(Error)),
    },
}


class Gst:
    """GStreamer, initialised, with the plugin found. Each function is an attribute with its C name."""

    def __init__(self) -> None:
        """Loads the libraries, initialises GStreamer, and looks for the elements."""
        self._functions: dict[str, Function] = {}
        for library_name, functions in FUNCTIONS.items():
            try:
                library = ctypes.CDLL(library_name)
            except OSError as error:
                raise SetupError(f"{library_name} was not found ({error}); {HINT}") from None
            for name, (result, *arguments) in functions.items():
                try:
                    function = getattr(library, name)
                except AttributeError:
                    raise SetupError(f"{library_name} has no {name}, it is too old; {HINT}") from None
                function.restype = result
                function.argtypes = arguments
                self._functions[name] = function
        was_initialised = self.gst_is_initialized()
        failure = POINTER(Error)()
        if not self.gst_init_check(None, None, ctypes.byref(failure)):
            raise SetupError(f"GStreamer cannot be initialised: {self.take_error(failure)}")
        self._find_plugin(was_initialised)

    def __getattr__(self, name: str) -> Function:
        """The function of that name."""
        try:
            function = self._functions[name]
        except KeyError:
            raise AttributeError(name) from None
        # From now on without this detour.
        self.__dict__[name] = function
        return function

    def _find_plugin(self, was_initialised: bool) -> None:
        folder = os.fsencode(_setup.PLUGIN_FOLDER)
        if was_initialised and _setup.PLUGIN_FILE.is_file():
            # Too late for the environment: another module of this program was first.
            self.gst_registry_scan_path(self.gst_registry_get(), folder)
        factory = self.gst_element_factory_find(b"img2posedetect")
        if factory:
            self.gst_object_unref(factory)
            return
        if not _setup.PLUGIN_FILE.is_file():
            raise SetupError(
                "the plugin img2pose was not found: this package is not installed from a wheel, and GStreamer finds no other; set "
                "GST_PLUGIN_PATH to the folder of libgstimg2pose.so"
            )
        error = POINTER(Error)()
        plugin = self.gst_plugin_load_file(os.fsencode(_setup.PLUGIN_FILE), ctypes.byref(error))
        if not plugin:
            raise SetupError(f"the plugin {_setup.PLUGIN_FILE} does not load: {self.take_error(error)}; {HINT}")
        self.gst_object_unref(plugin)
        factory = self.gst_element_factory_find(b"img2posedetect")
        if not factory:
            raise SetupError(
                f"GStreamer has no element img2posedetect, though {_setup.PLUGIN_FILE} loads; delete GStreamer's registry "
                "(~/.cache/gstreamer-1.0) and try again"
            )
        self.gst_object_unref(factory)

    def take_error(self, error: Any) -> str:
        """The text of an error, which is freed."""
        if not error:
            return "no reason was given"
        text: str = error.contents.message.decode(errors="replace")
        self.g_error_free(error)
        return text

    def take_text(self, pointer: int | None) -> str:
        """A text that belongs to the caller, which is freed."""
        if not pointer:
            return ""
        text = ctypes.string_at(pointer).decode(errors="replace")
        self.g_free(pointer)
        return text


_lock = threading.Lock()
_gst: Gst | None = None
_forked = False


def _after_fork() -> None:
    global _forked, _lock
    _forked = _gst is not None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def gst() -> Gst:
    """GStreamer, loaded with the first call.

    Raises:
        SetupError: it is not installed, or does not find the plugin; or the process was forked since.
    """
    global _gst
    if _forked:
        # Its threads stayed in the parent.
        raise SetupError(
            "this process was forked from one that already used img2pose, and GStreamer does not survive that; start workers "
            "with multiprocessing.get_context('spawn'), or use img2pose in the workers only"
        )
    with _lock:
        if _gst is None:
            _gst = Gst()
        return _gst


def real_time(nanoseconds: int) -> int | None:
    """A time of GStreamer, ``None`` where it is unknown."""
    return None if nanoseconds == NO_TIME else nanoseconds
