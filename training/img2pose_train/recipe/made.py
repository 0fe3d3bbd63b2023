"""What was made of what, by content: times change when folders are copied.

Beside a file lies FILE.of, in a folder lies `of`: the SHA-256 of each input that it was made of."""

import hashlib
import shutil
from pathlib import Path


def hash_of(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of_text(content):
    return hashlib.sha256(content).hexdigest()


def _hashes(record):
    return [line.split()[0] for line in record.splitlines() if line.strip()]


def _record(inputs):
    return "".join(f"{hash_of(path)}  {Path(path).name}\n" for path in inputs)


def outdated(file, *inputs):
    """Whether a file is missing, or was made of other inputs than these are now."""
    record = Path(f"{file}.of")
    return not (Path(file).is_file() and record.is_file() and _hashes(record.read_text()) == _hashes(_record(inputs)))


def note(file, *inputs):
    """A file was made of these inputs."""
    Path(f"{file}.of").write_text(_record(inputs))


def folder_of(folder, *inputs):
    """Empties a folder unless what it holds was begun with these inputs as they are now."""
    record = folder / "of"
    if record.is_file() and _hashes(record.read_text()) == _hashes(_record(inputs)):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record.write_text(_record(inputs))
