//! The processor through OpenVINO, which is for Intel's.

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider as _};

use super::{Placement, Provider};
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::OpenVino,
    name: "openvino",
    description: "Processor through OpenVINO, for Intel",
    package: "onnxruntime-openvino",
    companions: &[
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_openvino.so",
    ],
    precisions: &[Precision::Fp32, Precision::Bf16, Precision::Int8],
    memory: |_| None,
    turns: |_| None,
    shapes: Shapes::Free,
    heads_at: None,
    pools_regions: true,
    sums_features: true,
    takes_half_graph: true,
    builds_engines: false,
    is_built_in: ep::OpenVINO::is_available,
    refuses: |_| None,
    cure: |_| None,
    dispatch: |placement, _| {
        let provider = ep::OpenVINO::default()
            .with_device_type("CPU")
            .with_arbitrary_config("load_config", configuration(placement));
        Some(provider.build())
    },
};

fn configuration(placement: &Placement) -> String {
    let hint = if placement.precision.resolved() == Precision::Bf16 {
        "bf16"
    } else {
        "f32"
    };
    serde_json::json!({
        "CPU": {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": placement.threads.to_string(),
        }
    })
    .to_string()
}
