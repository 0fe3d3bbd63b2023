"""The programs of the documents run, with small files in the place of a user's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import img2pose

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["README.md", "docs/python.md", "python/README.md"])
def test_programs(document: str, clip: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(clip, tmp_path / "clip.mp4")
    shutil.copy(media / "multi_face.jpg", tmp_path / "group.jpg")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert programs
    # One after the other, as a reader types them.
    names: dict[str, object] = {}
    for program in programs:
        exec(program, names)  # noqa: S102


def test_the_names_in_the_tables_exist() -> None:
    text = (ROOT / "docs/python.md").read_text()

    frames, faces = text.split("| of a frame | what |")[1].split("| of `faces`, n of them | shape | what |")
    for part, kind in ((frames, img2pose.Frame), (faces.split("\n\n")[0], img2pose.Faces)):
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        found = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert len(found) >= 6
        assert [name for name in found if name not in kind.__dataclass_fields__ and not hasattr(kind, name)] == []
    for name in re.findall(r"img2pose\.([A-Za-z_]+)\b", text):
        assert hasattr(img2pose, name), name
