//! The properties of the element: what users set, and what of it the detector is told.

use std::path::PathBuf;
use std::sync::LazyLock;

use gst::ClockTime;
use gst::glib::{self, prelude::*};
use gst::prelude::*;
use img2pose::{DetectorOptions, Selection};

/// Which part of the machine runs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseExecutionProvider")]
#[non_exhaustive]
pub enum ExecutionProvider {
    /// The best that works on this machine.
    #[default]
    #[enum_value(name = "The best that works on this machine", nick = "auto")]
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
    /// Intel processors, GPUs and NPUs through OpenVINO.
    #[enum_value(name = "Intel hardware through OpenVINO", nick = "openvino")]
    OpenVino,
}

impl From<ExecutionProvider> for img2pose::ExecutionProvider {
    fn from(provider: ExecutionProvider) -> Self {
        match provider {
            ExecutionProvider::Auto => Self::Auto,
            ExecutionProvider::Cpu => Self::Cpu,
            ExecutionProvider::Cuda => Self::Cuda,
            ExecutionProvider::TensorRt => Self::TensorRt,
            ExecutionProvider::OpenVino => Self::OpenVino,
        }
    }
}

/// The number format in which the network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PosePrecision")]
#[non_exhaustive]
pub enum Precision {
    /// The reference's, fp32.
    #[default]
    #[enum_value(name = "The reference's: fp32", nick = "auto")]
    Auto,
    /// 32-bit floats.
    #[enum_value(name = "32-bit floats", nick = "fp32")]
    Fp32,
    /// 16-bit floats.
    #[enum_value(name = "16-bit floats (tensorrt)", nick = "fp16")]
    Fp16,
    /// 16-bit floats with the range of 32-bit ones.
    #[enum_value(
        name = "16-bit floats with 8 bits of exponent (openvino, tensorrt)",
        nick = "bf16"
    )]
    Bf16,
}

impl From<Precision> for img2pose::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => Self::Auto,
            Precision::Fp32 => Self::Fp32,
            Precision::Fp16 => Self::Fp16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// What the loaded model depends on; a change needs a new load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadSettings {
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
    /// The number format of the network.
    pub precision: Precision,
    /// Which GPU.
    pub device_id: u32,
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
    pub bbox_x_factor: f32,
    /// Box height as a multiple of the landmarks'.
    pub bbox_y_factor: f32,
    /// Height added on the forehead's side.
    pub expand_forehead: f32,
    /// Every how many frames one is inferred.
    pub inference_interval: u32,
    /// Whether frames that are not inferred get the faces of the last one that was.
    pub reuse_faces: bool,
    /// Whether frames that are too late for downstream are not inferred.
    pub qos: bool,
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
        Self {
            load: LoadSettings {
                batch_size: DEFAULT_BATCH_SIZE,
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
        }
    }
}

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
        Selection {
            score_threshold: self.score_threshold,
            max_faces: usize::try_from(self.max_faces).ok(),
            bbox_x_factor: self.bbox_x_factor,
            bbox_y_factor: self.bbox_y_factor,
            expand_forehead: self.expand_forehead,
        }
    }

    /// The options to open the detector with.
    pub fn detector_options(&self) -> DetectorOptions {
        let size = |pixels: u32| (pixels > 0).then_some(pixels);
        DetectorOptions {
            selection: self.selection(),
            min_size: size(self.load.min_size),
            max_size: size(self.load.max_size),
            num_threads: self.load.num_threads as usize,
            execution_provider: self.load.execution_provider.into(),
            precision: self.load.precision.into(),
            device_id: self.load.device_id,
        }
    }

    /// Frames that the element holds at most: the batches that wait, and one that runs or is pushed, with the frames
    /// between theirs that are not inferred.
    pub fn capacity(&self) -> usize {
        (self.max_queued_batches as usize + 1)
            .saturating_mul(self.load.batch_size as usize)
            .saturating_mul(self.inference_interval as usize)
    }

    /// When a change of this property takes effect.
    pub fn effect(name: &str) -> Effect {
        match name {
            "batch-timeout" | "inference-interval" => Effect::Timing,
            "reuse-faces" | "qos" => Effect::Frames,
            "score-threshold" | "max-faces" | "bbox-x-factor" | "bbox-y-factor" | "expand-forehead" => {
                Effect::Selection
            }
            _ => Effect::Start,
        }
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        fn get<'v, T: glib::value::FromValue<'v>>(value: &'v glib::Value) -> T {
            value
                .get::<T>()
                .unwrap_or_else(|_| unreachable!("GObject has checked the type"))
        }
        match name {
            "model" => self.load.model = get::<Option<PathBuf>>(value),
            "onnxruntime-library" => self.load.onnxruntime_library = get::<Option<PathBuf>>(value),
            "batch-size" => self.load.batch_size = get(value),
            "min-size" => self.load.min_size = get(value),
            "max-size" => self.load.max_size = get(value),
            "num-threads" => self.load.num_threads = get(value),
            "execution-provider" => self.load.execution_provider = get(value),
            "precision" => self.load.precision = get(value),
            "device-id" => self.load.device_id = get(value),
            "batch-timeout" => self.batch_timeout = ClockTime::try_from(get::<u64>(value)).ok(),
            "max-queued-batches" => self.max_queued_batches = get(value),
            "score-threshold" => self.score_threshold = get(value),
            "max-faces" => self.max_faces = get(value),
            "bbox-x-factor" => self.bbox_x_factor = get(value),
            "bbox-y-factor" => self.bbox_y_factor = get(value),
            "expand-forehead" => self.expand_forehead = get(value),
            "inference-interval" => self.inference_interval = get(value),
            "reuse-faces" => self.reuse_faces = get(value),
            "qos" => self.qos = get(value),
            other => unreachable!("no writable property '{other}'"),
        }
    }

    /// The value of a property that can be written.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model" => self.load.model.to_value(),
            "onnxruntime-library" => self.load.onnxruntime_library.to_value(),
            "batch-size" => self.load.batch_size.to_value(),
            "min-size" => self.load.min_size.to_value(),
            "max-size" => self.load.max_size.to_value(),
            "num-threads" => self.load.num_threads.to_value(),
            "execution-provider" => self.load.execution_provider.to_value(),
            "precision" => self.load.precision.to_value(),
            "device-id" => self.load.device_id.to_value(),
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
            other => unreachable!("no property '{other}'"),
        }
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(param_specs);
        &SPECS
    }
}

fn param_specs() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let path = |name, nick, blurb| {
        glib::ParamSpecString::builder(name)
            .nick(nick)
            .blurb(blurb)
            .mutable_ready()
            .build()
    };
    let uint = |name, nick, blurb, (minimum, maximum), default| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(default)
            .mutable_ready()
            .build()
    };
    let float = |name, nick, blurb, (minimum, maximum), default| {
        glib::ParamSpecFloat::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        path(
            "model",
            "Model file",
            "The img2pose ONNX model (make one with img2pose-export); unset: the model that comes with the plugin",
        ),
        path(
            "onnxruntime-library",
            "ONNX Runtime library",
            "The libonnxruntime.so to load; unset: ORT_DYLIB_PATH, then beside the plugin, then the system's. The \
             first element that starts decides for the whole process",
        ),
        uint(
            "batch-size",
            "Batch size",
            "Frames that go through the network together; live streams are delayed by the time to fill a batch",
            (1, 64),
            defaults.load.batch_size,
        ),
        glib::ParamSpecUInt64::builder("batch-timeout")
            .nick("Batch timeout")
            .blurb(
                "Longest time in nanoseconds that a frame waits for its batch to fill; 0: run what is there as soon \
                 as the model is free; -1: automatic, that is one fill at the framerate of a live stream, no limit \
                 otherwise",
            )
            .default_value(u64::MAX)
            .mutable_playing()
            .build(),
        uint(
            "max-queued-batches",
            "Queued batches",
            "Batches that wait behind the one that runs; when they are full, upstream is blocked",
            (1, 64),
            defaults.max_queued_batches,
        ),
        uint(
            "min-size",
            "Short side",
            "Short side in pixels that frames are resized to; 0: as the model says. Smaller is faster and misses \
             small faces",
            (0, 16_384),
            0,
        ),
        uint(
            "max-size",
            "Longest side",
            "The long side of a resized frame is at most this many pixels; 0: as the model says",
            (0, 16_384),
            0,
        ),
        float(
            "score-threshold",
            "Score threshold",
            "Faces with a confidence below this are left out (0 to 1; the model itself stops at 0.05)",
            (0.0, 1.0),
            defaults.score_threshold,
        ),
        glib::ParamSpecInt::builder("max-faces")
            .nick("Most faces")
            .blurb("Report at most this many faces of a frame, the most confident ones; -1: all")
            .minimum(-1)
            .maximum(i32::MAX)
            .default_value(-1)
            .mutable_playing()
            .build(),
        float(
            "bbox-x-factor",
            "Box width",
            "Width of a face box as a multiple of the width of its projected landmarks",
            (0.01, 10.0),
            defaults.bbox_x_factor,
        ),
        float(
            "bbox-y-factor",
            "Box height",
            "Height of a face box as a multiple of the height of its projected landmarks",
            (0.01, 10.0),
            defaults.bbox_y_factor,
        ),
        float(
            "expand-forehead",
            "Forehead",
            "Height added to a face box on the side of the forehead, as a multiple of the landmarks' height",
            (0.0, 10.0),
            defaults.expand_forehead,
        ),
        uint(
            "num-threads",
            "Threads",
            "Threads for inference on the processor; 0: one for each core",
            (0, 1024),
            0,
        ),
        glib::ParamSpecEnum::builder_with_default("execution-provider", ExecutionProvider::default())
            .nick("Execution provider")
            .blurb(
                "What runs the network; a provider that is named but cannot be had is an error at start, never \
                 replaced in silence",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", Precision::default())
            .nick("Precision")
            .blurb(
                "The number format in which the network computes; less than fp32 is faster and moves boxes and \
                 poses a little",
            )
            .mutable_ready()
            .build(),
        uint(
            "device-id",
            "Device",
            "Which GPU runs the network, counted from 0 (cuda, tensorrt)",
            (0, 255),
            0,
        ),
        glib::ParamSpecUInt::builder("inference-interval")
            .nick("Inference interval")
            .blurb("Look for faces in every n-th frame; the others pass in their turn, see reuse-faces")
            .minimum(1)
            .maximum(10_000)
            .default_value(defaults.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("reuse-faces")
            .nick("Reuse faces")
            .blurb(
                "Give frames that are not looked at the faces of the last frame that was; otherwise they carry nothing",
            )
            .default_value(defaults.reuse_faces)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("qos")
            .nick("Quality of service")
            .blurb(
                "Let frames pass without inference when the sink has reported that it is too late for them; frames \
                 are never dropped",
            )
            .default_value(defaults.qos)
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("active-provider")
            .nick("Active provider")
            .blurb("The execution provider in use; unset before the model is loaded")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "Since the element went to PAUSED: frames-in, frames-out, inferred, skipped, late, faces, batches, \
                 mean-fill, queue-level, and count, mean, p50, p95, max in nanoseconds of convert, infer, post, push",
            )
            .read_only()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_has_its_default() {
        gst::init().unwrap();
        let settings = Settings::default();
        for spec in Settings::param_specs() {
            if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
                continue;
            }
            let value = settings.get(spec.name());
            assert_eq!(
                format!("{value:?}"),
                format!("{:?}", spec.default_value()),
                "{}",
                spec.name()
            );
        }
    }

    #[test]
    fn what_is_set_is_read_back() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        for (name, value) in [
            ("model", "/m.onnx".to_value()),
            ("onnxruntime-library", "/lib.so".to_value()),
            ("batch-size", 3u32.to_value()),
            ("batch-timeout", 5u64.to_value()),
            ("max-queued-batches", 7u32.to_value()),
            ("min-size", 96u32.to_value()),
            ("max-size", 960u32.to_value()),
            ("score-threshold", 0.25f32.to_value()),
            ("max-faces", 2i32.to_value()),
            ("bbox-x-factor", 1.5f32.to_value()),
            ("bbox-y-factor", 1.25f32.to_value()),
            ("expand-forehead", 0.75f32.to_value()),
            ("inference-interval", 2u32.to_value()),
            ("reuse-faces", true.to_value()),
            ("qos", true.to_value()),
            ("num-threads", 6u32.to_value()),
            ("execution-provider", ExecutionProvider::Cpu.to_value()),
            ("precision", Precision::Bf16.to_value()),
            ("device-id", 1u32.to_value()),
        ] {
            settings.set(name, &value);
            let read = settings.get(name);
            assert_eq!(format!("{read:?}"), format!("{value:?}"), "{name}");
        }
        assert_eq!(settings.capacity(), 48);
        assert_eq!(settings.selection().max_faces, Some(2));
        assert_eq!(settings.batch_timeout, Some(ClockTime::from_nseconds(5)));
    }

    #[test]
    fn what_can_change_while_playing_says_so() {
        gst::init().unwrap();
        for spec in Settings::param_specs() {
            if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
                continue;
            }
            let playing = spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
            assert_eq!(
                playing,
                Settings::effect(spec.name()) != Effect::Start,
                "{}",
                spec.name()
            );
        }
    }
}
