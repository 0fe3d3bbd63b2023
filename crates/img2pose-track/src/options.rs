//! What a user can choose.

use std::time::Duration;

/// How faces are followed.
///
/// ```
/// use std::time::Duration;
/// use img2pose_track::{OneEuro, Smoothing, TrackerOptions};
///
/// let options = TrackerOptions::default()
///     .with_max_lost(Duration::from_secs(5))
///     .with_smoothing(Smoothing::OneEuro(OneEuro::default().with_min_cutoff(0.4)));
/// assert_eq!(options.max_lost.as_secs(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrackerOptions {
    /// A face that is not seen for longer than this is forgotten, and gets another id if it comes back. Default: 2 s.
    pub max_lost: Duration,
    /// A face that is looked for and not found is reported where it should be for this long. Default: 0.5 s; 0: never.
    pub max_predicted: Duration,
    /// Least confidence, 0 to 1, of a sighting that a new face begins with. Default: 0.6. Those below only go on with a face
    /// that is known.
    pub start_score: f32,
    /// What makes boxes and poses calm.
    pub smoothing: Smoothing,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            max_lost: Duration::from_secs(2),
            max_predicted: Duration::from_millis(500),
            start_score: 0.6,
            smoothing: Smoothing::OneEuro(OneEuro::default()),
        }
    }
}

/// What makes boxes and poses calm.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Smoothing {
    /// Nothing: they are as they were seen.
    None,
    /// A low pass whose cut-off rises with speed (Casiez, Roussel, Vogel 2012: "1 Euro Filter").
    OneEuro(OneEuro),
}

/// The one-euro filter: little jitter at rest, little lag in motion.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OneEuro {
    /// Cut-off in hertz at rest, above 0. Lower is calmer. Default: 0.8.
    pub min_cutoff: f64,
    /// By how many hertz the cut-off rises with each degree a second that the head turns; for position and size with each
    /// hundredth of the face's size a second. 0 or more. Higher lags less. Default: 0.2.
    pub beta: f64,
    /// Cut-off in hertz for the speed itself, above 0. Default: 1.5.
    pub speed_cutoff: f64,
}

impl Default for OneEuro {
    fn default() -> Self {
        Self {
            min_cutoff: 0.8,
            beta: 0.2,
            speed_cutoff: 1.5,
        }
    }
}

/// An option that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionError {
    /// Its name.
    pub option: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl std::fmt::Display for OptionError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} is out of range: expected {}",
            self.option, self.expected
        )
    }
}

impl std::error::Error for OptionError {}

impl OneEuro {
    /// Sets the [cut-off at rest](Self::min_cutoff).
    pub fn with_min_cutoff(mut self, min_cutoff: f64) -> Self {
        self.min_cutoff = min_cutoff;
        self
    }

    /// Sets how fast the cut-off [rises with speed](Self::beta).
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets the [cut-off for the speed](Self::speed_cutoff).
    pub fn with_speed_cutoff(mut self, speed_cutoff: f64) -> Self {
        self.speed_cutoff = speed_cutoff;
        self
    }
}

impl TrackerOptions {
    /// Sets when a face is [forgotten](Self::max_lost).
    pub fn with_max_lost(mut self, max_lost: Duration) -> Self {
        self.max_lost = max_lost;
        self
    }

    /// Sets for how long a face is [predicted](Self::max_predicted).
    pub fn with_max_predicted(mut self, max_predicted: Duration) -> Self {
        self.max_predicted = max_predicted;
        self
    }

    /// Sets with which confidence a face [begins](Self::start_score).
    pub fn with_start_score(mut self, start_score: f32) -> Self {
        self.start_score = start_score;
        self
    }

    /// Sets what makes boxes and poses [calm](Self::smoothing).
    pub fn with_smoothing(mut self, smoothing: Smoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// # Errors
    /// When a number is out of its range.
    pub fn validate(&self) -> Result<(), OptionError> {
        let check =
            |holds: bool, option, expected| holds.then_some(()).ok_or(OptionError { option, expected });
        check(
            (0.0..=1.0).contains(&self.start_score),
            "start_score",
            "a number from 0 to 1",
        )?;
        if let Smoothing::OneEuro(filter) = &self.smoothing {
            let positive = |number: f64| number.is_finite() && number > 0.0;
            check(
                positive(filter.min_cutoff),
                "min_cutoff",
                "a number of hertz above 0",
            )?;
            check(
                positive(filter.speed_cutoff),
                "speed_cutoff",
                "a number of hertz above 0",
            )?;
            check(
                filter.beta.is_finite() && filter.beta >= 0.0,
                "beta",
                "a number of 0 or more",
            )?;
        }
        Ok(())
    }
}
