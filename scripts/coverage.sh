#!/usr/bin/env bash
# Usage: scripts/coverage.sh [--help]
#
# Measures the line coverage of the detector (crates/img2pose) and of the plugin (src) by all tests, with
# cargo-tarpaulin (built once into .cache). Fails when either is under 80 %. Report: out/coverage/.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

setup_base
tarpaulin=$(cargo_tool cargo-tarpaulin 0.37.5)
report=$ROOT/out/coverage
mkdir -p "$report"
cd "$ROOT"
"$tarpaulin/cargo-tarpaulin" tarpaulin --workspace --locked --skip-clean --engine llvm --timeout 900 --target-dir "$CACHE/coverage" \
    --exclude-files 'tests/*' 'crates/*/tests/*' 'crates/img2pose-bench/*' 'crates/test-support/*' --out Json --output-dir "$report" </dev/null >&2
"$(python_with_pip)" scripts/lib/coverage.py "$report/tarpaulin-report.json" --at-least 80 crates/img2pose src
