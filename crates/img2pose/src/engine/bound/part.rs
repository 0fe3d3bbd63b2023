//! A part of the network whose inputs and outputs are bound to memory.

use std::ffi::CString;

use ort::AsPointer;
use ort::memory::MemoryInfo;
use ort::session::{IoBinding, Session, SessionOutputs};
use ort::value::{DynValue, ValueType, ValueTypeMarker};

use crate::cancel::Canceller;
use crate::memory::Destination;
use crate::runtime::{self, SessionMemory};
use crate::tensor::Tensor;
use crate::turns::{InTurns, Turns};
use crate::{Error, memory};

/// An output of a part, and whether the processor reads it.
pub(super) struct BoundOutput {
    pub name: String,
    pub memory: Destination,
    pub is_read: bool,
}

/// A session, the values it is bound to, and what it was last run with.
///
/// The outputs of one run are overwritten by the next one: their memory is allocated once for a set of input shapes.
pub(super) struct BoundPart {
    name: &'static str,
    /// The first: dropped in a turn, before what its outputs are described by.
    loaded: InTurns<Loaded>,
    outputs: Vec<BoundOutput>,
    /// The memory of those that stay where the session leaves them.
    own: Vec<Option<SessionMemory>>,
    /// Shapes of the inputs that the outputs' memory was made for, and of those that are bound now.
    made_for: Vec<Vec<i64>>,
    bound: Vec<Vec<i64>>,
}

/// What belongs to ONNX Runtime.
struct Loaded {
    session: Session,
    binding: IoBinding,
}

/// What a run of a [`BoundPart`] gave.
pub(super) struct BoundOutputs<'s> {
    name: &'static str,
    values: SessionOutputs<'s>,
    outputs: &'s [BoundOutput],
}

impl BoundPart {
    /// `turns` are those of the provider that the session runs on.
    pub fn new(
        name: &'static str,
        session: Session,
        outputs: Vec<BoundOutput>,
        turns: Option<&'static Turns>,
    ) -> ort::Result<Self> {
        let own = own_memory(&session, &outputs)?;
        let binding = session.create_binding()?;
        let inputs = session.inputs().len();
        Ok(Self {
            name,
            loaded: InTurns::new(Loaded { session, binding }, turns),
            outputs,
            own,
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
        canceller: &Canceller,
    ) -> Result<(), Error> {
        let entered = self.loaded.enter(|| canceller.is_cancelled());
        let (_turn, Loaded { session, binding }) = entered.ok_or(Error::Cancelled)?;
        let name = session.inputs()[index].name();
        binding
            .bind_input(name, value)
            .map_err(Error::inference(format!("bind '{name}' of the {}", self.name)))?;
        if let ValueType::Tensor { shape, .. } = value.dtype() {
            let bound = &mut self.bound[index];
            bound.clear();
            bound.extend_from_slice(shape);
        }
        Ok(())
    }

    /// As [`bind`](Self::bind) for memory that is not ONNX Runtime's: `ort` would copy it, in a session of its own.
    ///
    /// # Safety
    /// The memory of `value` must be there whenever the part runs, until another value is bound to the input.
    pub unsafe fn bind_in_place<T: ValueTypeMarker + ?Sized>(
        &mut self,
        index: usize,
        value: &ort::value::Value<T>,
        canceller: &Canceller,
    ) -> Result<(), Error> {
        let entered = self.loaded.enter(|| canceller.is_cancelled());
        let (_turn, Loaded { session, binding }) = entered.ok_or(Error::Cancelled)?;
        let name = session.inputs()[index].name();
        let failed = || Error::inference(format!("bind '{name}' of the {}", self.name));
        let c_name = CString::new(name).map_err(|error| failed()(ort::Error::new(error.to_string())))?;
        // SAFETY: the binding is nobody else's; ONNX Runtime keeps a share of the value and a copy of the name, and the caller vouches for
        // the value's memory.
        let bound = unsafe {
            let bind = ort::api().BindInput;
            ort::Error::result_from_status(bind(binding.ptr().cast_mut(), c_name.as_ptr(), value.ptr()))
        };
        bound.map_err(failed())?;
        if let ValueType::Tensor { shape, .. } = value.dtype() {
            let bound = &mut self.bound[index];
            bound.clear();
            bound.extend_from_slice(shape);
        }
        Ok(())
    }

    /// Runs the part with what is bound.
    pub fn run(&mut self, canceller: &Canceller) -> Result<BoundOutputs<'_>, Error> {
        let entered = self.loaded.enter(|| canceller.is_cancelled());
        let (_turn, Loaded { session, binding }) = entered.ok_or(Error::Cancelled)?;
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let name = self.name;
        let failed = |error| Error::failed_to(format!("run the {name}"), error);
        // ONNX Runtime keeps writing to the memory that it has allocated in the first run, and refuses another shape.
        if self.made_for != self.bound {
            self.made_for.clear();
            for (output, own) in self.outputs.iter().zip(&self.own) {
                bind_output(binding, output, *own).map_err(failed)?;
            }
        }
        let values = session
            .run_binding_with_options(binding, canceller.run_options().map_err(failed)?)
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

/// The memory of each of `outputs` that stays where `session` leaves it.
fn own_memory(session: &Session, outputs: &[BoundOutput]) -> ort::Result<Vec<Option<SessionMemory>>> {
    let is_own = |output: &BoundOutput| matches!(output.memory, Destination::Own);
    if !outputs.iter().any(is_own) {
        return Ok(vec![None; outputs.len()]);
    }
    let memory = runtime::output_memory(session)?;
    let of = |output: &BoundOutput| {
        let index = session
            .outputs()
            .iter()
            .position(|known| known.name() == output.name);
        let memory = index.and_then(|index| memory.get(index).copied());
        memory.ok_or_else(|| ort::Error::new(format!("there is no output '{}'", output.name)))
    };
    outputs
        .iter()
        .map(|output| is_own(output).then(|| of(output)).transpose())
        .collect()
}

/// Says where `output` is to be put. `own` is of the binding's session.
fn bind_output(binding: &mut IoBinding, output: &BoundOutput, own: Option<SessionMemory>) -> ort::Result<()> {
    let memory = match (&output.memory, own) {
        (Destination::Named(memory), _) => return binding.bind_output_to_device(&*output.name, memory),
        (Destination::Own, None) => return Err(ort::Error::new("its memory is not known")),
        (Destination::Own, Some(memory)) => memory,
    };
    // `ort` has to know of the output, and has no words for a memory whose name ONNX Runtime does not know.
    binding.bind_output_to_device(&*output.name, &MemoryInfo::default())?;
    let name = CString::new(&*output.name)?;
    // SAFETY: the binding and the session that the memory is of live, and nobody else uses the binding; ONNX Runtime copies what
    // it needs of the memory's description and of the name.
    unsafe {
        let bind = ort::api().BindOutputToDevice;
        ort::Error::result_from_status(bind(binding.ptr().cast_mut(), name.as_ptr(), memory.as_ptr()))
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
