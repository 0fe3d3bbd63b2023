//! The exporter as its users meet it: checkpoints in, models out, and what those models find.

mod convert;
mod damaged;
mod doctor;
mod end_to_end;
mod errors;
mod golden;
mod hostile;
mod hostile_files;
mod hostile_models;
mod hostile_texts;
mod memory;
mod raw_zip;
mod reference;
mod same_faces;
mod signals;
mod synthetic;
mod telemetry;
mod tool;
