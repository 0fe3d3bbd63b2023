//! A model file in one session of ONNX Runtime, with the library's default options.

use std::collections::HashMap;
use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use crate::cancel::Canceller;
use crate::contract::{self, Contract};
use crate::ending::{self, Held};
use crate::engine::{first_that_works, session};
use crate::error::Error;
use crate::finite::are_finite;
use crate::model::Model;
use crate::options::DetectorOptions;
use crate::origin::Origin;
use crate::provider::Placement;
use crate::runtime::{self, Runtime};
use crate::turns::InTurns;

/// A model file that is loaded as it is, in one session, the way a user of the bare file would load it.
///
/// What it finds is what the [file promises](crate::contract), by its own thresholds. A [`Detector`](crate::Detector) runs a
/// model in parts, which is faster, or as a whole too ([`DetectorOptions::whole`]), and has options for the rest.
pub struct WholeModel {
    contract: Contract,
    origin: Arc<Origin>,
    session: Held<InTurns<Session>>,
}

/// A batch of network images of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Normalised, row-major `[batch, 3, height, width]`.
    pub values: Vec<f32>,
    /// Number of images.
    pub batch: usize,
    /// Height in pixels, a multiple of the contract's `size_divisor`.
    pub height: usize,
    /// Width in pixels, the same.
    pub width: usize,
    /// Height and width before padding.
    pub unpadded: [usize; 2],
}

/// What a run gave: faces by frame and falling score, and any further tensors that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `x_min, y_min, x_max, y_max` in pixels of the network image.
    pub boxes: Vec<[f32; 4]>,
    /// Confidences, 0 to 1.
    pub scores: Vec<f32>,
    /// `rx, ry, rz, tx, ty, tz` in the camera of the network image.
    pub poses: Vec<[f32; 6]>,
    /// Index in the batch of each face's image.
    pub frames: Vec<usize>,
    /// Further tensors of floats by name: shape and elements.
    pub tensors: HashMap<String, (Vec<i64>, Vec<f32>)>,
    /// Index in the batch of each proposal's image, when [`contract::PROPOSAL_FRAMES`] was asked for.
    pub proposal_frames: Vec<usize>,
}

impl Outputs {
    /// The faces of one image of the batch: box, confidence and pose.
    pub fn faces_of(&self, frame: usize) -> Vec<([f32; 4], f32, [f32; 6])> {
        let mine = |&face: &usize| self.frames[face] == frame;
        (0..self.frames.len())
            .filter(mine)
            .map(|face| (self.boxes[face], self.scores[face], self.poses[face]))
            .collect()
    }

    /// The elements of a further tensor; none when it was not asked for.
    pub(super) fn numbers(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], |(_, numbers)| numbers)
    }

    /// The same in rows of `N`.
    pub(super) fn rows<const N: usize>(&self, name: &str) -> &[[f32; N]] {
        self.numbers(name).as_chunks().0
    }
}

impl std::fmt::Debug for WholeModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeModel")
            .field("path", &self.origin.path)
            .finish_non_exhaustive()
    }
}

impl WholeModel {
    /// Loads `model`, and ONNX Runtime with it ([`runtime::load`]), where and with as many threads as `options` say. `extra`
    /// names cut points of the [contract](crate::contract) that every run gives beside the outputs.
    ///
    /// # Errors
    /// Those of [`Detector::load`](crate::Detector::load), and [`Error::Contract`] for a name that the file does not have.
    pub fn load(model: &Model, options: &DetectorOptions, extra: &[String]) -> Result<Self, Error> {
        options.validate()?;
        let options = DetectorOptions {
            precision: model.precision(options.precision)?,
            whole: true,
            ..options.clone()
        };
        let runtime = runtime::load(None, None)?;
        let _inside = ending::enter(None).ok_or(Error::Cancelled)?;
        ending::arm_while(|| {
            let candidates = Placement::candidates(&options, runtime)?;
            let load = |placement| Self::load_at(model, runtime, placement, extra);
            first_that_works(&candidates, load).map(|(loaded, _)| loaded)
        })
    }

    pub(super) fn load_at(
        model: &Model,
        runtime: &Runtime,
        placement: Placement,
        extra: &[String],
    ) -> Result<Self, Error> {
        if ending::process_is_ending() {
            return Err(Error::Cancelled);
        }
        let path = model.path();
        if placement.needs_half_graph() {
            return Err(Error::Precision {
                path: path.to_owned(),
                precision: placement.precision.name(),
                reason: format!(
                    "as a whole it computes in what the file is in on {}; run it in parts, or in fp32",
                    placement.provider.name
                ),
            });
        }
        let bytes = model.with_outputs(extra)?;
        let failed = |error| placement.failed(format!("load {}", path.display()), error);
        // All else as the library has it.
        let builder = session::begin(runtime, placement.threads, failed)?;
        let turn = placement.turn()?;
        let session = placement
            .register(builder, runtime, None)?
            .commit_from_memory(&bytes)
            .map_err(failed)?;
        drop(turn);
        Ok(Self {
            contract: model.rcnn_facts()?.contract.clone(),
            origin: placement.origin(model),
            session: Held::new(InTurns::new(session, placement.turns())),
        })
    }

    /// The facts that stand in the model file.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// When ONNX Runtime fails, when an output has another type or shape than the contract says or holds infinity or
    /// not-a-number, and when `values` has not as many numbers as the sizes say.
    pub fn run(&mut self, images: &Images) -> Result<Outputs, Error> {
        let _inside = ending::enter(None).ok_or(Error::Cancelled)?;
        let shape = [images.batch, images.height, images.width];
        ending::arm_while(|| self.run_values(&images.values, shape, images.unpadded, None))
    }

    /// Runs images `[batch, 3, height, width]`, given `[batch, height, width]`.
    pub(super) fn run_values(
        &mut self,
        values: &[f32],
        [batch, height, width]: [usize; 3],
        unpadded: [usize; 2],
        canceller: Option<&Canceller>,
    ) -> Result<Outputs, Error> {
        let is_cancelled = || canceller.is_some_and(Canceller::is_cancelled);
        if is_cancelled() {
            return Err(Error::Cancelled);
        }
        let failed = |error| Error::failed_to("run the whole model", error);
        let values = TensorRef::from_array_view(([batch, 3, height, width], values)).map_err(failed)?;
        let size = unpadded.map(|side| side as i64);
        let size = TensorRef::from_array_view(([2], &size[..])).map_err(failed)?;
        let inputs = ort::inputs![contract::IMAGES => values, contract::IMAGE_SIZE => size];
        let (turn, session) = self.session.enter(is_cancelled).ok_or(Error::Cancelled)?;
        let outputs = match canceller {
            Some(canceller) => session.run_with_options(inputs, canceller.run_options().map_err(failed)?),
            None => session.run(inputs),
        };
        // What it gave lies with the processor.
        drop(turn);
        // A terminated run and a failed one return the same kind of error.
        let outputs = outputs.map_err(|error| match is_cancelled() {
            true => Error::Cancelled,
            false => failed(error),
        })?;
        let mut found = Outputs::default();
        for (name, value) in outputs.iter() {
            let failed = |error| Error::failed_to(format!("read '{name}' of the whole model"), error);
            if [contract::FRAMES, contract::PROPOSAL_FRAMES].contains(&name) {
                let (_, frames) = value.try_extract_tensor::<i64>().map_err(failed)?;
                let frames =
                    frames_of(frames, batch).map_err(|reason| broken(&self.origin, name, &reason))?;
                match name {
                    contract::FRAMES => found.frames = frames,
                    _ => found.proposal_frames = frames,
                }
                continue;
            }
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            if !are_finite(data) {
                return Err(self.origin.not_finite(name));
            }
            match name {
                contract::BOXES => found.boxes = rows(&self.origin, name, shape, data)?,
                contract::POSES => found.poses = rows(&self.origin, name, shape, data)?,
                contract::SCORES => found.scores = data.to_vec(),
                _ => {
                    let tensor = (shape.to_vec(), data.to_vec());
                    found.tensors.insert(name.to_owned(), tensor);
                }
            }
        }
        drop(outputs);
        self.check_rows(&found)?;
        Ok(found)
    }

    /// Checks that what belongs together has as many rows.
    fn check_rows(&self, found: &Outputs) -> Result<(), Error> {
        let faces = found.frames.len();
        for (name, rows) in [
            (contract::BOXES, found.boxes.len()),
            (contract::SCORES, found.scores.len()),
            (contract::POSES, found.poses.len()),
        ] {
            if rows != faces {
                let expected = format!("{faces} rows, as '{}' has", contract::FRAMES);
                return Err(self.origin.wrong_shape(name, &[rows as i64], expected));
            }
        }
        let proposals = found.proposal_frames.len();
        for (name, width) in [(contract::PROPOSALS, 4), (contract::CLASS_SCORES, 1)] {
            if let Some((shape, data)) = found.tensors.get(name)
                && proposals > 0
                && data.len() != width * proposals
            {
                let expected = format!("{proposals} rows, as '{}' has", contract::PROPOSAL_FRAMES);
                return Err(self.origin.wrong_shape(name, shape, expected));
            }
        }
        Ok(())
    }
}

fn broken(origin: &Origin, name: &str, reason: &str) -> Error {
    Error::Contract {
        path: origin.path.clone(),
        reason: format!("it gave '{name}' {reason}"),
    }
}

/// Indices of frames of a batch.
///
/// # Errors
/// A text that says which of them is none.
fn frames_of(numbers: &[i64], batch: usize) -> Result<Vec<usize>, String> {
    let index = |&number: &i64| {
        let index = usize::try_from(number).ok().filter(|index| *index < batch);
        index.ok_or_else(|| format!("with frame {number} in it, for a batch of {batch}"))
    };
    numbers.iter().map(index).collect()
}

fn rows<const N: usize>(
    origin: &Origin,
    name: &str,
    shape: &[i64],
    data: &[f32],
) -> Result<Vec<[f32; N]>, Error> {
    match shape {
        [_, columns] if *columns == N as i64 => Ok(data.as_chunks().0.to_vec()),
        _ => Err(origin.wrong_shape(name, shape, format!("[faces, {N}]"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_the_batch_does_not_have_is_named() {
        assert_eq!(frames_of(&[0, 0, 2], 3), Ok(vec![0, 0, 2]));
        for bad in [3, -1, i64::MIN] {
            let text = frames_of(&[0, bad], 3).unwrap_err();
            assert!(text.contains(&bad.to_string()), "{text}");
        }
    }
}
