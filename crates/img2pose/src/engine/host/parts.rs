//! The parts of a network in the processor's memory.

use std::sync::Arc;

use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::TensorRef;

use super::super::Setting;
use crate::Error;
use crate::cancel::Canceller;
use crate::finite::are_finite;
use crate::model::Parts;
use crate::origin::Origin;
use crate::tensor::Tensor;

/// The convolutions: network images to pyramid features and RPN outputs.
pub(crate) struct Dense {
    part: Part,
    features: Vec<String>,
    objectness: Vec<String>,
    deltas: Vec<String>,
    canceller: Canceller,
}

/// The two heads: pooled regions to scores and poses.
pub(crate) struct Heads {
    class: Part,
    pose: Part,
    canceller: Canceller,
}

struct Part {
    name: &'static str,
    session: Session,
    origin: Arc<Origin>,
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
    let part = |name, bytes: &[u8]| {
        Ok::<_, Error>(Part {
            name,
            session: load(name, bytes)?,
            origin: setting.origin.clone(),
        })
    };
    let dense = Dense {
        part: part("dense part", &parts.dense)?,
        features: parts.features.clone(),
        objectness: parts.objectness.clone(),
        deltas: parts.deltas.clone(),
        canceller: setting.canceller.clone(),
    };
    let heads = Heads {
        class: part("class head", &parts.class_head)?,
        pose: part("pose head", &parts.pose_head)?,
        canceller: setting.canceller.clone(),
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
        let outputs = self
            .part
            .run(images, [frames, 3, height, width], &self.canceller)?;
        Ok(DenseOutput {
            outputs,
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
        self.class.run_head(regions, shape, 1, scores, &self.canceller)
    }

    /// Appends the six normalised pose numbers of each region to `poses`.
    pub fn poses(&mut self, regions: &[f32], shape: [usize; 4], poses: &mut Vec<f32>) -> Result<(), Error> {
        self.pose.run_head(regions, shape, 6, poses, &self.canceller)
    }
}

impl Part {
    fn run<'r>(
        &'r mut self,
        input: &[f32],
        shape: [usize; 4],
        canceller: &'r Canceller,
    ) -> Result<SessionOutputs<'r>, Error> {
        let name = self.name;
        let failed = |error| Error::failed_to(format!("run the {name}"), error);
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        // Every part has one input.
        let inputs = [SessionInputValue::from(tensor)];
        self.session
            .run_with_options(inputs, canceller.run_options())
            .map_err(|source| {
                // A terminated run and a failed one return the same kind of error.
                if canceller.is_cancelled() {
                    Error::Cancelled
                } else {
                    failed(source)
                }
            })
    }

    fn run_head(
        &mut self,
        regions: &[f32],
        shape: [usize; 4],
        columns: usize,
        into: &mut Vec<f32>,
        canceller: &Canceller,
    ) -> Result<(), Error> {
        let part = self.name;
        let origin = self.origin.clone();
        let outputs = self.run(regions, shape, canceller)?;
        let output = &outputs[0];
        let (found, data) = output
            .try_extract_tensor::<f32>()
            .map_err(|error| Error::failed_to(format!("read the output of the {part}"), error))?;
        let name = || outputs.keys().next().unwrap_or_default();
        if data.len() != shape[0] * columns {
            let expected = format!("[{}, {columns}]", shape[0]);
            return Err(origin.wrong_shape(name(), found, expected));
        }
        if !are_finite(data) {
            return Err(origin.not_finite(name()));
        }
        into.extend_from_slice(data);
        Ok(())
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
