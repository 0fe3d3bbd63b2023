//! The memory of a batch, whose slots can be written side by side.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ort::value::TensorRefMut;

use super::device::DeviceSlots;
use crate::Error;
use crate::cuda::CudaFrame;
use crate::frame::{Conversion, Converter, Cut, Frame, FrameCopy, FrameLayout, RegionConversion, copy_raw};
use crate::memory::{Exchange, HostTensor};

/// Network images of one size, or frames of one layout, one behind the other: the one owner of their memory, which reads it
/// and gives out its slots, each to one [`Slot`] at a time.
///
/// What is read is borrowed from it, and giving out a slot takes it exclusively, so nobody begins to write while somebody
/// reads. That nobody has begun before is counted.
pub(super) struct Slots {
    memory: Arc<Memory>,
    /// Slots that were given out since they were last [cleared](Self::clear). Those from here on belong to nobody.
    len: usize,
}

/// The right to write one slot of a batch. The batch cannot be read or cleared before it is gone.
pub struct Slot {
    memory: Arc<Memory>,
    /// No other `Slot` of this memory has it.
    index: usize,
    /// What it is to show; `None`: the whole frame.
    cut: Option<Cut>,
}

/// The memory itself. Its bytes are touched by [`Slots::read`] and [`Slot::write`] only.
struct Memory {
    tensor: Tensor,
    /// First byte of the first slot.
    first: NonNull<u8>,
    /// Bytes in a slot.
    bytes: usize,
    count: usize,
    /// How many `Slot`s there are.
    writers: AtomicUsize,
    /// Converters that nobody uses now. There are as many as frames were ever converted at a time, of regions at most
    /// [`KEPT`].
    converters: Mutex<Vec<Converter>>,
    filling: Filling,
    /// For each slot, the frame that is in it; none where nobody needs them.
    frames: Vec<RwLock<FrameCopy>>,
    /// Where frames lie that were in the memory of the GPU already, if they may.
    device: Option<DeviceSlots>,
}

/// How a slot is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Filling {
    /// With a whole frame of one layout.
    Whole(Conversion),
    /// With a region of a frame of any layout.
    Regions(RegionConversion),
}

/// Converters for regions that are kept: frames of more layouts make them again and again.
const KEPT: usize = 16;

/// What the slots are to hold, and where.
pub(super) enum Contents {
    /// Network images in memory of our own.
    Images,
    /// Network images where a device takes them from.
    DeviceImages(Exchange),
    /// Frames as they are, where a device takes them from, and bytes of each.
    DeviceFrames(Exchange, usize),
    /// Frames as they are in memory of our own, and bytes of each.
    #[cfg(feature = "remote")]
    Frames(usize),
}

enum Tensor {
    /// Network images; pages that nobody has written take no memory.
    Own(Layout),
    /// Network images where a device takes them from.
    Images(HostTensor<f32>),
    /// Frames as they are.
    Frames(HostTensor<u8>),
    /// Frames as they are; pages that nobody has written take no memory.
    #[cfg(feature = "remote")]
    OwnFrames(Layout),
}

// SAFETY: `first` points into `tensor`, which this alone owns and which may be used from any thread. Which thread touches
// its bytes when is what `Slots` and `Slot` are for.
unsafe impl Send for Memory {}
// SAFETY: as above; a shared reference to this gives nobody the bytes.
unsafe impl Sync for Memory {}

impl Memory {
    /// `count` blank slots; `None` when there is not so much memory.
    fn new(contents: Contents, count: usize, filling: Filling, converters: Vec<Converter>) -> Option<Self> {
        let [height, width] = match &filling {
            Filling::Whole(conversion) => [conversion.size.padded_height, conversion.size.padded_width],
            Filling::Regions(conversion) => [conversion.side; 2],
        }
        .map(|side| side as usize);
        let image = [3, height, width]
            .iter()
            .try_fold(size_of::<f32>(), |bytes, side| bytes.checked_mul(*side))?;
        let mut device = None;
        let (tensor, first, bytes) = match contents {
            Contents::Images => {
                let (layout, first) = own(count, image)?;
                (Tensor::Own(layout), first, image)
            }
            #[cfg(feature = "remote")]
            Contents::Frames(bytes) => {
                let (layout, first) = own(count, bytes)?;
                (Tensor::OwnFrames(layout), first, bytes)
            }
            Contents::DeviceImages(exchange) => {
                let mut images = exchange.tensor::<f32>(&[count, 3, height, width]).ok()?;
                let first = NonNull::new(images.as_mut_slice().as_mut_ptr())?.cast();
                (Tensor::Images(images), first, image)
            }
            Contents::DeviceFrames(exchange, bytes) => {
                let mut frames = exchange.tensor::<u8>(&[count, bytes]).ok()?;
                let first = NonNull::new(frames.as_mut_slice().as_mut_ptr())?;
                device = exchange.cuda().map(|place| DeviceSlots::new(place, count, bytes));
                (Tensor::Frames(frames), first, bytes)
            }
        };
        Some(Self {
            tensor,
            first,
            bytes,
            count,
            writers: AtomicUsize::new(0),
            converters: Mutex::new(converters),
            filling,
            frames: Vec::new(),
            device,
        })
    }

    fn holds_frames(&self) -> bool {
        match self.tensor {
            Tensor::Own(_) | Tensor::Images(_) => false,
            Tensor::Frames(_) => true,
            #[cfg(feature = "remote")]
            Tensor::OwnFrames(_) => true,
        }
    }

    /// A converter for `frame`; one that was used before if there is one.
    fn converter(&self, frame: &Frame<'_>) -> Result<Converter, Error> {
        let mut converters = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        let of_layout = converters
            .iter()
            .rposition(|converter| *converter.layout() == frame.layout);
        Ok(match (of_layout, &self.filling) {
            (Some(index), _) => converters.remove(index),
            (None, Filling::Whole(conversion)) => conversion.converter()?,
            (None, Filling::Regions(conversion)) => conversion.converter(&frame.layout)?,
        })
    }

    /// The place of the frame in slot `index`, if frames are kept.
    fn kept(&self, index: usize) -> Option<RwLockWriteGuard<'_, FrameCopy>> {
        let frame = self.frames.get(index)?;
        Some(frame.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_back(&self, converter: Converter) {
        let mut converters = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        if converters.len() >= KEPT && matches!(self.filling, Filling::Regions(_)) {
            converters.remove(0);
        }
        converters.push(converter);
    }

    /// Whether a frame of `layout` can come into a slot that shows `cut`.
    fn check(&self, layout: &FrameLayout, cut: Option<&Cut>) -> Result<(), String> {
        match (&self.filling, cut) {
            (Filling::Whole(conversion), None) => conversion.check(layout),
            (Filling::Regions(_), Some(_)) => Ok(()),
            (Filling::Whole(_), Some(_)) => Err("it takes whole frames".to_owned()),
            (Filling::Regions(_), None) => Err("it takes regions".to_owned()),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let layout = match self.tensor {
            Tensor::Own(layout) => layout,
            #[cfg(feature = "remote")]
            Tensor::OwnFrames(layout) => layout,
            Tensor::Images(_) | Tensor::Frames(_) => return,
        };
        // SAFETY: allocated with this layout in `new`; slots keep this alive, so there are none any more.
        unsafe { dealloc(self.first.as_ptr(), layout) };
    }
}

/// Memory of our own for `count` slots of `bytes` bytes, all 0; `None` when there is not so much, or none is asked for.
fn own(count: usize, bytes: usize) -> Option<(Layout, NonNull<u8>)> {
    let bytes = count.checked_mul(bytes).filter(|bytes| *bytes > 0)?;
    // For frames, too: images are written as numbers.
    let layout = Layout::from_size_align(bytes, align_of::<f32>()).ok()?;
    // SAFETY: the layout's size is not 0.
    let first = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    Some((layout, first))
}

impl Slots {
    /// `count` blank slots; `None` when there is not so much memory.
    pub fn new(
        contents: Contents,
        count: usize,
        filling: Filling,
        converters: Vec<Converter>,
    ) -> Option<Self> {
        let memory = Memory::new(contents, count, filling, converters)?;
        Some(Self {
            memory: Arc::new(memory),
            len: 0,
        })
    }

    /// The same, which keep a copy of each frame beside its image. To be asked for before a slot is given out.
    pub fn keeping_frames(mut self) -> Self {
        if let Some(memory) = Arc::get_mut(&mut self.memory) {
            memory.frames = std::iter::repeat_with(RwLock::default)
                .take(memory.count)
                .collect();
            memory.device = None;
        }
        self
    }

    /// Whether it does.
    pub fn keeps_frames(&self) -> bool {
        !self.memory.frames.is_empty()
    }

    /// The frame in slot `index`, if it is kept; it may hold none.
    pub fn frame(&self, index: usize) -> Option<RwLockReadGuard<'_, FrameCopy>> {
        let frame = self.memory.frames.get(index)?;
        Some(frame.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The right to write the next slot, which is to show `cut` or the whole frame; `None` when all are given out.
    pub fn reserve(&mut self, cut: Option<Cut>) -> Option<Slot> {
        if self.is_full() {
            return None;
        }
        self.memory.writers.fetch_add(1, Ordering::Relaxed);
        let index = self.len;
        self.len += 1;
        Some(Slot {
            memory: self.memory.clone(),
            index,
            cut,
        })
    }

    /// Takes back the slot that was given out last, as if it had not been. Of another one, nothing but the right to write
    /// it ends.
    pub fn take_back(&mut self, slot: Slot) {
        let is_last = slot.index + 1 == self.len && Arc::ptr_eq(&self.memory, &slot.memory);
        drop(slot);
        if is_last {
            self.len -= 1;
        }
    }

    /// Takes all slots back. Panics while one is being written, which would be a mistake of the caller.
    pub fn clear(&mut self) {
        self.assert_at_rest();
        self.len = 0;
    }

    /// Number of slots that were given out.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.memory.count
    }

    /// Takes back all but the first `len` of the slots that were given out. Panics while one is being written.
    pub fn truncate(&mut self, len: usize) {
        self.assert_at_rest();
        self.len = self.len.min(len);
    }

    /// Whether all slots were given out.
    pub fn is_full(&self) -> bool {
        self.len == self.memory.count
    }

    /// Whether the slots hold frames as they are.
    pub fn holds_frames(&self) -> bool {
        self.memory.holds_frames()
    }

    /// The bytes of the slots that were given out, but for frames that are [elsewhere](Self::device_frames). Panics while one is being
    /// written, which would be a mistake of the caller.
    pub fn bytes(&self) -> &[u8] {
        self.read()
    }

    /// The images in the slots that were given out, if those are images. Panics as [`bytes`](Self::bytes) does.
    pub fn images(&self) -> Option<&[f32]> {
        (!self.holds_frames()).then(|| self.read())
    }

    /// What the slots that were given out hold.
    fn read<T: Content>(&self) -> &[T] {
        self.assert_at_rest();
        let len = self.len * self.memory.bytes / size_of::<T>();
        // SAFETY: `len` slots of `count`, all of them allocated, written since (with zeros at first), and aligned for any
        // `Content`. There is no `Slot` now, and there will be none while the borrow lasts: `reserve` takes `self`
        // exclusively, and nothing else makes one.
        unsafe { std::slice::from_raw_parts(self.memory.first.as_ptr().cast(), len) }
    }

    /// The tensor of all slots, if it holds images. Panics as [`bytes`](Self::bytes) does.
    pub fn tensor(&self) -> Option<&HostTensor<f32>> {
        self.assert_at_rest();
        match &self.memory.tensor {
            Tensor::Images(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The tensor of all slots, if it holds frames. Panics as [`bytes`](Self::bytes) does.
    pub fn frames(&self) -> Option<&HostTensor<u8>> {
        self.assert_at_rest();
        match &self.memory.tensor {
            Tensor::Frames(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// When some of the frames lie on the GPU: the tensor of the first `rows` slots there, at least as many as were given out, with all
    /// frames in it. Panics as [`bytes`](Self::bytes) does.
    pub fn device_frames(&self, rows: usize) -> Option<Result<TensorRefMut<'_, u8>, Error>> {
        let device = self.memory.device.as_ref()?;
        device.tensor(self.bytes(), rows)
    }

    fn assert_at_rest(&self) {
        // With the release in `Slot::drop`: what was written is seen.
        let writers = self.memory.writers.load(Ordering::Acquire);
        assert!(writers == 0, "a slot is being written");
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("index", &self.index)
            .finish_non_exhaustive()
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
        self.fill(frame)
    }

    /// As [`convert`](Self::convert), and the slot stays.
    pub(super) fn fill(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let memory = self.memory.clone();
        let cut = self.cut;
        let done = memory
            .check(&frame.layout, cut.as_ref())
            .map_err(Error::Batch)
            .and_then(|()| {
                if memory.holds_frames() {
                    return Ok(copy_raw(frame, self.bytes())?);
                }
                let mut converter = memory.converter(frame)?;
                if let Some(cut) = &cut {
                    converter.aim(cut);
                }
                let done = converter.convert(frame, self.numbers());
                memory.give_back(converter);
                Ok(done?)
            });
        let done = done.and_then(|()| match memory.kept(self.index) {
            Some(mut kept) => Ok(kept.set(frame)?),
            None => Ok(()),
        });
        if done.is_err() {
            if let Some(mut kept) = memory.kept(self.index) {
                kept.clear();
            }
            // What an earlier batch has left there is not to be taken for this frame.
            self.bytes().fill(0);
        }
        done
    }

    /// Copies `frame` into the slot's place on the GPU that runs the network, without the way over the processor's memory, behind the
    /// work of the frame's stream, and waits for that. Never run on hardware.
    ///
    /// # Errors
    /// In words; the slot is to be [filled](Self::convert) with the same frame in the processor's memory then. The batch
    /// [takes no such frames](crate::BatchMaker::takes_cuda_frames), the frame has another layout, lies on another GPU or in
    /// planes that are too small, there is no memory, or the driver refuses.
    pub fn copy_cuda(&mut self, frame: &CudaFrame<'_>) -> Result<(), String> {
        self.memory.check(frame.layout(), self.cut.as_ref())?;
        match &self.memory.device {
            Some(device) => device.copy(self.index, frame),
            None => Err("the batch takes frames from the processor's memory only".to_owned()),
        }
    }

    /// Takes over the frame in slot `index` of `other`, whose slots are as large.
    ///
    /// # Errors
    /// When the frame lies on a GPU that does not give it back.
    pub(super) fn take_over(&mut self, other: &Slots, index: usize) -> Result<(), Error> {
        let source = other.bytes();
        let bytes = self.bytes();
        let is_there = match &other.memory.device {
            Some(device) => device.download(index, bytes)?,
            None => false,
        };
        if !is_there {
            let len = bytes.len();
            bytes.copy_from_slice(&source[index * len..][..len]);
        }
        self.keep(other, index);
        Ok(())
    }

    /// Keeps the frame that slot `index` of `other` has kept, if it is to keep one.
    fn keep(&mut self, other: &Slots, index: usize) {
        let Some(mut kept) = self.memory.kept(self.index) else {
            return;
        };
        let from = other.frame(index);
        let done = match from.as_ref().and_then(|from| from.frame()) {
            Some(frame) => kept.set(&frame).is_ok(),
            None => false,
        };
        if !done {
            kept.clear();
        }
    }

    /// The slot's bytes.
    fn bytes(&mut self) -> &mut [u8] {
        self.write()
    }

    /// The slot's numbers, when it holds an image.
    fn numbers(&mut self) -> &mut [f32] {
        assert!(!self.memory.holds_frames(), "a frame is no image");
        self.write()
    }

    /// What the slot holds.
    fn write<T: Content>(&mut self) -> &mut [T] {
        if let Some(device) = &self.memory.device {
            device.leave(self.index);
        }
        let bytes = self.memory.bytes;
        // SAFETY: one of the slots that were allocated, aligned for any `Content`, because a slot that begins after whole
        // images does and frames are bytes. Slots do not overlap, this `Slot` is the only one with its index and is borrowed
        // exclusively, and nobody reads the memory while it exists, see `Slots::read`.
        unsafe {
            let first = self.memory.first.as_ptr().add(self.index * bytes);
            std::slice::from_raw_parts_mut(first.cast(), bytes / size_of::<T>())
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
        self.memory.writers.fetch_sub(1, Ordering::Release);
    }
}
