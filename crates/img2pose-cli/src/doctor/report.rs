//! What the doctor says: one line for each finding.

use std::fmt::Display;

use crate::output;

/// Prints findings and counts faults.
#[derive(Default)]
pub struct Report {
    faults: usize,
}

impl Report {
    /// Something is as it should be.
    pub fn good(&self, what: &str, found: impl Display) {
        Self::print("ok", what, &found.to_string());
    }

    /// Something that the user may want to know and that stops nothing.
    pub fn note(&self, what: &str, found: impl Display) {
        Self::print("note", what, &found.to_string());
    }

    /// Something that stops the element from working, and what to do about it.
    pub fn fault(&mut self, what: &str, found: impl Display, cure: impl Display) {
        self.faults += 1;
        Self::print("FAULT", what, &found.to_string());
        Self::print("", "fix", &cure.to_string());
    }

    /// Faults so far.
    pub fn faults(&self) -> usize {
        self.faults
    }

    fn print(verdict: &str, what: &str, text: &str) {
        // Messages of libraries come in several lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        output::line(format_args!("{verdict:<5}  {what:<13} {text}"));
    }
}
