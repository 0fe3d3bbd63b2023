//! ONNX Runtime's own kernels for the processor: the exact ones.

use super::Provider;
use crate::memory::Memory;
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::Cpu,
    name: "cpu",
    description: "Processor",
    package: "onnxruntime",
    companions: &[],
    precisions: &[Precision::Fp32, Precision::Int8],
    memory: |_| stand_in(),
    turns: |_| None,
    shapes: Shapes::Free,
    heads_at: None,
    pools_regions: true,
    sums_features: true,
    takes_half_graph: true,
    builds_engines: false,
    is_built_in: || Ok(true),
    refuses: |_| None,
    cure: |_| None,
    dispatch: |_, _| None,
};

/// Set in tests, where a stand-in takes the place of CUDA's driver and the processor that of the GPU.
const STAND_IN: &str = "IMG2POSE_TEST_CUDA_MEMORY";

/// Builds for tests alone look at [`STAND_IN`]: with a real driver, the processor would read what it cannot.
fn stand_in() -> Option<Memory> {
    (cfg!(debug_assertions) && std::env::var_os(STAND_IN).is_some()).then_some(Memory::STAND_IN)
}
