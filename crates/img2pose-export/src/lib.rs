//! From an img2pose checkpoint to one ONNX file that keeps the [`img2pose::contract`].
//!
//! [`convert`] is the whole of it; [`checkpoint`] and [`architecture`] tell what a checkpoint holds. PyTorch is not needed, and nothing in a checkpoint is executed.

#![warn(missing_debug_implementations)]
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

pub mod architecture;
pub mod checkpoint;
mod convert;
mod error;
mod graph;
pub mod output_file;
mod pickle_error;
pub mod statistics;
mod weights;
mod write;

pub use convert::{Options, Report, convert, refuse_input};
pub use error::{Error, Result};
pub use graph::Storage;
pub use img2pose::{Model, contract};
