//! How the stream runs against the clock.

use gst::ClockTime;

/// Whether upstream is live, as it said when it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Liveness {
    /// It was never asked.
    #[default]
    Unknown,
    /// It was asked before this stream began.
    OfEarlierStream(bool),
    /// It was asked since this stream began.
    Known(bool),
}

/// What is known of the clock and of upstream and downstream at it.
#[derive(Debug, Default)]
pub struct Pace {
    liveness: Liveness,
    /// Whether the element is in PLAYING, where the clock runs.
    playing: bool,
    /// Frames before this running time are too late for downstream.
    earliest: Option<ClockTime>,
}

impl Pace {
    /// Whether upstream is live, as far as is known.
    pub fn is_live(&self) -> bool {
        self.said() == Some(true)
    }

    /// Whether it is to be asked for this stream.
    pub fn is_liveness_open(&self) -> bool {
        !matches!(self.liveness, Liveness::Known(_))
    }

    /// Upstream has said whether it is live. Returns what it said the time before.
    pub fn set_live(&mut self, live: bool) -> Option<bool> {
        let before = self.said();
        self.liveness = Liveness::Known(live);
        before
    }

    /// Upstream begins another stream.
    pub(super) fn begin_stream(&mut self) {
        if let Some(live) = self.said() {
            self.liveness = Liveness::OfEarlierStream(live);
        }
    }

    /// Upstream may be another one.
    pub(super) fn forget_upstream(&mut self) {
        self.liveness = Liveness::Unknown;
    }

    /// Whether the clock runs.
    pub(super) fn is_playing(&self) -> bool {
        self.playing
    }

    /// The clock runs from now on, or does not.
    pub(super) fn set_playing(&mut self, playing: bool) {
        self.playing = playing;
    }

    /// Frames before this running time are too late for downstream.
    pub fn set_earliest(&mut self, earliest: Option<ClockTime>) {
        self.earliest = earliest;
    }

    /// Whether downstream has said that frames of this running time are too late.
    pub(super) fn is_late(&self, running_time: Option<ClockTime>) -> bool {
        matches!((running_time, self.earliest), (Some(time), Some(earliest)) if time < earliest)
    }

    fn said(&self) -> Option<bool> {
        match self.liveness {
            Liveness::Unknown => None,
            Liveness::OfEarlierStream(live) | Liveness::Known(live) => Some(live),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstream_said_holds_until_it_is_asked_again() {
        let mut pace = Pace::default();
        pace.begin_stream();
        assert!(!pace.is_live() && pace.is_liveness_open());
        assert_eq!(pace.set_live(true), None);
        assert!(pace.is_live() && !pace.is_liveness_open());
        pace.begin_stream();
        assert!(pace.is_live() && pace.is_liveness_open());
        assert_eq!(pace.set_live(false), Some(true));
        pace.forget_upstream();
        assert_eq!(pace.set_live(false), None);
    }

    #[test]
    fn frames_are_late_only_when_both_times_are_known() {
        let mut pace = Pace::default();
        assert!(!pace.is_late(Some(ClockTime::ZERO)));
        pace.set_earliest(Some(ClockTime::SECOND));
        assert!(pace.is_late(Some(ClockTime::ZERO)));
        assert!(!pace.is_late(Some(ClockTime::SECOND)));
        assert!(!pace.is_late(None));
    }
}
