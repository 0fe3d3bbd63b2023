# shellcheck shell=bash
# The Rust toolchain, and cargo tools pinned to one version.

RUSTUP='curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal'

# rust_fault: what is wrong with this machine's Rust, and nothing if it can build the workspace. Sets RUST_CURE, the command that
# mends it.
rust_fault() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
    RUST_CURE=$RUSTUP
    ! have rustup || RUST_CURE='rustup toolchain install stable --profile minimal && rustup default stable'
    if ! have cargo; then
        RUST_FAULT="Rust was not found, and $wanted or newer is needed"
        return
    fi
    found=$(cd "$ROOT" && cargo --version 2>/dev/null | awk '{print $2}') || found=''
    if [[ -z $found ]]; then
        RUST_FAULT="cargo does not run ($(cd "$ROOT" && cargo --version 2>&1 | head -n 1)), and Rust $wanted or newer is needed"
    elif [[ $(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
        RUST_FAULT="Rust is $found, and $wanted or newer is needed"
    else
        RUST_FAULT=''
    fi
}

# rust_ensure: a cargo that can build the workspace. A toolchain is the user's to choose, so one is installed with
# --install-rust only.
rust_ensure() {
    rust_fault
    [[ $RUST_FAULT ]] || return 0
    [[ ${INSTALL_RUST:-} ]] || die "$RUST_FAULT. Run this command, or this script with --install-rust, which does the same: $RUST_CURE"
    have rustup || have curl || apt_ensure ca-certificates curl
    step "$RUST_FAULT: $RUST_CURE"
    bash -c "set -o pipefail; $RUST_CURE" >&2 || die 'Rust could not be installed; see the lines above'
    # A new rustup is not on the PATH of this shell, and a cargo of the distribution may stand before it.
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    rust_fault
    [[ -z $RUST_FAULT ]] || die "Rust was installed, but still: $RUST_FAULT"
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
