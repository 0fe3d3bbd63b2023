//! Frames of one layout, converted and waiting for one run of the network.

use crate::Error;
use crate::contract::Contract;
use crate::frame::{Converter, Frame, FrameLayout, NetworkSize};

/// The input tensor of one run: up to `capacity` frames of one layout, each converted when it is pushed.
///
/// A batch can be filled on one thread while a [`Detector`](crate::Detector) works on another batch elsewhere.
pub struct Batch {
    layout: FrameLayout,
    size: NetworkSize,
    converter: Converter,
    images: Vec<f32>,
    len: usize,
    capacity: usize,
}

impl Batch {
    pub(crate) fn new(
        layout: FrameLayout,
        size: NetworkSize,
        contract: &Contract,
        capacity: usize,
    ) -> Result<Self, Error> {
        if capacity == 0 {
            return Err(Error::Option {
                option: "capacity",
                found: "0".to_owned(),
                expected: "1 or more",
            });
        }
        Ok(Self {
            layout,
            size,
            converter: Converter::new(layout, size, contract.image_mean, contract.image_std)?,
            images: vec![0.0; capacity * size.tensor_len()],
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
        let slot = self.size.tensor_len();
        self.converter
            .convert(frame, &mut self.images[self.len * slot..][..slot])?;
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
        &self.images[..self.len * self.size.tensor_len()]
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}
