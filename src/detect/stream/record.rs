//! What was counted and measured since the element went to PAUSED.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::ClockTime;

use crate::detect::batcher::{BatchId, Cause};
use crate::detect::latency::{InferencePromise, clock_time};
use crate::detect::stats::Stats;
use crate::detect::watcher::Watched;
use crate::detect::worker::Run;

/// Counts, timings, and what the pipeline was told of them.
pub struct Record {
    stats: Stats,
    /// When the statistics were posted, or the element started.
    posted: Instant,
    /// What the pipeline was told about the time of a run.
    promise: InferencePromise,
    /// Whether the time of a run was measured for the promise.
    probed: bool,
    /// The last batch whose run was counted.
    counted: Option<BatchId>,
    /// What the network remembers of the frames.
    watched: Arc<Watched>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            stats: Stats::default(),
            posted: Instant::now(),
            promise: InferencePromise::default(),
            probed: false,
            counted: None,
            watched: Arc::default(),
        }
    }
}

impl Record {
    /// Counters and timings.
    pub fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// The statistics as the property shows them; `queued`: the number of frames in the element.
    pub(super) fn structure(&self, queued: usize) -> gst::Structure {
        self.stats.to_structure(queued, &self.watched.counts())
    }

    /// What the network remembers of the frames.
    pub(super) fn watched(&self) -> &Arc<Watched> {
        &self.watched
    }

    /// Whether it is time to post the statistics, which are posted every `interval`; zero: never. It begins anew if so.
    pub fn is_due(&mut self, interval: Duration) -> bool {
        let is_due = !interval.is_zero() && self.posted.elapsed() >= interval;
        if is_due {
            self.posted = Instant::now();
        }
        is_due
    }

    /// Whether a run is to be measured before the first frame: once, and not after a run was counted.
    pub fn begin_probe(&mut self) -> bool {
        !std::mem::replace(&mut self.probed, true) && self.counted.is_none()
    }

    /// A probe has shown how long a run takes: `runs` times as long as this.
    pub fn assume(&mut self, time: Duration, runs: u32) {
        self.promise.assume(clock_time(time), runs);
    }

    /// Time of a run as the pipeline was told; zero before the first.
    pub fn promised(&self) -> ClockTime {
        self.promise.time()
    }

    /// Counts the run of `batch`, which has delayed its frames by `delay`. Returns whether the promise has changed;
    /// `None`: the run was counted before.
    pub(super) fn count(&mut self, batch: BatchId, run: &Run, delay: Duration) -> Option<bool> {
        if self.counted.replace(batch) == Some(batch) {
            return None;
        }
        self.stats.batches += 1;
        self.stats.batched_frames += run.frames as u64;
        self.stats.infer.add(run.duration);
        self.stats.quiet_batches += u64::from(run.cause == Cause::Quiet);
        Some(self.promise.observe(clock_time(delay)))
    }
}
