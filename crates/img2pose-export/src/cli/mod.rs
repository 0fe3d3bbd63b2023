//! The command line.

mod check;
mod convert;
mod inspect;

use clap::{Parser, Subcommand};
use img2pose_export::Result;

/// Converts img2pose checkpoints to ONNX, looks into files, and tries models.
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
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Convert(convert) => convert.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Check(check) => check.run(),
        }
    }
}
