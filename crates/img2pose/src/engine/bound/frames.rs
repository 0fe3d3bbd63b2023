//! Frames to network images on the device: what crosses the bus are the frames' bytes.

use ort::session::Session;
use ort::value::{DynValue, TensorRefMut};

use super::part::{BoundOutput, BoundOutputs, BoundPart};
use crate::cancel::Canceller;
use crate::frame::Conversion;
use crate::memory::{HostTensor, Memory};
use crate::model::frame_graph;
use crate::turns::Turns;
use crate::{Error, contract};

/// Layouts whose graphs are kept; streams of more layouts that share a model load them again and again. Each keeps the
/// memory of its last run: about 28 bytes for each pixel of the frames in a batch, and their network images.
const KEPT: usize = 8;

/// Loads an ONNX file to the device.
pub(super) type Load = Box<dyn Fn(&'static str, &[u8]) -> Result<Session, Error> + Send>;

/// A graph for each layout of frames, loaded when its first batch comes.
pub(super) struct DeviceFrames {
    load: Load,
    memory: Memory,
    canceller: Canceller,
    turns: Option<&'static Turns>,
    /// The one that was used last comes last.
    parts: Vec<(Conversion, BoundPart)>,
}

/// The frames of a batch, `[frames, bytes of a frame]`.
#[derive(Clone, Copy)]
pub(super) enum RawFrames<'f> {
    /// In memory of ONNX Runtime's.
    Exchanged(&'f HostTensor<u8>),
    /// On the device already, in memory of a batch's.
    There(&'f TensorRefMut<'f, u8>),
}

/// Network images of a batch, wherever they are.
pub(super) struct BoundImages<'s> {
    outputs: BoundOutputs<'s>,
}

impl DeviceFrames {
    pub(super) fn new(
        load: Load,
        memory: Memory,
        canceller: Canceller,
        turns: Option<&'static Turns>,
    ) -> Self {
        Self {
            load,
            memory,
            canceller,
            turns,
            parts: Vec::new(),
        }
    }

    /// The images `[frames, 3, padded height, padded width]` of `frames`.
    ///
    /// # Errors
    /// When the graph cannot be loaded, or its run fails or is cancelled.
    pub fn images(
        &mut self,
        conversion: &Conversion,
        frames: RawFrames<'_>,
    ) -> Result<BoundImages<'_>, Error> {
        match self.parts.iter().position(|(known, _)| known == conversion) {
            Some(index) => self.parts[index..].rotate_left(1),
            None => {
                if self.parts.len() == KEPT {
                    self.parts.remove(0);
                }
                let part = self.part(conversion)?;
                self.parts.push((*conversion, part));
            }
        }
        let last = self.parts.len() - 1;
        let (_, part) = &mut self.parts[last];
        match frames {
            RawFrames::Exchanged(tensor) => part.bind(0, tensor.value(), &self.canceller)?,
            // SAFETY: each run of a part is one of this function's, which binds before, and outlasts the run.
            RawFrames::There(tensor) => unsafe { part.bind_in_place(0, tensor, &self.canceller)? },
        }
        Ok(BoundImages {
            outputs: part.run(&self.canceller)?,
        })
    }

    fn part(&self, conversion: &Conversion) -> Result<BoundPart, Error> {
        const NAME: &str = "frame part";
        let session = (self.load)(NAME, &frame_graph(conversion))?;
        let failed = || Error::inference("set up the memory of the network");
        let images = BoundOutput {
            name: contract::IMAGES.to_owned(),
            memory: self.memory.between().map_err(failed())?,
            is_read: false,
        };
        BoundPart::new(NAME, session, vec![images], self.turns).map_err(failed())
    }
}

impl BoundImages<'_> {
    pub fn value(&self) -> &DynValue {
        self.outputs.value(0)
    }
}
