"""Finds the faces in video and pictures, and says how each head is turned and where it is in space (6DoF).

::

    import img2pose

    for frame in img2pose.faces("clip.mp4"):  # or 0, a camera, or "rtsp://..."
        print(frame.time, frame.faces.yaw_pitch_roll)

:func:`faces` reads video, :func:`detect` arrays, :func:`draw` draws what was found, :func:`to_dataframe` makes a table of it. The work
is done by the GStreamer plugin of the same name, which is in the wheel with its model; GStreamer itself comes with the system.

Importing the package tells GStreamer and ONNX Runtime where things are (``GST_PLUGIN_PATH``, ``ORT_DYLIB_PATH`` in the environment of
this process); they are loaded with the first call.
"""

from . import _setup

_setup.prepare()

from ._detect import Detector, detect  # noqa: E402
from ._draw import draw  # noqa: E402
from ._faces import KEYPOINTS, Face, Faces, Frame  # noqa: E402
from ._stream import Launch, Stream, faces  # noqa: E402
from ._table import to_dataframe  # noqa: E402
from .errors import Img2PoseError, Img2PoseWarning, PipelineError, SetupError  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "KEYPOINTS",
    "Detector",
    "Face",
    "Faces",
    "Frame",
    "Img2PoseError",
    "Img2PoseWarning",
    "Launch",
    "PipelineError",
    "SetupError",
    "Stream",
    "detect",
    "draw",
    "faces",
    "to_dataframe",
]
