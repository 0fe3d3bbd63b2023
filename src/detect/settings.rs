//! The properties of the element: what users set, and what of it the detector is told.

#[cfg(feature = "remote")]
mod server;
mod specs;

use std::path::PathBuf;
use std::sync::LazyLock;

use gst::ClockTime;
use gst::glib::{self, prelude::*};
use img2pose::{DetectorOptions, FollowOptions, PluginProvider, Selection};

use super::orientation::Orientation;
use crate::properties::{path_of, text_of, value_of};
#[cfg(feature = "remote")]
pub use server::{OnOutage, ServerSettings};

/// The largest `min-size` and `max-size`, in pixels.
pub const LARGEST_SIDE: u32 = 16_384;

/// Which part of the machine runs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseExecutionProvider")]
#[non_exhaustive]
pub enum ExecutionProvider {
    /// CUDA, else OpenVINO, else the processor: the first that works.
    #[default]
    #[enum_value(
        name = "CUDA, else OpenVINO, else the processor: the first that works",
        nick = "auto"
    )]
    Auto,
    /// The processor.
    #[enum_value(name = "Processor", nick = "cpu")]
    Cpu,
    /// An NVIDIA GPU through CUDA.
    #[enum_value(name = "NVIDIA GPU through CUDA", nick = "cuda")]
    Cuda,
    /// An NVIDIA GPU through TensorRT.
    #[enum_value(name = "NVIDIA GPU through TensorRT", nick = "tensorrt")]
    TensorRt,
    /// The processor through OpenVINO, which is for Intel's.
    #[enum_value(name = "Processor through OpenVINO, for Intel", nick = "openvino")]
    OpenVino,
    /// A GPU of any maker through WebGPU, which is on Vulkan.
    #[enum_value(name = "GPU through WebGPU (Vulkan)", nick = "webgpu")]
    WebGpu,
    /// What a library with an execution provider brings.
    #[enum_value(name = "What a library with an execution provider brings", nick = "plugin")]
    Plugin,
}

impl From<ExecutionProvider> for img2pose::ExecutionProvider {
    fn from(provider: ExecutionProvider) -> Self {
        match provider {
            ExecutionProvider::Auto => Self::Auto,
            ExecutionProvider::Cpu => Self::Cpu,
            ExecutionProvider::Cuda => Self::Cuda,
            ExecutionProvider::TensorRt => Self::TensorRt,
            ExecutionProvider::OpenVino => Self::OpenVino,
            ExecutionProvider::WebGpu => Self::WebGpu,
            ExecutionProvider::Plugin => Self::Plugin,
        }
    }
}

/// The number format in which the network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PosePrecision")]
#[non_exhaustive]
pub enum Precision {
    /// The file's: int8 for a quantized one, else the reference's, fp32.
    #[default]
    #[enum_value(name = "The model file's: int8 for a quantized one, else fp32", nick = "auto")]
    Auto,
    /// 32-bit floats.
    #[enum_value(name = "32-bit floats", nick = "fp32")]
    Fp32,
    /// 16-bit floats.
    #[enum_value(name = "16-bit floats (cuda, tensorrt, webgpu)", nick = "fp16")]
    Fp16,
    /// 16-bit floats with the range of 32-bit ones.
    #[enum_value(
        name = "16-bit floats with 8 bits of exponent (openvino, tensorrt)",
        nick = "bf16"
    )]
    Bf16,
    /// 8-bit integers, by a quantized file.
    #[enum_value(
        name = "8-bit integers: NAME-int8.onnx beside the model NAME.onnx (cpu, openvino)",
        nick = "int8"
    )]
    Int8,
}

impl From<Precision> for img2pose::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => Self::Auto,
            Precision::Fp32 => Self::Fp32,
            Precision::Fp16 => Self::Fp16,
            Precision::Bf16 => Self::Bf16,
            Precision::Int8 => Self::Int8,
        }
    }
}

/// What the loaded model depends on; a change needs a new load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadSettings {
    /// Name of the model that is shared with other elements; `None`: not shared.
    pub model_instance_id: Option<String>,
    /// The model file; `None`: the one that comes with the plugin.
    pub model: Option<PathBuf>,
    /// The ONNX Runtime library; `None`: search.
    pub onnxruntime_library: Option<PathBuf>,
    /// Frames in a full batch.
    pub batch_size: u32,
    /// Short side of the resized frame in pixels; 0: from the model.
    pub min_size: u32,
    /// Longest long side of the resized frame in pixels; 0: from the model.
    pub max_size: u32,
    /// Threads for inference; 0: one for each core.
    pub num_threads: u32,
    /// What runs the network.
    pub execution_provider: ExecutionProvider,
    /// The library of the provider `plugin`.
    pub provider_library: Option<PathBuf>,
    /// Which of its providers; `None`: it has one.
    pub provider_name: Option<String>,
    /// What the provider is told, `NAME=VALUE`, with commas between.
    pub provider_options: Option<String>,
    /// The number format of the network.
    pub precision: Precision,
    /// Which GPU.
    pub device_id: u32,
    /// Every how many inferred frames the whole frame is looked at.
    pub whole_frame_interval: u32,
    /// Side in pixels of the network image of a region.
    pub region_size: u32,
    /// Side of a region as a multiple of the longer side of the face.
    pub region_margin: f64,
    /// The inference server that runs the network.
    #[cfg(feature = "remote")]
    pub server: ServerSettings,
}

/// The values of all properties that can be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What the loaded model depends on.
    pub load: LoadSettings,
    /// How long an open batch waits; `None`: automatic.
    pub batch_timeout: Option<ClockTime>,
    /// Batches that wait behind the one that runs.
    pub max_queued_batches: u32,
    /// Lowest confidence.
    pub score_threshold: f32,
    /// Most faces of a frame; -1: all.
    pub max_faces: i32,
    /// Box width as a multiple of the landmarks'.
    pub bbox_x_factor: f64,
    /// Box height as a multiple of the landmarks'.
    pub bbox_y_factor: f64,
    /// Height added on the forehead's side.
    pub expand_forehead: f64,
    /// Every how many frames one is inferred.
    pub inference_interval: u32,
    /// Whether frames that are not inferred get the faces of the last one that was.
    pub reuse_faces: bool,
    /// Whether frames that are too late for downstream are not inferred.
    pub qos: bool,
    /// How frames are turned before they are looked at.
    pub orientation: Orientation,
    /// How often the statistics are posted on the bus; zero: never.
    pub stats_interval: ClockTime,
}

/// What of the settings decides about a frame that comes in.
#[derive(Clone, Copy, Debug)]
pub struct Intake {
    /// Frames that the element holds at most, see [`Settings::capacity`].
    pub capacity: usize,
    /// Batches that wait behind the one that runs.
    pub max_queued_batches: usize,
    /// Every how many frames one is inferred.
    pub inference_interval: u64,
    /// Whether frames that are not inferred get the faces of the last one that was.
    pub reuse_faces: bool,
    /// Whether frames that are too late for downstream are not inferred.
    pub qos: bool,
    /// How frames are turned before they are looked at.
    pub orientation: Orientation,
}

/// A batch of 4 costs a live stream three frame times of latency and gives a GPU most of what batches can give; on
/// a CPU the size makes no difference to the speed.
const DEFAULT_BATCH_SIZE: u32 = 4;
/// One batch that waits and one that is filled, behind the one that runs: converting, inference and downstream
/// all stay busy.
const DEFAULT_MAX_QUEUED_BATCHES: u32 = 2;

impl Default for Settings {
    fn default() -> Self {
        let selection = Selection::default();
        let following = FollowOptions::default();
        Self {
            load: LoadSettings {
                batch_size: DEFAULT_BATCH_SIZE,
                whole_frame_interval: 1,
                region_size: following.region_size,
                region_margin: following.region_margin,
                ..Default::default()
            },
            batch_timeout: None,
            max_queued_batches: DEFAULT_MAX_QUEUED_BATCHES,
            score_threshold: selection.score_threshold,
            max_faces: -1,
            bbox_x_factor: selection.bbox_x_factor,
            bbox_y_factor: selection.bbox_y_factor,
            expand_forehead: selection.expand_forehead,
            inference_interval: 1,
            reuse_faces: false,
            qos: false,
            orientation: Orientation::default(),
            stats_interval: ClockTime::ZERO,
        }
    }
}

/// The properties in which elements that share a model must agree.
const SHARED: [&str; 20] = [
    "model",
    "onnxruntime-library",
    "batch-size",
    "min-size",
    "max-size",
    "num-threads",
    "execution-provider",
    "provider-library",
    "provider-name",
    "provider-options",
    "precision",
    "device-id",
    "whole-frame-interval",
    "region-size",
    "region-margin",
    "score-threshold",
    "max-faces",
    "bbox-x-factor",
    "bbox-y-factor",
    "expand-forehead",
];

/// Networks take regions whose sides are multiples of this.
const REGION_STEP: u32 = 32;

/// When a property takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// When the element goes to PAUSED; it cannot be changed later.
    Start,
    /// For the faces of the next batch.
    Selection,
    /// For the batch that is filled now, and the latency.
    Timing,
    /// For the next frame.
    Frames,
}

impl Settings {
    /// Which faces are reported.
    pub fn selection(&self) -> Selection {
        Selection::default()
            .with_score_threshold(self.score_threshold)
            .with_max_faces(usize::try_from(self.max_faces).ok())
            .with_bbox_x_factor(self.bbox_x_factor)
            .with_bbox_y_factor(self.bbox_y_factor)
            .with_expand_forehead(self.expand_forehead)
    }

    /// Takes over from `other` which faces are reported.
    pub fn set_selection(&mut self, other: &Self) {
        self.score_threshold = other.score_threshold;
        self.max_faces = other.max_faces;
        self.bbox_x_factor = other.bbox_x_factor;
        self.bbox_y_factor = other.bbox_y_factor;
        self.expand_forehead = other.expand_forehead;
    }

    /// The options to open the detector with.
    pub fn detector_options(&self) -> DetectorOptions {
        let size = |pixels: u32| (pixels > 0).then_some(pixels);
        DetectorOptions::default()
            .with_selection(self.selection())
            .with_min_size(size(self.load.min_size))
            .with_max_size(size(self.load.max_size))
            .with_num_threads(self.load.num_threads as usize)
            .with_execution_provider(self.load.execution_provider.into())
            .with_precision(self.load.precision.into())
            .with_device_id(self.load.device_id)
    }

    /// The library of the provider `plugin`; `None`: none is named.
    ///
    /// # Errors
    /// A message for whoever wrote the pipeline, when `provider-options` cannot be read.
    pub fn plugin(&self) -> Result<Option<PluginProvider>, String> {
        let Some(library) = &self.load.provider_library else {
            return Ok(None);
        };
        let option = |text: &str| match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(format!(
                "provider-options has '{}', expected NAME=VALUE, with commas between several",
                text.trim()
            )),
        };
        let text = self.load.provider_options.as_deref().unwrap_or_default();
        let options = text.split(',').filter(|text| !text.trim().is_empty()).map(option);
        let options = options.collect::<Result<_, _>>()?;
        let plugin = PluginProvider::new(library).with_name(self.load.provider_name.clone());
        Ok(Some(plugin.with_options(options)))
    }

    /// How faces are followed; `None`: every frame is looked at.
    pub fn follow_options(&self) -> Option<FollowOptions> {
        (self.load.whole_frame_interval > 1).then(|| {
            FollowOptions::default()
                .with_whole_frame_interval(self.load.whole_frame_interval)
                .with_region_size(self.load.region_size)
                .with_region_margin(self.load.region_margin)
        })
    }

    /// What is to be said of `region-size`, where it is not what is used.
    pub fn region_size_warning(&self) -> Option<String> {
        let asked = self.load.region_size;
        let used = asked.next_multiple_of(REGION_STEP);
        (self.load.whole_frame_interval > 1 && used != asked).then(|| {
            format!("region-size is {asked}, which is rounded up to {used}: a multiple of {REGION_STEP}")
        })
    }

    /// What decides about a frame that comes in.
    pub fn intake(&self) -> Intake {
        Intake {
            capacity: self.capacity(),
            max_queued_batches: self.max_queued_batches as usize,
            inference_interval: self.inference_interval.into(),
            reuse_faces: self.reuse_faces,
            qos: self.qos,
            orientation: self.orientation,
        }
    }

    /// Frames that wait in the element at most: the batches that wait, and one that runs; the frame that is being pushed
    /// comes on top. Frames that `inference-interval` leaves out count too, so that an interval does not take more buffers.
    pub fn capacity(&self) -> usize {
        (self.max_queued_batches as usize + 1) * self.load.batch_size as usize
    }

    /// The first setting in which elements that share a model differ: its name, the value here and there.
    pub fn first_difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let text = |settings: &Self, name| {
            let value = settings.get(name);
            // As it is written in a pipeline; the transformation gives the description.
            if let Some((_, choice)) = glib::EnumValue::from_value(&value) {
                return choice.nick().to_owned();
            }
            value
                .transform::<String>()
                .ok()
                .and_then(|value| value.get().ok().flatten())
                .unwrap_or_else(|| "unset".to_owned())
        };
        let find = |names: &[&'static str]| {
            names
                .iter()
                .map(|name| (*name, text(self, name), text(other, name)))
                .find(|(_, here, there)| here != there)
        };
        #[cfg(feature = "remote")]
        if let Some(difference) = find(&server::SHARED) {
            return Some(difference);
        }
        #[cfg(feature = "remote")]
        if !self.load.server.has_headers_of(&other.load.server) {
            // Nobody is shown them.
            return Some(("server-headers", "(hidden)".to_owned(), "(others)".to_owned()));
        }
        find(&SHARED)
    }

    /// When a change of this property takes effect.
    pub fn effect(name: &str) -> Effect {
        match name {
            "batch-timeout" => Effect::Timing,
            "inference-interval" | "reuse-faces" | "qos" | "orientation" | "stats-interval" => Effect::Frames,
            "score-threshold" | "max-faces" | "bbox-x-factor" | "bbox-y-factor" | "expand-forehead" => {
                Effect::Selection
            }
            _ => Effect::Start,
        }
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        #[cfg(feature = "remote")]
        if self.load.server.set(name, value) {
            return;
        }
        match name {
            "model" => self.load.model = path_of(value),
            "model-instance-id" => self.load.model_instance_id = text_of(value),
            "onnxruntime-library" => self.load.onnxruntime_library = path_of(value),
            "batch-size" => self.load.batch_size = value_of(value),
            "min-size" => self.load.min_size = value_of(value),
            "max-size" => self.load.max_size = value_of(value),
            "num-threads" => self.load.num_threads = value_of(value),
            "execution-provider" => self.load.execution_provider = value_of(value),
            "provider-library" => self.load.provider_library = path_of(value),
            "provider-name" => self.load.provider_name = text_of(value),
            "provider-options" => self.load.provider_options = text_of(value),
            "precision" => self.load.precision = value_of(value),
            "device-id" => self.load.device_id = value_of(value),
            "whole-frame-interval" => self.load.whole_frame_interval = value_of(value),
            "region-size" => self.load.region_size = value_of(value),
            "region-margin" => self.load.region_margin = value_of(value),
            "batch-timeout" => self.batch_timeout = ClockTime::try_from(value_of::<u64>(value)).ok(),
            "max-queued-batches" => self.max_queued_batches = value_of(value),
            "score-threshold" => self.score_threshold = value_of(value),
            "max-faces" => self.max_faces = value_of(value),
            "bbox-x-factor" => self.bbox_x_factor = value_of(value),
            "bbox-y-factor" => self.bbox_y_factor = value_of(value),
            "expand-forehead" => self.expand_forehead = value_of(value),
            "inference-interval" => self.inference_interval = value_of(value),
            "reuse-faces" => self.reuse_faces = value_of(value),
            "qos" => self.qos = value_of(value),
            "orientation" => self.orientation = value_of(value),
            "stats-interval" => self.stats_interval = ClockTime::from_nseconds(value_of(value)),
            other => unreachable!("no writable property '{other}'"),
        }
    }

    /// The value of a property that can be written.
    pub fn get(&self, name: &str) -> glib::Value {
        #[cfg(feature = "remote")]
        if let Some(value) = self.load.server.get(name) {
            return value;
        }
        match name {
            "model" => self.load.model.to_value(),
            "model-instance-id" => self.load.model_instance_id.to_value(),
            "onnxruntime-library" => self.load.onnxruntime_library.to_value(),
            "batch-size" => self.load.batch_size.to_value(),
            "min-size" => self.load.min_size.to_value(),
            "max-size" => self.load.max_size.to_value(),
            "num-threads" => self.load.num_threads.to_value(),
            "execution-provider" => self.load.execution_provider.to_value(),
            "provider-library" => self.load.provider_library.to_value(),
            "provider-name" => self.load.provider_name.to_value(),
            "provider-options" => self.load.provider_options.to_value(),
            "precision" => self.load.precision.to_value(),
            "device-id" => self.load.device_id.to_value(),
            "whole-frame-interval" => self.load.whole_frame_interval.to_value(),
            "region-size" => self.load.region_size.to_value(),
            "region-margin" => self.load.region_margin.to_value(),
            "batch-timeout" => self
                .batch_timeout
                .map_or(u64::MAX, ClockTime::nseconds)
                .to_value(),
            "max-queued-batches" => self.max_queued_batches.to_value(),
            "score-threshold" => self.score_threshold.to_value(),
            "max-faces" => self.max_faces.to_value(),
            "bbox-x-factor" => self.bbox_x_factor.to_value(),
            "bbox-y-factor" => self.bbox_y_factor.to_value(),
            "expand-forehead" => self.expand_forehead.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
            "reuse-faces" => self.reuse_faces.to_value(),
            "qos" => self.qos.to_value(),
            "orientation" => self.orientation.to_value(),
            "stats-interval" => self.stats_interval.nseconds().to_value(),
            other => unreachable!("no property '{other}'"),
        }
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(all_specs);
        &SPECS
    }
}

/// The properties of the element; those about servers where there can be one.
fn all_specs() -> Vec<glib::ParamSpec> {
    let specs = specs::param_specs();
    #[cfg(feature = "remote")]
    let specs = specs.into_iter().chain(server::param_specs()).collect();
    specs
}

#[cfg(test)]
mod tests;
