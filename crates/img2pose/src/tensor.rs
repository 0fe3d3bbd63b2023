//! What a run of the network gave.

use crate::Error;
use crate::origin::Origin;

/// A tensor that ONNX Runtime owns: its shape and elements.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'t> {
    pub shape: &'t [i64],
    pub data: &'t [f32],
}

impl Tensor<'_> {
    /// Fails unless the tensor has four dimensions for which `good` holds. `words` gives its name and what was expected.
    pub fn expect(
        &self,
        origin: &Origin,
        words: impl FnOnce() -> (String, String),
        good: impl FnOnce([usize; 4]) -> bool,
    ) -> Result<(), Error> {
        let shape: Option<[usize; 4]> = self
            .shape
            .try_into()
            .ok()
            .map(|s: [i64; 4]| s.map(|side| side as usize));
        if shape.is_some_and(good) {
            return Ok(());
        }
        let (tensor, expected) = words();
        Err(origin.wrong_shape(&tensor, self.shape, expected))
    }
}
