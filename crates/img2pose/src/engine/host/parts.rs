//! The parts of a network in the processor's memory.

use ort::session::{Session, SessionOutputs};

use super::super::Setting;
use super::super::part::Part;
use crate::Error;
use crate::model::Parts;
use crate::tensor::Tensor;

/// The convolutions: network images to pyramid features and RPN outputs.
pub(crate) struct Dense {
    part: Part,
    features: Vec<String>,
    objectness: Vec<String>,
    deltas: Vec<String>,
}

/// The two heads: pooled regions to scores and poses.
pub(crate) struct Heads {
    class: Part,
    pose: Part,
}

/// What the dense part gives for a batch.
pub(crate) struct DenseOutput<'s> {
    outputs: SessionOutputs<'s>,
    features: &'s [String],
    objectness: &'s [String],
    deltas: &'s [String],
}

/// Loads the parts with `load`, which is given a name for messages and the ONNX file.
///
/// # Errors
/// What `load` says.
pub(super) fn load(
    parts: &Parts,
    setting: &Setting,
    load: impl Fn(&'static str, &[u8]) -> Result<Session, Error>,
) -> Result<(Dense, Heads), Error> {
    let part = |name, bytes: &[u8]| load(name, bytes).map(|session| Part::new(name, session, setting));
    let dense = Dense {
        part: part("dense part", &parts.dense)?,
        features: parts.features.clone(),
        objectness: parts.objectness.clone(),
        deltas: parts.deltas.clone(),
    };
    let heads = Heads {
        class: part("class head", &parts.class_head)?,
        pose: part("pose head", &parts.pose_head)?,
    };
    Ok((dense, heads))
}

impl Dense {
    /// One run over a whole batch: `images` is `[frames, 3, height, width]`.
    pub fn run(
        &mut self,
        images: &[f32],
        frames: usize,
        height: usize,
        width: usize,
    ) -> Result<DenseOutput<'_>, Error> {
        Ok(DenseOutput {
            outputs: self.part.run(images, [frames, 3, height, width])?.outputs,
            features: &self.features,
            objectness: &self.objectness,
            deltas: &self.deltas,
        })
    }
}

impl Heads {
    /// Appends the face probability of each region to `scores`; `regions` is `[rows, side, side, channels]`.
    pub fn class_scores(
        &mut self,
        regions: &[f32],
        shape: [usize; 4],
        scores: &mut Vec<f32>,
    ) -> Result<(), Error> {
        self.class.run_rows(regions, shape, 1, scores)
    }

    /// Appends the six normalised pose numbers of each region to `poses`.
    pub fn poses(&mut self, regions: &[f32], shape: [usize; 4], poses: &mut Vec<f32>) -> Result<(), Error> {
        self.pose.run_rows(regions, shape, 6, poses)
    }
}

impl DenseOutput<'_> {
    /// Pyramid features of `level`, `[frames, h, w, channels]`.
    pub fn features(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.features[level], "dense part")
    }

    /// RPN logits of `level`, `[frames, 3, h, w]`.
    pub fn objectness(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.objectness[level], "dense part")
    }

    /// RPN deltas of `level`, `[frames, 12, h, w]`.
    pub fn deltas(&self, level: usize) -> Result<Tensor<'_>, Error> {
        extract(&self.outputs, &self.deltas[level], "dense part")
    }
}

fn extract<'o>(outputs: &'o SessionOutputs<'_>, name: &str, part: &str) -> Result<Tensor<'o>, Error> {
    let failed = |error| Error::failed_to(format!("read '{name}' of the {part}"), error);
    let value = outputs
        .get(name)
        .ok_or_else(|| failed(ort::Error::new("no such output")))?;
    let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
    Ok(Tensor { shape, data })
}
