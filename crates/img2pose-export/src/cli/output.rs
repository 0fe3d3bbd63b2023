//! What the commands print on stdout.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Prints a line. `println!` would panic when nobody reads any more, as behind `| head`; the exit status still tells how
/// the command ended.
pub fn line(text: Arguments<'_>) {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to stdout: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}
