//! The element `img2posetrack`: the faces of a stream through time.
//!
//! ```text
//! gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! img2posedetect inference-interval=5 ! img2posetrack ! \
//!     img2poseoverlay label=track ! videoconvert ! autovideosink
//! ```
//!
//! Behind `img2posedetect`, also behind elements that scale or convert, and before whatever reads faces. It needs no pixels: frames of
//! any format and in any memory pass, in order, none is dropped. What it finds out goes into the record of the frame, see
//! [`crate::meta`]:
//!
//! * an **id** for each face, the same as long as it is followed, and never given again while the element runs, flushes and other
//!   streams included. A face that is away for no longer than `max-lost` and comes back where it should be keeps it;
//! * faces that were **not seen** in a frame, where they should be: because the detector did not look at it (`inference-interval`,
//!   `qos`), or looked and did not find them, for up to `max-predicted`. They are marked: `predicted`, and `reused` in the record of a frame
//!   that nobody looked at;
//! * **calm** boxes and poses: the one-euro filter holds still what rests and lets through what moves. As they were found, faces are in
//!   the record still, under `seen`. `smoothing=none` leaves them as they are.
//!
//! # Files: between two looks
//! With `look-ahead` frames wait until the faces that are expected in them are seen again, and get them from between the two looks
//! instead: `interpolated`. For `inference-interval=5`, `look-ahead=4` is enough. In a live pipeline that is latency, and the element
//! says so to the pipeline; where caps have no framerate it counts with 25 frames a second. Frames with nobody in them do not wait, nor
//! do frames before a GAP, a change of caps or the end. When nothing more comes for 5 seconds (4 times the longest gap so far, where that is
//! longer), one leaves: where another one comes at once, upstream waits for frames itself (a small pool of buffers, an
//! application that pushes one and waits for it), and from then on fewer are held, with a warning.
//!
//! # Time
//! Time is that of the buffers, so a framerate that changes and frames that are missing do no harm; played backwards, faces are followed
//! backwards. When timestamps fall (by more than 0.2 s), with a flush, another stream, or another shape of the picture, all faces are new.
//! Frames without timestamps follow each other at the framerate of the caps.
//!
//! # Weak faces
//! A face begins to be followed with a confidence of `start-score`; below, it only goes on with one that is known. Faces that are not
//! followed stay in the record, without a track. With a lower `score-threshold` on the detector, faces are lost less often.
//!
//! # Scaled and cropped frames
//! The record is written in pixels of the frame as it arrives. When it was cropped, padded or flipped since the detector, or nothing
//! tells, the element posts a warning and leaves faces as they are.

mod events;
mod follow;
mod held;
mod imp;
mod patience;
mod settings;
mod stream;
mod timeline;
mod watch;

use gst::glib;
use gst::prelude::*;

pub use settings::Smoothing;

glib::wrapper! {
    /// The element `img2posetrack`, see the [module](self).
    pub struct Img2PoseTrack(ObjectSubclass<imp::Img2PoseTrack>) @extends gst::Element, gst::Object;
}

/// Makes the element known to GStreamer under the name `img2posetrack`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2posetrack",
        gst::Rank::NONE,
        Img2PoseTrack::static_type(),
    )
}
