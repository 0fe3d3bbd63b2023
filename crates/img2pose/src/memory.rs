//! Where the tensors lie that go into the network, between its parts, and out of it.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::{
    DynValue, PrimitiveTensorElementType, Shape, Tensor as OrtTensor, TensorRefMut, TensorValueType,
    ValueType,
};

use crate::cuda::Room;
use crate::ending::{self, Held};
use crate::tensor::Tensor;

/// A kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Ordinary memory of the processor.
    Host,
    /// Memory of the processor that the GPU reads and writes by itself; what lies elsewhere is first copied there.
    Pinned,
    /// The GPU's own.
    Device,
}

/// Where a detector keeps its tensors when the parts of its network are bound to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What the processor writes or reads: frames and proposals, RPN outputs, scores, poses.
    pub exchange: Place,
    /// What goes from one part of the network to the next: pyramid features, pooled regions. `None`: it stays where the part
    /// leaves it; the memory has a name that only the part's session knows.
    pub between: Option<Place>,
    /// Which GPU.
    pub device_id: i32,
    /// Where frames go that are in CUDA's memory already; `None`: they take the way of all others.
    pub cuda: Option<Place>,
}

impl Memory {
    /// Everything with the processor: how the bound parts run without a GPU.
    #[cfg(test)]
    pub const HOST: Self = Self {
        exchange: Place::Host,
        between: Some(Place::Host),
        device_id: 0,
        cuda: None,
    };

    /// Everything with the processor, which can read what a stand-in for CUDA's driver takes for the memory of GPU 0.
    pub const STAND_IN: Self = Self {
        exchange: Place::Host,
        between: Some(Place::Host),
        device_id: 0,
        cuda: Some(Place::Host),
    };

    /// The memory of a device that only its provider knows. It reads the processor's by copying it.
    pub const OF_SESSION: Self = Self {
        exchange: Place::Host,
        between: None,
        device_id: 0,
        cuda: None,
    };

    /// The memory of GPU number `device_id`, and what of the processor's it reads by itself.
    pub fn of_gpu(device_id: u32) -> Self {
        Self {
            exchange: Place::Pinned,
            between: Some(Place::Device),
            device_id: i32::try_from(device_id).unwrap_or(i32::MAX),
            cuda: Some(Place::Device),
        }
    }

    /// Where what goes from one part to the next is put.
    pub fn between(&self) -> ort::Result<Destination> {
        match self.between {
            Some(place) => info(place, self.device_id).map(Destination::Named),
            None => Ok(Destination::Own),
        }
    }
}

/// Where an output of a session is put.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// In memory that has a name.
    Named(MemoryInfo<'static>),
    /// Where the session leaves it by itself.
    Own,
}

fn info(place: Place, device_id: i32) -> ort::Result<MemoryInfo<'static>> {
    let (device, kind) = match place {
        Place::Host => (AllocationDevice::CPU, MemoryType::Default),
        Place::Pinned => (AllocationDevice::CUDA_PINNED, MemoryType::CPUOutput),
        Place::Device => (AllocationDevice::CUDA, MemoryType::Default),
    };
    let id = if place == Place::Host { 0 } else { device_id };
    MemoryInfo::new(device, id, AllocatorType::Device, kind)
}

/// Memory of CUDA's driver that the network reads by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CudaPlace {
    /// What it is to ONNX Runtime.
    place: Place,
    /// Which GPU.
    pub device_id: i32,
}

impl CudaPlace {
    /// The first `rows` slots of `room`, `[rows, bytes of a slot]`, as ONNX Runtime takes them. Panics when there are fewer.
    pub fn tensor<'r>(&self, room: &'r Room, rows: usize) -> ort::Result<TensorRefMut<'r, u8>> {
        assert!(rows <= room.slots(), "{rows} slots of {}", room.slots());
        let shape = [rows, room.slot_len()].map(|side| i64::try_from(side).unwrap_or(i64::MAX));
        let first = std::ptr::without_provenance_mut(room.address() as usize);
        // SAFETY: the room has these slots, and lives as long as the tensor; its memory is `place`'s, see `Memory`.
        unsafe { TensorRefMut::from_raw(info(self.place, self.device_id)?, first, Shape::new(shape)) }
    }
}

/// Makes the tensors that the processor writes for the network, and says where the network leaves what the processor
/// reads.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    // `ort` leaves it open whether allocators may be called by several threads at once. Freeing goes past this lock, into
    // ONNX Runtime's arena, which has one of its own.
    allocator: Arc<Held<Mutex<Allocator>>>,
    place: Place,
    device_id: i32,
    cuda: Option<CudaPlace>,
}

impl Exchange {
    /// The exchange memory of a session. Where there is no pinned memory, ordinary memory serves: the results are the
    /// same, only the copies are slower.
    ///
    /// # Errors
    /// When not even ordinary memory can be had.
    pub fn open(session: &Session, memory: &Memory) -> ort::Result<Self> {
        let id = memory.device_id;
        // Up to version 1.22, pinned memory belongs to no particular GPU and has the number 0.
        let wanted = [(memory.exchange, id), (memory.exchange, 0), (Place::Host, 0)];
        let mut last = None;
        for (place, device_id) in wanted {
            match info(place, device_id).and_then(|info| Allocator::new(session, info)) {
                Ok(allocator) => {
                    return Ok(Self {
                        allocator: Arc::new(Held::new(Mutex::new(allocator))),
                        place,
                        device_id,
                        cuda: memory.cuda.map(|place| CudaPlace { place, device_id: id }),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ort::Error::new("no memory to try")))
    }

    /// Ordinary memory.
    pub fn host() -> Self {
        Self {
            allocator: Arc::new(Held::new(Mutex::new(Allocator::default()))),
            place: Place::Host,
            device_id: 0,
            cuda: None,
        }
    }

    /// Where frames go that are in CUDA's memory already; `None`: they take the way of all others.
    pub fn cuda(&self) -> Option<CudaPlace> {
        self.cuda
    }

    /// ONNX Runtime's words for it.
    pub fn info(&self) -> ort::Result<MemoryInfo<'static>> {
        info(self.place, self.device_id)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// When there is not so much memory, or the process ends.
    pub fn tensor<T: Element>(&self, shape: &[usize]) -> ort::Result<HostTensor<T>> {
        let _inside = ending::enter(None).ok_or_else(|| ort::Error::new("the process ends"))?;
        let allocator = self.allocator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = HostTensor {
            tensor: Held::new(OrtTensor::new(&allocator, shape)?),
            len: shape.iter().product(),
            host: PhantomData,
        };
        // `ort` clears what it knows to be the processor's; it takes pinned memory for the GPU's.
        if made.len > 0 {
            let pointer = made.tensor.data_ptr_mut().cast::<T>();
            // SAFETY: the tensor has that many elements, which nobody else knows of yet, in memory that the processor
            // can write (`Host` or `Pinned`, see `open`); zero bytes are a valid element.
            unsafe { pointer.write_bytes(0, made.len) };
        }
        Ok(made)
    }
}

/// Elements of tensors; a pattern of zero bytes is the number 0.
pub(crate) trait Element: PrimitiveTensorElementType + Copy + std::fmt::Debug {}
impl Element for f32 {}
impl Element for i64 {}
impl Element for u8 {}

/// A tensor of ONNX Runtime's that the processor can read and write.
#[derive(Debug)]
pub(crate) struct HostTensor<T: Element> {
    tensor: Held<OrtTensor<T>>,
    len: usize,
    host: PhantomData<T>,
}

impl<T: Element> HostTensor<T> {
    /// The tensor as ONNX Runtime takes it.
    pub fn value(&self) -> &OrtTensor<T> {
        &self.tensor
    }

    /// Its elements, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: `Exchange::tensor` made it with that many elements, in memory that the processor can write, and filled it; the
        // exclusive borrow keeps others out, and ONNX Runtime reads inputs only while a part runs.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr_mut().cast(), self.len) }
    }
}

/// What a part has left in exchange memory. `value` must be an output that was bound there.
///
/// # Errors
/// When it is no tensor of f32.
///
/// # Safety
/// The processor must be able to read the memory of `value`.
pub(crate) unsafe fn read(value: &DynValue) -> ort::Result<Tensor<'_>> {
    let ValueType::Tensor { shape, .. } = value.dtype() else {
        return Err(ort::Error::new("it is no tensor"));
    };
    let typed = value.view().downcast::<TensorValueType<f32>>()?;
    let len = shape.num_elements();
    let data = match len {
        0 => &[],
        // SAFETY: a tensor of f32 has as many of them as its shape says; the caller vouches for the memory.
        _ => unsafe { std::slice::from_raw_parts(typed.data_ptr().cast(), len) },
    };
    Ok(Tensor { shape, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_names_of_onnx_runtime() {
        crate::runtime::load(None, None).unwrap();
        for (place, device_id, name, id) in [
            (Place::Host, 3, "Cpu", 0),
            (Place::Pinned, 3, "CudaPinned", 3),
            (Place::Device, 3, "Cuda", 3),
        ] {
            let info = info(place, device_id).unwrap();
            assert_eq!((info.allocation_device().as_str(), info.device_id()), (name, id));
        }
    }
}
