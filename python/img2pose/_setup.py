"""Where the plugin and ONNX Runtime are, told to GStreamer through the environment of this process.

GStreamer reads it once, when it is initialised, and the plugin's ONNX Runtime is chosen by the first element that starts: so
this happens when the package is imported, and costs no more than a look for a few files.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

#: The folder of the plugin and its models, in an installed wheel.
PLUGIN_FOLDER = Path(__file__).resolve().parent / "plugin"
PLUGIN_FILE = PLUGIN_FOLDER / "libgstimg2pose.so"

LIBRARY_VARIABLE = "ORT_DYLIB_PATH"
TELEMETRY_VARIABLE = "ORT_DISABLE_TELEMETRY"


def plugin_path_variable() -> str:
    """The variable that GStreamer reads for more plugins: it ignores the short one where the long one is set."""
    return "GST_PLUGIN_PATH_1_0" if "GST_PLUGIN_PATH_1_0" in os.environ else "GST_PLUGIN_PATH"


def onnxruntime_library() -> Path | None:
    """The library in an installed PyPI package ``onnxruntime`` (or -gpu, -openvino: they have the same folder), newest first."""
    # Looked for, not imported.
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec and spec.submodule_search_locations) or ():
        found = list(Path(folder, "capi").glob("libonnxruntime.so*"))
        if found:
            return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])
    return None


def environment() -> dict[str, str]:
    """The variables that have to change in this process, and their values. What the user has chosen is kept."""
    changes: dict[str, str] = {}
    if PLUGIN_FILE.is_file():
        name = plugin_path_variable()
        present = [folder for folder in os.environ.get(name, "").split(os.pathsep) if folder]
        if str(PLUGIN_FOLDER) not in present:
            # Ours first: another installation of the plugin may have another version.
            changes[name] = os.pathsep.join([str(PLUGIN_FOLDER), *present])
    if not os.environ.get(LIBRARY_VARIABLE):
        library = onnxruntime_library()
        if library is not None:
            changes[LIBRARY_VARIABLE] = str(library)
    # ONNX Runtime's builds on PyPI report their use unless this is set before they start.
    if not os.environ.get(TELEMETRY_VARIABLE):
        changes[TELEMETRY_VARIABLE] = "1"
    return changes


def prepare() -> None:
    """Sets the environment of this process."""
    os.environ.update(environment())
