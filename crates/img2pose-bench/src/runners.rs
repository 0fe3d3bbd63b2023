//! What is measured: each takes the whole clip through once and says how long that took.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use img2pose::{Detector, DetectorOptions, Face, contract, runtime};
use ort::session::Session;
use ort::value::TensorRef;

use crate::frames::Clip;

/// How long a pipeline may take for one frame.
const FRAME_TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// What all runners have in common.
pub struct Settings {
    pub model: PathBuf,
    pub threads: usize,
    pub min_size: Option<u32>,
    pub max_size: Option<u32>,
}

/// One pass over the clip.
pub struct Run {
    pub elapsed: Duration,
    /// The faces of every frame, where the subject finds faces frame by frame.
    pub faces: Option<Vec<Vec<Face>>>,
}

/// A subject of the measurement.
pub trait Runner {
    fn name(&self) -> &'static str;
    fn batch_size(&self) -> usize;
    fn run(&mut self, clip: &Clip) -> Result<Run>;
}

impl Settings {
    fn options(&self) -> DetectorOptions {
        DetectorOptions {
            min_size: self.min_size,
            max_size: self.max_size,
            num_threads: self.threads,
            ..DetectorOptions::default()
        }
    }
}

/// The whole model file in ONNX Runtime, on batches that were converted beforehand.
pub struct Plain {
    session: Session,
    batches: Vec<Vec<f32>>,
    shape: [usize; 4],
    image_size: [i64; 2],
}

impl Plain {
    pub fn new(settings: &Settings, clip: &Clip, batch_size: usize) -> Result<Self> {
        let detector = Detector::open(&settings.model, settings.options())?;
        let mut batch = detector.new_batch(clip.layout()?, batch_size)?;
        let mut batches = Vec::new();
        for frame in clip.views()? {
            batch.push(&frame)?;
            if batch.is_full() {
                batches.push(batch.images().to_vec());
                batch.clear();
            }
        }
        let size = *batch.network_size();
        let threads = match settings.threads {
            0 => std::thread::available_parallelism()?.get(),
            threads => threads,
        };
        let session = Session::builder(runtime::load(None, None)?.environment())?
            .with_intra_threads(threads)
            .map_err(|error| anyhow!("{error}"))?
            .commit_from_file(&settings.model)?;
        Ok(Self {
            session,
            batches,
            shape: [
                batch_size,
                3,
                size.padded_height as usize,
                size.padded_width as usize,
            ],
            image_size: [size.height.into(), size.width.into()],
        })
    }
}

impl Runner for Plain {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn batch_size(&self) -> usize {
        self.shape[0]
    }

    fn run(&mut self, _clip: &Clip) -> Result<Run> {
        let started = Instant::now();
        for batch in &self.batches {
            let images = TensorRef::from_array_view((self.shape, batch.as_slice()))?;
            let image_size = TensorRef::from_array_view(([2usize], self.image_size.as_slice()))?;
            self.session.run(ort::inputs! {
                contract::IMAGES => images,
                contract::IMAGE_SIZE => image_size,
            })?;
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: None,
        })
    }
}

/// `Detector::detect` on the frames as they are.
pub struct Direct {
    detector: Detector,
    batch_size: usize,
}

impl Direct {
    pub fn new(settings: &Settings, batch_size: usize) -> Result<Self> {
        Ok(Self {
            detector: Detector::open(&settings.model, settings.options())?,
            batch_size,
        })
    }
}

impl Runner for Direct {
    fn name(&self) -> &'static str {
        "detector"
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn run(&mut self, clip: &Clip) -> Result<Run> {
        let frames = clip.views()?;
        let mut faces = Vec::with_capacity(frames.len());
        let started = Instant::now();
        for batch in frames.chunks(self.batch_size) {
            faces.extend(self.detector.detect(batch)?);
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: Some(faces),
        })
    }
}

/// appsrc, img2posedetect, appsink: played once a run, from the first frame to the end of the stream. The model is
/// loaded anew before the clock starts.
pub struct Pipeline {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    batch_size: usize,
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
        Ok(Self {
            pipeline,
            source,
            sink,
            batch_size,
        })
    }

    fn set_state(&self, state: gst::State) -> Result<()> {
        self.pipeline
            .set_state(state)
            .map(|_| ())
            .map_err(|_| self.error())
    }

    fn error(&self) -> anyhow::Error {
        let message = self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => anyhow!("the pipeline failed: {}", error.error()),
            _ => anyhow!("the pipeline gave no frame for {} s", FRAME_TIMEOUT.seconds()),
        }
    }
}

impl Runner for Pipeline {
    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn run(&mut self, clip: &Clip) -> Result<Run> {
        self.set_state(gst::State::Playing)?;
        let mut faces = Vec::with_capacity(clip.len());
        let duration = gst::ClockTime::from_mseconds(40);
        let started = Instant::now();
        for (index, mut buffer) in (0u64..).zip(clip.buffers()) {
            let buffer_ref = buffer.make_mut();
            buffer_ref.set_pts(duration * index);
            buffer_ref.set_dts(gst::ClockTime::NONE);
            buffer_ref.set_duration(duration);
            self.source.push_buffer(buffer).map_err(|_| self.error())?;
        }
        self.source.end_of_stream().map_err(|_| self.error())?;
        for _ in 0..clip.len() {
            let sample = self
                .sink
                .try_pull_sample(FRAME_TIMEOUT)
                .ok_or_else(|| self.error())?;
            let buffer = sample.buffer().context("a sample without buffer")?;
            let Some(found) = gstimg2pose::meta::read(buffer)? else {
                bail!("a frame came out without faces attached");
            };
            faces.push(found.faces);
        }
        let elapsed = started.elapsed();
        self.set_state(gst::State::Null)?;
        Ok(Run {
            elapsed,
            faces: Some(faces),
        })
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // A pipeline must be stopped before its last reference goes; there is nobody left to tell of a failure.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
