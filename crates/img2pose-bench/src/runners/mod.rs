//! What is measured: each takes the whole clip through once and says how long that took.

mod direct;
mod pipeline;
mod plain;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use img2pose::{DetectorOptions, Face, Selection, StageTimes};

use crate::frames::Clip;
use crate::place::Place;
pub use direct::Direct;
pub use pipeline::Pipeline;
pub use plain::Plain;

/// What all runners have in common.
pub struct Settings {
    pub model: PathBuf,
    pub place: Place,
    pub threads: usize,
    pub min_size: Option<u32>,
    pub max_size: Option<u32>,
    pub score_threshold: f32,
}

/// One pass over the clip.
pub struct Run {
    pub elapsed: Duration,
    /// The faces of every frame, where the subject finds faces frame by frame.
    pub faces: Option<Vec<Vec<Face>>>,
    /// Where the time went, where the subject knows.
    pub stages: Option<Stages>,
}

/// Time for each stage, summed over the clip.
#[derive(Clone, Copy, Default)]
pub struct Stages {
    pub convert: Duration,
    pub detect: StageTimes,
}

/// A subject of the measurement.
pub trait Runner {
    /// One pass over the clip in batches of `batch_size` frames.
    fn run(&mut self, clip: &Clip, batch_size: usize) -> Result<Run>;
}

impl Settings {
    /// The same, as the detector takes it.
    pub fn options(&self) -> DetectorOptions {
        DetectorOptions::default()
            .with_min_size(self.min_size)
            .with_max_size(self.max_size)
            .with_num_threads(self.threads)
            .with_execution_provider(self.place.provider)
            .with_precision(self.place.precision)
            .with_selection(Selection::default().with_score_threshold(self.score_threshold))
    }
}
