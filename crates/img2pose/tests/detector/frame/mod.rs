//! Frames into the network tensor: against PyTorch's numbers, and against a plain f64 reference.

mod errors;
mod formats;
mod golden;
mod picture;
mod views;
