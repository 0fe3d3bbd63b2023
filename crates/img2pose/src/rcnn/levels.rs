//! The dense part's outputs, frame by frame.

use rayon::prelude::*;

use super::{LevelFeatures, LevelOutput};
use crate::contract::{FEATURE_LEVELS, PROPOSAL_LEVELS};
use crate::error::Error;
use crate::finite::are_finite;
use crate::origin::Origin;
use crate::tensor::Tensor;

/// Pyramid features of a batch, shapes checked.
pub(crate) struct FeatureLevels<'o>([Tensor<'o>; FEATURE_LEVELS]);

/// What the RPN says of a batch, shapes checked.
pub(crate) struct RpnLevels<'o> {
    objectness: [Tensor<'o>; PROPOSAL_LEVELS],
    deltas: [Tensor<'o>; PROPOSAL_LEVELS],
}

impl<'o> FeatureLevels<'o> {
    /// Takes the features of a run over `frames` images of `height` x `width` pixels, which have `channels` channels.
    /// [`check_finite`](Self::check_finite) is left to do.
    ///
    /// # Errors
    /// [`Error::OutputShape`] when one has another shape than the contract says.
    pub fn read(
        origin: &Origin,
        [frames, height, width]: [usize; 3],
        channels: usize,
        features: impl Fn(usize) -> Result<Tensor<'o>, Error>,
    ) -> Result<Self, Error> {
        let levels = try_array(|level| {
            let tensor = features(level)?;
            let expected = [frames, height >> (2 + level), width >> (2 + level), channels];
            tensor.expect(
                origin,
                || (crate::contract::features(level), format!("{expected:?}")),
                |shape| shape == expected,
            )?;
            Ok(tensor)
        })?;
        Ok(Self(levels))
    }

    /// Fails when a feature is infinite or not-a-number. What comes of it may look like numbers: comparisons, as in a ReLU,
    /// can lose it. Spreads over the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the name of the level.
    pub fn check_finite(&self, origin: &Origin) -> Result<(), Error> {
        /// Numbers in a piece for one thread: they fit into its cache, and are worth the way to it.
        const PIECE: usize = 1 << 16;
        for (level, tensor) in self.0.iter().enumerate() {
            if !tensor.data.par_chunks(PIECE).all(are_finite) {
                return Err(origin.not_finite(&crate::contract::features(level)));
            }
        }
        Ok(())
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
    /// Takes logits and deltas of each level of a run over `frames` images of `height` x `width` pixels.
    /// [`check_finite`](Self::check_finite) is left to do.
    ///
    /// # Errors
    /// [`Error::OutputShape`] when one has another shape than the contract says.
    pub fn read(
        origin: &Origin,
        [frames, height, width]: [usize; 3],
        objectness: impl Fn(usize) -> Result<Tensor<'o>, Error>,
        deltas: impl Fn(usize) -> Result<Tensor<'o>, Error>,
    ) -> Result<Self, Error> {
        let objectness: [Tensor<'o>; PROPOSAL_LEVELS] = try_array(|level| {
            let tensor = objectness(level)?;
            tensor.expect(
                origin,
                || {
                    let expected = format!("[{frames}, 3, 1 to {height}, 1 to {width}]");
                    (crate::contract::objectness(level), expected)
                },
                |[n, ratios, h, w]| {
                    [n, ratios] == [frames, 3] && (1..=height).contains(&h) && (1..=width).contains(&w)
                },
            )?;
            Ok(tensor)
        })?;
        let deltas = try_array(|level| {
            let tensor = deltas(level)?;
            let [h, w] = [objectness[level].shape[2], objectness[level].shape[3]];
            tensor.expect(
                origin,
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

    /// Fails when a number of one frame is infinite or not-a-number.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the name of the tensor.
    pub fn check_finite(&self, origin: &Origin, frame: usize) -> Result<(), Error> {
        for (level, output) in self.of(frame).iter().enumerate() {
            if !are_finite(output.objectness) {
                return Err(origin.not_finite(&crate::contract::objectness(level)));
            }
            if !are_finite(output.deltas) {
                return Err(origin.not_finite(&crate::contract::deltas(level)));
            }
        }
        Ok(())
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
