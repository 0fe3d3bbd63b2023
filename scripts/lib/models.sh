# shellcheck shell=bash
# Checkpoints become ONNX files.

# model_convert CHECKPOINT: prints the ONNX file made from it; conversions are kept by content. Needs plugin_build.
model_convert() {
    local checkpoint=$1 name hash onnx stats=()
    hash=$(sha256sum "$checkpoint" | cut -c 1-12)
    name=$(basename "${checkpoint%.*}")
    onnx=$CACHE/models/$name-$hash.onnx
    if [[ ! -f $onnx ]]; then
        step "Converting $checkpoint"
        mkdir -p "$CACHE/models"
        # The official download carries the pose statistics as .npy files beside the checkpoint.
        if compgen -G "$(dirname "$checkpoint")/*pose_mean*.npy" >/dev/null; then
            stats=(--pose-stats "$(dirname "$checkpoint")")
        fi
        "$TARGET/img2pose-export" convert "$checkpoint" "${stats[@]}" -o "$onnx" >&2 ||
            die "$checkpoint could not be converted; see the line above"
    fi
    printf '%s\n' "$onnx"
}
