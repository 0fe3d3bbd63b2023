//! NVIDIA GPUs through TensorRT. How many regions each level has differs from frame to frame, and it would build an engine for
//! every such number: it runs the convolutions, CUDA the heads and whatever TensorRT does not take.

use std::path::Path;

use ort::ep::{self, ExecutionProvider as _};

use super::Provider;
use crate::memory::Memory;
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::TensorRt,
    name: "tensorrt",
    description: "NVIDIA GPU through TensorRT",
    package: "onnxruntime-gpu",
    companions: &[
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_cuda.so",
        "libonnxruntime_providers_tensorrt.so",
    ],
    precisions: &[Precision::Fp32, Precision::Fp16, Precision::Bf16],
    memory: |placement| Some(Memory::of_gpu(placement.device_id)),
    turns: |_| None,
    shapes: Shapes::Few,
    heads_at: Some(&super::cuda::PROVIDER),
    pools_regions: true,
    // It may sum in 16 bits, which hold too little.
    sums_features: false,
    // It takes graphs in 32 bits and chooses itself.
    takes_half_graph: false,
    builds_engines: true,
    is_built_in: ep::TensorRT::is_available,
    refuses: |_| None,
    cure: |_| None,
    dispatch: |placement, engines| {
        let provider = ep::TensorRT::default()
            .with_device_id(placement.device_number())
            .with_fp16(placement.precision == Precision::Fp16)
            .with_bf16(placement.precision == Precision::Bf16);
        let provider = match engines.map(Path::to_string_lossy) {
            Some(folder) => provider
                .with_engine_cache(true)
                .with_engine_cache_path(&folder)
                .with_timing_cache(true)
                .with_timing_cache_path(&folder),
            None => provider,
        };
        Some(provider.build())
    },
};
