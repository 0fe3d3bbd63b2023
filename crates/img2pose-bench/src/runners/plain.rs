//! The whole model file in ONNX Runtime, on frames that were converted beforehand.

use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use img2pose::frame::Converter;
use img2pose::{Detector, ExecutionProvider, Model, Precision, contract, runtime};
use ort::session::Session;
use ort::value::TensorRef;

use super::{Run, Runner, Settings};
use crate::frames::Clip;

/// ONNX Runtime with nothing of ours around it.
pub struct Plain {
    session: Session,
    images: Vec<f32>,
    shape: [usize; 3],
    image_size: [i64; 2],
}

impl Plain {
    pub fn new(settings: &Settings, clip: &Clip) -> Result<Self> {
        ensure!(
            (settings.place.provider, settings.place.precision) != (ExecutionProvider::Cuda, Precision::Fp16),
            "the file is in fp32, and CUDA computes in what a file is in; the detector rewrites it"
        );
        let builder = Session::builder(runtime::load(None, None)?.environment())?
            .with_intra_threads(settings.thread_count()?)
            .map_err(|error| anyhow!("{error}"))?;
        let model = Model::open_in(&settings.model, settings.place.precision)?;
        let session = settings
            .options()
            .register_provider(builder)?
            .commit_from_file(model.path())?;
        let detector = Detector::open(&settings.model, settings.options())?;
        let (layout, contract) = (clip.layout()?, detector.contract());
        let size = detector.network_size(&layout);
        let mut converter = Converter::new(layout, size, contract.image_mean, contract.image_std)?;
        let mut images = vec![0.0; size.tensor_len() * clip.len()];
        for (frame, image) in clip
            .views()?
            .iter()
            .zip(images.chunks_exact_mut(size.tensor_len()))
        {
            converter.convert(frame, image)?;
        }
        Ok(Self {
            session,
            images,
            shape: [3, size.padded_height as usize, size.padded_width as usize],
            image_size: [size.height.into(), size.width.into()],
        })
    }
}

impl Runner for Plain {
    fn run(&mut self, _clip: &Clip, batch_size: usize) -> Result<Run> {
        let [channels, height, width] = self.shape;
        let started = Instant::now();
        for batch in self.images.chunks(batch_size * channels * height * width) {
            let images = TensorRef::from_array_view(([batch_size, channels, height, width], batch))?;
            let image_size = TensorRef::from_array_view(([2usize], self.image_size.as_slice()))?;
            self.session.run(ort::inputs! {
                contract::IMAGES => images,
                contract::IMAGE_SIZE => image_size,
            })?;
        }
        Ok(Run {
            elapsed: started.elapsed(),
            faces: None,
            stages: None,
        })
    }
}
