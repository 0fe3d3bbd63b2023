"""The options of scripts/train.sh (which describes them): read, checked, and kept beside what was made with them."""

import difflib
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

from .made import hash_of, hash_of_text
from .say import Refused, say

WIDTHS = ("tiny", "slim", "official")
FONT_SUFFIXES, PICTURE_SUFFIXES = ("ttf", "otf"), ("jpg", "jpeg", "png", "webp")
MAY_CHANGE = "--steps and --tune-steps"


@dataclass
class Options:
    """Values as they were given, then (`checked`) numbers as int, sides as lists, and whole paths; '' for none."""

    widths: str = "slim"
    steps: str = "12000"
    processes: str = "2"
    crops: str = "4"
    sides: str = "224 256 320"
    late_sides: str = "320 320 416"
    tune_steps: str = "8000"
    tune_crops: str = "6"
    tune_sides: str = "320 416 512"
    pictures: str = "3200"
    fonts: str = ""
    backgrounds: str = ""
    seed: str = "1"
    licence: str = ""
    min_size: str = "480"
    pack: str = ""
    out: str = ""


OPTIONS = {"--" + f.name.replace("_", "-"): f.name for f in fields(Options) if f.name not in ("pack", "out")}
NUMBERS = ("steps", "processes", "crops", "tune_steps", "tune_crops", "pictures", "seed", "min_size")


def read(arguments):
    """`Options` of the script's arguments; nothing is looked at yet."""
    options, places, rest = Options(), [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in OPTIONS:
            if not rest:
                raise Refused(f"{argument} needs a value; see --help")
            setattr(options, OPTIONS[argument], rest.pop(0))
        elif argument.startswith("-"):
            raise Refused(f"unknown option '{argument}'; see --help")
        else:
            places.append(argument)
    if len(places) != 2:
        raise Refused(f"PACK and OUT are needed, {len(places)} given; see --help")
    options.pack, options.out = places
    return options


def check_folder(folder, suffixes):
    """Refuses a folder that was given and holds no file with one of the suffixes."""
    if not folder:
        return
    if not os.path.isdir(folder):
        raise Refused(f"no such folder: {folder}")
    names = (name for _, _, found in os.walk(folder) for name in found)
    if not any(name.lower().endswith(tuple(f".{s}" for s in suffixes)) for name in names):
        raise Refused(f"{folder} holds no file {' or '.join('.' + s for s in suffixes)}")


def _sides(text):
    sides = text.split()
    if not sides:
        raise Refused("no sides of crops are given; see --help")
    for side in sides:
        if not re.fullmatch("[1-9][0-9]*", side) or int(side) % 32:
            raise Refused(f"'{side}' is no side of crops; they are multiples of 32")
    return [int(side) for side in sides]


def checked(options):
    """The same options as values to work with, or `Refused`. Writes nothing."""
    for name in ("images.bin", "labels.npz"):
        if not os.path.isfile(f"{options.pack}/{name}"):
            raise Refused(f"no such file: {options.pack}/{name} (img2pose_train.prepare makes it)")
    if options.licence and not os.path.isfile(options.licence):
        raise Refused(f"no such file: {options.licence}")
    check_folder(options.fonts, FONT_SUFFIXES)
    check_folder(options.backgrounds, PICTURE_SUFFIXES)
    if options.widths not in WIDTHS:
        raise Refused(f"--widths is '{options.widths}'; expected tiny, slim or official")
    values = vars(options).copy()
    for name in NUMBERS:
        if not re.fullmatch("[1-9][0-9]*", values[name]):
            raise Refused(f"'{values[name]}' is not a whole number above 0")
        values[name] = int(values[name])
    if values["min_size"] < 32:
        raise Refused(f"--min-size is {values['min_size']}; it is 32 or more")
    for name in ("sides", "late_sides", "tune_sides"):
        values[name] = _sides(values[name])
    for name in ("pack", "out", "licence", "fonts", "backgrounds"):
        values[name] = Path(values[name]).resolve() if values[name] else ""
    return Options(**values)


def _listed(folder):
    """The files of a folder by name and size, as a hash."""
    lines = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                lines.append(os.fsencode(f"{os.path.relpath(path, folder)} {os.path.getsize(path)}\n"))
    return hash_of_text(b"".join(sorted(lines)))


def described(given, options):
    """Text of options.txt: everything that must not change between two runs into one folder."""
    kept = ("widths", "processes", "crops", "sides", "late_sides", "tune_crops", "tune_sides", "pictures", "seed", "min_size")
    lines = [f"{name.replace('_', '-')} {getattr(given, name)}" for name in kept]
    # As sha256sum writes it, so that folders that older versions began are gone on with.
    lines.append(f"licence {hash_of(options.licence) + '  -' if options.licence else ''}")
    lines.append(f"pack {hash_of(options.pack / 'labels.npz')}  -")
    for name in ("fonts", "backgrounds"):
        if folder := getattr(options, name):
            lines.append(f"{name} {_listed(folder)}  -")
    return "\n".join(lines) + "\n"


def hold_to(given, options):
    """Writes options.txt into the folder for the results, or refuses one that was made with other options."""
    text, path = described(given, options), options.out / "options.txt"
    if path.is_file() and (old := path.read_text()) != text:
        for line in difflib.ndiff(old.splitlines(), text.splitlines()):
            if line[0] in "-+":
                say(f"{'<' if line[0] == '-' else '>'} {line[2:]}")
        raise Refused(
            f"{options.out} was made with other options (first the old ones, then the new); only {MAY_CHANGE} may change, so give another OUT"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
