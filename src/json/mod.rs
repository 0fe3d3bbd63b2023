//! `img2posejson`: annotated video in, JSON lines out.
//!
//! For each frame that a detector has looked at, one JSON object on a line of its own (UTF-8, ended by a newline):
//!
//! ```json
//! {"pts":40000000,"frame":1,"width":640,"height":480,"faces":[{"box":[301.5,92.0,388.25,210.75],"confidence":0.9987,"pose":[0.12,-0.4,0.03,-1.5,0.75,14.2],"yaw_pitch_roll_deg":[-22.745684,-7.6292486,3.2810392],"keypoints":{"left_eye":[320.1,140.2],"right_eye":[356.8,139.5],"nose":[331.0,160.4],"mouth_left":[324.6,180.9],"mouth_right":[352.3,181.2]}}]}
//! ```
//!
//! `docs/faces.schema.json` is the schema. In short:
//!
//! * `pts`: presentation timestamp of the frame's buffer in nanoseconds, or `null`.
//! * `frame`: number of the frame, counting from 0 all frames that reached the element since the stream started or was
//!   last flushed (by a seek). Frames without a line are counted too.
//! * `source`: which camera or file the line is from, where the property `source` says it.
//! * `time`: when the frame was taken, RFC 3339 in UTC, where its source says it (`GstReferenceTimestampMeta`) or the property `time` asks
//!   for the time of its arrival.
//! * `width`, `height`: size in pixels of the frame that all coordinates of the line belong to.
//! * `faces`: in order of falling confidence; empty if the detector found none. `pose` is `rx, ry, rz, tx, ty, tz`
//!   (rotation vector in radians, translation in head units), `yaw_pitch_roll_deg` the same rotation in degrees,
//!   see [`img2pose::pose::yaw_pitch_roll`].
//! * `reused`: `true` where the faces are those of an earlier frame, from `reuse-faces` or `img2posetrack`; absent otherwise.
//! * `track`, of a face: who it is through time, and how that is known, behind `img2posetrack`.
//!
//! Frames that nobody looked at give no line but a GAP event, so that a sink that waits for its first buffer does not
//! wait for ever. A line's buffer has the timestamps of its frame.
//!
//! # Scaled and cropped frames
//!
//! Coordinates are those of the frame as it arrives, as long as it was only scaled or converted since the detector. If
//! it was cropped, padded or flipped, or if nothing tells, coordinates stay those of the frame that the detector saw:
//! `width` and `height` are its size, the line says `"frame_changed":true` and, in `frame_change`, `moved` or `unknown`, and the
//! element posts a warning. With
//! `img2posejson` right behind `img2posedetect`, or on a branch of a `tee` there, this cannot happen.
//!
//! # Numbers
//!
//! Shortest decimals that read back as the same 32-bit floats. The same frames give the same bytes.
//!
//! # Example
//!
//! ```sh
//! gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvert ! img2posedetect ! img2posejson \
//!     ! filesink location=faces.jsonl
//! ```

mod imp;
mod line;
mod settings;
mod time;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `img2posejson`.
    pub struct Img2PoseJson(ObjectSubclass<imp::Img2PoseJson>) @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2posejson",
        gst::Rank::NONE,
        Img2PoseJson::static_type(),
    )
}
