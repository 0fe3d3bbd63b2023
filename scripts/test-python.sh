#!/usr/bin/env bash
# Usage: scripts/test-python.sh [TEST]... [--help]
#
# Tests the Python package with the plugin of this checkout, which is built in release: format, lints, types, then pytest.
# TEST names what pytest runs, below python/ (default: everything), such as tests/test_detect.py.
#
# scripts/test-wheel.sh tries the wheel.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"

setup_base
media_ensure
plugin_build
venv=$(venv_ensure python-tests "$ROOT/python/requirements-test.txt")

cd "$ROOT/python"
# A package that scripts/package-wheel.sh has left a plugin in would test that one.
[[ ! -e $WHEEL_PLUGIN ]] || die "$WHEEL_PLUGIN is in the way; delete it"
step 'Format and lints'
"$venv/bin/ruff" format --check --quiet . || die 'ruff format has something to change in python/'
"$venv/bin/ruff" check --quiet . || die 'ruff has found something; see the lines above'
# Programs print, and say what they do in their first lines.
examples=(../examples/python/{attention,best_crops,to_three}.py)
"$venv/bin/ruff" format --check --quiet --config pyproject.toml "${examples[@]}" || die 'ruff format has something to change in examples/python/'
"$venv/bin/ruff" check --quiet --config pyproject.toml --ignore B905,D,T20 "${examples[@]}" || die 'ruff has found something; see the lines above'
step 'Types'
"$venv/bin/python" -m mypy --cache-dir "$CACHE/mypy" . || die 'mypy has found something; see the lines above'
step 'Tests'
PYTHONPATH=$ROOT/python PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q -o cache_dir="$CACHE/pytest" "${ARGUMENTS[@]}"
