//! Loading the parts of a model into ONNX Runtime and running them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::session::{RunOptions, Session, SessionInputValue, SessionOutputs, builder::GraphOptimizationLevel};
use ort::value::TensorRef;

use super::device::{Device, PartKind};
use super::device_parts::HalfParts;
use super::provider::Placement;
use super::{Exchange, Memory, Model, Origin, Parts};
use crate::detect::ExecutionProvider;
use crate::finite::are_finite;
use crate::runtime::Runtime;
use crate::{Canceller, Error, ending};

/// The loaded parts of one model.
pub(crate) struct Sessions {
    networks: Networks,
    canceller: Canceller,
    origin: Arc<Origin>,
    provider: ExecutionProvider,
    passed_over: Vec<String>,
}

/// The parts, by where they compute.
// There is one of these in a detector.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Networks {
    /// In the processor's memory; regions are pooled there too.
    Host {
        /// The convolutions.
        dense: Dense,
        /// The heads.
        heads: Heads,
    },
    /// Bound to memory that may be a device's.
    Device(Device),
}

/// The convolutions: network images to pyramid features and RPN outputs.
pub(crate) struct Dense {
    part: Part,
    features: Vec<String>,
    objectness: Vec<String>,
    deltas: Vec<String>,
    canceller: Canceller,
}

/// The two heads: pooled regions to scores and poses.
pub(crate) struct Heads {
    class: Part,
    pose: Part,
    canceller: Canceller,
}

struct Part {
    name: &'static str,
    session: Session,
    origin: Arc<Origin>,
}

/// What the dense part gives for a batch.
pub(crate) struct DenseOutput<'s> {
    outputs: SessionOutputs<'s>,
    features: &'s [String],
    objectness: &'s [String],
    deltas: &'s [String],
}

/// A tensor that ONNX Runtime owns: its shape and elements.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'t> {
    pub shape: &'t [i64],
    pub data: &'t [f32],
}

impl Sessions {
    /// Loads the parts of `model` at the first of `candidates` that works: some providers load and fail only in a run,
    /// for want of a part of their library, say, so `try_out` is to run something.
    ///
    /// # Errors
    /// What the last candidate failed with.
    pub fn load(
        model: &Model,
        parts: &Parts,
        runtime: &'static Runtime,
        candidates: &[Placement],
        try_out: impl Fn(&mut Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut passed_over = Vec::new();
        let mut last = Error::Option {
            option: "execution_provider",
            found: "none".to_owned(),
            expected: "at least one candidate",
        };
        for placement in candidates {
            let loaded = Self::load_at(model, parts, runtime, *placement).and_then(|mut sessions| {
                try_out(&mut sessions)?;
                Ok(sessions)
            });
            match loaded {
                Ok(sessions) => {
                    return Ok(Self {
                        passed_over,
                        ..sessions
                    });
                }
                Err(error) => {
                    passed_over.push(error.to_string());
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn load_at(
        model: &Model,
        parts: &Parts,
        runtime: &'static Runtime,
        placement: Placement,
    ) -> Result<Self, Error> {
        match Memory::of(placement.provider, placement.device_id) {
            Some(memory) => Self::load_bound(model, runtime, placement, &memory),
            None => Self::load_on_host(model, parts, runtime, placement),
        }
    }

    fn load_on_host(
        model: &Model,
        parts: &Parts,
        runtime: &Runtime,
        placement: Placement,
    ) -> Result<Self, Error> {
        let origin = placement.origin(model);
        let load = |name, bytes: &[u8]| {
            let session = load_session(model.path(), runtime, placement, None, name, bytes)?;
            Ok::<_, Error>(Part {
                name,
                session,
                origin: origin.clone(),
            })
        };
        let canceller = Canceller::new()?;
        Ok(Self {
            networks: Networks::Host {
                dense: Dense {
                    part: load("dense part", &parts.dense)?,
                    features: parts.features.clone(),
                    objectness: parts.objectness.clone(),
                    deltas: parts.deltas.clone(),
                    canceller: canceller.clone(),
                },
                heads: Heads {
                    class: load("class head", &parts.class_head)?,
                    pose: load("pose head", &parts.pose_head)?,
                    canceller: canceller.clone(),
                },
            },
            canceller,
            origin,
            provider: placement.provider,
            passed_over: Vec::new(),
        })
    }

    /// Loads the parts bound to `memory`.
    pub fn load_bound(
        model: &Model,
        runtime: &'static Runtime,
        placement: Placement,
        memory: &Memory,
    ) -> Result<Self, Error> {
        let heads = placement.for_heads();
        let half = HalfParts {
            dense: placement.needs_half_graph(),
            heads: heads.needs_half_graph(),
        };
        let parts = model.device_parts(half, placement.can_sum_features())?;
        let engines = placement.engine_folder(&parts.dense, runtime);
        let canceller = Canceller::new()?;
        let path = model.path().to_owned();
        let origin = placement.origin(model);
        let device = Device::load(&parts, memory, &canceller, &origin, move |name, bytes, kind| {
            let (placement, engines) = match kind {
                PartKind::Dense => (placement, engines.as_deref()),
                PartKind::Heads => (heads, None),
                // It leaves nothing to the processor.
                PartKind::Frames => (Placement { threads: 1, ..heads }, None),
            };
            load_session(&path, runtime, placement, engines, name, bytes)
        })?;
        Ok(Self {
            networks: Networks::Device(device),
            canceller,
            origin,
            provider: placement.provider,
            passed_over: Vec::new(),
        })
    }

    /// Where the parts run.
    pub fn provider(&self) -> ExecutionProvider {
        self.provider
    }

    /// What errors say of the model.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Why better candidates were not taken, one text for each.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// The handle that stops a run from another thread.
    pub fn canceller(&self) -> &Canceller {
        &self.canceller
    }

    /// Memory in which the network takes frames, when the parts are bound.
    pub fn exchange(&self) -> Option<&Exchange> {
        match &self.networks {
            Networks::Host { .. } => None,
            Networks::Device(device) => Some(&device.exchange),
        }
    }

    /// The parts, to be run.
    pub fn networks(&mut self) -> &mut Networks {
        &mut self.networks
    }

    /// The parts when they compute in the processor's memory.
    #[cfg(test)]
    pub fn split(&mut self) -> (&mut Dense, &mut Heads) {
        match &mut self.networks {
            Networks::Host { dense, heads } => (dense, heads),
            Networks::Device(_) => panic!("the parts are bound"),
        }
    }
}

impl Dense {
    /// One run over a whole batch: `images` is `[frames, 3, height, width]`.
    pub fn run(
        &mut self,
        images: &[f32],
        frames: usize,
        height: usize,
        width: usize,
    ) -> Result<DenseOutput<'_>, Error> {
        let outputs = self
            .part
            .run(images, [frames, 3, height, width], &self.canceller)?;
        Ok(DenseOutput {
            outputs,
            features: &self.features,
            objectness: &self.objectness,
            deltas: &self.deltas,
        })
    }
}

impl Heads {
    /// Appends the face probability of each region to `scores`; `regions` is `[rows, side, side, channels]`.
    pub fn class_scores(
        &mut self,
        regions: &[f32],
        shape: [usize; 4],
        scores: &mut Vec<f32>,
    ) -> Result<(), Error> {
        self.class.run_head(regions, shape, 1, scores, &self.canceller)
    }

    /// Appends the six normalised pose numbers of each region to `poses`.
    pub fn poses(&mut self, regions: &[f32], shape: [usize; 4], poses: &mut Vec<f32>) -> Result<(), Error> {
        self.pose.run_head(regions, shape, 6, poses, &self.canceller)
    }
}

impl Tensor<'_> {
    /// Fails unless the tensor has four dimensions for which `good` holds. `words` gives its name and what was expected.
    pub fn expect(
        &self,
        origin: &Origin,
        words: impl FnOnce() -> (String, String),
        good: impl FnOnce([usize; 4]) -> bool,
    ) -> Result<(), Error> {
        let shape: Option<[usize; 4]> = self
            .shape
            .try_into()
            .ok()
            .map(|s: [i64; 4]| s.map(|side| side as usize));
        if shape.is_some_and(good) {
            return Ok(());
        }
        let (tensor, expected) = words();
        Err(origin.wrong_shape(&tensor, self.shape, expected))
    }
}

impl Part {
    fn run<'r>(
        &'r mut self,
        input: &[f32],
        shape: [usize; 4],
        canceller: &'r Canceller,
    ) -> Result<SessionOutputs<'r>, Error> {
        let name = self.name;
        let failed = |source| Error::Inference {
            action: format!("run the {name}"),
            source,
        };
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        // Every part has one input.
        let inputs = [SessionInputValue::from(tensor)];
        self.session
            .run_with_options(inputs, &*canceller.options)
            .map_err(|source| {
                // A terminated run and a failed one return the same kind of error.
                if canceller.is_cancelled() {
                    Error::Cancelled
                } else {
                    failed(source)
                }
            })
    }

    fn run_head(
        &mut self,
        regions: &[f32],
        shape: [usize; 4],
        columns: usize,
        into: &mut Vec<f32>,
        canceller: &Canceller,
    ) -> Result<(), Error> {
        let part = self.name;
        let origin = self.origin.clone();
        let outputs = self.run(regions, shape, canceller)?;
        let output = &outputs[0];
        let (found, data) = output
            .try_extract_tensor::<f32>()
            .map_err(|source| Error::Inference {
                action: format!("read the output of the {part}"),
                source,
            })?;
        let name = || outputs.keys().next().unwrap_or_default();
        if data.len() != shape[0] * columns {
            let expected = format!("[{}, {columns}]", shape[0]);
            return Err(origin.wrong_shape(name(), found, expected));
        }
        if !are_finite(data) {
            return Err(origin.not_finite(name()));
        }
        into.extend_from_slice(data);
        Ok(())
    }
}

impl DenseOutput<'_> {
    /// Pyramid features of `level`, `[frames, h, w, channels]`.
    pub fn features(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.features[level], "dense part")
    }

    /// RPN logits of `level`, `[frames, 3, h, w]`.
    pub fn objectness(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.objectness[level], "dense part")
    }

    /// RPN deltas of `level`, `[frames, 12, h, w]`.
    pub fn deltas(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.deltas[level], "dense part")
    }
}

fn extract<'o>(outputs: &'o SessionOutputs<'_>, name: &str, part: &str) -> Result<Tensor<'o>, Error> {
    let failed = |source| Error::Inference {
        action: format!("read '{name}' of the {part}"),
        source,
    };
    let value = outputs
        .get(name)
        .ok_or_else(|| failed(ort::Error::new("no such output")))?;
    let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
    Ok(Tensor { shape, data })
}

fn load_session(
    model: &Path,
    runtime: &Runtime,
    placement: Placement,
    engines: Option<&Path>,
    name: &str,
    bytes: &[u8],
) -> Result<Session, Error> {
    if ending::process_is_ending() {
        // Loading a part cannot be stopped, so none is begun any more: the end waits for it.
        return Err(Error::Cancelled);
    }
    let failed = || Error::inference(format!("load the {name} of {}", model.display()));
    let builder = builder(runtime, placement.threads).map_err(failed())?;
    placement
        .register(builder, engines)?
        .commit_from_memory(bytes)
        .map_err(failed())
}

fn builder(runtime: &Runtime, threads: usize) -> ort::Result<ort::session::builder::SessionBuilder> {
    Ok(Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        // Idle threads must not burn the processor that decoders and other streams need.
        .with_intra_op_spinning(false)?
        // A pattern is a second block of memory as large as all activations of a run, beside the arena that has grown
        // in the first one, for each input shape. It saves no time that could be measured.
        .with_memory_pattern(false)?)
}

impl Canceller {
    fn new() -> Result<Self, Error> {
        let options = RunOptions::new().map_err(Error::inference("set up a run"))?;
        Ok(Self {
            cancelled: Arc::new(AtomicBool::new(false)),
            options: Arc::new(options),
        })
    }

    /// Makes a running detection, and every later one until [`reset`](Self::reset), fail with
    /// [`Error::Cancelled`]. Returns at once.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        // Cannot fail: ONNX Runtime only sets a flag.
        let _ = self.options.terminate();
    }

    /// Lets detections run again.
    pub fn reset(&self) {
        let _ = self.options.unterminate();
        self.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called and [`reset`](Self::reset) was not since.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}
