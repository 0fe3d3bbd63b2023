//! The name that `img2pose` had before its first release: says so, and becomes that program, which lies beside it.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    eprintln!("note: img2pose-export is called img2pose now");
    let program = match std::env::current_exe() {
        Ok(own) => own.with_file_name("img2pose"),
        Err(error) => {
            eprintln!("error: the place of img2pose-export is unknown: {error}");
            return ExitCode::FAILURE;
        }
    };
    // It comes back only when it fails.
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    eprintln!("error: {} cannot be run: {error}", program.display());
    ExitCode::FAILURE
}
