//! What the user sees while it runs and at its end, on stderr.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::lines::Lines;
use crate::output;

/// How often a terminal's line is written anew, and how often a line goes into a file.
const ON_TERMINAL: Duration = Duration::from_millis(250);
const IN_FILE: Duration = Duration::from_secs(5);

/// One line that is rewritten in place on a terminal; elsewhere a new one now and then.
pub struct Progress {
    every: Option<Duration>,
    terminal: bool,
    started: Instant,
    shown: Instant,
    visible: bool,
}

impl Progress {
    /// `quiet`: nothing is shown.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let every = if terminal { ON_TERMINAL } else { IN_FILE };
        let now = Instant::now();
        Self {
            every: (!quiet).then_some(every),
            terminal,
            started: now,
            shown: now,
            visible: false,
        }
    }

    /// Shows how far it is: frames so far, where in the source, and how long that is, if it is time.
    pub fn show(
        &mut self,
        frames: u64,
        position: Option<gst::ClockTime>,
        duration: impl FnOnce() -> Option<gst::ClockTime>,
    ) {
        let now = Instant::now();
        if self.every.is_none_or(|every| now - self.shown < every) {
            return;
        }
        self.shown = now;
        let seconds = (now - self.started).as_secs_f64();
        let mut text = format!("{frames:6} frames  {:5.1} frames/s", frames as f64 / seconds);
        if let (Some(position), Some(duration)) =
            (position, duration().filter(|duration| duration.nseconds() > 0))
        {
            let share = position.nseconds() as f64 / duration.nseconds() as f64;
            let _ = write!(text, "  {:3.0} %", 100.0 * share.min(1.0));
        }
        let mut stderr = std::io::stderr().lock();
        // Nobody can be told that stderr is closed.
        let _ = match self.terminal {
            true => write!(stderr, "\r{text}\x1b[K").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{text}"),
        };
        self.visible = self.terminal;
    }

    /// Takes the line away, so that something else can be written.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// What was found.
pub fn summary(lines: &Lines, time: Duration) {
    let seconds = time.as_secs_f64();
    let share = 100.0 * lines.with_face as f64 / (lines.frames.max(1)) as f64;
    output::note(format_args!(
        "{} frames, {} with a face ({share:.1} %), {} faces; {:.1} frames/s ({seconds:.1} s, loading the model included)",
        lines.frames,
        lines.with_face,
        lines.faces,
        lines.frames as f64 / seconds
    ));
}
