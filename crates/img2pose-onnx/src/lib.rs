//! ONNX files as img2pose reads, builds and rewrites them: no runtime, and only what img2pose models need of the format.
//!
//! A part of the crates `img2pose` and `img2pose-export`, which share it; it changes with them, and nothing else should build on it.
//!
//! - [`proto`] has the messages of the format; [`decode`] reads a file within bounds, [`encode`] writes one.
//! - [`Builder`] makes graphs, and pieces to be put into one.
//! - [`Index`] looks things up in a graph.
//! - [`cut`], [`to_half`], [`output_channels_last`] and [`take_channels_last`] rewrite.

#![warn(missing_debug_implementations)]

pub mod attribute;
mod builder;
mod channels_last;
mod cut;
mod file;
mod fp16;
mod index;
mod make;
mod names;
pub mod proto;

pub use builder::{Builder, Value};
pub use channels_last::{HeadMatrix, head_matrix, output_channels_last, take_channels_last};
pub use cut::cut;
pub use file::{IR_VERSION, MOST_BYTES, OPSET, decode, encode, field};
pub use fp16::to_half;
pub use index::Index;
pub use make::Dimension;
pub use names::{shown, shown_node};
pub use proto::*;
