//! `img2pose-export`: converts img2pose checkpoints to ONNX, looks into files, tries models, and checks installations.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while there is one thread.
    img2pose::telemetry::refuse();
    let cli = match cli::Cli::from_arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::failed(error);
            ExitCode::FAILURE
        }
    }
}
