# shellcheck shell=bash
# Virtual environments for the Python package.

# venv_ensure NAME REQUIREMENTS: prints the folder .cache/NAME of a virtual environment with what the file lists; made anew when
# the file has changed.
venv_ensure() {
    local venv=$CACHE/$1 requirements=$2
    if ! cmp -s "$requirements" "$venv/done"; then
        step "Setting up Python in ${venv#"$ROOT"/}"
        apt_ensure python3 python3-venv
        rm -rf "$venv"
        "$(python_with_pip)" -m venv "$venv" || die "no virtual environment can be made in $venv; see the lines above"
        pip_install "$venv" -r "$requirements" || die "pip could not install $requirements; see the lines above"
        cp "$requirements" "$venv/done"
    fi
    printf '%s\n' "$venv"
}

# What a wheel carries for GStreamer, as the checkout and the build give it.
export WHEEL_PLUGIN=$ROOT/python/img2pose/plugin
