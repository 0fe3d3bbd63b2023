#!/usr/bin/env bash
# Usage: scripts/soak.sh MINUTES
#
# Runs eight pipelines for so many minutes (1 or more): live and not, from a file, of several sizes, rates and batch
# sizes, three of them with a shared model, with seeks, changes of caps and of state, and elements that are made and
# thrown away. Prints memory, threads, file descriptors and frames for each second; the table is kept in out/soak.log.
#
# Fails when memory, threads or descriptors grow after a warm-up (a quarter of the time, 15 seconds or more), when
# a pipeline passes no frame for 20 seconds, and on every error message.
#
# Then sixteen streams of different sizes and rates come and go on one model for as long again; fails when a frame is
# lost, out of order, or carries other faces than it has alone.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"
minutes=$(argument '')
[[ -n $minutes ]] || die "expected a number of minutes; see --help"
whole_numbers "$minutes"

setup_base
mkdir -p "$ROOT/out"
cd "$ROOT"
export GST_REGISTRY=$CACHE/gst-registry-test.bin
# One arena for each thread that ever ran would look like growth, and so does a heap that takes larger and larger blocks, as
# glibc's does when they are freed, and settles after minutes: up to 10 of 80 MiB. What is freed goes back at once instead.
export MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536
step "Soak of $minutes minutes"
IMG2POSE_SOAK_MINUTES=$minutes cargo test --locked --quiet -p gst-plugin-img2pose --test soak -- --ignored --nocapture \
    </dev/null 2>&1 | tee "$ROOT/out/soak.log"
step "Sixteen streams on one model for $minutes minutes"
IMG2POSE_SHARED_SECONDS=$((60 * minutes)) cargo test --locked --quiet -p gst-plugin-img2pose --test detect_storm -- many:: --nocapture \
    </dev/null 2>&1 | tee -a "$ROOT/out/soak.log"
