//! GPUs of any maker through WebGPU, which ONNX Runtime has on top of Vulkan (on Linux).

use ort::ep::{self, ExecutionProvider as _};

use super::{Placement, Provider, vulkan};
use crate::memory::Memory;
use crate::options::{ExecutionProvider, Precision};
use crate::shapes::Shapes;
use crate::turns::Turns;

/// Two sessions at work at one time fail ("is already finished"), or stand still: they have one recorder of commands in common
/// and nothing that guards it.
pub(super) static TURNS: Turns = Turns::new();

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::WebGpu,
    name: "webgpu",
    description: "GPU through WebGPU (Vulkan)",
    package: "onnxruntime-webgpu",
    companions: &[],
    precisions: &[Precision::Fp32, Precision::Fp16],
    memory: |_| Some(Memory::OF_SESSION),
    turns: |_| Some(&TURNS),
    shapes: Shapes::Few,
    heads_at: None,
    // It has no RoiAlign.
    pools_regions: false,
    sums_features: true,
    takes_half_graph: true,
    builds_engines: false,
    is_built_in: ep::WebGPU::is_available,
    refuses,
    cure,
    // What its option deviceId numbers are not GPUs.
    dispatch: |_, _| Some(ep::WebGPU::default().build()),
};

fn refuses(placement: &Placement) -> Option<String> {
    if placement.device_id != 0 {
        return Some(format!(
            "it runs on the GPU that Vulkan names first, and cannot be given number {}; set device-id to 0, and have \
             VK_DRIVER_FILES (or MESA_VK_DEVICE_SELECT, with Mesa) in the environment choose the GPU",
            placement.device_id
        ));
    }
    lacks_gpu()
}

/// Why there is no GPU for it on this machine. To be asked before ONNX Runtime is, which may end the process (see [`vulkan`]).
pub(super) fn lacks_gpu() -> Option<String> {
    vulkan::lacks_device().map(|reason| format!("{reason} ({NO_DEVICE})"))
}

const NO_DEVICE: &str = "there is no GPU with a Vulkan driver that it can use: install the driver (NVIDIA's own; for AMD and Intel \
    Mesa's, mesa-vulkan-drivers, from version 25 on), see whether vulkaninfo --summary lists the GPU, and set execution-provider to \
    cpu meanwhile";

/// What to do about a message of ONNX Runtime's.
pub(super) fn cure(message: &str) -> Option<&'static str> {
    let is_about_devices = ["Failed to get a WebGPU adapter", "No supported adapters"];
    is_about_devices
        .iter()
        .any(|part| message.contains(part))
        .then_some(NO_DEVICE)
}
