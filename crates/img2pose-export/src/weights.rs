//! Weights of the exported network, made from the tensors of a checkpoint when they are written.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// How the numbers of one weight come about.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipe {
    /// The tensor as it is.
    Copy(String),
    /// The last rows of a matrix or vector.
    LastRows {
        /// The tensor.
        tensor: String,
        /// How many rows.
        rows: usize,
    },
    /// Weight of a linear layer or convolution with the batch norm behind it folded in: each output channel times
    /// `gamma / sqrt(variance + epsilon)`.
    FoldedWeight(Folding),
    /// Bias of the same: `(bias - mean) * gamma / sqrt(variance + epsilon) + beta`.
    FoldedBias(Folding),
}

/// A layer and the batch norm behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Folding {
    /// Prefix of the layer's tensors.
    pub layer: String,
    /// Whether the layer has a bias of its own.
    pub biased: bool,
    /// Prefix of the batch norm's tensors.
    pub norm: String,
    /// Its epsilon.
    pub epsilon: f64,
}

impl Recipe {
    /// The numbers, in row-major order.
    ///
    /// # Errors
    /// As [`Checkpoint::read`]; [`Error::Tensor`] when a number is not finite, or would not be once the batch norm is
    /// folded in, and when a variance makes no sense.
    pub fn make(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
        match self {
            Self::Copy(tensor) => finite(checkpoint, tensor),
            Self::LastRows { tensor, rows } => {
                let mut numbers = finite(checkpoint, tensor)?;
                let outputs = checkpoint.info(tensor).map_or(1, |info| info.shape[0]);
                let width = numbers.len() / outputs.max(1);
                Ok(numbers.split_off(width * (outputs - rows)))
            }
            Self::FoldedWeight(folding) => {
                let mut numbers = finite(checkpoint, &format!("{}.weight", folding.layer))?;
                let scale = folding.scale(checkpoint)?;
                let width = numbers.len() / scale.len().max(1);
                for (row, scale) in numbers.chunks_mut(width.max(1)).zip(scale) {
                    row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
                }
                folding.refuse_overflow(checkpoint, &numbers)?;
                Ok(numbers)
            }
            Self::FoldedBias(folding) => {
                let scale = folding.scale(checkpoint)?;
                let mean = finite(checkpoint, &format!("{}.running_mean", folding.norm))?;
                let beta = finite(checkpoint, &format!("{}.bias", folding.norm))?;
                let bias = match folding.biased {
                    true => finite(checkpoint, &format!("{}.bias", folding.layer))?,
                    false => vec![0.0; mean.len()],
                };
                let fold =
                    |i: usize| (f64::from(bias[i]) - f64::from(mean[i])) * scale[i] + f64::from(beta[i]);
                let numbers: Vec<f32> = (0..scale.len()).map(|i| fold(i) as f32).collect();
                folding.refuse_overflow(checkpoint, &numbers)?;
                Ok(numbers)
            }
        }
    }
}

impl Folding {
    /// Numbers that are finite one by one can be beyond what a float holds when they are multiplied.
    fn refuse_overflow(&self, checkpoint: &Checkpoint, numbers: &[f32]) -> Result<()> {
        match numbers.iter().find(|n| !n.is_finite()) {
            Some(bad) => {
                let reason = format!(
                    "folded into {} it gives {bad}, which no 32-bit float can hold; its weight, bias, running_mean or \
                     running_var is far out of range, as after a training run that diverged",
                    self.layer
                );
                Err(Error::tensor(checkpoint.path(), &self.norm, reason))
            }
            None => Ok(()),
        }
    }

    fn scale(&self, checkpoint: &Checkpoint) -> Result<Vec<f64>> {
        let gamma = finite(checkpoint, &format!("{}.weight", self.norm))?;
        let name = format!("{}.running_var", self.norm);
        let variance = finite(checkpoint, &name)?;
        if let Some(bad) = variance.iter().find(|&&v| f64::from(v) + self.epsilon <= 0.0) {
            let reason = format!(
                "a variance of {bad} with epsilon {}; expected a sum above 0",
                self.epsilon
            );
            return Err(Error::tensor(checkpoint.path(), &name, reason));
        }
        let scale = |(g, v): (&f32, &f32)| f64::from(*g) / (f64::from(*v) + self.epsilon).sqrt();
        Ok(gamma.iter().zip(&variance).map(scale).collect())
    }
}

/// Reads a tensor; a checkpoint of a training run that diverged is told here and not by a user who sees no faces.
fn finite(checkpoint: &Checkpoint, name: &str) -> Result<Vec<f32>> {
    let numbers = checkpoint.read(name)?;
    match numbers.iter().find(|n| !n.is_finite()) {
        Some(bad) => Err(Error::tensor(
            checkpoint.path(),
            name,
            format!("it holds {bad}, which is not finite"),
        )),
        None => Ok(numbers),
    }
}
