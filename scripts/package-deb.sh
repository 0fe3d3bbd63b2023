#!/usr/bin/env bash
# Usage: scripts/package-deb.sh [--output DIR]
#
# Builds the Debian package gstreamer1.0-img2pose: plugin, model, tools, documentation and licences. Prints its path, in
# out/ by default; its contents are listed in Cargo.toml under package.metadata.deb. An error of lintian is a failure.
#
# A package runs on the Debian that it was built on and on newer ones; scripts/test-deb.sh tries it there.
#
# Its maintainer is DEBFULLNAME and DEBEMAIL, or git's user.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

output=$ROOT/out
options output= -- "$@"

FEATURES=gst-plugin-img2pose/mqtt,gst-plugin-img2pose/remote,img2pose-cli/view

mkdir -p "$CACHE" "$output"
rust_ensure
apt_ensure_base
apt_ensure dpkg-dev lintian
name=${DEBFULLNAME:-$(git -C "$ROOT" config user.name || true)}
email=${DEBEMAIL:-$(git -C "$ROOT" config user.email || true)}
[[ -n $name && -n $email ]] || die "who makes the package? Set DEBFULLNAME and DEBEMAIL, or git's user.name and user.email"
architecture=$(dpkg --print-architecture)
case $architecture in
amd64) variant=() ;;
arm64) variant=(--variant arm64) ;;
*) die "there is no package for $architecture; amd64 and arm64 are known" ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)

cd "$ROOT"
step 'Building (release)'
cargo build --release --locked -p gst-plugin-img2pose -p img2pose-cli --features "$FEATURES" >&2 || die 'the build failed; see the lines above'
deb=$(cargo_tool cargo-deb 3.8.0)

# What the package holds and the checkout does not.
files=$ROOT/out/deb
rm -rf "$files"
mkdir -p "$files"
"$(python_with_pip)" scripts/lib/notices.py "$FEATURES" gst-plugin-img2pose img2pose-cli >"$files/third-party.txt"
# indented FILE: as a paragraph of a Debian control file.
indented() { sed 's/[ \t]*$//; s/^/ /; s/^ $/ ./' "$1"; }
while IFS= read -r line; do
    case $line in
    @MIT@) sed '1,/^Copyright/d; /./,$!d' LICENSE-MIT | indented /dev/stdin ;;
    @MODEL@) fold -s -w 78 models/img2pose-slim.licence.txt | indented /dev/stdin ;;
    @FONT@) sed '1,/^Copyright (c) 2003/d; /./,$!d' src/overlay/font/LICENSE | indented /dev/stdin ;;
    *) printf '%s\n' "${line//@COPYRIGHT@/$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)}" ;;
    esac
done <packaging/debian/copyright.in >"$files/copyright"
cat >"$files/changelog" <<CHANGELOG
gstreamer1.0-img2pose ($version-1) unstable; urgency=medium

  * Release $version; what is new stands in changelog.gz, beside this file.

 -- $name <$email>  $(date --rfc-email --date="@$(git log -1 --format=%ct 2>/dev/null || date +%s)")
CHANGELOG
# lintian wants documents of this size compressed.
gzip -9 --no-name "$files/third-party.txt"

step 'Packaging'
# cargo-deb finds the libraries that the package depends on with dpkg-shlibdeps.
package=$("$deb/cargo-deb" deb --no-build --locked --strip --package gst-plugin-img2pose "${variant[@]}" \
    --maintainer "$name <$email>" --output "$output/" | tail -n 1)
[[ -f $package ]] || die "cargo-deb has made no package"
step 'lintian'
lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$package" >&2 || die "lintian has found errors in $package"
printf '%s\n' "$package"
