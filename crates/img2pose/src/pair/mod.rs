//! What comes before, between and after two networks that find and look: cells to squares, squares to crops, answers to faces.
//!
//! Squares and landmarks lie in the **picture**: the frame turned upright, in square pixels as large as the shorter side of a
//! pixel of the frame. The middle of its first pixel is (0, 0). Angles in the plane are radians, positive clockwise.

mod again;
mod crop;
mod faces;
mod fit;
#[cfg(test)]
mod golden;
mod squares;

pub(crate) use again::{mirror, second_square};
pub(crate) use crop::CropPlan;
pub(crate) use faces::{Faces, Sight};
pub(crate) use fit::Fitter;
pub(crate) use squares::{Place, Places, Square};
