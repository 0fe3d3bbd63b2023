//! The exporter as its users meet it: checkpoints in, models out, and what those models find.

mod convert;
mod damaged;
mod end_to_end;
mod folder;
mod golden;
mod reference;
mod same_faces;
// The tests of the program use the rest.
#[allow(dead_code)]
mod synthetic;
