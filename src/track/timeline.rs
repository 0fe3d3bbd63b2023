//! The time of each frame, as the tracker counts it.

use std::time::Duration;

/// Steps back of up to this, in nanoseconds, are a clock that is not exact. Beyond, the picture is another.
const EXACTNESS: i64 = 200_000_000;

/// What a frame without a timestamp takes when nothing tells, in nanoseconds.
pub const USUAL_FRAME: u64 = 40_000_000;

/// Timestamps of buffers as times that never go back.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Played backwards: timestamps fall.
    reverse: bool,
    /// The first and the last moment, in nanoseconds in the direction of playing.
    first: Option<i64>,
    last: i64,
    /// What the last frame took, in nanoseconds.
    took: u64,
    /// The last moment is no timestamp but one before, and what frames took since.
    counted: bool,
}

/// The time of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the first frame.
    pub time: Duration,
    /// Whether this is the first frame, or one that does not follow the one before: what is known of that one means nothing here.
    pub anew: bool,
}

impl Timeline {
    /// Begins anew with the next frame.
    pub fn reset(&mut self) {
        *self = Self {
            reverse: self.reverse,
            ..Self::default()
        };
    }

    /// Frames come in this direction from now on.
    pub fn set_reverse(&mut self, reverse: bool) {
        if self.reverse != reverse {
            self.reverse = reverse;
            self.reset();
        }
    }

    /// The time of the next frame, from its timestamp in nanoseconds, or where it has none from what frames take.
    pub fn next(&mut self, timestamp: Option<u64>, took: u64) -> Moment {
        let (moment, counted) = match timestamp {
            // 292 years.
            Some(timestamp) => {
                let moment = i64::try_from(timestamp).unwrap_or(i64::MAX);
                (if self.reverse { -moment } else { moment }, false)
            }
            None if self.first.is_none() => (0, true),
            None => (self.last.saturating_add_unsigned(self.took), true),
        };
        self.took = took;
        // Whoever counted may have counted too far.
        let slack = if self.counted {
            EXACTNESS.saturating_mul(5)
        } else {
            EXACTNESS
        };
        self.counted = counted;
        let known = self.first.filter(|_| moment >= self.last.saturating_sub(slack));
        let first = *self.first.insert(known.unwrap_or(moment));
        self.last = match known {
            Some(_) => moment.max(self.last),
            None => moment,
        };
        Moment {
            time: Duration::from_nanos(self.last.abs_diff(first)),
            anew: known.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 40_000_000;

    /// Milliseconds, and whether it begins anew, for timestamps in milliseconds.
    fn times(timeline: &mut Timeline, timestamps: &[Option<u64>]) -> Vec<(u128, bool)> {
        timestamps
            .iter()
            .map(|timestamp| {
                let moment = timeline.next(timestamp.map(|ms| ms * 1_000_000), FRAME);
                (moment.time.as_millis(), moment.anew)
            })
            .collect()
    }

    fn some(timestamps: &[u64]) -> Vec<Option<u64>> {
        timestamps.iter().copied().map(Some).collect()
    }

    #[test]
    fn timestamps_count_from_the_first() {
        let mut timeline = Timeline::default();
        assert_eq!(
            times(&mut timeline, &some(&[3_600_000, 3_600_040, 3_600_500])),
            [(0, true), (40, false), (500, false)]
        );
    }

    #[test]
    fn a_step_back_begins_anew_and_a_small_one_is_none() {
        let mut timeline = Timeline::default();
        assert_eq!(
            times(&mut timeline, &some(&[1000, 2000, 1990, 2040, 100, 140])),
            [
                (0, true),
                (1000, false),
                (1000, false),
                (1040, false),
                (0, true),
                (40, false)
            ]
        );
    }

    #[test]
    fn backwards_times_fall() {
        let mut timeline = Timeline::default();
        timeline.set_reverse(true);
        assert_eq!(
            times(&mut timeline, &some(&[1000, 960, 920, 2000])),
            [(0, true), (40, false), (80, false), (0, true)]
        );
        timeline.set_reverse(false);
        assert_eq!(times(&mut timeline, &some(&[2040])), [(0, true)]);
    }

    #[test]
    fn frames_without_a_timestamp_follow_the_one_before() {
        let mut timeline = Timeline::default();
        assert_eq!(
            times(&mut timeline, &[None, None, None]),
            [(0, true), (40, false), (80, false)]
        );
        // What was counted was too long: that is no step back.
        let mut timeline = Timeline::default();
        assert_eq!(
            times(
                &mut timeline,
                &[Some(500), None, None, None, Some(510), Some(700)]
            ),
            [
                (0, true),
                (40, false),
                (80, false),
                (120, false),
                (120, false),
                (200, false)
            ]
        );
    }

    #[test]
    fn the_largest_timestamps_do_no_harm() {
        let mut timeline = Timeline::default();
        for timestamp in [u64::MAX, 0, u64::MAX - 1] {
            timeline.next(Some(timestamp), u64::MAX);
            timeline.next(None, u64::MAX);
        }
        timeline.set_reverse(true);
        for timestamp in [u64::MAX, 0, u64::MAX - 1] {
            timeline.next(Some(timestamp), u64::MAX);
            timeline.next(None, u64::MAX);
        }
    }
}
