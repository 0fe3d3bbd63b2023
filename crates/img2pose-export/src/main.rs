//! `img2pose-export`: converts img2pose checkpoints to ONNX, looks into files, tries models, and checks installations.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // First of all, while there is one thread.
    img2pose::telemetry::refuse();
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever a library put into its message.
            eprintln!(
                "error: {}",
                error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
            );
            ExitCode::FAILURE
        }
    }
}
