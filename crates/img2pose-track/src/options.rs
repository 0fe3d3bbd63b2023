//! What a user can choose.

use std::time::Duration;

/// How faces are followed.
#[derive(Clone, Copy, Debug, PartialEq)]
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
pub struct OneEuro {
    /// Cut-off in hertz at rest, above 0. Lower is calmer. Default: 0.7.
    pub min_cutoff: f64,
    /// By how many hertz the cut-off rises with each degree a second that the head turns; for position and size with each
    /// hundredth of the face's size a second. 0 or more. Higher lags less. Default: 0.12.
    pub beta: f64,
    /// Cut-off in hertz for the speed itself, above 0. Default: 1.5.
    pub speed_cutoff: f64,
}

impl Default for OneEuro {
    fn default() -> Self {
        Self {
            min_cutoff: 0.7,
            beta: 0.12,
            speed_cutoff: 1.5,
        }
    }
}

/// An option that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl TrackerOptions {
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
