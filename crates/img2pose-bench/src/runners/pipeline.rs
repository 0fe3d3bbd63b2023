//! appsrc, img2posedetect, appsink.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use gst::prelude::*;
use img2pose::Face;

use super::{Run, Runner, Settings};
use crate::frames::Clip;
use crate::machine::Progress;

/// How long a pipeline may stand still. A time limit for a frame would not do: a batch of 16 frames through a full-size
/// model takes minutes on a busy machine.
const STANDSTILL: Duration = Duration::from_secs(60);

/// A pipeline that plays from one run to the next, so that loading the model is no part of a run.
pub struct Pipeline {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    batch_size: usize,
    /// Frames that went in so far.
    count: u64,
}

impl Pipeline {
    pub fn new(settings: &Settings, clip: &Clip, batch_size: usize) -> Result<Self> {
        let source = gst_app::AppSrc::builder()
            .caps(&clip.info.to_caps()?)
            .format(gst::Format::Time)
            // The whole clip waits there; its memory is shared with the clip.
            .max_bytes(0)
            .build();
        let mut detect = gst::ElementFactory::make("img2posedetect")
            .property(
                "model",
                settings.model.to_str().context("the model's path is not UTF-8")?,
            )
            .property_from_str("execution-provider", settings.place.provider.name())
            .property_from_str("precision", settings.place.precision.name())
            .property("score-threshold", settings.score_threshold)
            .property("batch-size", u32::try_from(batch_size)?)
            .property("num-threads", u32::try_from(settings.threads)?);
        for (name, size) in [("min-size", settings.min_size), ("max-size", settings.max_size)] {
            if let Some(size) = size {
                detect = detect.property(name, size);
            }
        }
        let detect = detect.build()?;
        let sink = gst_app::AppSink::builder().sync(false).build();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &detect, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &detect, sink.upcast_ref()])?;
        let mut made = Self {
            pipeline,
            source,
            sink,
            batch_size,
            count: 0,
        };
        made.pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| made.error())?;
        // While the sink waits for its first frame, batches do not wait to be full. One frame ends that, and all after it
        // fill whole batches.
        let first = clip.buffers().next().context("the clip is empty")?;
        made.push(first)?;
        made.pull()?;
        // Before that, batches would still not wait to be full.
        made.wait(|pipeline, time| match pipeline.pipeline.state(time) {
            (Ok(gst::StateChangeSuccess::Async), ..) => Ok(None),
            (Ok(_), ..) => Ok(Some(())),
            (Err(_), ..) => Err(pipeline.error()),
        })?;
        Ok(made)
    }

    fn push(&mut self, mut buffer: gst::Buffer) -> Result<()> {
        let duration = gst::ClockTime::from_mseconds(40);
        let buffer_ref = buffer.make_mut();
        buffer_ref.set_pts(duration * self.count);
        buffer_ref.set_dts(gst::ClockTime::NONE);
        buffer_ref.set_duration(duration);
        self.count += 1;
        self.source
            .push_buffer(buffer)
            .map(|_| ())
            .map_err(|_| self.error())
    }

    fn pull(&self) -> Result<Vec<Face>> {
        let sample = self.wait(|pipeline, time| match pipeline.sink.try_pull_sample(time) {
            None if pipeline.sink.is_eos() => Err(pipeline.error()),
            sample => Ok(sample),
        })?;
        let buffer = sample.buffer().context("a sample without buffer")?;
        let found = gstimg2pose::meta::read(buffer)?;
        Ok(found.context("a frame came out without faces attached")?.faces)
    }

    /// Asks `attempt`, which takes a while itself, until it gives something, the pipeline fails, or nothing happens any
    /// more.
    fn wait<T>(&self, attempt: impl Fn(&Self, gst::ClockTime) -> Result<Option<T>>) -> Result<T> {
        let mut progress = Progress::start()?;
        loop {
            if let Some(result) = attempt(self, gst::ClockTime::SECOND)? {
                return Ok(result);
            }
            if let Some(error) = self.reported() {
                return Err(error);
            }
            let standstill = progress.standstill()?;
            ensure!(
                standstill < STANDSTILL,
                "the pipeline stands still: no frame came out, and nothing was computed for {} s",
                standstill.as_secs()
            );
        }
    }

    /// The error on the bus.
    fn reported(&self) -> Option<anyhow::Error> {
        let message = self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Some(anyhow!("the pipeline failed: {}", error.error())),
            _ => None,
        }
    }

    fn error(&self) -> anyhow::Error {
        self.reported()
            .unwrap_or_else(|| anyhow!("the pipeline failed and does not say why"))
    }
}

impl Runner for Pipeline {
    fn run(&mut self, clip: &Clip, batch_size: usize) -> Result<Run> {
        // Only whole batches leave without an end of the stream.
        ensure!(
            batch_size == self.batch_size && clip.len().is_multiple_of(batch_size),
            "the pipeline takes batches of {}, not {batch_size}",
            self.batch_size
        );
        let mut faces = Vec::with_capacity(clip.len());
        let started = Instant::now();
        for buffer in clip.buffers() {
            self.push(buffer)?;
        }
        for _ in 0..clip.len() {
            faces.push(self.pull()?);
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: Some(faces),
            stages: None,
        })
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // A pipeline must be stopped before its last reference goes; there is nobody left to tell of a failure.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
