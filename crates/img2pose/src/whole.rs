//! Running a model file as it is, as a user of the bare file would: what a model says for itself, and what the
//! [`Detector`](crate::Detector), which runs a model in parts, is compared with.

pub use crate::engine::whole::{Images, Outputs, WholeModel};
