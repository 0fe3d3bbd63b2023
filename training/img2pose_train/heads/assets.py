"""Where MakeHuman's data lie: the folder `data` of a MakeHuman tree, with `3dobjs/base.obj`, `targets`, `skins`, `hair`..."""

import os
from pathlib import Path

_folder = os.environ.get("MAKEHUMAN_DATA")


def use(folder):
    """Read everything from `folder`, instead of the environment's MAKEHUMAN_DATA."""
    global _folder
    if not (Path(folder) / "3dobjs/base.obj").exists():
        raise ValueError(f"{folder} holds no 3dobjs/base.obj: give the folder `data` of a MakeHuman tree")
    _folder = folder


def data():
    """The folder, or an error that says how to name it."""
    if not _folder:
        raise ValueError("where MakeHuman's data lie is not known: give --assets or set MAKEHUMAN_DATA")
    return Path(_folder)
