//! The command line.

mod check;
mod convert;
mod doctor;
mod inspect;
mod output;

use clap::{Parser, Subcommand};
use img2pose_export::Result;

/// Converts img2pose checkpoints to ONNX, looks into files, tries models, and checks installations.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
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
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Convert(convert) => convert.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Check(check) => check.run(),
            Command::Doctor(doctor) => doctor.run(),
        }
    }
}
