//! The img2pose face detector: video frames in, faces with 6DoF head pose out.
//!
//! The crate knows nothing of GStreamer. A model is one ONNX file that keeps the [`contract`].

pub mod contract;
mod face;
pub mod frame;
pub mod onnx;
pub mod pose;

pub use face::Face;
