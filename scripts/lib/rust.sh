# shellcheck shell=bash
# The Rust toolchain, and cargo tools pinned to one version.

# rust_ensure: a cargo that can build the workspace; a toolchain is the user's to choose, so none is installed.
rust_ensure() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
    have cargo || die "cargo was not found; Rust $wanted or newer is needed: https://rustup.rs, then 'rustup toolchain install stable'"
    found=$(cd "$ROOT" && cargo --version | awk '{print $2}')
    if [[ $(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
        die "cargo is $found; $wanted or newer is needed: 'rustup update stable'"
    fi
}

# cargo_tool CRATE VERSION [PROGRAM]: builds it from crates.io into .cache once; prints the directory of its program, which has the
# crate's name unless another is given.
cargo_tool() {
    local crate=$1 version=$2 program=${3:-$1} home=$CACHE/tools/$1-$2
    if [[ ! -x $home/bin/$program ]]; then
        step "Building $crate $version (once, some minutes)"
        # Not in the workspace's target directory: cleaning one must not cost the other.
        cargo install --quiet --locked --version "$version" --root "$home" --target-dir "$CACHE/tools/target" \
            "$crate" >&2 || die "cargo could not build $crate $version"
        rm -rf "$CACHE/tools/target"
    fi
    printf '%s\n' "$home/bin"
}
