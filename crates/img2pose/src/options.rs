//! What a user can choose.

use std::path::PathBuf;

use crate::Error;

/// Where the network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExecutionProvider {
    /// CUDA, else OpenVINO, else the processor: the first that works.
    #[default]
    Auto,
    /// ONNX Runtime's own CPU kernels, f32: the exact one.
    Cpu,
    /// NVIDIA GPU through CUDA.
    Cuda,
    /// NVIDIA GPU through TensorRT.
    TensorRt,
    /// The processor through OpenVINO, which is for Intel's.
    OpenVino,
    /// GPUs of any maker through WebGPU, which is on Vulkan.
    WebGpu,
    /// What a library with an execution provider brings: [`DetectorOptions::plugin`].
    Plugin,
}

/// The number format in which the network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// That of the file: `int8` for a quantized one, else the reference's `fp32`.
    #[default]
    Auto,
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats with 10 bits of mantissa.
    Fp16,
    /// 16-bit floats with the range of `fp32` and 7 bits of mantissa.
    Bf16,
    /// 8-bit integers: a file that was quantized, which is looked for beside the given one ([`Model::open_in`](crate::Model::open_in)).
    Int8,
}

impl Precision {
    /// Name as a user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// What `auto` stands for where no file says otherwise.
    pub(crate) fn resolved(self) -> Self {
        if self == Self::Auto { Self::Fp32 } else { self }
    }
}

/// An execution provider that comes as a library of its own, and that ONNX Runtime 1.23 or newer loads beside itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PluginProvider {
    /// The library's file.
    pub library: PathBuf,
    /// Which of its providers; `None`: it has one.
    pub name: Option<String>,
    /// What the provider is told: names and values, as its maker describes them.
    pub options: Vec<(String, String)>,
}

impl PluginProvider {
    /// The provider of the library at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            library: path.into(),
            ..Self::default()
        }
    }

    /// Sets [which](Self::name) of its providers.
    pub fn with_name(mut self, name: impl Into<Option<String>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [what](Self::options) the provider is told.
    pub fn with_options(mut self, options: Vec<(String, String)>) -> Self {
        self.options = options;
        self
    }
}

/// Options of a [`Detector`](crate::Detector). Those of [`Selection`] can be changed between detections.
///
/// ```
/// use img2pose::{DetectorOptions, Precision, Selection};
///
/// let options = DetectorOptions::default()
///     .with_min_size(320)
///     .with_precision(Precision::Int8)
///     .with_selection(Selection::default().with_score_threshold(0.7));
/// assert_eq!(options.min_size, Some(320));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetectorOptions {
    /// Which faces are reported and how their boxes are drawn.
    pub selection: Selection,
    /// Size in pixels of the short side of the network image, 1 to 16384; `None`: as the model file says.
    pub min_size: Option<u32>,
    /// Upper bound in pixels of its long side, 1 to 16384; `None`: as the model file says.
    pub max_size: Option<u32>,
    /// Threads for one detection; 0: one for each processor that this process may use.
    pub num_threads: usize,
    /// Where the network runs.
    pub execution_provider: ExecutionProvider,
    /// The library of [`ExecutionProvider::Plugin`].
    pub plugin: Option<PluginProvider>,
    /// The number format in which it computes.
    pub precision: Precision,
    /// Which GPU, counted from 0; ignored on the CPU.
    pub device_id: u32,
    /// Runs the model file as it is, in one session with ONNX Runtime's default options, and not in parts: slower, to compare with.
    pub whole: bool,
    /// The inference server that computes the network; `None`: this machine does.
    #[cfg(feature = "remote")]
    pub server: Option<crate::ServerOptions>,
}

/// Which faces are reported and how their boxes are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// Lowest confidence, 0 to 1. Below the model's floor (0.05) the floor holds.
    pub score_threshold: f32,
    /// At most this many faces of a frame, the most confident ones; `None`: all.
    pub max_faces: Option<usize>,
    /// Box width as a multiple of the landmarks' width, above 0.
    pub bbox_x_factor: f64,
    /// Box height as a multiple of the landmarks' height, above 0.
    pub bbox_y_factor: f64,
    /// Height of the forehead added to the box, as a multiple of the landmarks' height, 0 or more.
    pub expand_forehead: f64,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            score_threshold: 0.5,
            max_faces: None,
            bbox_x_factor: 1.1,
            bbox_y_factor: 1.1,
            expand_forehead: 0.3,
        }
    }
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            min_size: None,
            max_size: None,
            num_threads: 0,
            execution_provider: ExecutionProvider::Auto,
            plugin: None,
            precision: Precision::Auto,
            device_id: 0,
            whole: false,
            #[cfg(feature = "remote")]
            server: None,
        }
    }
}

impl Selection {
    /// Sets the [lowest confidence](Self::score_threshold).
    pub fn with_score_threshold(mut self, score_threshold: f32) -> Self {
        self.score_threshold = score_threshold;
        self
    }

    /// Sets how many faces of a frame are reported [at most](Self::max_faces).
    pub fn with_max_faces(mut self, max_faces: impl Into<Option<usize>>) -> Self {
        self.max_faces = max_faces.into();
        self
    }

    /// Sets the [width of the boxes](Self::bbox_x_factor).
    pub fn with_bbox_x_factor(mut self, bbox_x_factor: f64) -> Self {
        self.bbox_x_factor = bbox_x_factor;
        self
    }

    /// Sets the [height of the boxes](Self::bbox_y_factor).
    pub fn with_bbox_y_factor(mut self, bbox_y_factor: f64) -> Self {
        self.bbox_y_factor = bbox_y_factor;
        self
    }

    /// Sets how far boxes go [over the forehead](Self::expand_forehead).
    pub fn with_expand_forehead(mut self, expand_forehead: f64) -> Self {
        self.expand_forehead = expand_forehead;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let check = |good: bool, option, found: f64, expected| {
            good.then_some(()).ok_or_else(|| Error::Option {
                option,
                found: found.to_string(),
                expected,
            })
        };
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let score = f64::from(self.score_threshold);
        check((0.0..=1.0).contains(&score), "score_threshold", score, "0 to 1")?;
        check(
            positive(self.bbox_x_factor),
            "bbox_x_factor",
            self.bbox_x_factor,
            "a number above 0",
        )?;
        check(
            positive(self.bbox_y_factor),
            "bbox_y_factor",
            self.bbox_y_factor,
            "a number above 0",
        )?;
        let forehead = self.expand_forehead;
        check(
            forehead.is_finite() && forehead >= 0.0,
            "expand_forehead",
            forehead,
            "0 or more",
        )
    }
}

impl DetectorOptions {
    /// Sets [which faces are reported](Self::selection).
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Sets the [short side](Self::min_size) of the network image.
    pub fn with_min_size(mut self, min_size: impl Into<Option<u32>>) -> Self {
        self.min_size = min_size.into();
        self
    }

    /// Sets the bound of its [long side](Self::max_size).
    pub fn with_max_size(mut self, max_size: impl Into<Option<u32>>) -> Self {
        self.max_size = max_size.into();
        self
    }

    /// Sets the number of [threads](Self::num_threads).
    pub fn with_num_threads(mut self, num_threads: usize) -> Self {
        self.num_threads = num_threads;
        self
    }

    /// Sets [where](Self::execution_provider) the network runs.
    pub fn with_execution_provider(mut self, execution_provider: ExecutionProvider) -> Self {
        self.execution_provider = execution_provider;
        self
    }

    /// Sets the [library](Self::plugin) of [`ExecutionProvider::Plugin`].
    pub fn with_plugin(mut self, plugin: impl Into<Option<PluginProvider>>) -> Self {
        self.plugin = plugin.into();
        self
    }

    /// Sets the [number format](Self::precision).
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets [which GPU](Self::device_id).
    pub fn with_device_id(mut self, device_id: u32) -> Self {
        self.device_id = device_id;
        self
    }

    /// Sets whether the file is run [as a whole](Self::whole).
    pub fn with_whole(mut self, whole: bool) -> Self {
        self.whole = whole;
        self
    }

    /// Sets the [inference server](Self::server) that computes the network.
    #[cfg(feature = "remote")]
    pub fn with_server(mut self, server: impl Into<Option<crate::ServerOptions>>) -> Self {
        self.server = server.into();
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.selection.validate()?;
        for (option, size) in [("min_size", self.min_size), ("max_size", self.max_size)] {
            if let Some(size) = size.filter(|size| !(1..=16_384).contains(size)) {
                return Err(Error::Option {
                    option,
                    found: size.to_string(),
                    expected: "1 to 16384",
                });
            }
        }
        if let (Some(min), Some(max)) = (self.min_size, self.max_size)
            && min > max
        {
            return Err(Error::Option {
                option: "min_size",
                found: min.to_string(),
                expected: "no more than max_size, which bounds the longer side",
            });
        }
        Ok(())
    }

    pub(crate) fn threads(&self) -> usize {
        match self.num_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}
