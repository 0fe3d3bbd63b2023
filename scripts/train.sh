#!/usr/bin/env bash
# Usage: scripts/train.sh [--widths tiny|slim|official] [--steps N] [--crops N] [--sides 'N...'] [--late-sides 'N...']
#                         [--tune-steps N] [--tune-crops N] [--tune-sides 'N...']
#                         [--processes N] [--pictures N] [--fonts FOLDER] [--backgrounds FOLDER]
#                         [--seed N] [--licence FILE] [--min-size N] PACK OUT
#
# From a pack of labelled photos (training/README.md, part 1) to ONNX files in 32 and 8 bits and their figures, with no
# weights to start from: refine, train, refine, train, tune, harden, convert, quantize, evaluate. What is there already and
# up to date is not made again, so the same command goes on where it was interrupted, and one with more steps goes on
# training (and begins the tuning anew); other options, or another pack, need another OUT. Ctrl-C is safe. Needs 12 GB of
# disk, most of them for PyTorch.
#
#   PACK          folder with images.bin and labels.npz
#   OUT           folder for everything that comes out: model.onnx, model-int8.onnx, their figures (.json), and what is between
#   --widths      size of the network (default: slim)
#   --steps N     of training (default: 12000)
#   --processes N that train at once, one core each (default: 2); more of them make every step larger
#   --crops N     of 320 pixels per step and process, or as many pixels in crops of other sides (default: 4)
#   --sides       of the crops in pixels in the first half of the steps (default: '224 256 320')
#   --late-sides  the same for the second half (default: '320 320 416')
#   --tune-steps N, --tune-crops N, --tune-sides
#                 the tuning after those steps, with the batch norms' statistics fixed (default: 8000, 6, '320 416 512')
#   --pictures N  that the class head is hardened with (default: 3200)
#   --fonts FOLDER, --backgrounds FOLDER
#                 .ttf and .otf files, and pictures without a face, for drawn pictures (default: those of some Debian packages)
#   --seed N      default: 1
#   --licence     file with the text on who may use the model (default: the model says "unknown")
#   --min-size N  short side that the model is evaluated at and takes by default (480)
#
# PyTorch goes to .cache/training, fonts and pictures of Debian packages to .cache/clutter.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

widths=slim steps=12000 processes=2 crops=4 sides='224 256 320' late_sides='320 320 416' pictures=3200 seed=1 min_size=480
tune_steps=8000 tune_crops=6 tune_sides='320 416 512'
licence='' fonts='' backgrounds=''
places=()
while (($#)); do
    case $1 in
    --widths | --steps | --processes | --crops | --sides | --late-sides | --tune-steps | --tune-crops | --tune-sides | \
        --pictures | --fonts | --backgrounds | --seed | --licence | --min-size)
        (($# > 1)) || die "$1 needs a value; see --help"
        option=${1#--}
        printf -v "${option//-/_}" '%s' "$2"
        shift 2
        ;;
    -h | --help)
        usage "$0"
        exit
        ;;
    -*) die "unknown option '$1'; see --help" ;;
    *)
        places+=("$1")
        shift
        ;;
    esac
done
((${#places[@]} == 2)) || die "PACK and OUT are needed, ${#places[@]} given; see --help"
for file in images.bin labels.npz; do
    [[ -f ${places[0]}/$file ]] || die "no such file: ${places[0]}/$file (img2pose_train.prepare makes it)"
done
[[ -z $licence || -f $licence ]] || die "no such file: $licence"
# check_folder FOLDER SUFFIX...: ends the script when a folder was given that holds no such file.
check_folder() {
    local folder=$1 suffix names=()
    [[ -n $folder ]] || return 0
    [[ -d $folder ]] || die "no such folder: $folder"
    for suffix in "${@:2}"; do
        names+=(-o -iname "*.$suffix")
    done
    [[ -n $(find "$folder" -type f \( "${names[@]:1}" \) -print -quit) ]] || die "$folder holds no file .$(printf '%s' "${*:2}" | sed 's/ / or ./g')"
}
check_folder "$fonts" ttf otf
check_folder "$backgrounds" jpg jpeg png webp
[[ $widths =~ ^(tiny|slim|official)$ ]] || die "--widths is '$widths'; expected tiny, slim or official"
for number in "$steps" "$processes" "$crops" "$tune_steps" "$tune_crops" "$pictures" "$seed" "$min_size"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || die "'$number' is not a whole number above 0"
done
((min_size >= 32)) || die "--min-size is $min_size; it is 32 or more"
mkdir -p "${places[1]}"
pack=$(realpath "${places[0]}") out=$(realpath "${places[1]}")
[[ -z $licence ]] || licence=$(realpath "$licence")
[[ -z $fonts ]] || fonts=$(realpath "$fonts")
[[ -z $backgrounds ]] || backgrounds=$(realpath "$backgrounds")
read -ra early <<<"$sides"
read -ra late <<<"$late_sides"
read -ra tuned <<<"$tune_sides"
((${#early[@]} && ${#late[@]} && ${#tuned[@]})) || die 'no sides of crops are given; see --help'
for side in "${early[@]}" "${late[@]}" "${tuned[@]}"; do
    if ! [[ $side =~ ^[1-9][0-9]*$ ]] || ((side % 32)); then
        die "'$side' is no side of crops; they are multiples of 32"
    fi
done

# listed FOLDER: its files by name and size, as a hash.
listed() { (cd "$1" && find . -type f -printf '%P %s\n' | LC_ALL=C sort | sha256sum); }
# What was made with other options must not be taken for the result of these.
options=$(printf '%s\n' "widths $widths" "processes $processes" "crops $crops" "sides $sides" "late-sides $late_sides" \
    "tune-crops $tune_crops" "tune-sides $tune_sides" "pictures $pictures" "seed $seed" "min-size $min_size" \
    "licence $([[ -z $licence ]] || sha256sum <"$licence")" "pack $(sha256sum <"$pack/labels.npz")" \
    ${fonts:+"fonts $(listed "$fonts")"} ${backgrounds:+"backgrounds $(listed "$backgrounds")"})
if [[ -f $out/options.txt && $(<"$out/options.txt") != "$options" ]]; then
    diff "$out/options.txt" - <<<"$options" >&2 || true
    die "$out was made with other options (first the old ones, then the new); only --steps and --tune-steps may change, so give another OUT"
fi
printf '%s\n' "$options" >"$out/options.txt"

# Named, because other machines have other fonts installed.
FONTS=(fonts-dejavu-core fonts-dejavu-extra fonts-liberation2 fonts-freefont-ttf fonts-lato fonts-open-sans
    fonts-cantarell fonts-comfortaa fonts-hack fonts-inconsolata fonts-lobster fonts-lobstertwo
    fonts-roboto-unhinted fonts-play fonts-quicksand fonts-vollkorn fonts-linuxlibertine
    fonts-ebgaramond fonts-junicode fonts-breip fonts-dustin)
BACKGROUNDS=(mate-backgrounds gnome-backgrounds)

# debian_unpack FOLDER PACKAGE...: the packages' files, without installing them.
debian_unpack() {
    local folder=$1 package
    shift
    [[ ! -f $folder/done ]] || return 0
    step "Fetching ${*} into ${folder#"$ROOT"/}"
    rm -rf "$folder"
    mkdir -p "$folder/deb" "$folder/tree"
    for package in "$@"; do
        (cd "$folder/deb" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) || die "$package could not be fetched; try apt-get update"
    done
    for package in "$folder"/deb/*.deb; do
        dpkg -x "$package" "$folder/tree"
    done
    rm -rf "$folder/deb"
    touch "$folder/done"
}

setup_base
media_ensure
if [[ -z $fonts ]]; then
    fonts=$CACHE/clutter/fonts/tree
    debian_unpack "$CACHE/clutter/fonts" "${FONTS[@]}"
fi
if [[ -z $backgrounds ]]; then
    backgrounds=$CACHE/clutter/backgrounds/tree
    debian_unpack "$CACHE/clutter/backgrounds" "${BACKGROUNDS[@]}"
fi
clutter=(--fonts "$fonts" --backgrounds "$backgrounds")

training_ensure

step 'Building the exporter and the detector (release)'
(cd "$ROOT" && cargo build --release --locked --quiet -p img2pose-cli --bins >&2 &&
    cargo build --release --locked --quiet -p img2pose --example detect_stdin >&2)
target=${CARGO_TARGET_DIR:-$ROOT/target}/release

# What the programs print goes with the other messages.
run() { (cd "$ROOT/training" && "$TRAINING_PYTHON" -m "img2pose_train.$1" "${@:2}" >&2); }
# outdated FILE SOURCE: whether FILE is missing, or SOURCE was made anew since.
outdated() { [[ ! -f $1 || $2 -nt $1 ]]; }
labels=$out/refined.npz average=$out/run/average.pth final=$out/tuned/average.pth

# made_of FOLDER FILE: empties FOLDER unless what it holds was made of FILE as FILE is now (times change when folders are copied).
made_of() {
    local now
    now=$(sha256sum <"$2")
    [[ ! -f $1/of || $(<"$1/of") != "$now" ]] || return 0
    rm -rf "$1"
    mkdir "$1"
    printf '%s\n' "$now" >"$1/of"
}

# Of another pack they cannot be (see options.txt), and a copied pack has another time.
if [[ ! -f $labels ]]; then
    step 'Labels for training'
    run refine --pack "$pack" --out "$labels"
fi
# steps_done RUN
steps_done() {
    local last
    last=$(sed -n '$s/.*"step": \([0-9]*\).*/\1/p' "$out/$1/log.jsonl" 2>/dev/null || true)
    echo "${last:-0}"
}
# train STEPS RUN OPTION...: goes on with a run until it has done so many steps; one that was interrupted has ended well, too.
train() {
    local wanted=$1 name=$2
    # At more steps its learning rate has not fallen yet, or to another end.
    (($(steps_done "$name") <= wanted)) || die "$out/$name has done $(steps_done "$name") steps, more than $wanted; give at least as many"
    run train --pack "$pack" --out "$out/$name" --decay 0.5 --processes "$processes" "${clutter[@]}" "${@:3}"
    (($(steps_done "$name") == wanted)) || die "training was stopped at step $(steps_done "$name") of $wanted; give the same command again to go on"
}
whole=(--widths "$widths" --steps "$steps" --crops "$crops" --seed "$seed")
# Halfway, where the learning rate begins to fall, the network is good enough to give poses to faces that have none.
relabelled=$out/relabelled.npz
if [[ ! -f $relabelled ]]; then
    step "Training, the first half of $steps steps"
    train $((steps / 2)) run "${whole[@]}" --labels "$labels" --sides "${early[@]}" --until $((steps / 2))
    step 'Labels for the second half'
    run refine --pack "$pack" --checkpoint "$average" --threads "$(nproc)" --out "$relabelled"
fi
step "Training, $steps steps"
train "$steps" run "${whole[@]}" --labels "$relabelled" --sides "${late[@]}"
labels=$relabelled
# Few large crops fit into a step: too few to measure means and variances on, which therefore stay what they are.
step "Tuning, $tune_steps steps"
made_of "$out/tuned" "$average"
train "$tune_steps" tuned --initial "$average" --norm frozen --rate 4e-4 --warmup 100 --steps "$tune_steps" \
    --crops "$tune_crops" --seed $((seed + 1)) --labels "$labels" --sides "${tuned[@]}"
if outdated "$out/hardened.pth" "$final"; then
    step "Hardening with $pictures pictures"
    made_of "$out/regions" "$final"
    run regions --pack "$pack" --labels "$labels" --initial "$final" "${clutter[@]}" --pictures "$pictures" \
        --seed "$seed" --out "$out/regions"
    run harden --initial "$final" --regions "$out/regions" --seed "$seed" --out "$out/hardened.pth"
fi
if outdated "$out/model.onnx" "$out/hardened.pth"; then
    step 'ONNX file'
    "$target/img2pose" convert "$out/hardened.pth" --pose-stats wider --min-size "$min_size" \
        ${licence:+--licence "$licence"} -o "$out/model.onnx" >&2
fi
if outdated "$out/model-int8.onnx" "$out/model.onnx"; then
    step 'The same in 8 bits'
    run quantize "$out/model.onnx" --pack "$pack" --labels "$labels" --seed "$seed" --out "$out/model-int8.onnx"
fi

step 'Evaluation on the held-out photos and two clips'
for model in model model-int8; do
    if outdated "$out/$model.json" "$out/$model.onnx"; then
        run evaluate "$out/$model.onnx" --detector "$target/examples/detect_stdin" --pack "$pack" --labels "$labels" \
            --min-size "$min_size" --video "$MEDIA/no_face.mp4" "$MEDIA/WolfgangLanger_Pexels.mp4" \
            --out "$out/$model.json"
    fi
    printf '%s:\n' "$model.onnx"
    cat "$out/$model.json"
done
say "The models are $out/model.onnx and $out/model-int8.onnx; try one: img2posedetect model=$out/model.onnx"
