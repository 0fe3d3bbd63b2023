//! A part of a model in a session of its own, with one input, in the processor's memory.

use std::sync::Arc;

use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::TensorRef;

use super::Setting;
use crate::Error;
use crate::cancel::Canceller;
use crate::finite::are_finite;
use crate::origin::Origin;

/// A loaded part.
pub(super) struct Part {
    name: &'static str,
    session: Session,
    pub origin: Arc<Origin>,
    canceller: Canceller,
}

/// What a run of a part gave.
pub(super) struct PartOutputs<'s> {
    name: &'static str,
    pub outputs: SessionOutputs<'s>,
}

impl Part {
    /// `name` is for messages.
    pub fn new(name: &'static str, session: Session, setting: &Setting) -> Self {
        Self {
            name,
            session,
            origin: setting.origin.clone(),
            canceller: setting.canceller.clone(),
        }
    }

    /// Runs it on `input` of that shape.
    ///
    /// # Errors
    /// [`Error::Cancelled`], and what ONNX Runtime says.
    pub fn run(&mut self, input: &[f32], shape: [usize; 4]) -> Result<PartOutputs<'_>, Error> {
        let (name, canceller) = (self.name, &self.canceller);
        let failed = |error| Error::failed_to(format!("run the {name}"), error);
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        // Every part has one input.
        let inputs = [SessionInputValue::from(tensor)];
        let outputs = self
            .session
            .run_with_options(inputs, canceller.run_options().map_err(failed)?)
            .map_err(|source| {
                // A terminated run and a failed one return the same kind of error.
                if canceller.is_cancelled() {
                    Error::Cancelled
                } else {
                    failed(source)
                }
            })?;
        Ok(PartOutputs { name, outputs })
    }

    /// Runs it on `input`, whose first side is a number of rows, and appends its only output to `into`: `columns` numbers for
    /// each row.
    ///
    /// # Errors
    /// As [`run`](Self::run); an output of another size, or one that is not finite.
    pub fn run_rows(
        &mut self,
        input: &[f32],
        shape: [usize; 4],
        columns: usize,
        into: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let origin = self.origin.clone();
        let outputs = self.run(input, shape)?;
        let (name, found, data) = outputs.only()?;
        if data.len() != shape[0] * columns {
            let expected = format!("[{}, {columns}]", shape[0]);
            return Err(origin.wrong_shape(name, found, expected));
        }
        if !are_finite(data) {
            return Err(origin.not_finite(name));
        }
        into.extend_from_slice(data);
        Ok(())
    }
}

impl PartOutputs<'_> {
    /// Name, shape and elements of the only output.
    ///
    /// # Errors
    /// What ONNX Runtime says: it is of other elements, say.
    pub fn only(&self) -> Result<(&str, &[i64], &[f32]), Error> {
        let (shape, data) = self.outputs[0]
            .try_extract_tensor::<f32>()
            .map_err(|error| Error::failed_to(format!("read the output of the {}", self.name), error))?;
        Ok((self.outputs.keys().next().unwrap_or_default(), shape, data))
    }
}
