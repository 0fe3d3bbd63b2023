//! The command line.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use img2pose::text::printable;

use crate::error::Result;
use crate::{check, convert, doctor, inspect, run, serve_model};

/// Converts img2pose checkpoints to ONNX, looks into files, runs models, and checks installations.
#[derive(Parser)]
#[command(name = "img2pose", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Convert(convert::Convert),
    Inspect(inspect::Inspect),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Run(run::Run),
    ServeModel(serve_model::ServeModel),
}

/// What a command that was called in the wrong way ends with, as is the custom.
const WRONG_CALL: u8 = 2;

impl Cli {
    /// Reads the arguments; when that is all there is to do, the code to end with.
    pub fn from_arguments() -> std::result::Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                // Help and version, in colours where there is a terminal.
                return match error.print() {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::FAILURE,
                };
            }
            // It repeats an argument, which may be the name of a file of others.
            let mut stderr = std::io::stderr().lock();
            for line in error.render().to_string().lines() {
                // Nobody can be told that stderr is closed.
                let _ = writeln!(stderr, "{}", printable(line));
            }
            ExitCode::from(WRONG_CALL)
        })
    }

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Convert(convert) => convert.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Check(check) => check.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Run(run) => run.run(),
            Command::ServeModel(serve) => serve.run(),
        }
    }
}
