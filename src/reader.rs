//! What the elements have in common that read the faces of frames: counting, errors and warnings.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::meta::{self, CurrentFaces};
use crate::shell::Shell;
use crate::video;

/// Frames since the stream started or was flushed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    arrived: u64,
    inferred: u64,
}

impl Counts {
    /// Counts a frame that arrives, and gives it its number, from 0 on.
    pub fn arrive(&mut self) -> u64 {
        let number = self.arrived;
        self.arrived += 1;
        number
    }

    /// Counts it as one that a detector has inferred.
    pub fn infer(&mut self) {
        self.inferred += 1;
    }

    /// What to tell a user whose frames no detector has inferred, so that `element` makes no `output`.
    pub fn none_inferred(&self, element: &str, output: &str) -> Option<String> {
        let Self { arrived, inferred } = *self;
        (arrived > 0 && inferred == 0).then(|| {
            format!(
                "None of the {arrived} frames was looked at by a detector, so there are no {output}. Put \
                 img2posedetect before {element}, and between them no element that makes new frames, such as a \
                 compositor or a deinterlacer."
            )
        })
    }
}

/// What is said once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Once(bool);

impl Once {
    /// Whether it is to be said now: the first time that this is asked.
    pub fn is_first(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// Whether it was said.
    pub fn was_said(self) -> bool {
        self.0
    }
}

/// An element that reads the faces of frames.
pub trait Reader: Shell {
    /// Name of the element.
    const ELEMENT: &'static str;
    /// What it makes of faces, in the plural.
    const OUTPUT: &'static str;

    /// Refuses a frame that came before its caps, with an error.
    fn refuse_without_caps(&self) -> gst::FlowError {
        self.post_error_message(video::without_caps());
        gst::FlowError::NotNegotiated
    }

    /// The faces of frame `number`, whose caps are `info`; `None`: no detector has inferred it.
    ///
    /// # Errors
    /// When they cannot be read; the error has been posted.
    fn read_faces(
        &self,
        buffer: &gst::BufferRef,
        info: &VideoInfo,
        number: u64,
    ) -> Result<Option<CurrentFaces>, gst::FlowError> {
        meta::read_current(buffer, info).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("Frame {number}: {error}"));
            gst::FlowError::Error
        })
    }

    /// Warns of frames that have been changed since their faces were found.
    fn warn_of_change(&self, warning: &str) {
        gst::element_imp_warning!(self, gst::StreamError::Format, ("{warning}"));
    }

    /// Warns at the end of a stream if no detector has inferred any of its frames.
    fn warn_if_none_inferred(&self, counts: Counts) {
        if let Some(warning) = counts.none_inferred(Self::ELEMENT, Self::OUTPUT) {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{warning}"));
        }
    }

    /// Tells downstream that time passes without output: a sink that prerolls waits for a buffer or a gap.
    fn push_gap(&self, buffer: &gst::BufferRef) -> gst::FlowSuccess {
        if let Some(pts) = buffer.pts() {
            // A gap has no flow return; an error downstream shows at the next buffer.
            let gap = gst::event::Gap::builder(pts).duration(buffer.duration()).build();
            self.pads().src.push_event(gap);
        }
        gst::FlowSuccess::Ok
    }
}
