//! What the documents say holds: properties, commands, examples, scripts, and what the README promises about the user's home.

mod describe;
#[path = "../alone/process.rs"]
#[allow(dead_code)] // Written for other tests, too.
mod process;

mod commands;
mod examples;
mod gpu_check;
mod meta_examples;
mod metrics;
mod properties;
mod reference;
mod telemetry;
