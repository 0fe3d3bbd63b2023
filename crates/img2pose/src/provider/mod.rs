//! Where the network can run: a table with a file for each of ONNX Runtime's execution providers.
//!
//! A new one is a file beside these, its name in [`ExecutionProvider`] and a row in [`PROVIDERS`].

mod cpu;
mod cuda;
mod engine_cache;
mod openvino;
mod plugin;
mod tensorrt;
mod vulkan;
mod webgpu;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::ep::ExecutionProviderDispatch;
use ort::session::builder::SessionBuilder;

use crate::memory::Memory;
use crate::model::Model;
use crate::options::{DetectorOptions, ExecutionProvider, Precision};
use crate::origin::Origin;
use crate::runtime::Runtime;
use crate::shapes::Shapes;
use crate::text::one_line;
use crate::turns::{Turn, Turns};
use crate::{Error, ending};

pub(crate) use plugin::Plugin;
pub use plugin::{PluginDevice, plugin_devices};

/// What is known of an execution provider.
pub(crate) struct Provider {
    pub id: ExecutionProvider,
    /// Name as a user writes it.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// The package on PyPI whose library has it.
    pub package: &'static str,
    /// The libraries that ONNX Runtime loads for it from its own folder.
    pub companions: &'static [&'static str],
    /// The number formats that it computes in, the reference's first.
    pub precisions: &'static [Precision],
    /// The memory that the parts of the network are bound to; `None`: it computes with the processor's own.
    pub memory: fn(&Placement) -> Option<Memory>,
    /// Where its sessions take turns: it cannot do with two of them at one time, in the whole process.
    pub turns: fn(&Placement) -> Option<&'static Turns>,
    /// How the shapes of its runs are chosen.
    pub shapes: Shapes,
    /// Where the heads run that go with a dense part run here, when that is elsewhere. What it does not take of the dense part
    /// goes there, too.
    pub heads_at: Option<&'static Provider>,
    /// Whether it has RoIAlign. Where not, the processor pools the regions: the features go there once for a batch, and the pooled
    /// regions back.
    pub pools_regions: bool,
    /// Whether it can sum up the features that stay on the device: a sum that is not finite shows that one of them is not.
    pub sums_features: bool,
    /// Whether the graph must be brought to 16 bits to compute in them.
    pub takes_half_graph: bool,
    /// Whether it builds engines, for minutes, which are then kept on the disk.
    pub builds_engines: bool,
    /// Whether the loaded ONNX Runtime has it.
    pub is_built_in: fn() -> ort::Result<bool>,
    /// Why it cannot run there, whatever the machine has.
    pub refuses: fn(&Placement) -> Option<String>,
    /// What a user can do about a message of ONNX Runtime's.
    pub cure: fn(&str) -> Option<&'static str>,
    /// How ONNX Runtime is asked for it; `None`: it is always there. The path is where its engines are kept.
    pub dispatch: fn(&Placement, Option<&Path>) -> Option<ExecutionProviderDispatch>,
}

/// All of them, as users see them listed.
static PROVIDERS: [&Provider; 6] = [
    &cpu::PROVIDER,
    &openvino::PROVIDER,
    &cuda::PROVIDER,
    &tensorrt::PROVIDER,
    &webgpu::PROVIDER,
    &plugin::PROVIDER,
];

/// What `auto` tries, best first. TensorRT is left out: it builds an engine for minutes at the first start, which
/// nobody should get without having asked. So is WebGPU as long as it has not met a GPU that is none of software.
static AUTOMATIC: [&Provider; 3] = [&cuda::PROVIDER, &openvino::PROVIDER, &cpu::PROVIDER];

/// The row of a provider; `None` for `auto`, which stands for several.
fn row(id: ExecutionProvider) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.id == id).copied()
}

impl ExecutionProvider {
    /// All that can be asked for by name, [`Auto`](Self::Auto) left out.
    pub fn all() -> impl Iterator<Item = Self> {
        PROVIDERS.iter().map(|provider| provider.id)
    }

    /// The one of that name, which may be `auto`.
    pub fn from_name(name: &str) -> Option<Self> {
        std::iter::once(Self::Auto)
            .chain(Self::all())
            .find(|provider| provider.name() == name)
    }

    /// Name as a user writes it.
    pub fn name(self) -> &'static str {
        row(self).map_or("auto", |provider| provider.name)
    }

    /// What it is, in a line.
    pub fn description(self) -> &'static str {
        row(self).map_or(
            "CUDA, else OpenVINO, else the processor: the first that works",
            |provider| provider.description,
        )
    }

    /// Whether the loaded ONNX Runtime has it. What it needs beside (a driver, a device) may still be missing.
    ///
    /// # Errors
    /// [`Error::Inference`] when the library cannot say.
    pub fn is_built_in(self, _runtime: &Runtime) -> Result<bool, Error> {
        row(self)
            .map_or(Ok(true), |provider| (provider.is_built_in)())
            .map_err(Error::inference("list its execution providers"))
    }

    /// The number formats that it computes in, the reference's first.
    pub fn precisions(self) -> &'static [Precision] {
        row(self).unwrap_or(&cpu::PROVIDER).precisions
    }

    /// Whether it builds an engine at the first start with a model, which takes minutes.
    pub fn builds_engines(self) -> bool {
        row(self).is_some_and(|provider| provider.builds_engines)
    }

    /// The package on PyPI whose library has it.
    pub fn package(self) -> &'static str {
        row(self).unwrap_or(&cpu::PROVIDER).package
    }
}

/// Where and how the sessions of one detector run.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    pub provider: &'static Provider,
    pub precision: Precision,
    pub device_id: u32,
    pub threads: usize,
    /// Whether one session runs the file as it is.
    pub whole: bool,
    /// The device of a library with a provider, for the row that stands for such.
    pub plugin: Option<&'static Plugin>,
}

impl Placement {
    fn new(provider: &'static Provider, options: &DetectorOptions) -> Self {
        Self {
            provider,
            precision: options.precision,
            device_id: options.device_id,
            threads: options.threads(),
            whole: options.whole,
            plugin: None,
        }
    }

    /// That provider, whether the library has it or not.
    #[cfg(test)]
    pub fn at(id: ExecutionProvider, options: &DetectorOptions) -> Self {
        Self::new(row(id).expect("a provider with a row"), options)
    }

    /// The processor, with ONNX Runtime's own kernels.
    pub fn on_processor(options: &DetectorOptions) -> Self {
        Self::new(&cpu::PROVIDER, options)
    }

    /// The placements to try in order: the one that was asked for, or what `auto` stands for here.
    ///
    /// # Errors
    /// [`Error::Provider`] when a provider was asked for by name and the loaded library lacks it, or when it does
    /// not compute in the wanted precision.
    pub fn candidates(options: &DetectorOptions, runtime: &Runtime) -> Result<Vec<Self>, Error> {
        if let Some(provider) = row(options.execution_provider) {
            let mut placement = Self::new(provider, options);
            placement.check(runtime)?;
            if provider.id == ExecutionProvider::Plugin {
                placement.plugin = Some(plugin::choose(options, runtime)?);
            }
            return Ok(vec![placement]);
        }
        let all = AUTOMATIC.map(|provider| Self::new(provider, options));
        let usable: Vec<Self> = all
            .into_iter()
            .filter(|placement| placement.check(runtime).is_ok())
            .collect();
        if usable.is_empty() {
            return Err(refusal(
                "auto",
                format!(
                    "no provider that it tries of ONNX Runtime {} computes in {}; set precision to fp32 or auto, load a build \
                     with OpenVINO (bf16) or CUDA (fp16), or name a provider that is not tried by itself: \
                     execution-provider=tensorrt or webgpu",
                    runtime.path().display(),
                    options.precision.name()
                ),
            ));
        }
        Ok(usable)
    }

    fn check(&self, runtime: &Runtime) -> Result<(), Error> {
        if !self.provider.id.is_built_in(runtime)? {
            return Err(refusal(
                self.provider.name,
                format!(
                    "the loaded ONNX Runtime {} was built without it; point onnxruntime-library at the \
                     libonnxruntime.so of the package {}",
                    runtime.path().display(),
                    self.provider.package
                ),
            ));
        }
        for name in self.provider.companions {
            runtime
                .check_companion(name)
                .map_err(|reason| refusal(self.provider.name, reason))?;
        }
        if let Some(reason) = (self.provider.refuses)(self) {
            return Err(refusal(self.provider.name, reason));
        }
        let precision = self.precision.resolved();
        let precisions = self.provider.precisions;
        if !precisions.contains(&precision) {
            let names: Vec<&str> = precisions.iter().map(|precision| precision.name()).collect();
            return Err(refusal(
                self.provider.name,
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

    /// Where the heads run that go with a dense part run here.
    pub fn for_heads(self) -> Self {
        Self {
            provider: self.provider.heads_at.unwrap_or(self.provider),
            ..self
        }
    }

    /// The memory that the parts are bound to; `None`: nothing is bound.
    pub fn memory(&self) -> Option<Memory> {
        (self.provider.memory)(self)
    }

    /// Where its sessions take turns with all others of the process.
    pub fn turns(&self) -> Option<&'static Turns> {
        (self.provider.turns)(self)
    }

    /// Waits for the turn of a session that is to be loaded here, where they take turns. Loading cannot be stopped, so this may
    /// wait for the end of a load or a run.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the process ends.
    pub fn turn(&self) -> Result<Option<Turn<'static>>, Error> {
        let take = |turns: &'static Turns| turns.take(ending::process_is_ending).ok_or(Error::Cancelled);
        self.turns().map(take).transpose()
    }

    /// The error for a session that cannot be loaded here, where `action` was tried.
    pub fn failed(&self, action: String, error: ort::Error) -> Error {
        match (self.provider.cure)(error.message()) {
            Some(_) => self.refused(&error),
            None => Error::failed_to(action, error),
        }
    }

    /// The error for what ONNX Runtime says of the provider.
    fn refused<R>(&self, error: &ort::Error<R>) -> Error {
        let message = one_line(error.message());
        let reason = match (self.provider.cure)(error.message()) {
            Some(cure) => format!("{message} ({cure})"),
            None => message.to_string(),
        };
        refusal(self.provider.name, reason)
    }

    /// The number of the device, as ONNX Runtime takes it.
    fn device_number(&self) -> i32 {
        i32::try_from(self.device_id).unwrap_or(i32::MAX)
    }

    /// What errors say of `model`, run here.
    pub fn origin(&self, model: &Model) -> Arc<Origin> {
        Arc::new(Origin {
            path: model.path().to_owned(),
            precision: self.precision,
        })
    }

    /// Whether the graph must be brought to 16 bits for the precision.
    pub fn needs_half_graph(&self) -> bool {
        self.precision == Precision::Fp16 && self.provider.takes_half_graph
    }

    /// Where the provider keeps what it builds for the dense part; `None` where nothing is built.
    pub fn engine_folder(&self, dense: &[u8], runtime: &Runtime) -> Option<PathBuf> {
        if !self.provider.builds_engines {
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

    /// Adds the provider to a session that is being built. `engines` is where it keeps what it builds.
    pub fn register(
        &self,
        mut builder: SessionBuilder,
        runtime: &Runtime,
        engines: Option<&Path>,
    ) -> Result<SessionBuilder, Error> {
        if let Some(plugin) = self.plugin {
            plugin
                .register(&mut builder, runtime)
                .map_err(|error| self.refused(&error))?;
            return Ok(builder);
        }
        let Some(dispatch) = (self.provider.dispatch)(self, engines) else {
            return Ok(builder);
        };
        let mut providers = vec![dispatch.error_on_failure()];
        // What it does not take stays on its device.
        if let Some(rest) = self.provider.heads_at {
            let rest = (rest.dispatch)(&self.for_heads(), None);
            providers.extend(rest.map(ExecutionProviderDispatch::error_on_failure));
        }
        builder
            .with_execution_providers(providers)
            .map_err(|error| self.refused(&error))
    }
}

fn refusal(provider: &'static str, reason: String) -> Error {
    Error::Provider { provider, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(provider: &'static Provider, precision: Precision) -> Placement {
        let options = DetectorOptions {
            precision,
            device_id: 2,
            ..DetectorOptions::default()
        };
        Placement::new(provider, &options)
    }

    #[test]
    fn every_provider_has_its_row() {
        let names: Vec<&str> = ExecutionProvider::all().map(ExecutionProvider::name).collect();
        assert_eq!(names, ["cpu", "openvino", "cuda", "tensorrt", "webgpu", "plugin"]);
        for provider in PROVIDERS {
            assert!(
                std::ptr::eq(row(provider.id).unwrap(), provider),
                "{}",
                provider.name
            );
            assert_eq!(provider.precisions[0], Precision::Fp32, "{}", provider.name);
        }
        assert!(row(ExecutionProvider::Auto).is_none());
        for name in ["auto", "cpu", "openvino", "cuda", "tensorrt", "webgpu", "plugin"] {
            assert_eq!(ExecutionProvider::from_name(name).unwrap().name(), name);
        }
        assert_eq!(ExecutionProvider::from_name("CPU"), None);
    }

    #[test]
    fn cuda_gets_a_graph_in_16_bits_and_tensorrt_makes_its_own() {
        for (provider, precision, dense, heads) in [
            (&cuda::PROVIDER, Precision::Fp16, true, true),
            (&cuda::PROVIDER, Precision::Auto, false, false),
            (&tensorrt::PROVIDER, Precision::Fp16, false, true),
            (&tensorrt::PROVIDER, Precision::Bf16, false, false),
        ] {
            let placement = placement(provider, precision);
            let heads_at = placement.for_heads();
            assert_eq!(
                (placement.needs_half_graph(), heads_at.needs_half_graph()),
                (dense, heads),
                "{} {precision:?}",
                provider.name
            );
            assert_eq!(heads_at.provider.id, ExecutionProvider::Cuda);
            assert_eq!(heads_at.device_id, 2);
        }
    }

    #[test]
    fn the_provider_says_where_tensors_lie() {
        for provider in PROVIDERS {
            let memory = match provider.id {
                ExecutionProvider::Cuda | ExecutionProvider::TensorRt => Some(Memory::of_gpu(2)),
                ExecutionProvider::WebGpu => Some(Memory::OF_SESSION),
                _ => None,
            };
            assert_eq!(
                placement(provider, Precision::Auto).memory(),
                memory,
                "{}",
                provider.name
            );
        }
    }

    #[test]
    fn webgpu_says_what_to_do_without_a_gpu_and_about_the_number_of_one() {
        let error = ort::Error::new("Failed to get a WebGPU adapter:\n No supported adapters.");
        let text = placement(&webgpu::PROVIDER, Precision::Auto)
            .failed("load it".to_owned(), error)
            .to_string();
        assert!(
            text.contains("'webgpu'") && text.contains("mesa-vulkan-drivers") && !text.contains('\n'),
            "{text}"
        );
        let refused = (webgpu::PROVIDER.refuses)(&placement(&webgpu::PROVIDER, Precision::Auto)).unwrap();
        assert!(
            refused.contains("number 2") && refused.contains("device-id"),
            "{refused}"
        );
    }
}
