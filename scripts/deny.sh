#!/usr/bin/env bash
# Usage: scripts/deny.sh [--help]
#
# Checks the dependencies with cargo-deny (built once into .cache) by deny.toml: licences, bans, sources, and known
# vulnerabilities where the advisory database can be fetched.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

mkdir -p "$CACHE"
rust_ensure
deny=$(cargo_tool cargo-deny 0.20.2)/cargo-deny
cd "$ROOT"
"$deny" --locked --all-features check bans licenses sources
# The database lives in a git repository, which an offline or walled machine does not reach.
if timeout 120 "$deny" fetch db </dev/null >"$CACHE/advisories.log" 2>&1; then
    "$deny" --locked --all-features check --disable-fetch advisories
else
    say "note: advisories were not checked: their database could not be fetched ($(grep -m 1 -o 'fatal: .*' "$CACHE/advisories.log" || echo "see $CACHE/advisories.log"))"
fi
