#!/usr/bin/env bash
# Usage: scripts/compare-python.sh --checkpoint FILE [--img2pose DIR] [--video FILE] [--frames N] [--every N]
#                                  [--rounds N] [--min-size N] [--max-size N] [--bn-eps X]
#
# Runs the same weights on the same frames through the reference Python implementation and through this project, in
# turns, and prints milliseconds per frame and how far the faces differ. The reference gets an environment of its own
# in .cache/reference (PyTorch: 3 GB to download; 11 GB of disk, then 7).
#
#   --checkpoint FILE  .pth checkpoint; its *pose_mean*.npy and *pose_stddev*.npy lie beside it
#   --bn-eps X         epsilon of its batch norms (default: 1e-5); 0 for the published weights
#   --img2pose DIR     checkout of the public img2pose repository (default: cloned from GitHub)
#   --video FILE       default: the demo's clip
#   --frames N         frames that both look at (default: 24)
#   --every N          take every N-th frame of the video (default: 19)
#   --rounds N         default: 3
#   --min-size N       short side of the network image (default: 480), --max-size its long side at most (1400)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

checkpoint='' img2pose='' video='' frames=24 every=19 rounds=3 min_size=480 max_size=1400 bn_eps=1e-5
options checkpoint= img2pose= video= frames= every= rounds= min-size= max-size= bn-eps= -- "$@"
[[ -n $checkpoint ]] || die "--checkpoint is needed: the weights that both run; see --help"
[[ -f $checkpoint ]] || die "no such file: $checkpoint"
for kind in pose_mean pose_stddev; do
    compgen -G "$(dirname "$checkpoint")/*$kind*.npy" >/dev/null || die "no *$kind*.npy beside $checkpoint"
done
bn_eps_check "$bn_eps"
whole_numbers "$frames" "$every" "$rounds" "$min_size" "$max_size"
((frames % 8 == 0)) || die "--frames is $frames; it must be a multiple of 8, the larger batch"

setup_base
plugin_build
step 'Building img2pose-bench (release)'
(cd "$ROOT" && cargo build --release --locked --quiet -p img2pose-bench >&2)
if [[ -z $video ]]; then
    media_ensure
    video=$MEDIA/WolfgangLanger_Pexels.mp4
fi
[[ -f $video ]] || die "no such video: $video"
model=$(model_convert "$checkpoint" "$bn_eps")

if [[ -z $img2pose ]]; then
    img2pose=$CACHE/img2pose
    [[ -d $img2pose ]] || git clone --quiet --depth 1 https://github.com/vitoralbiero/img2pose "$img2pose" ||
        die "the img2pose repository could not be cloned; give a checkout with --img2pose DIR"
fi
[[ -f $img2pose/models.py ]] || die "$img2pose is no checkout of img2pose: it has no models.py"

reference=$CACHE/reference/bin/python
if ! "$reference" -c 'import torch, torchvision, scipy, PIL, cv2, skimage' 2>/dev/null; then
    step 'Installing PyTorch into .cache/reference (some minutes)'
    [[ -n ${IMG2POSE_TORCH_INDEX:-} ]] || space_ensure "$CACHE" 11 'PyTorch with its parts for GPUs'
    python=$(python_with_pip)
    "$python" -m venv "$CACHE/reference" 2>/dev/null || {
        apt_ensure python3-venv
        /usr/bin/python3 -m venv "$CACHE/reference"
    }
    # PyPI's Linux wheels bring CUDA along. IMG2POSE_TORCH_INDEX may name an index with CPU builds of the same version.
    pip_install "$CACHE/reference" ${IMG2POSE_TORCH_INDEX:+--extra-index-url "$IMG2POSE_TORCH_INDEX"} \
        torch==2.8.0 torchvision==0.23.0 scipy==1.17.1 pillow opencv-python-headless scikit-image ||
        die 'pip could not install PyTorch; see the lines above'
fi

results=$ROOT/out/compare
rm -rf "$results"
mkdir -p "$results/frames"
step "Decoding $frames frames of $video"
# The bench decodes by the same elements, so both see the same bytes.
gst-launch-1.0 -q filesrc location="$video" ! decodebin ! identity eos-after=$((frames * every)) ! videoconvert \
    ! video/x-raw,format=RGB ! pngenc compression-level=1 ! multifilesink location="$results/frames/%05d.png" </dev/null >&2
pictures=()
for ((index = 0; index < frames; index++)); do
    printf -v picture '%s/frames/%05d.png' "$results" $((index * every))
    [[ -f $picture ]] || die "$video is too short for $frames frames, $every apart"
    pictures+=("$picture")
done

threads=$(nproc)
for ((round = 1; round <= rounds; round++)); do
    step "Round $round of $rounds: reference"
    "$reference" -W ignore "$ROOT/scripts/compare/reference.py" --img2pose "$img2pose" --checkpoint "$checkpoint" \
        --pose-stats "$(dirname "$checkpoint")" --bn-eps "$bn_eps" --min-size "$min_size" --max-size "$max_size" --threads "$threads" \
        "${pictures[@]}" >"$results/reference-$round.json" </dev/null
    step "Round $round of $rounds: this project"
    "$TARGET/img2pose-bench" --model "$model" --video "$video" --format RGB --frames "$frames" --every "$every" \
        --batch-size 1,8 --rounds 1 --provider cpu --subject detector,pipeline --threads "$threads" --min-size "$min_size" \
        --max-size "$max_size" --json >"$results/project-$round.json" </dev/null
done
"$reference" "$ROOT/scripts/compare/report.py" "$results"
