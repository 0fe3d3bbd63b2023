# shellcheck shell=bash
# Frames in CUDA memory, on their way to a network on the same GPU.

# cuda_frames PROVIDER MODEL VIDEO: runs img2posedetect there on frames of the processor and on frames in CUDA memory, says how many of
# the second were copied on the GPU, and why others were not. Fails when their faces differ, or none was copied.
# Wants GST_PLUGIN_PATH, and GStreamer's cudaupload: without it, says so and succeeds.
cuda_frames() {
    local provider=$1 model=$2 video=$3 out=$ROOT/out name upload copied frames
    if ! gst-inspect-1.0 cudaupload >/dev/null 2>&1; then
        say "frames in CUDA memory: not tried, GStreamer has no cudaupload here (Debian: gstreamer1.0-plugins-bad, and NVIDIA's libcuda1 and libnvcuvid1)"
        return 0
    fi
    mkdir -p "$out"
    for name in host device; do
        upload=(identity)
        [[ $name == host ]] || upload=(cudaupload ! 'video/x-raw(memory:CUDAMemory)')
        rm -f "$out/cuda-$name.jsonl"
        GST_DEBUG=img2posedetect:7 GST_DEBUG_NO_COLOR=1 GST_DEBUG_FILE=$out/cuda-$name.log \
            gst-launch-1.0 -q filesrc location="$video" ! decodebin ! videoconvert ! videoscale \
            ! 'video/x-raw,format=NV12,width=640,height=360' ! identity eos-after=12 ! "${upload[@]}" \
            ! img2posedetect model="$model" execution-provider="$provider" min-size=360 batch-size=4 \
            ! img2posejson ! filesink location="$out/cuda-$name.jsonl" </dev/null || {
            say "frames in CUDA memory: the pipeline failed, see ${out#"$ROOT"/}/cuda-$name.log"
            return 1
        }
        # The frame that ends the stream is not always the same one.
        sed -i '9,$d' "$out/cuda-$name.jsonl"
    done
    frames=$(wc -l <"$out/cuda-device.jsonl")
    copied=$(grep -c 'a frame was copied to the network on the GPU' "$out/cuda-device.log" || true)
    grep -m 3 -o 'frames in CUDA memory go to the network.*' "$out/cuda-device.log" || true
    say "frames in CUDA memory: $copied copied on the GPU, $frames compared"
    python3 "$ROOT/scripts/lib/faces.py" same "$out/cuda-device.jsonl" --as "$out/cuda-host.jsonl" || {
        say "frames in CUDA memory: their faces are others than those of the same frames in ordinary memory"
        return 1
    }
    ((copied >= frames))
}
