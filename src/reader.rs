//! What the elements have in common that read faces and make something else of the video.

use gst::prelude::*;

/// Frames since the stream started or was flushed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    arrived: u64,
    looked_at: u64,
}

impl Counts {
    /// Counts a frame that arrives, and gives it its number, from 0 on.
    pub fn arrive(&mut self) -> u64 {
        let number = self.arrived;
        self.arrived += 1;
        number
    }

    /// Counts it as one that a detector had looked at.
    pub fn look(&mut self) {
        self.looked_at += 1;
    }

    /// What to tell a user whose frames nobody has looked at, so that `element` makes no `output`.
    pub fn nobody_looked(&self, element: &str, output: &str) -> Option<String> {
        let Self { arrived, looked_at } = *self;
        (arrived > 0 && looked_at == 0).then(|| {
            format!(
                "None of the {arrived} frames was looked at by a detector, there are no {output}. Put img2posedetect before \
                 {element}; between them, no element that makes new frames, such as a compositor or a deinterlacer."
            )
        })
    }
}

/// Tells downstream that time passes without output: a sink that prerolls waits for a buffer or a gap.
pub fn push_gap(pad: &gst::Pad, buffer: &gst::BufferRef) -> gst::FlowSuccess {
    if let Some(pts) = buffer.pts() {
        // A gap has no flow return; an error downstream shows at the next buffer.
        pad.push_event(gst::event::Gap::builder(pts).duration(buffer.duration()).build());
    }
    gst::FlowSuccess::Ok
}
