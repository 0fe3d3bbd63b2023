//! ONNX Runtime's own kernels for the processor: the exact ones.

use super::Provider;
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::Cpu,
    name: "cpu",
    description: "Processor",
    package: "onnxruntime",
    companions: &[],
    precisions: &[Precision::Fp32, Precision::Int8],
    memory: |_| None,
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
