//! How long frames wait for a later look when nothing more comes.
//!
//! Upstream may be waiting itself: for a buffer of a small pool to come back, or, in an application, for the frame that it has
//! pushed. So when nothing has come for long, one frame leaves. If another one comes at once, upstream was waiting, and from
//! then on fewer frames are held. If not, it rests, and all leave.
//!
//! Events in, decisions out; no clock and no threads.

use std::time::{Duration, Instant};

/// Nothing must have come for so long, at least. A slow detector brings the frames of a batch together and rests in between.
pub const SHORTEST: Duration = Duration::from_secs(5);
/// And for so many times the longest gap between frames until now,
const GAPS: u32 = 4;
/// but for no longer than this.
const LONGEST: Duration = Duration::from_secs(60);
/// Upstream that waited for a frame to leave brings the next one within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What is known of upstream's patience.
#[derive(Debug, Default)]
pub struct Patience {
    phase: Phase,
    arrived: Option<Instant>,
    longest_gap: Duration,
    limit: Option<usize>,
}

#[derive(Debug, Default)]
enum Phase {
    /// No frame is held.
    #[default]
    Idle,
    /// Frames are held, and nothing has come since then.
    Waiting(Instant),
    /// One of so many has left at that time to see whether another one comes.
    Trying(usize, Instant),
}

/// What leaves when nothing has come for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The first of the frames that are held.
    First,
    /// All of them.
    All,
}

impl Patience {
    /// So many frames can be held; `None`: as many as are asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// No frame is held any more, whatever comes.
    pub fn hold_none(&mut self) {
        self.limit = Some(0);
        self.phase = Phase::Idle;
    }

    /// A frame comes. Returns how many frames can be held from now on, if that is news.
    pub fn arrive(&mut self, now: Instant) -> Option<usize> {
        if let Some(before) = self.arrived.replace(now) {
            self.longest_gap = self.longest_gap.max(now.saturating_duration_since(before));
        }
        match std::mem::take(&mut self.phase) {
            Phase::Trying(held, since) if now.saturating_duration_since(since) < AT_ONCE => {
                self.limit = Some(held.saturating_sub(1));
                self.limit
            }
            _ => None,
        }
    }

    /// So many frames are held now.
    pub fn hold(&mut self, frames: usize, now: Instant) {
        self.phase = match frames {
            0 => Phase::Idle,
            _ => Phase::Waiting(now),
        };
    }

    /// When [`run_out`](Self::run_out) is to be called, if nothing comes before.
    pub fn until(&self) -> Option<Instant> {
        let wait = (GAPS * self.longest_gap).clamp(SHORTEST, LONGEST);
        match self.phase {
            Phase::Idle => None,
            Phase::Waiting(since) | Phase::Trying(_, since) => Some(since + wait),
        }
    }

    /// Nothing has come for long while `held` frames wait. `None`: it is not so long yet.
    pub fn run_out(&mut self, held: usize, now: Instant) -> Option<Release> {
        if self.until().is_none_or(|until| now < until) {
            return None;
        }
        match self.phase {
            Phase::Waiting(_) => {
                self.phase = Phase::Trying(held, now);
                Some(Release::First)
            }
            _ => {
                self.phase = Phase::Idle;
                Some(Release::All)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn upstream_that_waits_for_a_frame_is_let_go_on_and_remembered() {
        let start = Instant::now();
        let mut patience = Patience::default();
        for _ in 0..4 {
            assert_eq!(patience.arrive(start), None);
        }
        patience.hold(4, start);
        assert_eq!(patience.until(), Some(start + SHORTEST));
        assert_eq!(patience.run_out(4, start + SECOND), None);
        let late = start + SHORTEST;
        assert_eq!(patience.run_out(4, late), Some(Release::First));
        assert_eq!(patience.arrive(late + SECOND), Some(3));
        assert_eq!(patience.limit(), Some(3));
        patience.hold(3, late + SECOND);
        assert_eq!(patience.arrive(late + SECOND), None);
    }

    #[test]
    fn upstream_that_rests_gets_all_its_frames_and_is_trusted_as_before() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.arrive(start);
        patience.hold(2, start);
        assert_eq!(patience.run_out(2, start + SHORTEST), Some(Release::First));
        assert_eq!(patience.run_out(1, start + SHORTEST + SECOND), None);
        assert_eq!(patience.run_out(1, start + 2 * SHORTEST), Some(Release::All));
        assert_eq!(patience.until(), None);
        assert_eq!(patience.arrive(start + 3 * SHORTEST), None);
        assert_eq!(patience.limit(), None);
    }

    /// A batch on a slow machine: its frames come together, and then none for long.
    #[test]
    fn upstream_that_is_slow_is_waited_for() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.arrive(start);
        patience.arrive(start + 4 * SECOND);
        patience.hold(1, start + 4 * SECOND);
        assert_eq!(patience.until(), Some(start + 20 * SECOND));
        patience.arrive(start + 1000 * SECOND);
        patience.hold(1, start + 1000 * SECOND);
        assert_eq!(patience.until(), Some(start + 1060 * SECOND));
    }
}
