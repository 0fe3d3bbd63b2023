//! How long a frame may wait for its batch, and what delay a live pipeline is told.
//!
//! Numbers in, numbers out. All times are in the units of GStreamer, nanoseconds.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use gst::ClockTime;

/// How long a live stream of unknown framerate waits for a batch to fill, unless `batch-timeout` says otherwise.
const FILL_OF_UNKNOWN_RATE: ClockTime = ClockTime::from_mseconds(100);

/// Frames that must be missing until a source that is not live is taken to pause.
const MISSING_FRAMES: u64 = 3;
/// The bounds of that time. A decoder may stop for a moment at any framerate, and in front of slow pictures nobody wants to
/// wait for several.
const QUIET: RangeInclusive<ClockTime> = ClockTime::from_mseconds(50)..=ClockTime::from_mseconds(250);
/// That time when the framerate is unknown: three frames at 30 a second.
const QUIET_OF_UNKNOWN_RATE: ClockTime = ClockTime::from_mseconds(100);

/// Batches that the measured inference time looks back on: about ten seconds of batches of 8 at 30 fps.
const WINDOW: usize = 32;

/// A duration in the units of GStreamer; what they cannot hold becomes the longest that they can.
pub fn clock_time(duration: Duration) -> ClockTime {
    ClockTime::try_from(duration).unwrap_or(ClockTime::MAX)
}

/// What the waiting for a batch depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Frames in a full batch, at least 1.
    pub batch_size: u32,
    /// `batch-timeout`; `None`: automatic.
    pub timeout: Option<ClockTime>,
    /// Whether upstream is live.
    pub live: bool,
    /// Duration of a frame at the negotiated framerate; `None`: unknown or variable.
    pub frame_duration: Option<ClockTime>,
}

/// When an open batch stops waiting for more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It does not wait at all: it runs as soon as the model is free.
    None,
    /// Until this long after its first frame.
    For(ClockTime),
    /// Until the model is free and nothing has come for this long.
    Quiet(ClockTime),
}

impl fmt::Display for Patience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(formatter, "as soon as the model is free"),
            Self::For(time) => write!(
                formatter,
                "when full, or {} ms after its first frame",
                time.mseconds()
            ),
            Self::Quiet(time) => write!(
                formatter,
                "when full, or when the model is free and nothing has come for {} ms",
                time.mseconds()
            ),
        }
    }
}

impl Patience {
    /// For how long nothing must have come until the worker may run an open batch; `None`: it may not.
    pub fn eager_after(self) -> Option<Duration> {
        match self {
            Self::None => Some(Duration::ZERO),
            Self::For(_) => None,
            Self::Quiet(time) => Some(time.into()),
        }
    }
}

impl Timing {
    /// From the first to the last frame of a full batch. `inference-interval` does not stretch it: frames that are
    /// looked at seldom go in small batches, so that they are not delayed more than others.
    pub fn fill(&self) -> Option<ClockTime> {
        let frames = u64::from(self.batch_size.saturating_sub(1));
        if frames == 0 {
            return Some(ClockTime::ZERO);
        }
        self.frame_duration.map(|duration| times(duration, frames))
    }

    /// The automatic timeout of a live stream: one fill, and half a frame so that jitter does not cut off the last.
    fn automatic(&self) -> ClockTime {
        match (self.fill(), self.frame_duration) {
            (Some(ClockTime::ZERO), _) => ClockTime::ZERO,
            (Some(fill), Some(duration)) => fill.saturating_add(duration / 2),
            _ => FILL_OF_UNKNOWN_RATE,
        }
    }

    /// How long nothing has come when a source that is not live is taken to pause.
    ///
    /// Results do not depend on the batch, and a source that is slower than this leaves the model idle anyway: small batches
    /// then cost no time. Decoders that bring frames in bursts, and sources that deliver evenly, stay below it and fill their
    /// batches.
    fn quiet(&self) -> ClockTime {
        self.frame_duration.map_or(QUIET_OF_UNKNOWN_RATE, |duration| {
            times(duration, MISSING_FRAMES).clamp(*QUIET.start(), *QUIET.end())
        })
    }

    /// How long an open batch waits. `playing`: the clock runs; `awaited`: no frame has left yet since the start or
    /// the last flush, so a sink may be waiting for one to finish its preroll.
    pub fn patience(&self, playing: bool, awaited: bool) -> Patience {
        match self.timeout {
            // Without a clock there is no timeout, and a batch that waits for ever would stop the preroll.
            _ if !playing => Patience::None,
            Some(ClockTime::ZERO) => Patience::None,
            Some(timeout) => Patience::For(timeout),
            None if self.live => Patience::For(self.automatic()),
            None if awaited => Patience::None,
            None => Patience::Quiet(self.quiet()),
        }
    }

    /// The longest time that a frame waits for its batch to close in a live stream.
    pub fn longest_wait(&self) -> ClockTime {
        match (self.timeout, self.fill()) {
            (None, _) => self.automatic(),
            (Some(timeout), Some(fill)) => timeout.min(fill),
            (Some(timeout), None) => timeout,
        }
    }

    /// What the element adds to the minimum and the maximum latency of a live stream. `inference`: the time of one
    /// run as promised; `capacity`: the frames that the element can hold.
    pub fn added(&self, inference: ClockTime, capacity: usize) -> (ClockTime, ClockTime) {
        let min = self.longest_wait().saturating_add(inference);
        // How much time the queue can hold is not known without a framerate; it can hold what it needs.
        let max = self
            .frame_duration
            .map_or(min, |duration| times(duration, capacity as u64));
        (min, max)
    }
}

fn times(duration: ClockTime, factor: u64) -> ClockTime {
    ClockTime::from_nseconds(duration.nseconds().saturating_mul(factor).min(u64::MAX - 1))
}

/// The inference time that a live pipeline is promised.
///
/// It is the slowest run of late, and a quarter of that on top. A promise is kept as long as it is enough, so that
/// the pipeline is not told a new latency with every batch, and lowered only when it is more than twice of what is
/// needed through a whole window.
#[derive(Clone, Debug, Default)]
pub struct InferencePromise {
    recent: VecDeque<ClockTime>,
    promised: ClockTime,
}

impl InferencePromise {
    /// Takes note of a run. Returns whether the promise has changed.
    pub fn observe(&mut self, run: ClockTime) -> bool {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(run);
        let slowest = self.recent.iter().copied().max().unwrap_or(ClockTime::ZERO);
        let needed = slowest.saturating_add(slowest / 4);
        let too_low = run > self.promised;
        let too_high = self.recent.len() == WINDOW && times(needed, 2) < self.promised;
        let change = too_low || too_high;
        if change {
            self.promised = needed;
        }
        change
    }

    /// Promises a time from a measurement with a single frame, unless there is a promise: `factor` times as much.
    pub fn assume(&mut self, single: ClockTime, factor: u32) {
        if self.promised == ClockTime::ZERO {
            let run = times(single, u64::from(factor));
            self.promised = run.saturating_add(run / 4);
        }
    }

    /// The time that is promised for one run; zero before the first.
    pub fn time(&self) -> ClockTime {
        self.promised
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: ClockTime = ClockTime::from_mseconds(40);

    fn live(batch_size: u32) -> Timing {
        Timing {
            batch_size,
            timeout: None,
            live: true,
            frame_duration: Some(FRAME),
        }
    }

    #[test]
    fn a_live_batch_waits_one_fill_and_half_a_frame() {
        let patience = |size| live(size).patience(true, true);
        assert_eq!(patience(4), Patience::For(ClockTime::from_mseconds(140)));
        assert_eq!(patience(1), Patience::For(ClockTime::ZERO));
    }

    #[test]
    fn a_live_batch_of_unknown_rate_has_a_fixed_wait() {
        let timing = Timing {
            frame_duration: None,
            ..live(4)
        };
        assert_eq!(timing.patience(true, false), Patience::For(FILL_OF_UNKNOWN_RATE));
        assert_eq!(
            timing.added(FRAME, 12),
            (FILL_OF_UNKNOWN_RATE + FRAME, FILL_OF_UNKNOWN_RATE + FRAME)
        );
        assert_eq!(
            Timing {
                frame_duration: None,
                ..live(1)
            }
            .longest_wait(),
            ClockTime::ZERO
        );
    }

    #[test]
    fn a_file_waits_for_full_batches_but_not_in_preroll() {
        let timing = Timing {
            live: false,
            ..live(4)
        };
        assert_eq!(timing.patience(false, true), Patience::None);
        assert_eq!(timing.patience(false, false), Patience::None);
        assert_eq!(timing.patience(true, true), Patience::None);
        assert_eq!(
            timing.patience(true, false),
            Patience::Quiet(ClockTime::from_mseconds(120))
        );
    }

    #[test]
    fn a_file_is_taken_to_pause_after_some_frames_within_reason() {
        let quiet = |frame_duration| {
            let timing = Timing {
                live: false,
                frame_duration,
                ..live(4)
            };
            timing.patience(true, false)
        };
        let after = |time| Patience::Quiet(ClockTime::from_mseconds(time));
        assert_eq!(quiet(None), after(100));
        assert_eq!(quiet(Some(ClockTime::from_mseconds(4))), after(50));
        assert_eq!(quiet(Some(ClockTime::from_mseconds(33))), after(99));
        assert_eq!(quiet(Some(ClockTime::SECOND)), after(250));
    }

    #[test]
    fn the_worker_is_told_when_it_may_run_an_open_batch() {
        assert_eq!(Patience::None.eager_after(), Some(Duration::ZERO));
        assert_eq!(Patience::For(FRAME).eager_after(), None);
        assert_eq!(
            Patience::Quiet(FRAME).eager_after(),
            Some(Duration::from_millis(40))
        );
    }

    #[test]
    fn an_explicit_timeout_holds_in_both() {
        for is_live in [false, true] {
            let timing = Timing {
                timeout: Some(FRAME),
                live: is_live,
                ..live(4)
            };
            assert_eq!(timing.patience(true, true), Patience::For(FRAME));
            assert_eq!(timing.patience(false, true), Patience::None);
            let impatient = Timing {
                timeout: Some(ClockTime::ZERO),
                ..timing
            };
            assert_eq!(impatient.patience(true, false), Patience::None);
        }
    }

    #[test]
    fn latency_is_the_shorter_of_timeout_and_fill() {
        let timing = |timeout| Timing {
            timeout: Some(timeout),
            ..live(4)
        };
        assert_eq!(timing(FRAME).longest_wait(), FRAME);
        assert_eq!(timing(ClockTime::SECOND).longest_wait(), FRAME * 3);
    }

    #[test]
    fn the_maximum_is_what_the_queue_holds() {
        let (min, max) = live(4).added(ClockTime::from_mseconds(100), 12);
        assert_eq!(min, ClockTime::from_mseconds(240));
        assert_eq!(max, FRAME * 12);
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let timing = Timing {
            frame_duration: Some(ClockTime::from_nseconds(u64::MAX / 2)),
            ..live(64)
        };
        let (min, max) = timing.added(ClockTime::MAX, usize::MAX);
        assert!(min <= max);
    }

    #[test]
    fn the_first_run_makes_a_promise_and_small_changes_do_not() {
        let mut promise = InferencePromise::default();
        assert_eq!(promise.time(), ClockTime::ZERO);
        assert!(promise.observe(FRAME));
        assert_eq!(promise.time(), ClockTime::from_mseconds(50));
        for run in [45, 30, 50, 41] {
            assert!(!promise.observe(ClockTime::from_mseconds(run)));
        }
        assert!(promise.observe(ClockTime::from_mseconds(60)));
        assert_eq!(promise.time(), ClockTime::from_mseconds(75));
    }

    #[test]
    fn an_assumption_holds_until_runs_show_better() {
        let mut promise = InferencePromise::default();
        promise.assume(FRAME, 3);
        assert_eq!(promise.time(), ClockTime::from_mseconds(150));
        promise.assume(FRAME * 10, 3);
        assert_eq!(promise.time(), ClockTime::from_mseconds(150));
        assert!(!promise.observe(FRAME * 3));
        assert!(promise.observe(FRAME * 4));
    }

    #[test]
    fn a_promise_is_lowered_after_a_whole_window() {
        let mut promise = InferencePromise::default();
        promise.observe(ClockTime::from_mseconds(400));
        let changes: Vec<usize> = (0..3 * WINDOW).filter(|_| promise.observe(FRAME)).collect();
        assert_eq!(changes, [WINDOW - 1]);
        assert_eq!(promise.time(), ClockTime::from_mseconds(50));
    }

    proptest! {
        #[test]
        fn a_run_is_never_longer_than_what_is_promised_after_it(runs in prop::collection::vec(1u64..1_000_000_000, 1..200)) {
            let mut promise = InferencePromise::default();
            for run in runs {
                let run = ClockTime::from_nseconds(run);
                let before = promise.time();
                let changed = promise.observe(run);
                prop_assert!(promise.time() >= run);
                prop_assert_eq!(changed, promise.time() != before);
            }
        }
    }
}
