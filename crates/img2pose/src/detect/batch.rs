//! Frames of one layout, converted and waiting for one run of the network.

use crate::Error;
use crate::contract::Contract;
use crate::frame::{Converter, Frame, FrameLayout, NetworkSize};
use crate::model::{Exchange, HostTensor};

/// The input tensor of one run: up to `capacity` frames of one layout, each converted when it is pushed.
///
/// A batch can be filled on one thread while a [`Detector`](crate::Detector) works on another batch elsewhere.
pub struct Batch {
    layout: FrameLayout,
    size: NetworkSize,
    converter: Converter,
    images: Images,
    len: usize,
    capacity: usize,
}

/// Where a batch has its images.
enum Images {
    /// In memory that grows with the frames, up to what was reserved for all.
    Grown(Vec<f32>),
    /// Where the network takes them from.
    Bound(HostTensor<f32>),
}

/// What a batch must know of its detector. It can make batches while the detector works elsewhere.
#[derive(Clone, Debug)]
pub struct BatchMaker {
    min_size: u32,
    max_size: u32,
    size_divisor: u32,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    exchange: Option<Exchange>,
}

impl BatchMaker {
    pub(crate) fn new(
        contract: &Contract,
        min_size: Option<u32>,
        max_size: Option<u32>,
        exchange: Option<Exchange>,
    ) -> Self {
        Self {
            min_size: min_size.unwrap_or(contract.min_size),
            max_size: max_size.unwrap_or(contract.max_size),
            size_divisor: contract.size_divisor,
            image_mean: contract.image_mean,
            image_std: contract.image_std,
            exchange,
        }
    }

    /// The sizes that a frame of `width` x `height` pixels is brought to.
    pub fn network_size(&self, width: u32, height: u32) -> NetworkSize {
        NetworkSize::new(width, height, self.min_size, self.max_size, self.size_divisor)
    }

    /// An empty batch for `capacity` frames of one layout.
    ///
    /// # Errors
    /// When the layout has a side of 0, `capacity` is 0, or there is not so much memory.
    pub fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Batch, Error> {
        Batch::new(layout, self, capacity)
    }
}

impl Batch {
    fn new(layout: FrameLayout, maker: &BatchMaker, capacity: usize) -> Result<Self, Error> {
        let size = maker.network_size(layout.width, layout.height);
        if capacity == 0 {
            return Err(Error::Option {
                option: "capacity",
                found: "0".to_owned(),
                expected: "1 or more",
            });
        }
        let images = Images::new(maker.exchange.as_ref(), capacity, &size).ok_or(Error::OutOfMemory {
            frames: capacity,
            width: size.padded_width,
            height: size.padded_height,
        })?;
        Ok(Self {
            layout,
            size,
            converter: Converter::new(layout, size, maker.image_mean, maker.image_std)?,
            images,
            len: 0,
            capacity,
        })
    }

    /// Converts `frame` into the next free slot and returns the slot's index.
    ///
    /// # Errors
    /// When the batch is full, when the frame has another layout, or when its planes are too small. The batch
    /// stays as it was.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Error> {
        if self.is_full() {
            return Err(Error::Batch(format!("all {} slots are taken", self.capacity)));
        }
        if frame.layout != self.layout {
            return Err(Error::Batch(format!(
                "it is {:?}, the batch holds {:?}",
                frame.layout, self.layout
            )));
        }
        let slot = self.images.reach(self.len, self.size.tensor_len());
        self.converter.convert(frame, slot)?;
        self.len += 1;
        Ok(self.len - 1)
    }

    /// Takes over frame `slot` of another batch, which needs no conversion any more, and returns its index here.
    ///
    /// # Errors
    /// When the batch is full, or `from` has another layout or no such frame. The batch stays as it was.
    pub fn push_from(&mut self, from: &Self, slot: usize) -> Result<usize, Error> {
        if self.is_full() {
            return Err(Error::Batch(format!("all {} slots are taken", self.capacity)));
        }
        if (from.layout, from.size) != (self.layout, self.size) {
            return Err(Error::Batch(format!(
                "it is {:?}, the batch holds {:?}",
                from.layout, self.layout
            )));
        }
        if slot >= from.len {
            return Err(Error::Batch(format!(
                "the other batch has {} frames, not {slot}",
                from.len
            )));
        }
        let floats = self.size.tensor_len();
        let next = self.images.reach(self.len, floats);
        next.copy_from_slice(&from.images()[slot * floats..][..floats]);
        self.len += 1;
        Ok(self.len - 1)
    }

    /// Number of frames in the batch.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch holds no frame.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the batch holds as many frames as it can.
    pub fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// Number of frames that the batch can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The layout that every frame of the batch has.
    pub fn layout(&self) -> FrameLayout {
        self.layout
    }

    /// The sizes that its frames are brought to.
    pub fn network_size(&self) -> &NetworkSize {
        &self.size
    }

    /// The network images, `[len, 3, padded_height, padded_width]`.
    pub fn images(&self) -> &[f32] {
        &self.images.all()[..self.len * self.size.tensor_len()]
    }

    /// The network images of all slots, when they are where the network takes them from.
    pub(crate) fn tensor(&self) -> Option<&HostTensor<f32>> {
        match &self.images {
            Images::Grown(_) => None,
            Images::Bound(tensor) => Some(tensor),
        }
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Images {
    /// Memory for `capacity` images; `None` when there is not so much.
    fn new(exchange: Option<&Exchange>, capacity: usize, size: &NetworkSize) -> Option<Self> {
        let len = capacity.checked_mul(size.tensor_len())?;
        let Some(exchange) = exchange else {
            let mut images = Vec::new();
            images.try_reserve_exact(len).ok()?;
            return Some(Self::Grown(images));
        };
        let (height, width) = (size.padded_height as usize, size.padded_width as usize);
        exchange
            .tensor(&[capacity, 3, height, width])
            .ok()
            .map(Self::Bound)
    }

    /// Slot number `slot` of `floats` numbers; slots that no frame has reached take no memory where it grows.
    fn reach(&mut self, slot: usize, floats: usize) -> &mut [f32] {
        let range = slot * floats..(slot + 1) * floats;
        match self {
            Self::Grown(images) => {
                if images.len() < range.end {
                    images.resize(range.end, 0.0);
                }
                &mut images[range]
            }
            Self::Bound(tensor) => &mut tensor.as_mut_slice()[range],
        }
    }

    fn all(&self) -> &[f32] {
        match self {
            Self::Grown(images) => images,
            Self::Bound(tensor) => tensor.as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorMatrix, ColorRange, PixelFormat};

    /// The process used to be aborted.
    #[test]
    fn a_batch_that_no_memory_can_hold_is_an_error() {
        let contract = Contract::reference("test", [0.0; 6], [1.0; 6]);
        let maker = BatchMaker::new(&contract, Some(16_384), Some(16_384), None);
        let layout = FrameLayout {
            format: PixelFormat::Gray8,
            width: 1000,
            height: 1000,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
        };
        for capacity in [usize::MAX, 1_000_000_000] {
            let error = maker.new_batch(layout, capacity).err().expect("too large");
            let text = error.to_string();
            assert!(
                text.contains("16384x16384") && text.contains("batch size"),
                "{text}"
            );
        }
    }
}
