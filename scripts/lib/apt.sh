# shellcheck shell=bash
# Debian packages: installs what is missing, and nothing else.

apt_installed() {
    local status
    status=$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) && [[ $status == installed ]]
}

# as_root COMMAND...: runs it directly as root, else through sudo.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "'$*' needs root, and there is no sudo; run it as root, then start again"
    fi
}

# apt_ensure PACKAGE...: installs those that are not there.
apt_ensure() {
    local package missing=()
    if ! have dpkg-query || ! have apt-get; then
        say "note: not a Debian or Ubuntu system; the equivalents of these packages are needed: $*"
        return
    fi
    for package in "$@"; do
        apt_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    step "Installing with apt: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # A stale index names versions that the mirror no longer has, so it is renewed first.
    as_root apt-get update -qq >&2 || die "apt-get update failed; see the lines above"
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >"$CACHE/apt.log" 2>&1 || {
        tail -n 20 "$CACHE/apt.log" >&2
        die "apt could not install ${missing[*]}; the whole log is $CACHE/apt.log"
    }
}

# apt_ensure_base: headers and linker for the build, then what decodes video at run time.
apt_ensure_base() {
    apt_ensure ca-certificates gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav
}
