//! Frames in the memory of an NVIDIA GPU, on their way to the network without the processor.
//!
//! Never run on hardware: tested with a stand-in for the driver, which shows addresses, contexts, order and lifetimes, and neither
//! races nor speed.

mod driver;
#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;

use std::ffi::{OsString, c_void};
use std::marker::PhantomData;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::frame::{FrameError, FrameLayout, RawPlane, check_planes, raw_len, raw_planes};
use driver::{Address, Context, Copy, Driver, Place, Rows, Stream};

/// A plane of a frame in the memory of an NVIDIA GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CudaPlane {
    /// Where its first pixel lies, as CUDA counts (`CUdeviceptr`).
    pub address: u64,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes that can be read from `address` on.
    pub len: usize,
}

/// A frame in the memory of an NVIDIA GPU, which [`Slot::copy_cuda`](crate::Slot::copy_cuda) copies to the network there.
#[derive(Clone, Copy, Debug)]
pub struct CudaFrame<'a> {
    layout: FrameLayout,
    planes: [CudaPlane; 3],
    stream: Stream,
    memory: PhantomData<&'a ()>,
}

impl<'a> CudaFrame<'a> {
    /// A frame of one, two or three planes, as the format has; the rest is ignored. `stream` is the `CUstream` whose work the
    /// frame is finished with; null: that of the context's default stream.
    ///
    /// # Safety
    /// As long as `'a` lasts, `len` bytes from each `address` on must be memory of one CUDA context that nobody writes but
    /// work of `stream` that was enqueued before, and `stream` must be null or a stream of that context.
    pub unsafe fn new(layout: FrameLayout, planes: [CudaPlane; 3], stream: *mut c_void) -> Self {
        Self {
            layout,
            planes,
            stream: Stream(stream),
            memory: PhantomData,
        }
    }

    /// Size, format and colorimetry.
    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// # Errors
    /// When a plane or stride is too short.
    fn check(&self) -> Result<(), FrameError> {
        check_planes(&self.layout, self.planes.map(|plane| (plane.stride, plane.len)))
    }
}

/// An NVIDIA GPU on which networks run.
pub(crate) struct Gpu {
    driver: &'static Driver,
    device: i32,
    /// The one that ONNX Runtime computes in.
    context: Context,
}

impl Gpu {
    /// GPU number `device`. It is opened once in a process, and kept.
    ///
    /// # Errors
    /// In words, when there is no driver or no such GPU; the same each time.
    pub fn open(device: i32) -> Result<&'static Self, String> {
        static OPENED: Mutex<Vec<(i32, Result<&'static Gpu, String>)>> = Mutex::new(Vec::new());
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, gpu)) = opened.iter().find(|(known, _)| *known == device) {
            return gpu.clone();
        }
        let gpu = driver().and_then(|driver| {
            let context = driver.primary_context(device)?;
            let gpu = Self {
                driver,
                device,
                context,
            };
            Ok::<&'static Self, String>(Box::leak(Box::new(gpu)))
        });
        opened.push((device, gpu.clone()));
        gpu
    }
}

/// The driver of this machine; in tests, a stand-in for it.
fn driver() -> Result<&'static Driver, String> {
    static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| Driver::load(&library()));
    driver.as_ref().map_err(Clone::clone)
}

#[cfg(not(test))]
fn library() -> OsString {
    "libcuda.so.1".into()
}

#[cfg(test)]
fn library() -> OsString {
    stand_in::library().map_or_else(|| "libcuda.so.1".into(), OsString::from)
}

/// Memory of a GPU for frames as they are, without the gaps between their rows, one behind the other.
pub(crate) struct Room {
    gpu: &'static Gpu,
    first: Address,
    slots: usize,
    /// Bytes of a slot.
    bytes: usize,
}

impl Room {
    /// Room for `slots` frames of `bytes` bytes, at least one. What is in it is not defined.
    ///
    /// # Errors
    /// When there is no such GPU, or not so much memory; in words.
    pub fn new(device: i32, slots: usize, bytes: usize) -> Result<Self, String> {
        let gpu = Gpu::open(device)?;
        let len = slots.checked_mul(bytes).ok_or("there is not so much memory")?;
        let first = gpu.driver.allocate(gpu.context, len)?;
        Ok(Self {
            gpu,
            first,
            slots,
            bytes,
        })
    }

    /// Where its first byte is.
    pub fn address(&self) -> u64 {
        self.first
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Bytes of a slot.
    pub fn slot_len(&self) -> usize {
        self.bytes
    }

    fn slot(&self, slot: usize) -> Address {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        self.first + (slot * self.bytes) as Address
    }

    /// Copies `frame` into a slot, on the frame's context, behind what its stream has to do, and waits for that. Nobody else may
    /// use the slot meanwhile; its bytes would mean nothing.
    ///
    /// # Errors
    /// When the frame is of another size than a slot, is not in the memory of this GPU, or the driver refuses; in words. What is in the
    /// slot means nothing then.
    pub fn copy(&self, slot: usize, frame: &CudaFrame<'_>) -> Result<(), String> {
        frame.check().map_err(|error| error.to_string())?;
        let len = raw_len(frame.layout());
        if len != self.bytes {
            return Err(format!(
                "the frame has {len} bytes, and there is room for {}",
                self.bytes
            ));
        }
        let to = self.slot(slot);
        let mut owner = None;
        let mut copies = [None; 3];
        for ((copy, plane), RawPlane { offset, row, rows }) in copies
            .iter_mut()
            .zip(&frame.planes)
            .zip(raw_planes(frame.layout()))
        {
            let here = self.gpu.driver.owner(plane.address)?;
            if here.device != self.gpu.device {
                return Err(format!(
                    "the frame is in the memory of GPU {}, the network runs on GPU {} (device-id)",
                    here.device, self.gpu.device
                ));
            }
            if *owner.get_or_insert(here) != here {
                return Err("the planes of the frame belong to several contexts".to_owned());
            }
            *copy = Some(Copy {
                from: Rows {
                    place: Place::Device(plane.address),
                    stride: plane.stride,
                },
                to: Rows {
                    place: Place::Device(to + offset as Address),
                    stride: row,
                },
                row,
                rows,
            });
        }
        let count = copies.iter().flatten().count();
        let (Some(owner), [Some(first), ..]) = (owner, copies) else {
            return Err("the frame has no planes".to_owned());
        };
        let copies = copies.map(|copy| copy.unwrap_or(first));
        // SAFETY: the frame's memory and its stream are as `CudaFrame::new` was promised; each plane was found to be long enough, and
        // the planes of a layout fill a slot, which is ours.
        unsafe {
            self.gpu
                .driver
                .copy(owner.context, frame.stream, &copies[..count])
        }
    }

    /// Copies a slot's bytes from the processor's memory.
    ///
    /// # Errors
    /// What the driver says.
    pub fn upload(&self, slot: usize, bytes: &[u8]) -> Result<(), String> {
        assert_eq!(bytes.len(), self.bytes, "bytes of a slot");
        self.whole(Place::HostToRead(bytes.as_ptr()), Place::Device(self.slot(slot)))
    }

    /// Copies a slot's bytes to the processor's memory.
    ///
    /// # Errors
    /// What the driver says.
    pub fn download(&self, slot: usize, bytes: &mut [u8]) -> Result<(), String> {
        assert_eq!(bytes.len(), self.bytes, "bytes of a slot");
        self.whole(
            Place::Device(self.slot(slot)),
            Place::HostToWrite(bytes.as_mut_ptr()),
        )
    }

    /// One of `from` and `to` is a slot, the other as many bytes that are borrowed for as long.
    fn whole(&self, from: Place, to: Place) -> Result<(), String> {
        let rows = |place| Rows {
            place,
            stride: self.bytes,
        };
        let copy = Copy {
            from: rows(from),
            to: rows(to),
            row: self.bytes,
            rows: 1,
        };
        // SAFETY: both sides have as many bytes, see the callers, and stay while this lasts; the default stream is of any context.
        unsafe {
            self.gpu
                .driver
                .copy(self.gpu.context, Stream(std::ptr::null_mut()), &[copy])
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this context. Whoever had the address borrowed this, and copies are waited for. When it
        // fails, the GPU has given up on the whole process, and there is nobody to tell.
        let _ = unsafe { self.gpu.driver.free(self.gpu.context, self.first) };
    }
}
