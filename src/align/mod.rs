//! The element `img2posealign`: upright crops of the faces, as face recognisers expect them.
//!
//! ```text
//! gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! img2posedetect ! \
//!     img2posealign size=224 ! jpegenc ! multifilesink location=face-%05d.jpg
//! ```
//!
//! Each face becomes a buffer of its own: a square RGB picture of `size` pixels with eyes, nose and mouth where the
//! usual alignment templates of face recognition have them, see [`img2pose::pose::align`]. What lies outside the frame is
//! black. The crops of a frame follow each other in the order of its record and have its PTS and duration; a meta tells
//! which face of which frame a crop shows, see [`crate::meta::read_aligned`]. Caps have a framerate of 0/1 (variable):
//! there are as many crops as faces.
//!
//! Downstream's caps say how large crops are, where they leave no choice: `img2posealign ! video/x-raw,width=224,height=224`. Else it
//! is `size`, or what of downstream's sizes is nearest to it.
//!
//! Crops have square pixels and are upright, whatever the pixels of the frame are, and those of mirrored frames are mirrored
//! back. So the stream's `image-orientation` tag, which is about the frames, goes on as `rotate-0`.
//!
//! A frame that gives no crop becomes a GAP event, so that sinks do not wait.
//!
//! # Which faces
//! `max-faces` takes the most confident ones, `min-face-size` leaves out those with too few pixels, `max-yaw` those that
//! are turned too far to be recognised.
//!
//! # One crop of each person now and then
//! Behind `img2posetrack`, `per-track-interval` (nanoseconds) gives one crop of each followed face in every stretch of that
//! length: the best one, which is the largest that looks into the camera. Only what was seen in its frame counts, not what is
//! predicted. Crops are held back until their stretch ends, which live pipelines are told as latency; those of one stretch leave
//! together, in the order of their frames.
//!
//! # Scaled and cropped frames
//! Faces are taken from where they are when the frame was scaled or converted since the detector. When it was cropped,
//! padded or flipped, or nothing tells, the element posts a warning and gives no crops.

mod best;
mod imp;
mod output;
mod settings;
mod source;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `img2posealign`, see the [module](self).
    pub struct Img2PoseAlign(ObjectSubclass<imp::Img2PoseAlign>) @extends gst::Element, gst::Object;
}

/// Makes the element known to GStreamer under the name `img2posealign`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2posealign",
        gst::Rank::NONE,
        Img2PoseAlign::static_type(),
    )
}
