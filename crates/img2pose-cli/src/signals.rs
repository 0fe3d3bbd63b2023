//! What a signal does to a command that writes a file.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use img2pose_export::output_file;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Removes files that are not complete before a signal ends the process in its usual way: what started it sees that the
/// signal did.
pub fn watch() {
    // `nohup` and shells that run a command in the background have set what is to be ignored.
    let ignored = ignored();
    let ending = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU];
    let wanted = ending
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    // Writing beyond a limit of the shell then fails as on a full disk.
    let limit = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let watched = Signals::new(wanted).and_then(|mut signals| {
        let wait = move || {
            if let Some(signal) = signals.forever().next() {
                let _held = output_file::abandon();
                // It fails for signals that are none, and does not come back from these.
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait)
    });
    if let Err(error) = limit.map(drop).and(watched.map(drop)) {
        // All else works.
        crate::output::warning(format_args!(
            "a signal may leave a temporary file behind: {error}"
        ));
    }
}

/// The signals that are ignored, a bit for each; none where the system does not say.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
