# shellcheck shell=bash
# Debian systems in folders of their own below .cache/debian, to build and try in.

DEBIAN=$CACHE/debian
# Another mirror can be named in IMG2POSE_DEBIAN_MIRROR.
MIRROR=${IMG2POSE_DEBIAN_MIRROR:-http://deb.debian.org/debian}

# tree_base SUITE: prints the folder of a minimal Debian, which nothing else is ever installed in.
tree_base() {
    local suite=$1 base=$DEBIAN/$1/base log=$DEBIAN/$1/debootstrap.log
    if [[ ! -d $base ]]; then
        apt_ensure debootstrap
        step "Setting up a minimal Debian $suite in .cache/debian (once, about a minute and 0.3 GB)"
        mkdir -p "$DEBIAN/$suite"
        as_root rm -rf "$base.part"
        # As a user, debootstrap lies where no PATH leads.
        as_root env PATH="/usr/sbin:/sbin:$PATH" debootstrap --variant=minbase "$suite" "$base.part" "$MIRROR" >"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            die "debootstrap failed; the whole log is $log"
        }
        as_root rm -rf "$base.part/var/cache/apt/archives"
        # The folder appears whole or not at all.
        as_root mv "$base.part" "$base"
    fi
    printf '%s\n' "$base"
}

# tree_copy SUITE NAME: prints the folder of a fresh copy of the minimal Debian.
tree_copy() {
    local base copy=$DEBIAN/$1/$2
    base=$(tree_base "$1")
    as_root rm -rf "$copy"
    as_root cp -a --reflink=auto "$base" "$copy"
    printf '%s\n' "$copy"
}

# tree_run TREE [OPTION VALUE]... -- COMMAND...: runs a command in it, with the options of enter-tree.sh. Its mounts and
# processes are in namespaces that end with the command, however that ends.
tree_run() {
    as_root unshare --mount --pid --fork --kill-child "$ROOT/scripts/lib/enter-tree.sh" "$@" </dev/null
}

# tree_install TREE PACKAGE...: installs packages, or .deb files that --bind shows inside.
tree_install() {
    local tree=$1 log=$1.apt.log
    shift
    # Unstable's index counts as expired where the mirror is not renewed every week.
    tree_run "$tree" "${TREE_BINDS[@]}" -- sh -e -c '
        apt-get -o Acquire::Check-Valid-Until=false update -qq
        apt-get install -y -qq --no-install-recommends "$@"
        apt-get clean' sh "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt could not install these in $tree: $*; the whole log is $log"
    }
}
# Options of tree_run that tree_install passes on.
TREE_BINDS=()
