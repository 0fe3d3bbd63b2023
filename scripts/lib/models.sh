# shellcheck shell=bash
# Checkpoints become ONNX files.

# bn_eps_check VALUE: ends the script unless the value given for --bn-eps is a number.
bn_eps_check() {
    [[ $1 =~ ^[0-9.]+(e-?[0-9]+)?$ ]] || die "--bn-eps is '$1'; it is a small number, such as 1e-5"
}

# model_convert CHECKPOINT [BN_EPS]: prints the ONNX file made from it; conversions are kept by content. The
# pose statistics are looked for beside the checkpoint. Needs plugin_build.
model_convert() {
    local checkpoint=$1 epsilon=${2:-} name hash onnx
    hash=$(sha256sum "$checkpoint" | cut -c 1-12)
    name=$(basename "${checkpoint%.*}")
    onnx=$CACHE/models/$name-$hash${epsilon:+-eps$epsilon}.onnx
    if [[ ! -f $onnx ]]; then
        step "Converting $checkpoint"
        mkdir -p "$CACHE/models"
        "$TARGET/img2pose" convert "$checkpoint" ${epsilon:+--bn-eps "$epsilon"} -o "$onnx" >&2 ||
            die "$checkpoint could not be converted; see the line above"
    fi
    printf '%s\n' "$onnx"
}
