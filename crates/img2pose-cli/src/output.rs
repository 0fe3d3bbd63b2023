//! What the commands print: results on stdout, the rest on stderr.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write};

use img2pose::text::{one_line, printable};

/// Prints a line. Control characters in it, which come from file names and from texts in files, are shown by their code.
///
/// `println!` would panic when nobody reads any more, as behind `| head`; the exit status still tells how the command ended.
// Not in img2pose-run, which writes lines of its own.
#[allow(dead_code)]
pub fn line(text: Arguments<'_>) {
    let text = text.to_string();
    match writeln!(std::io::stdout().lock(), "{}", printable(&text)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            failed(format_args!("cannot write to stdout: {error}"));
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Says on stderr what the user may want to know.
pub fn note(text: Arguments<'_>) {
    say("", &text);
}

/// Warns on stderr.
pub fn warning(text: Arguments<'_>) {
    say("warning: ", &text);
}

/// Says on stderr why the command failed.
pub fn failed(text: impl Display) {
    say("error: ", &text);
}

/// One line, whatever a library put into its message.
fn say(before: &str, text: &dyn Display) {
    // Nobody can be told that stderr is closed.
    let _ = writeln!(
        std::io::stderr().lock(),
        "{before}{}",
        one_line(&text.to_string())
    );
}
