"""``img2pose-env``: prints the environment for other programs of GStreamer, such as ``gst-launch-1.0``."""

from __future__ import annotations

import argparse
import os
import shlex

from . import _setup


def main() -> None:
    """Prints the variables as a shell takes them: ``eval "$(img2pose-env)"``."""
    parser = argparse.ArgumentParser(
        prog="img2pose-env",
        description="Prints what a shell needs so that gst-launch-1.0 and other programs find the plugin of this package.",
        epilog='Use: eval "$(img2pose-env)"',
    )
    parser.parse_args()
    # Importing the package has set them in this process; what is printed is for the process that asks.
    names = (_setup.plugin_path_variable(), _setup.LIBRARY_VARIABLE, _setup.TELEMETRY_VARIABLE)
    for name in names:
        if os.environ.get(name):
            print(f"export {name}={shlex.quote(os.environ[name])}")
