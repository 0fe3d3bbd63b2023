"""What goes wrong, as exceptions."""

from __future__ import annotations


class Img2PoseError(Exception):
    """Base of all errors that are this package's own.

    A wrong argument is a :class:`TypeError` or :class:`ValueError`, a file that is not there a :class:`FileNotFoundError`, as
    everywhere in Python.
    """


class SetupError(Img2PoseError):
    """GStreamer, the plugin or ONNX Runtime is missing or does not load; the text says what to install."""


class PipelineError(Img2PoseError):
    """An element of the pipeline reported an error.

    Attributes:
        element: name of the element, such as ``img2posedetect0``.
        message: its text.
        debug: where in its code, and details; may be empty.
    """

    def __init__(self, element: str, message: str, debug: str = "") -> None:
        """Takes what the element has reported."""
        super().__init__(f"{element}: {message}")
        self.element = element
        self.message = message
        self.debug = debug

    def __reduce__(self) -> tuple[type[PipelineError], tuple[str, str, str]]:
        """How to pickle it: worker processes hand errors on."""
        return type(self), (self.element, self.message, self.debug)


class Img2PoseWarning(UserWarning):
    """An element of the pipeline warned of something."""
