//! The whole model file in ONNX Runtime, on frames that were converted beforehand.

use std::time::Instant;

use anyhow::Result;
use img2pose::{Batch, Detector};

use super::{Run, Runner, Settings};
use crate::frames::Clip;

/// ONNX Runtime with its default options, and next to nothing of ours around it: the engine that runs a model file as it is.
pub struct Plain {
    detector: Detector,
    /// The whole clip, in batches of the size that was last asked for.
    batches: Vec<Batch>,
}

impl Plain {
    pub fn new(settings: &Settings) -> Result<Self> {
        let options = settings.options().with_whole(true);
        Ok(Self {
            detector: Detector::open(&settings.model, options)?,
            batches: Vec::new(),
        })
    }

    fn convert(&mut self, clip: &Clip, batch_size: usize) -> Result<()> {
        self.batches.clear();
        for frames in clip.views()?.chunks(batch_size) {
            let mut batch = self.detector.new_batch(clip.layout()?, frames.len())?;
            for frame in frames {
                batch.push(frame)?;
            }
            self.batches.push(batch);
        }
        Ok(())
    }
}

impl Runner for Plain {
    fn run(&mut self, clip: &Clip, batch_size: usize) -> Result<Run> {
        if self.batches.first().map(Batch::len) != Some(batch_size) {
            self.convert(clip, batch_size)?;
        }
        let mut faces = Vec::with_capacity(clip.len());
        let started = Instant::now();
        for batch in &self.batches {
            faces.extend(self.detector.detect_batch(batch)?);
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: Some(faces),
            stages: None,
        })
    }
}
