//! The detector without GStreamer.

use std::time::{Duration, Instant};

use anyhow::Result;
use img2pose::{Batch, Detector, StageTimes};

use super::{Run, Runner, Settings, Stages};
use crate::frames::Clip;

/// Conversion into a batch and detection, one after the other.
pub struct Direct {
    detector: Detector,
    /// As large as the last batch size that was asked for.
    batch: Batch,
}

impl Direct {
    pub fn new(settings: &Settings, clip: &Clip) -> Result<Self> {
        let detector = Detector::open(&settings.model, settings.options())?;
        let batch = detector.new_batch(clip.layout()?, 1)?;
        Ok(Self { detector, batch })
    }
}

impl Runner for Direct {
    fn run(&mut self, clip: &Clip, batch_size: usize) -> Result<Run> {
        if self.batch.capacity() != batch_size {
            self.batch = self.detector.new_batch(clip.layout()?, batch_size)?;
        }
        let frames = clip.views()?;
        let mut faces = Vec::with_capacity(frames.len());
        let mut stages = Stages::default();
        let started = Instant::now();
        for frames in frames.chunks(batch_size) {
            let began = Instant::now();
            self.batch.clear();
            for frame in frames {
                self.batch.push(frame)?;
            }
            stages.convert += began.elapsed();
            faces.extend(self.detector.detect_batch(&self.batch)?);
            add(&mut stages.detect, &self.detector.stage_times());
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: Some(faces),
            stages: Some(stages),
        })
    }
}

fn add(sum: &mut StageTimes, more: &StageTimes) {
    let pairs: [(&mut Duration, Duration); 6] = [
        (&mut sum.dense, more.dense),
        (&mut sum.proposals, more.proposals),
        (&mut sum.roi_align, more.roi_align),
        (&mut sum.class_head, more.class_head),
        (&mut sum.pose_head, more.pose_head),
        (&mut sum.faces, more.faces),
    ];
    for (sum, more) in pairs {
        *sum += more;
    }
}
