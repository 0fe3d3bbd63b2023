//! A part of the network whose inputs and outputs are bound to memory.

use ort::memory::MemoryInfo;
use ort::session::{IoBinding, Session, SessionOutputs};
use ort::value::{DynValue, ValueType, ValueTypeMarker};

use crate::cancel::Canceller;
use crate::tensor::Tensor;
use crate::{Error, memory};

/// An output of a part, and whether the processor reads it.
pub(super) struct BoundOutput {
    pub name: String,
    pub memory: MemoryInfo<'static>,
    pub is_read: bool,
}

/// A session, the values it is bound to, and what it was last run with.
///
/// The outputs of one run are overwritten by the next one: their memory is allocated once for a set of input shapes.
pub(super) struct BoundPart {
    name: &'static str,
    session: Session,
    binding: IoBinding,
    outputs: Vec<BoundOutput>,
    /// Shapes of the inputs that the outputs' memory was made for, and of those that are bound now.
    made_for: Vec<Vec<i64>>,
    bound: Vec<Vec<i64>>,
}

/// What a run of a [`BoundPart`] gave.
pub(super) struct BoundOutputs<'s> {
    name: &'static str,
    values: SessionOutputs<'s>,
    outputs: &'s [BoundOutput],
}

impl BoundPart {
    pub fn new(name: &'static str, session: Session, outputs: Vec<BoundOutput>) -> ort::Result<Self> {
        let binding = session.create_binding()?;
        let inputs = session.inputs().len();
        Ok(Self {
            name,
            session,
            binding,
            outputs,
            made_for: Vec::new(),
            bound: vec![Vec::new(); inputs],
        })
    }

    /// Gives input number `index` (in the order of the graph) the value of the next run.
    ///
    /// A value that lies elsewhere than the part computes is copied there now.
    pub fn bind<T: ValueTypeMarker + ?Sized>(
        &mut self,
        index: usize,
        value: &ort::value::Value<T>,
    ) -> Result<(), Error> {
        let name = self.session.inputs()[index].name();
        self.binding
            .bind_input(name, value)
            .map_err(Error::inference(format!("bind '{name}' of the {}", self.name)))?;
        if let ValueType::Tensor { shape, .. } = value.dtype() {
            let bound = &mut self.bound[index];
            bound.clear();
            bound.extend_from_slice(shape);
        }
        Ok(())
    }

    /// Runs the part with what is bound.
    pub fn run(&mut self, canceller: &Canceller) -> Result<BoundOutputs<'_>, Error> {
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let name = self.name;
        let failed = |error| Error::failed_to(format!("run the {name}"), error);
        // ONNX Runtime keeps writing to the memory that it has allocated in the first run, and refuses another shape.
        if self.made_for != self.bound {
            self.made_for.clear();
            for output in &self.outputs {
                self.binding
                    .bind_output_to_device(&*output.name, &output.memory)
                    .map_err(failed)?;
            }
        }
        let values = self
            .session
            .run_binding_with_options(&self.binding, canceller.run_options())
            .map_err(|source| {
                if canceller.is_cancelled() {
                    Error::Cancelled
                } else {
                    failed(source)
                }
            })?;
        // Only now: after a failed run the outputs are bound anew.
        self.made_for.clone_from(&self.bound);
        Ok(BoundOutputs {
            name,
            values,
            outputs: &self.outputs,
        })
    }
}

impl BoundOutputs<'_> {
    /// Output number `index`, to be bound to the input of another part.
    pub fn value(&self, index: usize) -> &DynValue {
        &self.values[index]
    }

    /// Output number `index`, in memory that the processor reads.
    pub fn read(&self, index: usize) -> Result<Tensor<'_>, Error> {
        let output = &self.outputs[index];
        let failed = |error| Error::failed_to(format!("read '{}' of the {}", output.name, self.name), error);
        if !output.is_read {
            return Err(failed(ort::Error::new("it stays where it was computed")));
        }
        // SAFETY: `is_read` outputs are bound to exchange memory.
        unsafe { memory::read(&self.values[index]) }.map_err(failed)
    }
}
