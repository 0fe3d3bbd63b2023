//! Frames in a second, the time that they take, and how full batches are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use img2pose_view::Numbers;

/// What "lately" is.
const LATELY: Duration = Duration::from_secs(3);
/// How often figures are made.
const EVERY: Duration = Duration::from_millis(500);
/// Frames on their way that are remembered. The detector holds fewer.
const MOST: usize = 1024;

/// Watches frames come and leave.
#[derive(Default)]
pub struct Meter {
    on_the_way: VecDeque<(Option<gst::ClockTime>, Instant)>,
    /// When frames left lately, and how long they took.
    left: VecDeque<(Instant, Option<Duration>)>,
    frames: u64,
    made: Option<Instant>,
    /// When, runs and their frames, as the detector counted them.
    batches: VecDeque<(Instant, u64, f64)>,
}

impl Meter {
    /// A frame comes.
    pub fn comes(&mut self, pts: Option<gst::ClockTime>, now: Instant) {
        if self.on_the_way.len() == MOST {
            self.on_the_way.pop_front();
        }
        self.on_the_way.push_back((pts, now));
    }

    /// Its line leaves. Those that came before it, and have not left, do not come any more.
    pub fn leaves(&mut self, pts: Option<gst::ClockTime>, now: Instant) {
        let place = self.on_the_way.iter().position(|&(came, _)| came == pts);
        let came = place.and_then(|place| self.on_the_way.drain(..=place).next_back());
        self.frames += 1;
        self.left.push_back((now, came.map(|(_, came)| now - came)));
        while self.left.front().is_some_and(|(left, _)| now - *left > LATELY) {
            self.left.pop_front();
        }
    }

    /// Whether figures are due.
    pub fn is_time(&self, now: Instant) -> bool {
        self.made.is_none_or(|made| now - made >= EVERY)
    }

    /// The figures of now; `stats` are those of `img2posedetect`.
    pub fn numbers(&mut self, now: Instant, stats: &gst::Structure, batch_size: u32) -> Numbers {
        self.made = Some(now);
        let mut times: Vec<_> = self.left.iter().filter_map(|(_, time)| *time).collect();
        times.sort_unstable();
        let quantile = |share: f64| {
            let place = (share * times.len() as f64) as usize;
            times.get(place).map(|time| time.as_secs_f64() * 1e3)
        };
        // The first of them only begins the time in which the others left.
        let first = self.left.front().map_or(now, |(first, _)| *first);
        let seconds = (now - first).as_secs_f64();
        let count = self.left.len().saturating_sub(1) as f64;
        Numbers {
            frames: self.frames,
            frames_per_second: if seconds > 0.0 { count / seconds } else { 0.0 },
            latency_ms: quantile(0.5),
            latency_95_ms: quantile(0.95),
            batch_size,
            batch_fill: self.fill(now, stats),
        }
    }

    /// Frames in a run, lately.
    fn fill(&mut self, now: Instant, stats: &gst::Structure) -> Option<f64> {
        let batches: u64 = stats.get("batches").ok()?;
        let frames = batches as f64 * stats.get::<f64>("mean-fill").ok()?;
        // One is left that is older, to count from.
        while self.batches.get(1).is_some_and(|(then, ..)| now - *then > LATELY) {
            self.batches.pop_front();
        }
        let (_, batches_before, frames_before) = self.batches.front().copied().unwrap_or((now, 0, 0.0));
        self.batches.push_back((now, batches, frames));
        (batches > batches_before).then(|| (frames - frames_before) / (batches - batches_before) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(batches: u64, fill: f64) -> gst::Structure {
        gst::Structure::builder("stats")
            .field("batches", batches)
            .field("mean-fill", fill)
            .build()
    }

    #[test]
    fn frames_that_never_leave_do_not_count() {
        gst::init().unwrap();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let pts = |frame| Some(gst::ClockTime::from_mseconds(frame));
        let mut meter = Meter::default();
        // Every second one leaves, 100 ms after it came; one comes every 50 ms.
        for frame in 0..200 {
            meter.comes(pts(frame), at(50 * frame));
            if frame >= 2 && frame % 2 == 0 {
                meter.leaves(pts(frame - 2), at(50 * frame));
            }
        }
        let numbers = meter.numbers(at(50 * 198), &stats(50, 2.0), 8);
        assert_eq!(numbers.frames, 99);
        assert!((numbers.frames_per_second - 10.0).abs() < 1e-9, "{numbers:?}");
        assert_eq!(
            (numbers.latency_ms, numbers.latency_95_ms),
            (Some(100.0), Some(100.0))
        );
        assert_eq!((numbers.batch_fill, numbers.batch_size), (Some(2.0), 8));
        assert!(!meter.is_time(at(50 * 198 + 499)) && meter.is_time(at(50 * 198 + 500)));
        // Since then: ten runs of six.
        let later = meter.numbers(at(50 * 198 + 500), &stats(60, 160.0 / 60.0), 8);
        assert!((later.batch_fill.unwrap() - 6.0).abs() < 1e-9, "{later:?}");
    }

    #[test]
    fn without_frames_there_are_no_figures() {
        gst::init().unwrap();
        let numbers = Meter::default().numbers(Instant::now(), &stats(0, 0.0), 1);
        assert_eq!((numbers.frames, numbers.frames_per_second), (0, 0.0));
        assert_eq!((numbers.latency_ms, numbers.batch_fill), (None, None));
    }
}
