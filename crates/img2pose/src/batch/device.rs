//! Frames of a batch in the memory of the GPU that runs the network, which came there from the GPU's own memory. Those that come from
//! the processor's lie there, in the batch itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::value::TensorRefMut;

use crate::Error;
use crate::cuda::{CudaFrame, Room};
use crate::ending::{self, Held};
use crate::memory::CudaPlace;

/// The slots of a batch, once more, on the GPU.
pub(super) struct DeviceSlots {
    place: CudaPlace,
    /// Bytes of a slot.
    bytes: usize,
    /// Made when the first frame comes: most batches have none.
    room: OnceLock<Result<Held<Room>, String>>,
    /// For each slot, whether its frame is here. Only who may write the slot changes that; it is read when nobody writes.
    filled: Vec<AtomicBool>,
}

impl DeviceSlots {
    pub fn new(place: CudaPlace, count: usize, bytes: usize) -> Self {
        Self {
            place,
            bytes,
            room: OnceLock::new(),
            filled: std::iter::repeat_with(AtomicBool::default).take(count).collect(),
        }
    }

    /// Copies `frame` into slot `index`, which the caller alone may write.
    ///
    /// # Errors
    /// In words, see [`Room::copy`]; the slot is not filled then.
    pub fn copy(&self, index: usize, frame: &CudaFrame<'_>) -> Result<(), String> {
        self.leave(index);
        let _inside = ending::enter(None).ok_or("the process ends")?;
        let made = || {
            let room = Room::new(self.place.device_id, self.filled.len(), self.bytes);
            room.map(Held::new)
        };
        let room = self.room.get_or_init(made).as_ref().map_err(Clone::clone)?;
        room.copy(index, frame)?;
        self.filled[index].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Slot `index`, which the caller alone may write, holds no frame here any more.
    pub fn leave(&self, index: usize) {
        self.filled[index].store(false, Ordering::Relaxed);
    }

    /// The room, when the frame of slot `index` is there.
    fn room_of(&self, index: usize) -> Option<&Room> {
        let room = self.room.get()?.as_ref().ok()?;
        self.filled[index].load(Ordering::Relaxed).then_some(room)
    }

    /// Copies the frame of slot `index` to the processor, if it is here. Returns whether it is.
    pub fn download(&self, index: usize, into: &mut [u8]) -> Result<bool, Error> {
        let Some(room) = self.room_of(index) else {
            return Ok(false);
        };
        room.download(index, into)
            .map_err(|reason| failed("give a frame back", reason))?;
        Ok(true)
    }

    /// When a frame of the slots of `host`, which follow each other, is here: the tensor of the first `rows` slots, at least as many
    /// as `host` has. Frames that are not here are copied from `host` before; nobody may write a slot.
    pub fn tensor(&self, host: &[u8], rows: usize) -> Option<Result<TensorRefMut<'_, u8>, Error>> {
        let used = host.len() / self.bytes;
        let room = (0..used).find_map(|index| self.room_of(index))?;
        let others = (0..used).filter(|index| self.room_of(*index).is_none());
        for index in others {
            let bytes = &host[index * self.bytes..][..self.bytes];
            if let Err(reason) = room.upload(index, bytes) {
                return Some(Err(failed("take a frame", reason)));
            }
        }
        let tensor = self.place.tensor(room, rows);
        Some(tensor.map_err(Error::inference("describe the frames of a batch")))
    }
}

fn failed(action: &'static str, reason: String) -> Error {
    Error::Gpu { action, reason }
}
