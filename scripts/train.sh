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

arguments=()
for argument; do
    case $argument in
    -h | --help)
        usage "$0"
        exit
        ;;
    --install-rust) export INSTALL_RUST=yes ;;
    *) arguments+=("$argument") ;;
    esac
done
export PYTHONPATH=$ROOT/training
have python3 || { mkdir -p "$CACHE" && apt_ensure python3; }
# Nobody should wait for PyTorch to learn that a folder is missing.
python3 -m img2pose_train.recipe --check ${arguments[@]+"${arguments[@]}"}
setup_base
media_ensure
training_ensure
exec "$TRAINING_PYTHON" -m img2pose_train.recipe "${arguments[@]}"
