//! Where the time of a detection goes.

use std::time::{Duration, Instant};

/// Where the time of the last [`Detector::detect_batch`](crate::Detector::detect_batch) went, summed over the frames of the batch.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StageTimes {
    /// The convolutions: one run for the whole batch. On a device the conversion of the frames, too.
    pub dense: Duration,
    /// Decoding and suppressing region proposals.
    pub proposals: Duration,
    /// Pooling their features; 0 where the network does that, in the same run that scores them.
    pub roi_align: Duration,
    /// Scoring the proposals.
    pub class_head: Duration,
    /// Regressing the poses of those that passed.
    pub pose_head: Duration,
    /// Turning poses into faces.
    pub faces: Duration,
}

impl StageTimes {
    /// Adds the times of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.dense += other.dense;
        self.proposals += other.proposals;
        self.roi_align += other.roi_align;
        self.class_head += other.class_head;
        self.pose_head += other.pose_head;
        self.faces += other.faces;
    }
}

/// Shares time out among the stages.
pub(crate) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn lap(&mut self, stage: &mut Duration) {
        let now = Instant::now();
        *stage += now - self.0;
        self.0 = now;
    }
}
