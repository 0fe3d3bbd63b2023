//! Frames, or regions of them, converted and waiting for one run of the network.

mod device;
mod input;
mod regions;
mod slots;

use crate::Error;
use crate::contract::ImageFacts;
use crate::footprint::Footprint;
use crate::frame::{Conversion, Frame, FrameLayout, NetworkSize, raw_len};
use crate::memory::Exchange;
use slots::{Contents, Filling, Slots};

pub(crate) use input::Input;
pub use regions::RegionBatch;
pub use slots::Slot;

/// The input tensor of one run: up to `capacity` frames of one layout, each converted when it is pushed. Made for a
/// device, it holds the frames as they are where those are smaller, and the device converts them.
///
/// A batch can be filled on one thread while a [`Detector`](crate::Detector) works on another batch elsewhere. Several
/// threads can fill it side by side: each [reserves](Self::reserve) a slot and converts into it.
pub struct Batch {
    conversion: Conversion,
    slots: Slots,
}

/// What a batch must know of its detector. It can make batches while the detector works elsewhere.
#[derive(Clone, Debug)]
pub struct BatchMaker {
    min_size: u32,
    max_size: u32,
    size_divisor: u32,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    is_smoothed: bool,
    keeps_frames: bool,
    footprint: Footprint,
    intake: Intake,
}

/// In which form an engine takes frames.
#[derive(Clone, Debug)]
pub(crate) enum Intake {
    /// As network images in ordinary memory.
    Images,
    /// In this memory, as network images, or as they are where those are larger.
    Device(Exchange),
    /// As they are, in ordinary memory.
    #[cfg(feature = "remote")]
    Frames,
}

impl BatchMaker {
    pub(crate) fn new(
        images: &ImageFacts,
        min_size: Option<u32>,
        max_size: Option<u32>,
        intake: Intake,
    ) -> Self {
        Self {
            min_size: min_size.unwrap_or(images.min_size),
            max_size: max_size.unwrap_or(images.max_size),
            size_divisor: images.size_divisor,
            image_mean: images.image_mean,
            image_std: images.image_std,
            is_smoothed: images.is_smoothed,
            keeps_frames: false,
            footprint: Footprint::UNKNOWN,
            intake,
        }
    }

    /// Refuses batches whose run does not fit.
    pub(crate) fn bounded_by(mut self, footprint: Footprint) -> Self {
        self.footprint = footprint;
        self
    }

    /// Makes batches that keep a copy of each frame beside its network image, for what is cut out of it later.
    pub(crate) fn keeping_frames(mut self) -> Self {
        self.keeps_frames = true;
        self
    }

    /// The sizes that a frame of `layout` is brought to.
    pub fn network_size(&self, layout: &FrameLayout) -> NetworkSize {
        NetworkSize::of_layout(layout, self.min_size, self.max_size, self.size_divisor)
    }

    /// Whether batches for frames of `layout` take them from the memory of an NVIDIA GPU ([`Slot::copy_cuda`]): where the network runs
    /// on one, and the frames go there as they are.
    pub fn takes_cuda_frames(&self, layout: &FrameLayout) -> bool {
        match &self.intake {
            Intake::Device(exchange) => {
                exchange.cuda().is_some()
                    && !self.keeps_frames
                    && device_converts(layout, &self.network_size(layout))
            }
            _ => false,
        }
    }

    /// An empty batch for `capacity` frames of one layout.
    ///
    /// # Errors
    /// When the layout has a side of 0, `capacity` is 0, or there is no memory for the batch or its run.
    pub fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Batch, Error> {
        Batch::new(layout, self, capacity)
    }

    /// Side of the network image of a region, where `side` is asked for.
    fn region_side(&self, side: u32) -> u32 {
        let divisor = self.size_divisor.max(1);
        side.div_ceil(divisor).saturating_mul(divisor)
    }

    /// How many regions with a network image of `side` x `side` pixels have as many pixels as a whole frame of `layout` has:
    /// as the time goes with the pixels, more of them take longer than the frame.
    pub(crate) fn regions_in_whole(&self, layout: &FrameLayout, side: u32) -> usize {
        let whole = self.network_size(layout);
        let pixels = u64::from(whole.padded_width) * u64::from(whole.padded_height);
        let region = u64::from(self.region_side(side)).pow(2).max(1);
        usize::try_from(pixels / region).unwrap_or(usize::MAX)
    }

    /// An empty batch for `capacity` regions of frames of any layout, each brought to `side` x `side` pixels, which is
    /// rounded up to a multiple of what the network needs (32).
    ///
    /// # Errors
    /// When `side` or `capacity` is 0, or there is not so much memory.
    pub fn new_region_batch(&self, side: u32, capacity: usize) -> Result<RegionBatch, Error> {
        RegionBatch::new(self, side, capacity)
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("layout", &self.layout())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl Batch {
    fn new(layout: FrameLayout, maker: &BatchMaker, capacity: usize) -> Result<Self, Error> {
        let size = maker.network_size(&layout);
        if capacity == 0 {
            return Err(Error::Option {
                option: "capacity",
                found: "0".to_owned(),
                expected: "1 or more",
            });
        }
        maker
            .footprint
            .check(capacity, size.padded_width, size.padded_height)?;
        let conversion = Conversion {
            layout,
            size,
            mean: maker.image_mean,
            std: maker.image_std,
            is_smoothed: maker.is_smoothed,
        };
        let converter = conversion.converter()?;
        let contents = match maker.intake.clone() {
            Intake::Images => Contents::Images,
            Intake::Device(exchange) if device_converts(&layout, &size) => {
                Contents::DeviceFrames(exchange, raw_len(&layout))
            }
            Intake::Device(exchange) => Contents::DeviceImages(exchange),
            #[cfg(feature = "remote")]
            Intake::Frames => Contents::Frames(raw_len(&layout)),
        };
        let slots = Slots::new(contents, capacity, Filling::Whole(conversion), vec![converter]);
        let slots = slots.ok_or(Error::OutOfMemory {
            frames: capacity,
            width: size.padded_width,
            height: size.padded_height,
        })?;
        Ok(Self {
            conversion,
            slots: match maker.keeps_frames {
                true => slots.keeping_frames(),
                false => slots,
            },
        })
    }

    /// Converts `frame` into the next free slot and returns the slot's index.
    ///
    /// # Errors
    /// When the batch is full, when the frame has another layout, or when its planes are too small. The batch
    /// stays as it was.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Error> {
        let mut slot = self.reserve()?;
        match slot.fill(frame) {
            Ok(()) => Ok(slot.index()),
            Err(error) => {
                self.slots.take_back(slot);
                Err(error)
            }
        }
    }

    /// Takes the next free slot for a frame that is converted into it later, on any thread.
    ///
    /// The slot counts as a frame of the batch from now on, also when nothing or nothing good comes into it. As long as
    /// it is there, the batch can take more frames, and nothing else.
    ///
    /// # Errors
    /// When the batch is full.
    pub fn reserve(&mut self) -> Result<Slot, Error> {
        self.slots
            .reserve(None)
            .ok_or_else(|| Error::Batch(format!("all {} slots are taken", self.capacity())))
    }

    /// Takes over frame `slot` of another batch, which needs no conversion any more, and returns its index here.
    ///
    /// # Errors
    /// When the batch is full, or `from` has another layout, no such frame, or was made for another device, or [`Error::Gpu`]. The batch
    /// stays as it was.
    ///
    /// # Panics
    /// While a [reserved](Self::reserve) slot of `from` is there.
    pub fn push_from(&mut self, from: &Self, slot: usize) -> Result<usize, Error> {
        let (own, other) = (&self.conversion, &from.conversion);
        if own != other {
            return Err(Error::Batch(format!(
                "it is {:?} for {:?}, the batch holds {:?} for {:?}",
                other.layout, other.size, own.layout, own.size
            )));
        }
        if slot >= from.len() {
            return Err(Error::Batch(format!(
                "the other batch has {} frames, not {slot}",
                from.len()
            )));
        }
        if self.slots.holds_frames() != from.slots.holds_frames() {
            return Err(Error::Batch(
                "it comes from a batch for another device".to_owned(),
            ));
        }
        let mut next = self.reserve()?;
        match next.take_over(&from.slots, slot) {
            Ok(()) => Ok(next.index()),
            Err(error) => {
                self.slots.take_back(next);
                Err(error)
            }
        }
    }

    /// Number of frames in the batch.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the batch holds no frame.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the batch holds as many frames as it can.
    pub fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// Number of frames that the batch can hold.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The layout that every frame of the batch has.
    pub fn layout(&self) -> FrameLayout {
        self.conversion.layout
    }

    /// The sizes that its frames are brought to.
    pub fn network_size(&self) -> &NetworkSize {
        &self.conversion.size
    }

    /// What an engine is given of it.
    pub(crate) fn input(&self) -> Input<'_> {
        Input::whole(&self.slots, &self.conversion)
    }

    /// The network images, `[len, 3, padded_height, padded_width]`; `None` when the device makes them. Panics while a
    /// [reserved](Self::reserve) slot is there.
    pub fn images(&self) -> Option<&[f32]> {
        self.slots.images()
    }

    /// Forgets the frames and keeps the memory. Panics while a [reserved](Self::reserve) slot is there.
    pub fn clear(&mut self) {
        self.slots.clear();
    }
}

/// Pixels of a frame for each of its network image up to which a device converts: it needs about 28 bytes for each while
/// it does so, where the network needs some hundreds for each pixel of the image.
const LARGEST: usize = 3;

/// Whether a device is given the frames as they are: when they are no more bytes than the network images, so that less
/// crosses the bus, and not so large that their conversion takes more of the device's memory than the network.
fn device_converts(layout: &FrameLayout, size: &NetworkSize) -> bool {
    let pixels = layout.width as usize * layout.height as usize;
    let image = size.tensor_len();
    raw_len(layout) <= image * size_of::<f32>() && pixels <= image / 3 * LARGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;
    use crate::frame::{ColorMatrix, ColorRange, PixelFormat, Plane, View};

    /// The process used to be aborted.
    #[test]
    fn a_batch_that_no_memory_can_hold_is_an_error() {
        let contract = Contract::reference("test", [0.0; 6], [1.0; 6]);
        let maker = BatchMaker::new(&contract.images(), Some(16_384), Some(16_384), Intake::Images);
        let layout = FrameLayout {
            format: PixelFormat::Gray8,
            width: 1000,
            height: 1000,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view: View::PLAIN,
        };
        for capacity in [usize::MAX, 1_000_000_000] {
            let error = maker.new_batch(layout, capacity).expect_err("too large");
            let text = error.to_string();
            assert!(
                text.contains("16384x16384") && text.contains("batch size"),
                "{text}"
            );
        }
    }

    /// The kernel used to end the process when the network ran.
    #[test]
    fn a_batch_whose_run_no_memory_can_hold_is_an_error() {
        let contract = Contract::reference("test", [0.0; 6], [1.0; 6]);
        let maker = BatchMaker::new(&contract.images(), Some(64), Some(64), Intake::Images)
            .bounded_by(Footprint::of(76.0, 76.0 * 4.0 * 64.0 * 64.0));
        let layout = FrameLayout::rgb(10, 10);
        maker.new_batch(layout, 4).unwrap();
        maker.new_region_batch(64, 4).unwrap();
        let error = maker.new_batch(layout, 5).expect_err("too large");
        assert!(
            matches!(
                error,
                Error::OutOfMemory {
                    frames: 5,
                    width: 64,
                    ..
                }
            ),
            "{error}"
        );
        let error = maker.new_region_batch(96, 4).expect_err("too large");
        assert!(
            matches!(
                error,
                Error::OutOfMemory {
                    frames: 4,
                    width: 96,
                    ..
                }
            ),
            "{error}"
        );
    }

    fn batch(width: u32, capacity: usize) -> Batch {
        let contract = Contract::reference("test", [0.0; 6], [1.0; 6]);
        let layout = FrameLayout {
            format: PixelFormat::Gray8,
            width,
            height: 32,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view: View::PLAIN,
        };
        let maker = BatchMaker::new(&contract.images(), Some(32), None, Intake::Images);
        maker.new_batch(layout, capacity).unwrap()
    }

    fn frame(layout: FrameLayout, pixels: &[u8]) -> Frame<'_> {
        Frame {
            layout,
            planes: [Plane {
                data: pixels,
                stride: 32,
            }; 3],
        }
    }

    fn pixels(grey: u8) -> Vec<u8> {
        vec![grey; 32 * 32]
    }

    #[test]
    fn slots_are_filled_side_by_side_and_in_any_order() {
        let (mut expected, mut found) = (batch(32, 8), batch(32, 8));
        let layout = expected.layout();
        for round in 0..20 {
            expected.clear();
            found.clear();
            let pictures: Vec<Vec<u8>> = (0..8).map(|index| pixels(index * 9 + round)).collect();
            for picture in &pictures {
                expected.push(&frame(layout, picture)).unwrap();
            }
            let slots: Vec<Slot> = (0..8).map(|_| found.reserve().unwrap()).collect();
            assert!(found.reserve().is_err(), "full");
            std::thread::scope(|scope| {
                for (slot, picture) in slots.into_iter().zip(&pictures).rev() {
                    scope.spawn(move || slot.convert(&frame(layout, picture)).unwrap());
                }
            });
            assert!(expected.images().is_some() && expected.images() == found.images());
        }
    }

    #[test]
    fn a_slot_whose_frame_fails_is_blank_and_keeps_its_place() {
        let mut batch = batch(32, 3);
        let layout = batch.layout();
        for _ in 0..3 {
            batch.push(&frame(layout, &pixels(200))).unwrap();
        }
        batch.clear();
        let slots = [batch.reserve().unwrap(), batch.reserve().unwrap()];
        let [bad, good] = slots;
        assert!(bad.convert(&frame(layout, &[1, 2, 3])).is_err());
        good.convert(&frame(layout, &pixels(90))).unwrap();
        let floats = batch.network_size().tensor_len();
        assert_eq!(batch.len(), 2);
        assert!(
            batch.images().unwrap()[..floats]
                .iter()
                .all(|number| *number == 0.0)
        );
        assert!(
            batch.images().unwrap()[floats..]
                .iter()
                .any(|number| *number != 0.0)
        );
        // Pushing is all or nothing.
        assert!(batch.push(&frame(layout, &[])).is_err());
        assert_eq!(batch.len(), 2);
        let other = FrameLayout { width: 16, ..layout };
        assert!(batch.push(&frame(other, &pixels(1))).is_err());
        assert_eq!(batch.push(&frame(layout, &pixels(1))).unwrap(), 2);
    }

    /// The type used to leave it to its caller that no slot was given out twice.
    #[test]
    fn a_slot_that_is_there_is_given_to_nobody_else() {
        let mut batch = batch(32, 4);
        let layout = batch.layout();
        let first = batch.reserve().unwrap();
        // Taken back, and given out again; the one before it is not.
        assert!(batch.push(&frame(layout, &[])).is_err());
        assert_eq!(batch.len(), 1);
        let second = batch.reserve().unwrap();
        let third = batch.reserve().unwrap();
        assert_eq!([first.index(), second.index(), third.index()], [0, 1, 2]);
        assert_eq!(batch.push(&frame(layout, &pixels(1))).unwrap(), 3);
        assert!(batch.reserve().is_err());
        drop((first, second, third));
        batch.clear();
        assert_eq!(batch.reserve().unwrap().index(), 0);
    }

    #[test]
    fn a_slot_outlives_its_batch() {
        let mut batch = batch(32, 1);
        let layout = batch.layout();
        let slot = batch.reserve().unwrap();
        drop(batch);
        slot.convert(&frame(layout, &pixels(7))).unwrap();
    }

    #[test]
    #[should_panic(expected = "being written")]
    fn a_batch_is_not_read_while_a_slot_is_written() {
        let mut batch = batch(32, 2);
        let _slot = batch.reserve().unwrap();
        batch.images();
    }

    #[test]
    #[should_panic(expected = "being written")]
    fn a_batch_is_not_cleared_while_a_slot_is_written() {
        let mut batch = batch(32, 2);
        let _slot = batch.reserve().unwrap();
        batch.clear();
    }
}
