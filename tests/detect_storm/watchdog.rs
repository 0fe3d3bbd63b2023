//! Ends the program when a sequence hangs, and says which.

use std::fmt::Display;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Far more than the slowest sequence on a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

/// Watches until it is dropped.
pub struct Guard {
    _end: Sender<()>,
}

/// Prints the sequence and aborts if the guard is not dropped in time.
pub fn guard(number: u64, sequence: &impl Display) -> Guard {
    let text = format!("{sequence}");
    let (end, ended) = channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("sequence {number} hangs (IMG2POSE_RANDOM_SEED={number}): {text}");
            std::process::abort();
        }
    });
    Guard { _end: end }
}
