//! `img2posetrack`: ids, predictions, calm poses, and how it behaves as an element.

mod support;

mod errors;
mod look_ahead;
mod marks;
mod passing;
mod pipelines;
mod streams;
mod times;
