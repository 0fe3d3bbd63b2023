#!/usr/bin/env bash
# Called by tree_run in debian.sh, as root and in namespaces of its own, so that every mount ends with it:
#   enter-tree.sh TREE [--user UID:GID] [--chdir DIR] [--bind PATH]... [--env NAME=VALUE]... -- COMMAND...
# Runs a command in the tree. A path that is bound has the same name inside.

set -euo pipefail
tree=$1
shift
user=0:0 folder=/
environment=()
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
while [[ $1 != -- ]]; do
    case $1 in
    --user) user=$2 ;;
    --chdir) folder=$2 ;;
    --env) environment+=("$2") ;;
    --bind)
        if [[ -d $2 ]]; then
            mkdir -p "$tree$2"
        else
            mkdir -p "$(dirname "$tree$2")"
            [[ -e $tree$2 ]] || : >"$tree$2"
        fi
        mount --bind "$2" "$tree$2"
        ;;
    *)
        echo "error: enter-tree.sh: unknown option '$1'" >&2
        exit 1
        ;;
    esac
    shift 2
done
shift
chroot=$(command -v chroot)
# The caller's environment means nothing inside.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "${environment[@]}" \
    "$chroot" --userspec="$user" "$tree" env --chdir="$folder" "$@"
