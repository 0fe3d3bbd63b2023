//! The memory of a batch, whose slots can be written side by side.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::Conversion;
use crate::Error;
use crate::frame::{Converter, Frame};
use crate::model::{Exchange, HostTensor};

/// Network images of one size, one behind the other.
pub(super) struct Slots {
    memory: Memory,
    /// First number of the first slot.
    first: NonNull<f32>,
    /// Numbers in a slot.
    floats: usize,
    count: usize,
    /// Slots that are reserved and not yet given back.
    writers: AtomicUsize,
    /// Converters that nobody uses now. There are as many as frames were ever converted at a time.
    converters: Mutex<Vec<Converter>>,
    conversion: Conversion,
}

enum Memory {
    /// Pages that nobody has written take no memory.
    Own(Layout),
    /// Where the network takes images from.
    Bound(HostTensor<f32>),
}

// SAFETY: `first` points into `memory`, which these slots alone own and which may be used from any thread. Which thread
// writes where is said below.
unsafe impl Send for Slots {}
// SAFETY: as above; through a shared reference, memory is read by `images` and written through a `Slot`, never both.
unsafe impl Sync for Slots {}

/// The right to write one slot of a batch. The batch cannot be read or cleared before it is gone.
pub struct Slot {
    slots: Arc<Slots>,
    index: usize,
}

impl Slots {
    /// `count` blank slots of shape `shape`; `None` when there is not so much memory.
    pub fn new(
        exchange: Option<&Exchange>,
        count: usize,
        shape: [usize; 3],
        conversion: Conversion,
        converter: Converter,
    ) -> Option<Self> {
        let floats: usize = shape.iter().product();
        let len = count.checked_mul(floats).filter(|len| *len > 0)?;
        let (memory, first) = match exchange {
            Some(exchange) => {
                let [channels, height, width] = shape;
                let mut tensor = exchange.tensor(&[count, channels, height, width]).ok()?;
                let first = NonNull::new(tensor.as_mut_slice().as_mut_ptr())?;
                (Memory::Bound(tensor), first)
            }
            None => {
                let layout = Layout::array::<f32>(len).ok()?;
                // SAFETY: the layout's size is not 0.
                let first = NonNull::new(unsafe { alloc_zeroed(layout) }.cast())?;
                (Memory::Own(layout), first)
            }
        };
        Some(Self {
            memory,
            first,
            floats,
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

    /// The images of the first `count` slots. Panics while a slot is being written, which would be a mistake of the caller.
    pub fn images(&self, count: usize) -> &[f32] {
        assert!(
            self.is_at_rest() && count <= self.count,
            "a slot is being written"
        );
        // SAFETY: that much memory was allocated, and all of it is numbers since then. Nobody writes now, and nobody begins
        // while the borrow lasts: only `Batch` reserves slots, with an exclusive borrow of itself.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), count * self.floats) }
    }

    /// The tensor of all slots. Panics as [`images`](Self::images) does.
    pub fn tensor(&self) -> Option<&HostTensor<f32>> {
        assert!(self.is_at_rest(), "a slot is being written");
        match &self.memory {
            Memory::Own(_) => None,
            Memory::Bound(tensor) => Some(tensor),
        }
    }

    fn free_converter(&self) -> Option<Converter> {
        let mut converters = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        converters.pop()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if let Memory::Own(layout) = self.memory {
            // SAFETY: allocated with this layout in `new`; slots keep this alive, so there are none any more.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) };
        }
    }
}

impl Slot {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Converts `frame` into the slot. On failure the slot is blank.
    ///
    /// # Errors
    /// When the frame has another layout than the batch, or its planes are too small.
    pub fn convert(mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let slots = self.slots.clone();
        let done = slots.conversion.check(frame).and_then(|()| {
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
            self.numbers().fill(0.0);
        }
        done
    }

    /// The slot's numbers.
    pub(super) fn numbers(&mut self) -> &mut [f32] {
        let floats = self.slots.floats;
        // SAFETY: inside what was allocated, see `reserve`. Each slot is given to one `Slot` at a time, slots do not overlap,
        // and nobody reads the memory meanwhile, see `images`.
        unsafe {
            let first = self.slots.first.as_ptr().add(self.index * floats);
            std::slice::from_raw_parts_mut(first, floats)
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.writers.fetch_sub(1, Ordering::Release);
    }
}
