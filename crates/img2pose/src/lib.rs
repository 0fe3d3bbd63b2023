//! The img2pose face detector: video frames in, faces with 6DoF head pose out.
//!
//! A model is one ONNX file that keeps the [`contract`]; `img2pose convert` (the package `img2pose-cli`) makes it from a checkpoint. ONNX
//! Runtime is loaded when the first detector is opened, see [`runtime`]. The crate knows nothing of GStreamer.
//!
//! ```no_run
//! use img2pose::frame::Frame;
//! use img2pose::{Detector, DetectorOptions};
//!
//! # fn main() -> Result<(), img2pose::Error> {
//! let mut detector = Detector::open("img2pose-slim.onnx".as_ref(), DetectorOptions::default())?;
//! let pixels = vec![0u8; 640 * 480 * 3];
//! for face in &detector.detect(&[Frame::rgb(&pixels, 640, 480)])?[0] {
//!     println!("{:?} {:.2} {:?}", face.bbox, face.confidence, face.pose);
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_debug_implementations)]

mod batch;
mod cancel;
pub mod contract;
mod cuda;
mod detector;
mod ending;
mod engine;
mod error;
mod face;
mod failure;
pub mod files;
mod finite;
mod follow;
mod footprint;
pub mod frame;
pub mod locate;
mod memory;
mod model;
mod options;
mod origin;
mod pair;
pub mod pose;
mod provider;
mod rcnn;
pub mod runtime;
#[cfg(feature = "remote")]
mod server;
mod shapes;
#[doc(hidden)]
pub mod stages;
pub mod telemetry;
mod tensor;
pub mod text;
mod times;
mod turns;
mod view;
pub mod whole;

pub use batch::{Batch, BatchMaker, RegionBatch, Slot};
pub use cancel::Canceller;
pub use cuda::{CudaFrame, CudaPlane};
pub use detector::{Detector, StreamFrame};
pub use ending::process_is_ending;
pub use error::Error;
pub use face::Face;
pub use failure::OnnxRuntimeFailure;
pub use follow::{FollowCounts, FollowOptions, Follower};
pub use model::Model;
pub use model::{ServerModel, ServerTensor};
pub use options::{DetectorOptions, ExecutionProvider, PluginProvider, Precision, Selection};
pub use provider::{PluginDevice, plugin_devices};
#[cfg(feature = "remote")]
pub use server::ServerOptions;
pub use times::StageTimes;
