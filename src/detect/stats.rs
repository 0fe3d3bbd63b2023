//! Counters and timings of an element, as its property `stats` shows them.

use std::time::Duration;

use img2pose::FollowCounts;

/// Buckets for each doubling of the duration: percentiles are right within 9 %.
const STEPS: usize = 8;
/// Doublings covered: from 1 microsecond to 19 hours.
const OCTAVES: usize = 36;

/// Distribution of durations in constant memory.
#[derive(Clone, Debug)]
pub struct Durations {
    buckets: Box<[u64; STEPS * OCTAVES]>,
    count: u64,
    sum: Duration,
    max: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; STEPS * OCTAVES]),
            count: 0,
            sum: Duration::ZERO,
            max: Duration::ZERO,
        }
    }
}

impl Durations {
    /// Takes note of one duration.
    pub fn add(&mut self, duration: Duration) {
        let micros = duration.as_secs_f64() * 1e6;
        let bucket = (micros.max(1.0).log2() * STEPS as f64) as usize;
        self.buckets[bucket.min(STEPS * OCTAVES - 1)] += 1;
        self.count += 1;
        self.sum += duration;
        self.max = self.max.max(duration);
    }

    /// Mean; zero when empty.
    pub fn mean(&self) -> Duration {
        match u32::try_from(self.count) {
            Ok(0) => Duration::ZERO,
            Ok(count) => self.sum / count,
            Err(_) => self.sum.div_f64(self.count as f64),
        }
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that a share `q` (0 to 1) of all does not exceed, within 9 %; zero when empty.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let upper = ((bucket + 1) as f64 / STEPS as f64).exp2();
                return Duration::from_secs_f64(upper * 1e-6).min(self.max);
            }
        }
        Duration::ZERO
    }

    fn to_structure(&self, name: &str) -> gst::Structure {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        gst::Structure::builder(name)
            .field("count", self.count)
            .field("mean", nanos(self.mean()))
            .field("p50", nanos(self.quantile(0.5)))
            .field("p95", nanos(self.quantile(0.95)))
            .field("max", nanos(self.max()))
            .build()
    }
}

/// What an element has done since it went to PAUSED.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Frames that arrived.
    pub frames_in: u64,
    /// Frames that were pushed downstream.
    pub frames_out: u64,
    /// Frames among them whose faces were looked for.
    pub inferred: u64,
    /// Frames among them that `inference-interval` left out.
    pub skipped: u64,
    /// Frames among them that `qos` left out.
    pub late: u64,
    /// Frames among them that passed because the inference server did not answer.
    #[cfg(feature = "remote")]
    pub unreached: u64,
    /// Outages of the server that such frames met.
    #[cfg(feature = "remote")]
    pub outages: u64,
    /// The number of the last of them.
    #[cfg(feature = "remote")]
    pub last_outage: u64,
    /// Frames that were copied from CUDA memory to the network on the GPU.
    pub device_copies: u64,
    /// Frames among those that could have been that took the way over the processor.
    pub device_refusals: u64,
    /// Faces found.
    pub faces: u64,
    /// Batches that ran with a frame of this element.
    pub batches: u64,
    /// Frames in those batches.
    pub batched_frames: u64,
    /// Those among them that ran before they were full because nothing came.
    pub quiet_batches: u64,
    /// Converting a frame into the tensor, or copying it for a GPU that converts, a frame.
    pub convert: Durations,
    /// Running the network and making faces of its output, a batch.
    pub infer: Durations,
    /// Attaching the faces, a frame.
    pub post: Durations,
    /// Pushing downstream, a frame: mostly the time that downstream takes.
    pub push: Durations,
}

/// How a frame got into its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over the processor's memory, as most do.
    Host,
    /// Copied from CUDA memory to the network, on the GPU.
    Device,
    /// Over the processor's memory, because the GPU's copy was refused.
    Refused,
}

impl Stats {
    /// Takes note of a frame that got into its batch, and how long that took.
    pub fn converted(&mut self, way: Way, duration: Duration) {
        self.convert.add(duration);
        match way {
            Way::Host => {}
            Way::Device => self.device_copies += 1,
            Way::Refused => self.device_refusals += 1,
        }
    }

    /// Everything as a structure; `queued` is the number of frames in the element now, `followed` says how frames were looked
    /// at when faces are followed. Durations are in nanoseconds.
    pub fn to_structure(&self, queued: usize, followed: &FollowCounts) -> gst::Structure {
        let fill = match self.batches {
            0 => 0.0,
            batches => self.batched_frames as f64 / batches as f64,
        };
        let structure = gst::Structure::builder("img2posedetect-stats");
        #[cfg(feature = "remote")]
        let structure = structure
            .field("unreached", self.unreached)
            .field("outages", self.outages);
        structure
            .field("frames-in", self.frames_in)
            .field("frames-out", self.frames_out)
            .field("inferred", self.inferred)
            .field("skipped", self.skipped)
            .field("late", self.late)
            .field("device-copies", self.device_copies)
            .field("faces", self.faces)
            .field("batches", self.batches)
            .field("quiet-batches", self.quiet_batches)
            .field("whole-frames", followed.whole_frames)
            .field("regions", followed.regions)
            .field("losses", followed.losses)
            .field("mean-fill", fill)
            .field("queue-level", queued as u64)
            .field("convert", self.convert.to_structure("convert"))
            .field("infer", self.infer.to_structure("infer"))
            .field("post", self.post.to_structure("post"))
            .field("push", self.push.to_structure("push"))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_zero() {
        let none = Durations::default();
        assert_eq!(none.mean(), Duration::ZERO);
        assert_eq!(none.quantile(0.95), Duration::ZERO);
        assert_eq!(none.max(), Duration::ZERO);
    }

    #[test]
    fn extremes_have_a_bucket() {
        let mut durations = Durations::default();
        durations.add(Duration::ZERO);
        durations.add(Duration::from_secs(1_000_000));
        assert_eq!(durations.max(), Duration::from_secs(1_000_000));
        assert!(durations.quantile(0.5) <= Duration::from_micros(2));
    }

    #[test]
    fn the_structure_has_the_mean_fill() {
        gst::init().unwrap();
        let stats = Stats {
            batches: 4,
            batched_frames: 14,
            ..Default::default()
        };
        let structure = stats.to_structure(3, &FollowCounts::default());
        assert_eq!(structure.get::<f64>("mean-fill"), Ok(3.5));
        assert_eq!(structure.get::<u64>("queue-level"), Ok(3));
        let infer = structure.get::<gst::Structure>("infer").unwrap();
        assert_eq!(infer.get::<u64>("p95"), Ok(0));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_nine_percent(mut micros in prop::collection::vec(1u64..10_000_000, 1..300), q in 0.01f64..1.0) {
            let mut durations = Durations::default();
            for &micros in &micros {
                durations.add(Duration::from_micros(micros));
            }
            micros.sort_unstable();
            let rank = ((micros.len() as f64 * q).ceil() as usize).clamp(1, micros.len());
            let truth = micros[rank - 1] as f64;
            let found = durations.quantile(q).as_secs_f64() * 1e6;
            prop_assert!(found >= truth * 0.999 && found <= truth * 1.092, "{found} for {truth}");
            let mean = micros.iter().sum::<u64>() as f64 / micros.len() as f64;
            prop_assert!((durations.mean().as_secs_f64() * 1e6 - mean).abs() < 0.01);
        }
    }
}
