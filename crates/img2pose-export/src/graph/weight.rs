//! Weights of the graph: written with it, made when it is written.

use img2pose_onnx::attribute::int;
use img2pose_onnx::{Value, data_type};

use super::Network;
use crate::weights::Recipe;

/// A weight: written with the graph, made when it is written.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// Name of the value, the key of its source in the checkpoint.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Where the numbers come from.
    pub recipe: Recipe,
    /// Type in which the numbers are stored, see [`data_type`].
    pub stored_as: i32,
}

/// Type in which the large weights are stored in the file. They are f32 when the model runs, in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats and a cast behind each: half the file, weights rounded to 11 bits.
    F16,
}

impl Network<'_> {
    /// Adds a weight, or finds it when it is shared, and gives the name of its f32 value.
    pub(super) fn weight(&mut self, name: &str, shape: Vec<usize>, recipe: Recipe) -> Value {
        // Biases are a hundredth of the file: they stay exact.
        let half = self.storage == Storage::F16 && shape.len() > 1;
        let value = match half {
            true => format!("{name}/f32"),
            false => name.to_owned(),
        };
        if !self.weights.iter().any(|weight| weight.name == name) {
            let stored_as = match half {
                true => data_type::FLOAT16,
                false => data_type::FLOAT,
            };
            self.weights.push(Weight {
                name: name.to_owned(),
                shape,
                recipe,
                stored_as,
            });
            if half {
                let cast = int("to", data_type::FLOAT.into());
                self.graph
                    .named(&format!("{name}/Cast"), "Cast", &[name], &[&value], vec![cast]);
            }
        }
        value
    }
}
