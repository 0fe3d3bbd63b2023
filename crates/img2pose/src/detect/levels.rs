//! The dense part's outputs, frame by frame.

use crate::contract::{FEATURE_LEVELS, PROPOSAL_LEVELS};
use crate::error::Error;
use crate::model::{DenseOutput, Tensor};
use crate::proposals::LevelOutput;
use crate::roi_align::LevelFeatures;

/// Pyramid features of a batch, shapes checked.
pub(super) struct FeatureLevels<'o>([Tensor<'o>; FEATURE_LEVELS]);

/// What the RPN says of a batch, shapes checked.
pub(super) struct RpnLevels<'o> {
    objectness: [Tensor<'o>; PROPOSAL_LEVELS],
    deltas: [Tensor<'o>; PROPOSAL_LEVELS],
}

impl<'o> FeatureLevels<'o> {
    /// Takes the features of a run over `frames` frames, which have `channels` channels.
    ///
    /// # Errors
    /// [`Error::OutputShape`] when one has another shape than the contract says.
    pub fn read(outputs: &'o DenseOutput<'_>, frames: usize, channels: usize) -> Result<Self, Error> {
        let levels = try_array(|level| {
            let tensor = outputs.features(level)?;
            tensor.expect(
                || {
                    (
                        crate::contract::features(level),
                        format!("[{frames}, h, w, {channels}]"),
                    )
                },
                |shape| shape[0] == frames && shape[3] == channels,
            )?;
            Ok(tensor)
        })?;
        Ok(Self(levels))
    }

    /// The pyramid of one frame.
    pub fn of(&self, frame: usize, channels: usize) -> [LevelFeatures<'o>; FEATURE_LEVELS] {
        self.0.map(|tensor| {
            let (height, width) = (tensor.shape[1] as usize, tensor.shape[2] as usize);
            let frame_len = height * width * channels;
            LevelFeatures {
                height,
                width,
                data: &tensor.data[frame * frame_len..][..frame_len],
            }
        })
    }
}

impl<'o> RpnLevels<'o> {
    /// Takes logits and deltas of each level of a run over `frames` frames.
    ///
    /// # Errors
    /// [`Error::OutputShape`] when one has another shape than the contract says.
    pub fn read(
        frames: usize,
        objectness: impl Fn(usize) -> Result<Tensor<'o>, Error>,
        deltas: impl Fn(usize) -> Result<Tensor<'o>, Error>,
    ) -> Result<Self, Error> {
        let objectness: [Tensor<'o>; PROPOSAL_LEVELS] = try_array(|level| {
            let tensor = objectness(level)?;
            tensor.expect(
                || (crate::contract::objectness(level), format!("[{frames}, 3, h, w]")),
                |shape| shape[0] == frames && shape[1] == 3,
            )?;
            Ok(tensor)
        })?;
        let deltas = try_array(|level| {
            let tensor = deltas(level)?;
            let [h, w] = [objectness[level].shape[2], objectness[level].shape[3]];
            tensor.expect(
                || {
                    (
                        crate::contract::deltas(level),
                        format!("[{frames}, 12, {h}, {w}]"),
                    )
                },
                |shape| shape[..2] == [frames, 12] && tensor.shape[2..] == [h, w],
            )?;
            Ok(tensor)
        })?;
        Ok(Self { objectness, deltas })
    }

    /// What the RPN says of one frame.
    pub fn of(&self, frame: usize) -> [LevelOutput<'o>; PROPOSAL_LEVELS] {
        std::array::from_fn(|level| {
            let (logits, deltas) = (self.objectness[level], self.deltas[level]);
            let (height, width) = (logits.shape[2] as usize, logits.shape[3] as usize);
            let cells = height * width;
            LevelOutput {
                height,
                width,
                objectness: &logits.data[frame * 3 * cells..][..3 * cells],
                deltas: &deltas.data[frame * 12 * cells..][..12 * cells],
            }
        })
    }
}

/// Like [`std::array::from_fn`], up to the first error.
fn try_array<T: Copy, const N: usize>(make: impl Fn(usize) -> Result<T, Error>) -> Result<[T; N], Error> {
    let first = make(0)?;
    let mut made = [first; N];
    for (index, place) in made.iter_mut().enumerate().skip(1) {
        *place = make(index)?;
    }
    Ok(made)
}
