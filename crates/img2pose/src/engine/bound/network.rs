//! The network on a device: its parts are bound to memory, and what one part gives to the next stays on the device.

use std::sync::Arc;

use ort::session::Session;
use ort::value::{DynValue, Value, ValueTypeMarker};

use super::super::Setting;
use super::frames::DeviceFrames;
use super::part::{BoundOutput, BoundOutputs, BoundPart};
use crate::Error;
use crate::cancel::Canceller;
use crate::contract::{CLASS_SCORES, FEATURE_LEVELS, POSE_REGRESSION, PROPOSAL_LEVELS, ROI_FEATURES};
use crate::finite::are_finite;
use crate::memory::{Destination, Element, Exchange, HostTensor, Memory};
use crate::model::DeviceParts;
use crate::origin::Origin;
use crate::runtime::{self, SessionMemory};
use crate::tensor::Tensor;

/// The loaded parts of one model on a device.
pub(super) struct Network {
    pub frames: DeviceFrames,
    pub dense: DeviceDense,
    pub heads: DeviceHeads,
    pub exchange: Exchange,
}

/// What a part of the network does.
#[derive(Clone, Copy)]
pub(super) enum PartKind {
    /// Frames to network images.
    Frames,
    /// Network images to features.
    Dense,
    /// RoIAlign, scores, poses.
    Heads,
}

/// The convolutions: network images to pyramid features and RPN outputs.
pub(super) struct DeviceDense {
    part: BoundPart,
    canceller: Canceller,
    /// Whether its last output sums up the features of each frame.
    has_sums: bool,
    origin: Arc<Origin>,
}

/// RoIAlign and the two heads.
pub(super) struct DeviceHeads {
    regions: BoundPart,
    poses: BoundPart,
    canceller: Canceller,
    exchange: Exchange,
    origin: Arc<Origin>,
    boxes: Rows<f32>,
    frames: Rows<i64>,
    counts: HostTensor<i64>,
    wanted: Rows<i64>,
}

/// What the dense part gives for a batch.
pub(super) struct BoundDense<'s> {
    outputs: BoundOutputs<'s>,
    has_sums: bool,
    origin: &'s Origin,
}

/// Scores and pooled regions of some boxes.
pub(super) struct Regions<'s> {
    outputs: BoundOutputs<'s>,
    rows: usize,
    poses: &'s mut BoundPart,
    wanted: &'s mut Rows<i64>,
    exchange: &'s Exchange,
    canceller: &'s Canceller,
    origin: &'s Origin,
}

/// An input that is used again as long as its number of rows stays the same.
struct Rows<T: Element> {
    tensor: HostTensor<T>,
    rows: usize,
}

/// Boxes of one frame, the levels that they are pooled from rising.
pub(super) struct SortedBoxes<'b> {
    /// `x_min, y_min, x_max, y_max` in pixels of the resized frame.
    pub boxes: &'b [[f32; 4]],
    /// How many of them belong to each level.
    pub counts: [usize; FEATURE_LEVELS],
}

impl Network {
    /// Loads the parts with `load`, which is given a name for messages, the ONNX file, and what it is. It is kept for the
    /// graphs that prepare frames.
    pub(super) fn load(
        parts: &DeviceParts,
        memory: &Memory,
        setting: &Setting,
        load: impl Fn(&'static str, &[u8], PartKind) -> Result<Session, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (canceller, origin) = (&setting.canceller, &setting.origin);
        let failed = || Error::inference("set up the memory of the network");
        let dense = load("dense part", &parts.dense, PartKind::Dense)?;
        if memory.between.is_none() {
            check_place(&dense, setting)?;
        }
        let exchange = Exchange::open(&dense, memory).map_err(failed())?;
        let (between, read) = (
            memory.between().map_err(failed())?,
            exchange.info().map_err(failed())?,
        );
        let output = |name: &str, is_read: bool| BoundOutput {
            name: name.to_owned(),
            memory: match is_read {
                true => Destination::Named(read.clone()),
                false => between.clone(),
            },
            is_read,
        };
        let turns = setting.turns;
        let bound = |name, session, outputs| BoundPart::new(name, session, outputs, turns).map_err(failed());
        let dense_outputs = parts.dense_outputs.iter().enumerate();
        let dense_outputs = dense_outputs
            .map(|(index, name)| output(name, index >= FEATURE_LEVELS || !setting.pools_regions))
            .collect();
        let dense = bound("dense part", dense, dense_outputs)?;
        let regions = load("regions part", &parts.regions, PartKind::Heads)?;
        let poses = load("pose head", &parts.poses, PartKind::Heads)?;
        let frames = Box::new(move |name, bytes: &[u8]| load(name, bytes, PartKind::Frames));
        Ok(Self {
            frames: DeviceFrames::new(frames, *memory, canceller.clone(), turns),
            dense: DeviceDense {
                part: dense,
                canceller: canceller.clone(),
                has_sums: parts.dense_outputs.len() > FEATURE_LEVELS + 2 * PROPOSAL_LEVELS,
                origin: origin.clone(),
            },
            heads: DeviceHeads {
                regions: bound(
                    "regions part",
                    regions,
                    vec![output(CLASS_SCORES, true), output(ROI_FEATURES, false)],
                )?,
                poses: bound("pose head", poses, vec![output(POSE_REGRESSION, true)])?,
                canceller: canceller.clone(),
                boxes: Rows::new(&exchange, &[0, 4])?,
                frames: Rows::new(&exchange, &[0])?,
                // Split reads it on the processor at every provider.
                counts: Exchange::host().tensor(&[FEATURE_LEVELS]).map_err(failed())?,
                wanted: Rows::new(&exchange, &[0])?,
                exchange: exchange.clone(),
                origin: origin.clone(),
            },
            exchange,
        })
    }
}

/// Fails when the network would run on the processor, though ONNX Runtime has taken the provider: it takes what it can for a node,
/// and says nothing.
fn check_place(dense: &Session, setting: &Setting) -> Result<(), Error> {
    let refused = |reason: String| Error::Provider {
        provider: setting.provider.name(),
        reason,
    };
    let memory = runtime::output_memory(dense).map_err(|error| refused(error.to_string()))?;
    // SAFETY: the session that the memory is of lives.
    let is_host = |memory: &SessionMemory| unsafe { memory.is_host() };
    match memory[..FEATURE_LEVELS].iter().any(is_host) {
        true => Err(refused(
            "ONNX Runtime leaves the network to the processor; another version of it may take it".to_owned(),
        )),
        false => Ok(()),
    }
}

impl DeviceDense {
    /// One run over a whole batch: `images` is `[frames, 3, height, width]`, wherever it lies.
    pub fn run<T: ValueTypeMarker + ?Sized>(&mut self, images: &Value<T>) -> Result<BoundDense<'_>, Error> {
        self.part.bind(0, images, &self.canceller)?;
        Ok(BoundDense {
            outputs: self.part.run(&self.canceller)?,
            has_sums: self.has_sums,
            origin: &self.origin,
        })
    }
}

impl BoundDense<'_> {
    /// Pyramid features of `level`, `[frames, channels, h, w]`, wherever they are.
    pub fn features(&self, level: usize) -> &DynValue {
        self.outputs.value(level)
    }

    /// Fails when a feature of one of the first `frames` frames is infinite or not-a-number, as far as the device can tell.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn check_features(&self, frames: usize) -> Result<(), Error> {
        if !self.has_sums {
            return Ok(());
        }
        let sums = self.outputs.read(FEATURE_LEVELS + 2 * PROPOSAL_LEVELS)?;
        match are_finite(sums.data.get(..frames).unwrap_or(sums.data)) {
            true => Ok(()),
            false => Err(self.origin.not_finite("features")),
        }
    }

    /// RPN logits of `level`, `[frames, 3, h, w]`.
    pub fn objectness(&self, level: usize) -> Result<Tensor<'_>, Error> {
        self.outputs.read(FEATURE_LEVELS + level)
    }

    /// RPN deltas of `level`, `[frames, 12, h, w]`.
    pub fn deltas(&self, level: usize) -> Result<Tensor<'_>, Error> {
        self.outputs.read(FEATURE_LEVELS + PROPOSAL_LEVELS + level)
    }
}

impl DeviceHeads {
    /// Pools and scores boxes of frame number `frame` of the batch, filled up with blank ones to `rows`.
    pub fn regions(
        &mut self,
        features: &BoundDense<'_>,
        frame: usize,
        sorted: &SortedBoxes<'_>,
        rows: usize,
    ) -> Result<Regions<'_>, Error> {
        for level in 0..FEATURE_LEVELS {
            self.regions
                .bind(level, features.features(level), &self.canceller)?;
        }
        self.run_regions(frame, sorted, rows)
    }

    /// The same on features of no picture, to show the device a number of rows.
    pub fn blank_regions(&mut self, channels: usize, rows: usize) -> Result<Regions<'_>, Error> {
        for level in 0..FEATURE_LEVELS {
            let side = 8 >> level;
            let blank = self.exchange.tensor::<f32>(&[1, channels, side, side]);
            let blank = blank.map_err(Error::inference("set up blank features"))?;
            self.regions.bind(level, blank.value(), &self.canceller)?;
        }
        let none = SortedBoxes {
            boxes: &[],
            counts: [0; FEATURE_LEVELS],
        };
        self.run_regions(0, &none, rows)
    }

    fn run_regions(
        &mut self,
        frame: usize,
        sorted: &SortedBoxes<'_>,
        rows: usize,
    ) -> Result<Regions<'_>, Error> {
        let boxes = self.boxes.of(&self.exchange, &[rows, 4])?;
        let (used, blank) = boxes.as_mut_slice().split_at_mut(sorted.boxes.len() * 4);
        used.copy_from_slice(sorted.boxes.as_flattened());
        blank.fill(0.0);
        self.regions
            .bind(FEATURE_LEVELS, boxes.value(), &self.canceller)?;

        let frames = self.frames.of(&self.exchange, &[rows])?;
        frames.as_mut_slice().fill(frame as i64);
        self.regions
            .bind(FEATURE_LEVELS + 1, frames.value(), &self.canceller)?;

        for (count, &boxes) in self.counts.as_mut_slice().iter_mut().zip(&sorted.counts) {
            *count = boxes as i64;
        }
        // The blank ones come last, so they belong to the last level, the smallest.
        self.counts.as_mut_slice()[FEATURE_LEVELS - 1] += (rows - sorted.boxes.len()) as i64;
        self.regions
            .bind(FEATURE_LEVELS + 2, self.counts.value(), &self.canceller)?;

        Ok(Regions {
            outputs: self.regions.run(&self.canceller)?,
            rows,
            poses: &mut self.poses,
            wanted: &mut self.wanted,
            exchange: &self.exchange,
            canceller: &self.canceller,
            origin: &self.origin,
        })
    }
}

impl Regions<'_> {
    /// Face probability of each box, then of the blank ones.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when one is not finite, [`Error::OutputShape`] when there are more or less than boxes.
    pub fn scores(&self) -> Result<&[f32], Error> {
        rows_of(self.origin, &self.outputs, CLASS_SCORES, self.rows, 1)
    }

    /// The six normalised pose numbers of each wanted box, filled up with box 0 to `rows`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when one is not finite, [`Error::OutputShape`] when there are more or less than `rows`.
    pub fn poses(
        &mut self,
        wanted: impl Iterator<Item = usize>,
        rows: usize,
        into: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let tensor = self.wanted.of(self.exchange, &[rows])?;
        let numbers = tensor.as_mut_slice();
        numbers.fill(0);
        for (number, row) in numbers.iter_mut().zip(wanted) {
            *number = row as i64;
        }
        self.poses.bind(0, self.outputs.value(1), self.canceller)?;
        self.poses.bind(1, tensor.value(), self.canceller)?;
        let outputs = self.poses.run(self.canceller)?;
        into.extend_from_slice(rows_of(self.origin, &outputs, POSE_REGRESSION, rows, 6)?);
        Ok(())
    }
}

/// The first output: `rows` rows of `columns` finite numbers.
fn rows_of<'o>(
    origin: &Origin,
    outputs: &'o BoundOutputs<'_>,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<&'o [f32], Error> {
    let Tensor { shape, data } = outputs.read(0)?;
    if data.len() != rows * columns {
        return Err(origin.wrong_shape(name, shape, format!("[{rows}, {columns}]")));
    }
    if !are_finite(data) {
        return Err(origin.not_finite(name));
    }
    Ok(data)
}

impl<T: Element> Rows<T> {
    fn new(exchange: &Exchange, shape: &[usize]) -> Result<Self, Error> {
        let tensor = exchange.tensor(shape);
        Ok(Self {
            tensor: tensor.map_err(Error::inference("set up an input of the network"))?,
            rows: shape[0],
        })
    }

    fn of(&mut self, exchange: &Exchange, shape: &[usize]) -> Result<&mut HostTensor<T>, Error> {
        if self.rows != shape[0] {
            *self = Self::new(exchange, shape)?;
        }
        Ok(&mut self.tensor)
    }
}
