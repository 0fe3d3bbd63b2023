//! The element `img2poseoverlay`: draws the faces of a frame into it, or makes them unrecognisable.
//!
//! ```text
//! gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! img2posedetect ! \
//!     img2poseoverlay label=score+angles ! videoconvert ! autovideosink
//! ```
//!
//! # What is drawn
//! * `draw-box`: the face box.
//! * `draw-axes`: the axes of the head, from the tip of the nose. For an upright face that looks into the camera, x
//!   (red) points to the right of the picture and y (green) down, as the axes of [`img2pose::pose`] do; z (blue) points
//!   out of the face to where the nose points, which is the -z of that frame: drawn into the head it could not be seen.
//!   An axis is 0.9 head units long, seen in perspective: it grows with the head, and what points at the camera is
//!   short.
//! * `draw-points`: the five keypoints, or all 68 landmarks of the head model under the face's pose.
//! * `draw-outline`: contours through the 68 landmarks.
//! * `label`: any of number, score, angles (see [`img2pose::pose::yaw_pitch_roll`]), position and track, joined by `+`. The track is
//!   the id that [`img2posetrack`](crate::track) gives a face; the box then has a colour for each id (`track-colors`). Where no face
//!   has one, because there is no `img2posetrack`, a warning tells so.
//!
//! Faces that were not seen in this frame, but in an earlier one (`reuse-faces`), or that `img2posetrack` expects there, have a dashed box,
//! and a `~` before the label.
//!
//! In a video that players turn (see `orientation` of [`img2posedetect`](crate::detect)), text is upright for the viewer; angles are
//! those of the pixels as they lie, like all numbers on the buffer.
//!
//! Colours are numbers 0xAARRGGBB. Lines are sized by the frame unless `thickness` says otherwise, and text by the
//! frame and the width of its face unless `text-size` does. A label keeps off other faces and other labels: it goes above
//! its box, below it, or inside; where many faces are small and close, those that find no place are left out. All properties
//! can be changed while the pipeline plays.
//!
//! # Anonymising
//! `blur-faces` changes the pixels of each face: the box of its record and `blur-margin` around it, a rectangle, because
//! chin, ears and hair tell who somebody is too. `solid` leaves nothing: black. `pixelate` leaves a few blocks, each the
//! mean of what it hides, whose side is the share `blur-strength` of the long side of the box; `blur` the same with smooth
//! transitions. With it alone:
//!
//! ```text
//! img2poseoverlay blur-faces=solid draw-box=false draw-axes=false draw-points=none label=0
//! ```
//!
//! What it protects from: with the defaults neither the eye nor this project's own detector finds a face again in what
//! is left, also after JPEG (`tests/elements/privacy`). What it does not protect from: blocks and blurs keep the colours of skin and
//! hair, and while a face moves under them, many frames together tell more than one; `solid` tells nothing of the face.
//! Clothes, gait, voice and place stay with all of them.
//!
//! A frame that no detector looked at is blurred as a whole, because nobody knows where its faces are, and a warning tells so:
//! frames that `inference-interval` or `qos` left out, frames after an error of the network, or a pipeline without a detector. With
//! `reuse-faces` on the detector they are blurred where the faces of the last frame were that was looked at. `blur-unseen=false` lets
//! them pass as they are.
//!
//! Behind `img2posetrack` that stays so: it knows where faces should be that were seen before, and not who has come since. With
//! `blur-unseen=false` the frame is blurred where it expects faces. In a frame that was looked at, a face is hidden where it was found and
//! where it was smoothed to, and one that was not found again where it should be.
//!
//! What passes in the clear: faces that the detector misses (too small for its `min-size`, below its `score-threshold`, beyond its
//! `max-faces`), and with `reuse-faces` a face that has moved or come since the last frame that was looked at, of which a warning tells.
//! `inference-interval=1` and `qos=false`, the defaults, look at every frame.
//!
//! # Where it draws
//! Drawings are attached to the buffer as a `GstVideoOverlayComposition` where downstream takes those (sinks that draw
//! them with the GPU do), and blended into the frame otherwise. A filter of plain `video/x-raw` behind the element
//! makes it blend. A frame without faces passes untouched: nothing is mapped or copied. A frame that is to be written and
//! says of itself what is not true (a `GstVideoMeta` whose planes are not in the buffer, for one) is an error.
//!
//! Faces are drawn where they are when the frame was scaled or converted since the detector. When it was cropped,
//! padded or flipped, or nothing tells, the element posts a warning and draws nothing; with `blur-faces` it blurs the
//! whole frame.

mod area;
mod blending;
mod color;
mod drawing;
mod figure;
mod hiding;
mod imp;
mod label;
mod lines;
mod negotiation;
mod obscure;
mod painter;
mod pixels;
mod settings;
mod style;
mod text;
mod untracked;

use gst::glib;
use gst::prelude::*;

pub use settings::{Blur, Label, Points};

glib::wrapper! {
    /// The element `img2poseoverlay`, see the [module](self).
    pub struct Img2PoseOverlay(ObjectSubclass<imp::Img2PoseOverlay>) @extends gst::Element, gst::Object;
}

/// Makes the element known to GStreamer under the name `img2poseoverlay`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2poseoverlay",
        gst::Rank::NONE,
        Img2PoseOverlay::static_type(),
    )
}
