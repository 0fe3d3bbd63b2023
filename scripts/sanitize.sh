#!/usr/bin/env bash
# Usage: scripts/sanitize.sh
#
# Runs the tests of the element, of the metadata and of the frame conversion under valgrind. Reads of memory that is freed, out
# of bounds or uninitialised are failures, and so are leaks. Known faults of other libraries are listed, each with its reason,
# in scripts/valgrind.supp. Takes about 8 minutes on two cores.
#
# Left out are the tests that measure time, which valgrind stretches, and those that start programs.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

setup_base
apt_ensure valgrind
cd "$ROOT"
export GST_REGISTRY=$CACHE/gst-registry-test.bin
# GLib's own allocator would hide what is freed.
export G_SLICE=always-malloc G_DEBUG=gc-friendly
# Each takes a second or more here.
export IMG2POSE_RANDOM_CASES=${IMG2POSE_RANDOM_CASES:-40}

memcheck=(valgrind --quiet --error-exitcode=99 --num-callers=40
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
    --suppressions="$ROOT/scripts/valgrind.supp")
glib=/usr/share/glib-2.0/valgrind/glib.supp
[[ ! -e $glib ]] || memcheck+=(--suppressions="$glib")
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER

# check PACKAGE TARGET FILTER...: the tests of a target whose names contain one of the filters, one at a time.
check() {
    local package=$1 target=$2
    shift 2
    step "valgrind: $package $target $*"
    env "$runner=${memcheck[*]}" cargo test --locked --quiet -p "$package" --test "$target" -- --test-threads=1 "$@" \
        </dev/null || die "valgrind or a test has found something in $target; see the lines above"
}

check img2pose detector frame::
check gst-plugin-img2pose elements meta::layout:: buffers::hostile::the_overlay_refuses buffers::hostile::pixels \
    buffers::hostile::memories buffers::allocation::
check gst-plugin-img2pose detect events:: flow::an_error flow::caps flow::after_eos passthrough:: queries:: \
    flush::a_flush_in flush::caps flush::a_flushed ends:: caps:: errors::
check gst-plugin-img2pose detect_storm the_element_does_what_the_model_says
say 'valgrind: nothing found'
