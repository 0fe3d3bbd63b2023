//! The exporter as its users meet it: checkpoints in, models out, and what those models find.

mod convert;
mod damaged;
mod doctor;
mod end_to_end;
mod errors;
mod golden;
mod memory;
mod reference;
mod same_faces;
mod synthetic;
mod telemetry;
mod tool;
