//! What the process has, second by second, and whether that grows.

use std::fmt;

use test_support::process_status;

/// What the process has now.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Resident memory in KiB.
    pub memory: usize,
    pub threads: usize,
    /// Open file descriptors.
    pub files: usize,
}

impl Sample {
    pub fn now() -> Self {
        Self {
            memory: process_status("VmRSS:"),
            threads: process_status("Threads:"),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }
}

/// Samples after the warm-up, with the second of each.
#[derive(Default)]
pub struct Samples(Vec<(f64, Sample)>);

/// By how much the fitted lines rise over the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    seconds: f64,
    /// KiB.
    memory: f64,
    /// Mean resident memory in KiB.
    mean_memory: f64,
    threads: f64,
    files: f64,
}

impl Samples {
    pub fn add(&mut self, second: f64, sample: Sample) {
        self.0.push((second, sample));
    }

    /// The growth of each quantity by a straight line of least squares.
    pub fn growth(&self) -> Growth {
        let seconds = match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        };
        let rise = |value: fn(&Sample) -> usize| {
            let points: Vec<_> = self.0.iter().map(|(x, s)| (*x, value(s) as f64)).collect();
            slope(&points) * seconds
        };
        let memory: usize = self.0.iter().map(|(_, sample)| sample.memory).sum();
        Growth {
            seconds,
            memory: rise(|sample| sample.memory),
            mean_memory: memory as f64 / self.0.len().max(1) as f64,
            threads: rise(|sample| sample.threads),
            files: rise(|sample| sample.files),
        }
    }
}

impl Growth {
    /// A leak of one frame in a hundred would show; what the heap rounds up in a short run does not.
    pub fn is_fine(&self) -> bool {
        let most = (0.05 * self.mean_memory).max(4.0 * 1024.0);
        self.seconds > 10.0 && self.memory < most && self.threads < 3.0 && self.files < 3.0
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "growth over {:.0} s after the warm-up: memory {:+.0} KiB of {:.0}, threads {:+.1}, files {:+.1}",
            self.seconds, self.memory, self.mean_memory, self.threads, self.files
        )
    }
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|p| p.0).sum::<f64>() / n,
        points.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let over: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let under: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory: impl Fn(usize) -> usize, threads: impl Fn(usize) -> usize) -> Growth {
        let mut samples = Samples::default();
        for second in 0..60 {
            let sample = Sample {
                memory: memory(second),
                threads: threads(second),
                files: 20,
            };
            samples.add(second as f64, sample);
        }
        samples.growth()
    }

    #[test]
    fn noise_is_no_growth() {
        let growth = samples(
            |second| 200_000 + (second * 7919) % 3000,
            |second| 30 + second % 5,
        );
        assert!(growth.is_fine(), "{growth}");
    }

    #[test]
    fn leaks_are_growth() {
        // A picture of 320x240 in RGB for each second.
        let growth = samples(|second| 200_000 + second * 225, |_| 30);
        assert!(!growth.is_fine(), "{growth}");
        let growth = samples(|_| 200_000, |second| 30 + second / 10);
        assert!(!growth.is_fine(), "{growth}");
    }
}
