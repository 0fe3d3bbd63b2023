//! Choosing where the network runs, and asking ONNX Runtime for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;

use super::{Model, Origin, engine_cache};
use crate::Error;
use crate::detect::{ExecutionProvider, Precision};
use crate::runtime::Runtime;

/// Where and how the sessions of one detector run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub provider: ExecutionProvider,
    pub precision: Precision,
    pub device_id: u32,
    pub threads: usize,
}

/// What `auto` tries, best first. TensorRT is left out: it builds an engine for minutes at the first start, which
/// nobody should get without having asked.
const AUTOMATIC: [ExecutionProvider; 3] = [
    ExecutionProvider::Cuda,
    ExecutionProvider::OpenVino,
    ExecutionProvider::Cpu,
];

impl ExecutionProvider {
    /// Whether the loaded ONNX Runtime has it. What it needs beside (a driver, a device) may still be missing.
    ///
    /// # Errors
    /// [`Error::Inference`] when the library cannot say.
    pub fn is_built_in(self, _runtime: &Runtime) -> Result<bool, Error> {
        match self {
            Self::Auto | Self::Cpu => Ok(true),
            Self::Cuda => <ep::CUDA as ep::ExecutionProvider>::is_available(),
            Self::TensorRt => <ep::TensorRT as ep::ExecutionProvider>::is_available(),
            Self::OpenVino => <ep::OpenVINO as ep::ExecutionProvider>::is_available(),
        }
        .map_err(Error::inference("list its execution providers"))
    }

    /// The number formats that it computes in, the reference's first.
    pub fn precisions(self) -> &'static [Precision] {
        use Precision::{Bf16, Fp16, Fp32, Int8};
        match self {
            Self::Auto | Self::Cpu => &[Fp32, Int8],
            Self::Cuda => &[Fp32, Fp16],
            Self::TensorRt => &[Fp32, Fp16, Bf16],
            Self::OpenVino => &[Fp32, Bf16, Int8],
        }
    }

    /// The libraries that ONNX Runtime loads for it from its own folder.
    fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Auto | Self::Cpu => &[],
            Self::Cuda => &[
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_cuda.so",
            ],
            Self::TensorRt => &[
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_cuda.so",
                "libonnxruntime_providers_tensorrt.so",
            ],
            Self::OpenVino => &[
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_openvino.so",
            ],
        }
    }

    /// The package on PyPI whose library has it.
    pub fn package(self) -> &'static str {
        match self {
            Self::Auto | Self::Cpu => "onnxruntime",
            Self::Cuda | Self::TensorRt => "onnxruntime-gpu",
            Self::OpenVino => "onnxruntime-openvino",
        }
    }
}

impl Placement {
    /// The placements to try in order: the one that was asked for, or what `auto` stands for here.
    ///
    /// # Errors
    /// [`Error::Provider`] when a provider was asked for by name and the loaded library lacks it, or when it does
    /// not compute in the wanted precision.
    pub fn candidates(self, runtime: &Runtime) -> Result<Vec<Self>, Error> {
        if self.provider != ExecutionProvider::Auto {
            self.check(runtime)?;
            return Ok(vec![self]);
        }
        let all = AUTOMATIC.map(|provider| Self { provider, ..self });
        let usable: Vec<Self> = all
            .into_iter()
            .filter(|placement| placement.check(runtime).is_ok())
            .collect();
        if usable.is_empty() {
            return Err(refusal(
                self.provider,
                format!(
                    "no provider of ONNX Runtime {} computes in {}; set precision to fp32 or auto, or load a build \
                     with OpenVINO (bf16), CUDA (fp16) or TensorRT (fp16, bf16)",
                    runtime.path().display(),
                    self.precision.name()
                ),
            ));
        }
        Ok(usable)
    }

    fn check(&self, runtime: &Runtime) -> Result<(), Error> {
        if !self.provider.is_built_in(runtime)? {
            return Err(refusal(
                self.provider,
                format!(
                    "the loaded ONNX Runtime {} was built without it; point onnxruntime-library at the \
                     libonnxruntime.so of the package {}",
                    runtime.path().display(),
                    self.provider.package()
                ),
            ));
        }
        for name in self.provider.companions() {
            runtime
                .check_companion(name)
                .map_err(|reason| refusal(self.provider, reason))?;
        }
        let precision = self.precision.resolved();
        let precisions = self.provider.precisions();
        if !precisions.contains(&precision) {
            let names: Vec<&str> = precisions.iter().map(|precision| precision.name()).collect();
            return Err(refusal(
                self.provider,
                format!(
                    "it computes in {}, not in {}{}",
                    names.join(" or "),
                    precision.name(),
                    if precision == Precision::Int8 {
                        ", which a quantized model needs; give it the model in 32 bits"
                    } else {
                        ""
                    }
                ),
            ));
        }
        Ok(())
    }

    /// Where the heads run that go with a dense part run here. How many regions each level has differs from frame to frame,
    /// and TensorRT would build an engine for every such number.
    pub fn for_heads(self) -> Self {
        match self.provider {
            ExecutionProvider::TensorRt => Self {
                provider: ExecutionProvider::Cuda,
                ..self
            },
            _ => self,
        }
    }

    /// What errors say of `model`, run here.
    pub fn origin(&self, model: &Model) -> Arc<Origin> {
        Arc::new(Origin {
            path: model.path().to_owned(),
            precision: self.precision,
        })
    }

    /// Whether a device can sum up the features that stay there, so that what is no number shows. TensorRT may sum in 16
    /// bits, which hold too little.
    pub fn can_sum_features(&self) -> bool {
        self.provider != ExecutionProvider::TensorRt
    }

    /// Whether the graph must be brought to 16 bits for the precision. TensorRT takes graphs in 32 bits and chooses itself.
    pub fn needs_half_graph(&self) -> bool {
        self.precision == Precision::Fp16 && self.provider != ExecutionProvider::TensorRt
    }

    /// Where TensorRT keeps what it builds for the dense part; `None` at other providers.
    pub fn engine_folder(&self, dense: &[u8], runtime: &Runtime) -> Option<PathBuf> {
        if self.provider != ExecutionProvider::TensorRt {
            return None;
        }
        let (gpu, driver) = engine_cache::gpu(self.device_id);
        engine_cache::folder(&engine_cache::Facts {
            part: dense,
            library: runtime.version(),
            precision: self.precision.resolved().name(),
            gpu,
            driver,
        })
    }

    /// Adds the provider to a session that is being built. `engines` is where TensorRT keeps what it builds.
    pub fn register(&self, builder: SessionBuilder, engines: Option<&Path>) -> Result<SessionBuilder, Error> {
        let Some(dispatch) = self.dispatch(engines) else {
            return Ok(builder);
        };
        let mut providers = vec![dispatch.error_on_failure()];
        // What TensorRT does not take stays on the GPU.
        if self.provider == ExecutionProvider::TensorRt {
            providers.extend(
                self.for_heads()
                    .dispatch(None)
                    .map(|dispatch| dispatch.error_on_failure()),
            );
        }
        builder
            .with_execution_providers(providers)
            .map_err(|error| refusal(self.provider, error.message().trim().replace('\n', " ")))
    }

    fn dispatch(&self, engines: Option<&Path>) -> Option<ExecutionProviderDispatch> {
        let device = i32::try_from(self.device_id).unwrap_or(i32::MAX);
        match self.provider {
            ExecutionProvider::Auto | ExecutionProvider::Cpu => None,
            // TF32 would keep 10 bits of the mantissa; the exhaustive search would stall at every new shape.
            ExecutionProvider::Cuda => Some(
                ep::CUDA::default()
                    .with_device_id(device)
                    .with_tf32(false)
                    .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                    .build(),
            ),
            ExecutionProvider::TensorRt => {
                let provider = ep::TensorRT::default()
                    .with_device_id(device)
                    .with_fp16(self.precision == Precision::Fp16)
                    .with_bf16(self.precision == Precision::Bf16);
                let provider = match engines.map(Path::to_string_lossy) {
                    Some(folder) => provider
                        .with_engine_cache(true)
                        .with_engine_cache_path(&folder)
                        .with_timing_cache(true)
                        .with_timing_cache_path(&folder),
                    None => provider,
                };
                Some(provider.build())
            }
            ExecutionProvider::OpenVino => Some(
                ep::OpenVINO::default()
                    .with_device_type("CPU")
                    .with_arbitrary_config("load_config", self.openvino_config())
                    .build(),
            ),
        }
    }

    fn openvino_config(&self) -> String {
        let hint = if self.precision.resolved() == Precision::Bf16 {
            "bf16"
        } else {
            "f32"
        };
        serde_json::json!({
            "CPU": {
                "INFERENCE_PRECISION_HINT": hint,
                "INFERENCE_NUM_THREADS": self.threads.to_string(),
            }
        })
        .to_string()
    }
}

fn refusal(provider: ExecutionProvider, reason: String) -> Error {
    Error::Provider {
        provider: provider.name(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(provider: ExecutionProvider, precision: Precision) -> Placement {
        Placement {
            provider,
            precision,
            device_id: 2,
            threads: 1,
        }
    }

    #[test]
    fn cuda_gets_a_graph_in_16_bits_and_tensorrt_makes_its_own() {
        use ExecutionProvider::{Cuda, TensorRt};
        for (provider, precision, dense, heads) in [
            (Cuda, Precision::Fp16, true, true),
            (Cuda, Precision::Auto, false, false),
            (TensorRt, Precision::Fp16, false, true),
            (TensorRt, Precision::Bf16, false, false),
        ] {
            let placement = placement(provider, precision);
            assert_eq!(
                (
                    placement.needs_half_graph(),
                    placement.for_heads().needs_half_graph()
                ),
                (dense, heads),
                "{provider:?} {precision:?}"
            );
            assert_eq!(placement.for_heads().provider, Cuda);
            assert_eq!(placement.for_heads().device_id, 2);
        }
    }
}
