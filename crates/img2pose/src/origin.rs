//! What errors of a run say of the model.

use std::path::PathBuf;

use crate::Error;
use crate::options::Precision;

/// Where a loaded network comes from, and what it computes with.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub path: PathBuf,
    pub precision: Precision,
}

impl Origin {
    /// The error of an output that has infinity or not-a-number in it.
    pub fn not_finite(&self, tensor: &str) -> Error {
        Error::NotFinite {
            path: self.path.clone(),
            tensor: tensor.to_owned(),
            precision: self.precision.resolved().name(),
            cure: match self.precision.resolved() {
                Precision::Fp16 | Precision::Bf16 => "set precision to fp32, which holds larger numbers",
                _ => "the model is damaged; convert its checkpoint again",
            },
        }
    }

    /// The error of an output that has another shape than the contract says.
    pub fn wrong_shape(&self, tensor: &str, found: &[i64], expected: String) -> Error {
        Error::OutputShape {
            path: self.path.clone(),
            tensor: tensor.to_owned(),
            found: found.to_vec(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_the_precision() {
        for (precision, cure) in [
            (Precision::Fp16, "set precision to fp32"),
            (Precision::Bf16, "set precision to fp32"),
            (Precision::Fp32, "convert its checkpoint again"),
            (Precision::Auto, "convert its checkpoint again"),
            (Precision::Int8, "convert its checkpoint again"),
        ] {
            let origin = Origin {
                path: "/some/where/model.onnx".into(),
                precision,
            };
            let text = origin.not_finite("deltas_0").to_string();
            for part in ["/some/where/model.onnx", "'deltas_0'", cure] {
                assert!(text.contains(part), "{precision:?}: {text}");
            }
        }
    }
}
