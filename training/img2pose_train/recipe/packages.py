"""Fonts and pictures for drawn pictures, out of Debian packages, without installing them."""

import shutil
import subprocess
import sys

from .say import Refused, step

# Named, because other machines have other fonts installed.
FONTS = (
    "fonts-dejavu-core fonts-dejavu-extra fonts-liberation2 fonts-freefont-ttf fonts-lato fonts-open-sans "
    "fonts-cantarell fonts-comfortaa fonts-hack fonts-inconsolata fonts-lobster fonts-lobstertwo "
    "fonts-roboto-unhinted fonts-play fonts-quicksand fonts-vollkorn fonts-linuxlibertine "
    "fonts-ebgaramond fonts-junicode fonts-breip fonts-dustin"
).split()
BACKGROUNDS = ["mate-backgrounds", "gnome-backgrounds"]


def unpacked(folder, packages, root):
    """Folder with the packages' files; they are fetched into `folder` unless they are there."""
    tree = folder / "tree"
    if (folder / "done").is_file():
        return tree
    step(f"Fetching {' '.join(packages)} into {folder.relative_to(root)}")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "deb").mkdir(parents=True)
    tree.mkdir()
    for package in packages:
        fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
        if subprocess.run(fetch, cwd=folder / "deb", stdout=sys.stderr).returncode:
            raise Refused(f"{package} could not be fetched; try apt-get update")
    for package in sorted((folder / "deb").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, tree], check=True)
    shutil.rmtree(folder / "deb")
    (folder / "done").touch()
    return tree
