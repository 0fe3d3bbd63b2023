"""What importing sets, and what img2pose-env prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import img2pose
from img2pose import _setup


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as a wheel leaves it: plugin and ONNX Runtime beside each other."""
    plugin = tmp_path / "img2pose" / "plugin"
    plugin.mkdir(parents=True)
    (plugin / "libgstimg2pose.so").touch()
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (tmp_path / "onnxruntime" / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
    for version in ("1.9.0", "1.32.0", "1.21.1"):
        (capi / f"libonnxruntime.so.{version}").touch()
    monkeypatch.setattr(_setup, "PLUGIN_FOLDER", plugin)
    monkeypatch.setattr(_setup, "PLUGIN_FILE", plugin / "libgstimg2pose.so")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0", "ORT_DYLIB_PATH", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    return plugin


def test_nothing_set(installed: Path) -> None:
    assert _setup.environment() == {
        "GST_PLUGIN_PATH": str(installed),
        "ORT_DYLIB_PATH": str(installed.parent.parent / "onnxruntime/capi/libonnxruntime.so.1.32.0"),
        "ORT_DISABLE_TELEMETRY": "1",
    }


def test_a_path_is_extended_and_choices_are_kept(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GST_PLUGIN_PATH", "/mine::/ours")
    monkeypatch.setenv("ORT_DYLIB_PATH", "/opt/libonnxruntime.so")
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert _setup.environment() == {"GST_PLUGIN_PATH": f"{installed}:/mine:/ours"}
    # GStreamer ignores the short one where the long one is set, as PyPI's gstreamer-bundle does.
    monkeypatch.setenv("GST_PLUGIN_PATH_1_0", "/bundle")
    assert _setup.environment() == {"GST_PLUGIN_PATH_1_0": f"{installed}:/bundle"}
    _setup.prepare()
    assert _setup.environment() == {}
    assert os.environ["GST_PLUGIN_PATH"] == "/mine::/ours"


def test_the_environment_for_a_shell() -> None:
    folder = "/a folder; with 'quotes'"
    ended = subprocess.run(
        [sys.executable, "-c", "from img2pose._env import main; main()"],
        env={**os.environ, "GST_PLUGIN_PATH": folder, "ORT_DYLIB_PATH": "/opt/libonnxruntime.so"},
        capture_output=True,
        text=True,
        check=True,
    )
    script = f'{ended.stdout}\nprintf \'%s\\n\' "$GST_PLUGIN_PATH" "$ORT_DYLIB_PATH" "$ORT_DISABLE_TELEMETRY"'
    shell = subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    first, *others = shell.stdout.splitlines()
    assert first.split(":")[-1] == folder
    assert others == ["/opt/libonnxruntime.so", "1"]
    assert all(shlex.split(line)[0] == "export" for line in ended.stdout.splitlines())


def test_one_version() -> None:
    """Of the package, of the wheel, of the plugin."""
    root = Path(__file__).parents[2]
    wheel = re.search(r'^version = "(.*)"', (root / "python" / "pyproject.toml").read_text(), re.MULTILINE)
    plugin = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.MULTILINE)
    assert wheel is not None
    assert plugin is not None
    assert wheel[1] == plugin[1] == img2pose.__version__


def test_importing_loads_no_library() -> None:
    program = "import img2pose\nprint('libgstreamer' in open('/proc/self/maps').read())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_gstreamer_that_is_initialised_already_still_finds_the_plugin(tmp_path: Path) -> None:
    """With the package as a wheel leaves it; the environment comes too late then."""
    folders = [Path(folder) for folder in os.environ[_setup.plugin_path_variable()].split(os.pathsep)]
    plugin = next(folder / "libgstimg2pose.so" for folder in folders if (folder / "libgstimg2pose.so").is_file())
    package = Path(img2pose.__file__).parent
    shutil.copytree(package, tmp_path / "img2pose", ignore=shutil.ignore_patterns("plugin", "__pycache__"))
    (tmp_path / "img2pose" / "plugin").mkdir()
    (tmp_path / "img2pose" / "plugin" / "libgstimg2pose.so").symlink_to(plugin.resolve())
    program = (
        "import ctypes\n"
        "ctypes.CDLL('libgstreamer-1.0.so.0').gst_init(None, None)\n"
        "import img2pose, numpy\n"
        "print(len(img2pose.detect(numpy.zeros((64, 64, 3), numpy.uint8), min_size=64)))\n"
        "print(img2pose.__file__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GST_PLUGIN_PATH")}
    environment |= {"PYTHONPATH": str(tmp_path), "GST_REGISTRY": str(tmp_path / "registry.bin")}
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["0", str(tmp_path / "img2pose" / "__init__.py")]
