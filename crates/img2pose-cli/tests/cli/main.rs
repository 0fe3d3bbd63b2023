//! The program `img2pose` as its users meet it.

mod convert;
mod doctor;
mod errors;
mod hostile;
mod hostile_files;
mod hostile_models;
mod hostile_texts;
mod look;
mod memory;
mod old_name;
mod raw_zip;
mod serve_model;
mod signals;
// Another program of tests uses the rest.
#[allow(dead_code)]
#[path = "../../../img2pose-export/tests/export/synthetic.rs"]
mod synthetic;
mod telemetry;
mod tool;
