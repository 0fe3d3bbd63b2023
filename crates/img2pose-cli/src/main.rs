//! `img2pose`: converts img2pose checkpoints to ONNX, looks into files, runs models, and checks installations.

mod arguments;
mod check;
mod convert;
mod doctor;
mod error;
mod inspect;
mod output;
mod run;
mod run_arguments;
mod serve_model;
mod signals;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while there is one thread.
    img2pose::telemetry::refuse();
    let cli = match arguments::Cli::from_arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failed(error);
            ExitCode::FAILURE
        }
    }
}
