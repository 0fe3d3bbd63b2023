//! The memory of a batch, whose slots can be written side by side.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;
use crate::frame::{Conversion, Converter, Frame, copy_raw, raw_len};
use crate::model::{Exchange, HostTensor};

/// Network images of one size, or frames of one layout, one behind the other.
pub(super) struct Slots {
    tensor: Tensor,
    /// First byte of the first slot.
    first: NonNull<u8>,
    /// Bytes in a slot.
    bytes: usize,
    count: usize,
    /// Slots that are reserved and not yet given back.
    writers: AtomicUsize,
    /// Converters that nobody uses now. There are as many as frames were ever converted at a time.
    converters: Mutex<Vec<Converter>>,
    conversion: Conversion,
}

/// What the slots are to hold, and where.
pub(super) enum Contents {
    /// Network images in memory of our own.
    Images,
    /// Network images where a device takes them from.
    DeviceImages(Exchange),
    /// Frames as they are, where a device takes them from.
    DeviceFrames(Exchange),
}

enum Tensor {
    /// Network images; pages that nobody has written take no memory.
    Own(Layout),
    /// Network images where a device takes them from.
    Images(HostTensor<f32>),
    /// Frames as they are.
    Frames(HostTensor<u8>),
}

// SAFETY: `first` points into `tensor`, which these slots alone own and which may be used from any thread. Which thread
// writes where is said below.
unsafe impl Send for Slots {}
// SAFETY: as above; through a shared reference, memory is read by `read` and by whoever has a tensor, and written through
// a `Slot`, never both.
unsafe impl Sync for Slots {}

/// The right to write one slot of a batch. The batch cannot be read or cleared before it is gone.
pub struct Slot {
    slots: Arc<Slots>,
    index: usize,
}

impl Slots {
    /// `count` blank slots; `None` when there is not so much memory.
    pub fn new(
        contents: Contents,
        count: usize,
        conversion: Conversion,
        converter: Converter,
    ) -> Option<Self> {
        let size = &conversion.size;
        let image = size.tensor_len().checked_mul(size_of::<f32>())?;
        let (tensor, first, bytes) = match contents {
            Contents::Images => {
                let bytes = count.checked_mul(image).filter(|bytes| *bytes > 0)?;
                let layout = Layout::from_size_align(bytes, align_of::<f32>()).ok()?;
                // SAFETY: the layout's size is not 0.
                let first = NonNull::new(unsafe { alloc_zeroed(layout) })?;
                (Tensor::Own(layout), first, image)
            }
            Contents::DeviceImages(exchange) => {
                let (height, width) = (size.padded_height as usize, size.padded_width as usize);
                let mut images = exchange.tensor::<f32>(&[count, 3, height, width]).ok()?;
                let first = NonNull::new(images.as_mut_slice().as_mut_ptr())?.cast();
                (Tensor::Images(images), first, image)
            }
            Contents::DeviceFrames(exchange) => {
                let bytes = raw_len(&conversion.layout);
                let mut frames = exchange.tensor::<u8>(&[count, bytes]).ok()?;
                let first = NonNull::new(frames.as_mut_slice().as_mut_ptr())?;
                (Tensor::Frames(frames), first, bytes)
            }
        };
        Some(Self {
            tensor,
            first,
            bytes,
            count,
            writers: AtomicUsize::new(0),
            converters: Mutex::new(vec![converter]),
            conversion,
        })
    }

    /// The right to write slot `index`, which the caller gives to nobody else before [`is_at_rest`](Self::is_at_rest).
    pub fn reserve(self: &Arc<Self>, index: usize) -> Slot {
        assert!(index < self.count, "slot {index} of {}", self.count);
        self.writers.fetch_add(1, Ordering::Relaxed);
        Slot {
            slots: self.clone(),
            index,
        }
    }

    /// Whether nobody writes.
    pub fn is_at_rest(&self) -> bool {
        // With the release in `Slot::drop`: what was written is seen.
        self.writers.load(Ordering::Acquire) == 0
    }

    /// Whether the slots hold frames as they are.
    pub fn holds_frames(&self) -> bool {
        matches!(self.tensor, Tensor::Frames(_))
    }

    /// The bytes of the first `count` slots. Panics while a slot is being written, which would be a mistake of the caller.
    pub fn bytes(&self, count: usize) -> &[u8] {
        self.read(count, count * self.bytes)
    }

    /// The images of the first `count` slots, if those are images. Panics as [`bytes`](Self::bytes) does.
    pub fn images(&self, count: usize) -> Option<&[f32]> {
        let numbers = count * self.bytes / size_of::<f32>();
        (!self.holds_frames()).then(|| self.read(count, numbers))
    }

    /// The first `len` bytes or numbers, which lie within the first `count` slots.
    fn read<T: Content>(&self, count: usize, len: usize) -> &[T] {
        assert!(
            self.is_at_rest() && count <= self.count && len * size_of::<T>() <= count * self.bytes,
            "a slot is being written"
        );
        // SAFETY: that much memory was allocated, aligned for numbers where there are some (`images`), and all of it is
        // written since then. Nobody writes now, and nobody begins while the borrow lasts: only `Batch` reserves slots, with an exclusive
        // borrow of itself.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr().cast(), len) }
    }

    /// The tensor of all slots, if it holds images. Panics as [`bytes`](Self::bytes) does.
    pub fn tensor(&self) -> Option<&HostTensor<f32>> {
        assert!(self.is_at_rest(), "a slot is being written");
        match &self.tensor {
            Tensor::Images(tensor) => Some(tensor),
            Tensor::Own(_) | Tensor::Frames(_) => None,
        }
    }

    /// The tensor of all slots, if it holds frames. Panics as [`bytes`](Self::bytes) does.
    pub fn frames(&self) -> Option<&HostTensor<u8>> {
        assert!(self.is_at_rest(), "a slot is being written");
        match &self.tensor {
            Tensor::Frames(tensor) => Some(tensor),
            Tensor::Own(_) | Tensor::Images(_) => None,
        }
    }

    fn free_converter(&self) -> Option<Converter> {
        let mut converters = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        converters.pop()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if let Tensor::Own(layout) = self.tensor {
            // SAFETY: allocated with this layout in `new`; slots keep this alive, so there are none any more.
            unsafe { dealloc(self.first.as_ptr(), layout) };
        }
    }
}

impl Slot {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Converts `frame` into the slot, or copies it where the device converts. On failure the slot is blank.
    ///
    /// # Errors
    /// When the frame has another layout than the batch, or its planes are too small.
    pub fn convert(mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let slots = self.slots.clone();
        let done = slots.conversion.check(frame).and_then(|()| {
            if slots.holds_frames() {
                return Ok(copy_raw(frame, self.bytes())?);
            }
            let mut converter = match slots.free_converter() {
                Some(converter) => converter,
                None => slots.conversion.converter()?,
            };
            let done = converter.convert(frame, self.numbers());
            let mut converters = slots.converters.lock().unwrap_or_else(PoisonError::into_inner);
            converters.push(converter);
            Ok(done?)
        });
        if done.is_err() {
            // What an earlier batch has left there is not to be taken for this frame.
            self.bytes().fill(0);
        }
        done
    }

    /// The slot's bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let len = self.slots.bytes;
        self.write(len)
    }

    /// The slot's numbers, when it holds an image.
    fn numbers(&mut self) -> &mut [f32] {
        assert!(!self.slots.holds_frames(), "a frame is no image");
        let len = self.slots.bytes / size_of::<f32>();
        self.write(len)
    }

    /// The first `len` bytes or numbers of the slot.
    fn write<T: Content>(&mut self, len: usize) -> &mut [T] {
        let bytes = self.slots.bytes;
        assert!(len * size_of::<T>() <= bytes, "a slot is not so large");
        // SAFETY: inside what was allocated, see `reserve`, and aligned, see `Slots::read`. Each slot is given to one `Slot`
        // at a time, slots do not overlap, and nobody reads the memory meanwhile, see `Slots::read`.
        unsafe {
            let first = self.slots.first.as_ptr().add(self.index * bytes);
            std::slice::from_raw_parts_mut(first.cast(), len)
        }
    }
}

/// What a slot is made of.
///
/// # Safety
/// Any pattern of bits is a valid value, and the alignment is at most that of f32.
unsafe trait Content {}
// SAFETY: bytes, and numbers or not-a-numbers.
unsafe impl Content for u8 {}
// SAFETY: as above.
unsafe impl Content for f32 {}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.writers.fetch_sub(1, Ordering::Release);
    }
}
