//! NVIDIA GPUs through CUDA.

use ort::ep::{self, ExecutionProvider as _};

use super::Provider;
use crate::memory::Memory;
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::Cuda,
    name: "cuda",
    description: "NVIDIA GPU through CUDA",
    package: "onnxruntime-gpu",
    companions: &[
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_cuda.so",
    ],
    precisions: &[Precision::Fp32, Precision::Fp16],
    memory: |placement| Some(Memory::of_gpu(placement.device_id)),
    turns: |_| None,
    shapes: Shapes::Few,
    heads_at: None,
    pools_regions: true,
    sums_features: true,
    takes_half_graph: true,
    builds_engines: false,
    is_built_in: ep::CUDA::is_available,
    refuses: |_| None,
    cure: |_| None,
    dispatch: |placement, _| {
        // TF32 would keep 10 bits of the mantissa; the exhaustive search would stall at every new shape.
        let provider = ep::CUDA::default()
            .with_device_id(placement.device_number())
            .with_tf32(false)
            .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic);
        Some(provider.build())
    },
};
