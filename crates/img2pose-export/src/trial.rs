//! Runs a model end to end in ONNX Runtime, as one session, the way a user of the bare file would.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use img2pose::Model;
use img2pose::contract::{self, Contract};
use img2pose::files;
use img2pose::runtime::{self, Runtime};
use img2pose_onnx::MOST_BYTES;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use prost::Message;
use prost::bytes::Bytes;

use crate::error::{Error, Result};

/// A model that is loaded as a whole.
pub struct Trial {
    path: PathBuf,
    contract: Contract,
    runtime: &'static Runtime,
    session: Session,
    extra: Vec<String>,
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
pub struct Seen {
    /// `x_min, y_min, x_max, y_max` in pixels of the network image.
    pub boxes: Vec<[f32; 4]>,
    /// Confidences.
    pub scores: Vec<f32>,
    /// `rx, ry, rz, tx, ty, tz`.
    pub poses: Vec<[f32; 6]>,
    /// Index of each face's image in the batch.
    pub frames: Vec<i64>,
    /// Further tensors of floats by name: shape and elements.
    pub tensors: HashMap<String, (Vec<i64>, Vec<f32>)>,
    /// Index of each proposal's image in the batch, when [`contract::PROPOSAL_FRAMES`] was asked for.
    pub proposal_frames: Vec<i64>,
}

impl Seen {
    /// The faces of one image of the batch.
    pub fn frame(&self, frame: i64) -> Vec<([f32; 4], f32, [f32; 6])> {
        let mine = |&i: &usize| self.frames[i] == frame;
        (0..self.frames.len())
            .filter(mine)
            .map(|i| (self.boxes[i], self.scores[i], self.poses[i]))
            .collect()
    }
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Trial {
    /// Loads a model that keeps the contract, and ONNX Runtime with it (see [`runtime::load`]). `extra` names cut points of
    /// the contract that every run gives beside the outputs.
    ///
    /// # Errors
    /// [`Error::Read`] when the file cannot be read, [`Error::Model`] when ONNX Runtime refuses it, [`Error::Runtime`], which
    /// names the file by itself, when it does not keep the contract, and when there is no ONNX Runtime.
    pub fn open(path: &Path, extra: &[String]) -> Result<Self> {
        let bytes = Bytes::from(files::read(path, MOST_BYTES).map_err(Error::read(path))?);
        let model = Model::parse(path, bytes.clone()).map_err(|e| Error::Runtime(e.to_string()))?;
        let contract = model.contract().clone();
        drop(model);
        let runtime = runtime::load(None, None).map_err(|e| Error::Runtime(e.to_string()))?;
        let refused = |e: String| Error::Model {
            path: path.to_owned(),
            reason: format!("ONNX Runtime refuses it: {e}"),
        };
        let bytes = if extra.is_empty() {
            bytes
        } else {
            with_outputs(bytes, extra).map_err(refused)?
        };
        let session = load(runtime, &bytes).map_err(|e| refused(e.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            contract,
            runtime,
            session,
            extra: extra.to_vec(),
        })
    }

    /// The facts in the model.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The library that runs it.
    pub fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// [`Error::Model`] when ONNX Runtime fails, when an output has another type or shape than the contract says, and when one
    /// holds infinity or not-a-number.
    pub fn run(&mut self, images: &Images) -> Result<Seen> {
        self.try_run(images).map_err(|reason| Error::Model {
            path: self.path.clone(),
            reason,
        })
    }

    fn try_run(&mut self, images: &Images) -> Result<Seen, String> {
        let failed = |e: ort::Error| format!("it does not run: {e}");
        let size = images.unpadded.map(|side| side as i64);
        let shape = [images.batch, 3, images.height, images.width];
        let values = TensorRef::from_array_view((shape, &images.values[..])).map_err(failed)?;
        let size = TensorRef::from_array_view(([2], &size[..])).map_err(failed)?;
        let inputs = ort::inputs![contract::IMAGES => values, contract::IMAGE_SIZE => size];
        let outputs = self.session.run(inputs).map_err(failed)?;
        let mut seen = Seen::default();
        for (name, value) in outputs.iter() {
            if [contract::FRAMES, contract::PROPOSAL_FRAMES].contains(&name) {
                let (_, frames) = value.try_extract_tensor::<i64>().map_err(failed)?;
                let into = if name == contract::FRAMES {
                    &mut seen.frames
                } else {
                    &mut seen.proposal_frames
                };
                into.extend_from_slice(frames);
                continue;
            }
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            if let Some(bad) = data.iter().find(|number| !number.is_finite()) {
                return Err(format!(
                    "'{name}' holds {bad}; its weights are damaged, or too large to compute with"
                ));
            }
            match name {
                contract::BOXES => seen.boxes = rows(name, shape, data)?,
                contract::POSES => seen.poses = rows(name, shape, data)?,
                contract::SCORES => seen.scores = data.to_vec(),
                _ => drop(
                    seen.tensors
                        .insert(name.to_owned(), (shape.to_vec(), data.to_vec())),
                ),
            }
        }
        let counts = [seen.boxes.len(), seen.scores.len(), seen.poses.len()];
        if counts.iter().any(|&count| count != seen.frames.len()) {
            return Err(format!(
                "its outputs have {counts:?} and {} rows, expected as many each",
                seen.frames.len()
            ));
        }
        let proposals = seen.proposal_frames.len();
        for (name, width) in [(contract::PROPOSALS, 4), (contract::CLASS_SCORES, 1)] {
            let found = seen.tensors.get(name).map(|(_, data)| data.len());
            let asked = self.extra.iter().any(|extra| extra == contract::PROPOSAL_FRAMES);
            if asked && found.is_some_and(|found| found != width * proposals) {
                return Err(format!(
                    "'{name}' has not as many rows as '{}', {proposals}",
                    contract::PROPOSAL_FRAMES
                ));
            }
        }
        Ok(seen)
    }
}

fn rows<const N: usize>(name: &str, shape: &[i64], data: &[f32]) -> Result<Vec<[f32; N]>, String> {
    if shape.len() != 2 || shape[1] != N as i64 {
        return Err(format!(
            "output '{name}' has shape {shape:?}, expected [faces, {N}]"
        ));
    }
    Ok(data.as_chunks().0.to_vec())
}

fn load(runtime: &Runtime, bytes: &[u8]) -> ort::Result<Session> {
    Session::builder(runtime.environment())?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .commit_from_memory(bytes)
}

/// The same model with further outputs.
fn with_outputs(bytes: Bytes, names: &[String]) -> Result<Bytes, String> {
    let mut model = img2pose_onnx::decode(bytes)?;
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    for name in names {
        let info = graph.value_info.iter().find(|info| info.name() == name);
        let info = info
            .ok_or_else(|| format!("it does not state the type of '{name}'"))?
            .clone();
        graph.output.push(info);
    }
    Ok(model.encode_to_vec().into())
}
