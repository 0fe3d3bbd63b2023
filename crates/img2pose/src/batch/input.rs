//! What an engine is given: views of frames that have one network size.

use std::sync::RwLockReadGuard;

use ort::value::TensorRefMut;

use super::slots::Slots;
use crate::error::{Error, reserve};
use crate::frame::{Conversion, Cut, FrameCopy, FrameLayout, NetworkSize};
use crate::memory::HostTensor;

/// Proposals of a region: there is a face or two in it, and the best proposals lie around those.
const PROPOSALS_OF_REGION: usize = 48;

/// A batch as an engine sees it: network images of one padded size, each with its own size before padding.
#[derive(Clone, Copy)]
pub(crate) struct Input<'b> {
    slots: &'b Slots,
    shown: Shown<'b>,
}

/// What the slots show.
#[derive(Clone, Copy)]
enum Shown<'b> {
    Whole(&'b Conversion),
    Regions { side: u32, cuts: &'b [Cut] },
}

impl<'b> Input<'b> {
    /// Whole frames.
    pub(super) fn whole(slots: &'b Slots, conversion: &'b Conversion) -> Self {
        Self {
            slots,
            shown: Shown::Whole(conversion),
        }
    }

    /// Regions; `cuts` has an entry for each slot in use.
    pub(super) fn regions(slots: &'b Slots, side: u32, cuts: &'b [Cut]) -> Self {
        Self {
            slots,
            shown: Shown::Regions { side, cuts },
        }
    }

    /// Number of views.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Number of views that the batch can hold.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Whether the batch holds as many views as it can.
    pub fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// Height and width of every network image, after padding.
    pub fn padded(&self) -> [usize; 2] {
        match self.shown {
            Shown::Whole(conversion) => [conversion.size.padded_height, conversion.size.padded_width],
            Shown::Regions { side, .. } => [side; 2],
        }
        .map(|side| side as usize)
    }

    /// The sizes of view `index`.
    pub fn size(&self, index: usize) -> &'b NetworkSize {
        match self.shown {
            Shown::Whole(conversion) => &conversion.size,
            Shown::Regions { cuts, .. } => &cuts[index].size,
        }
    }

    /// At most so many proposals of a view are looked at, of which the network's contract allows `most`.
    pub fn proposals(&self, most: usize) -> usize {
        match self.shown {
            Shown::Whole(_) => most,
            Shown::Regions { .. } => most.min(PROPOSALS_OF_REGION),
        }
    }

    /// The network images, `[len, 3, padded height, padded width]`; `None` when the device makes them. Panics while a slot
    /// is being written.
    pub fn images(&self) -> Option<&'b [f32]> {
        self.slots.images()
    }

    /// The images of a run of `frames`, as many as the batch has views or more: blank ones, made in `padded`, stand behind its own.
    /// Panics while a slot is being written.
    ///
    /// # Errors
    /// [`Error::OtherDevice`] when the device makes the images, [`Error::NoMemory`].
    pub fn images_for<'p>(&self, frames: usize, padded: &'p mut Vec<f32>) -> Result<&'p [f32], Error>
    where
        'b: 'p,
    {
        let images = self.images().ok_or(Error::OtherDevice)?;
        if frames == self.len() {
            return Ok(images);
        }
        let [height, width] = self.padded();
        padded.clear();
        let len = frames * 3 * height * width;
        reserve(padded, len, "the images of a batch")?;
        padded.extend_from_slice(images);
        padded.resize(len, 0.0);
        Ok(padded)
    }

    /// The frame of view `index`, where the batch keeps frames; it holds none when it could not be converted.
    pub fn frame(&self, index: usize) -> Option<RwLockReadGuard<'b, FrameCopy>> {
        self.slots.frame(index)
    }

    /// Whether the batch keeps frames.
    pub fn keeps_frames(&self) -> bool {
        self.slots.keeps_frames()
    }

    /// The layout of whole frames; `None`: the views are regions of frames of any.
    pub fn layout(&self) -> Option<&'b FrameLayout> {
        match self.shown {
            Shown::Whole(conversion) => Some(&conversion.layout),
            Shown::Regions { .. } => None,
        }
    }

    /// The network images of all slots, when they are where the network takes them from.
    pub fn tensor(&self) -> Option<&'b HostTensor<f32>> {
        self.slots.tensor()
    }

    /// When the batch holds whole frames as they are: how they become network images, and the bytes of all of them.
    #[cfg(feature = "remote")]
    pub fn raw(&self) -> Option<(&'b Conversion, &'b [u8])> {
        match self.shown {
            Shown::Whole(conversion) if self.slots.holds_frames() => Some((conversion, self.slots.bytes())),
            _ => None,
        }
    }

    /// When the device converts whole frames, and some of them are there already: how, and the tensor `[rows, bytes of a frame]`, all
    /// frames first, of which there are at most `rows`. What follows them is no frame.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the others cannot be brought there.
    pub fn device_frames(
        &self,
        rows: usize,
    ) -> Result<Option<(&'b Conversion, TensorRefMut<'b, u8>)>, Error> {
        let Shown::Whole(conversion) = self.shown else {
            return Ok(None);
        };
        let tensor = self.slots.device_frames(rows).transpose()?;
        Ok(tensor.map(|tensor| (conversion, tensor)))
    }

    /// When the device converts whole frames: how, the bytes of all of them, and the tensor of all slots, `[capacity, bytes
    /// of a frame]`.
    pub fn frames(&self) -> Option<(&'b Conversion, &'b [u8], &'b HostTensor<u8>)> {
        let Shown::Whole(conversion) = self.shown else {
            return None;
        };
        let tensor = self.slots.frames()?;
        Some((conversion, self.slots.bytes(), tensor))
    }
}
