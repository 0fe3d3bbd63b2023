//! Regions of frames, converted and waiting for one run of the network.

use super::slots::{Contents, Filling, Slots};
use super::{BatchMaker, Input, Intake};
use crate::Error;
use crate::frame::{Cut, Frame, FrameLayout, Region, RegionConversion};

/// The input tensor of one run: regions of frames, all of them resized to one square network image.
///
/// The frames may have different layouts, and each any number of regions. What the detector finds in the regions of one
/// frame it reports as the faces of that frame, each face once.
pub struct RegionBatch {
    slots: Slots,
    conversion: RegionConversion,
    /// The side that was asked for.
    asked: u32,
    /// What each slot shows.
    cuts: Vec<Cut>,
    frames: Vec<RegionFrame>,
}

/// A frame of which a batch has regions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegionFrame {
    pub layout: FrameLayout,
    /// The slot behind its last one; its first is where the frame before ends.
    pub end: usize,
}

impl std::fmt::Debug for RegionBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionBatch")
            .field("side", &self.side())
            .field("frames", &self.frames())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl RegionBatch {
    pub(super) fn new(maker: &BatchMaker, side: u32, capacity: usize) -> Result<Self, Error> {
        for (option, number) in [("side", side as usize), ("capacity", capacity)] {
            if number == 0 {
                return Err(Error::Option {
                    option,
                    found: "0".to_owned(),
                    expected: "1 or more",
                });
            }
        }
        let conversion = RegionConversion {
            side: maker.region_side(side),
            mean: maker.image_mean,
            std: maker.image_std,
        };
        maker
            .footprint
            .check(capacity, conversion.side, conversion.side)?;
        let contents = match maker.intake.clone() {
            Intake::Device(exchange) => Contents::DeviceImages(exchange),
            _ => Contents::Images,
        };
        let slots = Slots::new(contents, capacity, Filling::Regions(conversion), Vec::new());
        let slots = slots.ok_or(Error::OutOfMemory {
            frames: capacity,
            width: conversion.side,
            height: conversion.side,
        })?;
        Ok(Self {
            slots,
            conversion,
            asked: side,
            cuts: Vec::with_capacity(capacity),
            frames: Vec::with_capacity(capacity),
        })
    }

    /// Converts `regions` of `frame` into the next free slots, one each, and returns the index of the frame, with which the
    /// detector reports its faces. Without regions the frame counts all the same and has no faces.
    ///
    /// # Errors
    /// When there are fewer free slots than regions, a region shows nothing of the frame, or its planes are too small. The
    /// batch stays as it was.
    pub fn push(&mut self, frame: &Frame<'_>, regions: &[Region]) -> Result<usize, Error> {
        let before = self.len();
        for region in regions {
            if let Err(error) = self.cut(frame, region) {
                self.slots.truncate(before);
                self.cuts.truncate(before);
                return Err(error);
            }
        }
        self.frames.push(RegionFrame {
            layout: frame.layout,
            end: self.len(),
        });
        Ok(self.frames.len() - 1)
    }

    fn cut(&mut self, frame: &Frame<'_>, region: &Region) -> Result<(), Error> {
        let cut = Cut::new(&frame.layout, region, self.side())?;
        let mut slot = self
            .slots
            .reserve(Some(cut))
            .ok_or_else(|| Error::Batch(format!("all {} slots are taken", self.capacity())))?;
        slot.fill(frame)?;
        self.cuts.push(cut);
        Ok(())
    }

    /// Width and height in pixels of the network image of a region.
    pub fn side(&self) -> u32 {
        self.conversion.side
    }

    /// The side that it was made for, before it was rounded up.
    pub(crate) fn asked(&self) -> u32 {
        self.asked
    }

    /// Number of regions in the batch.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the batch holds no region.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of regions that the batch can hold.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Number of frames that were pushed.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.cuts.clear();
        self.frames.clear();
    }

    /// What an engine is given of it.
    pub(crate) fn input(&self) -> Input<'_> {
        Input::regions(&self.slots, self.side(), &self.cuts)
    }

    /// What its slots show.
    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The frames that it has regions of.
    pub(crate) fn region_frames(&self) -> &[RegionFrame] {
        &self.frames
    }
}
