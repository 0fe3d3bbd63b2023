//! Faces through time: from what a detector finds in each frame to faces that keep their identity, are predicted where
//! nobody looked or nothing was found, and move smoothly.
//!
//! Pure arithmetic: no GStreamer, no ONNX Runtime, no clock. A [`Tracker`] follows the faces of one stream; it is told the time of
//! each frame, so variable framerates and missing frames do no harm.
//!
//! ```
//! use std::time::Duration;
//! use img2pose_track::{Sighting, State, Tracker, TrackerOptions};
//!
//! let mut tracker = Tracker::new(TrackerOptions::default());
//! let mut faces = Vec::new();
//! for frame in 0..3 {
//!     let time = Duration::from_millis(40 * frame);
//!     let x = 100.0 + 2.0 * frame as f32;
//!     let sighting = Sighting {
//!         bbox: [x, 50.0, x + 60.0, 130.0],
//!         confidence: 0.9,
//!         pose: [0.0, 0.1, 0.0, 0.0, 0.0, 8.0],
//!     };
//!     tracker.see(time, [640, 360], &[sighting], &mut faces);
//! }
//! assert_eq!(faces.len(), 1);
//! assert_eq!((faces[0].id, faces[0].state), (1, State::Seen));
//! // The next frame was not looked at: the face is where it was going.
//! tracker.predict(Duration::from_millis(120), [640, 360], &mut faces);
//! assert_eq!((faces[0].id, faces[0].state), (1, State::Predicted));
//! assert!(faces[0].bbox[0] > 104.0);
//! ```

#![warn(missing_debug_implementations)]

mod assign;
mod interpolate;
mod motion;
mod one_euro;
mod options;
mod pose;
mod sighting;
mod track;
mod tracker;

pub use interpolate::between;
pub use options::{OneEuro, OptionError, Smoothing, TrackerOptions};
pub use sighting::{Followed, Sighting, State};
pub use tracker::Tracker;
