//! Faces on a buffer: the one place that knows how they are laid out.
//!
//! A frame that was looked at carries one **record**, a custom meta named [`RECORD_NAME`], and for each face one
//! **ROI**, a [`gst_video::VideoRegionOfInterestMeta`]. The record is what counts: it passes conversion, scaling and
//! cropping, and is lost only where an element makes new frames, such as a compositor. ROIs are for readers that
//! know only ROIs, and they tell where a face is now when an element in between has scaled or cropped the picture.
//!
//! ```
//! use gstimg2pose::meta::{self, FrameFaces};
//! use img2pose::Face;
//!
//! gst::init()?;
//! let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Nv12, 640, 480).build()?;
//! let face = Face {
//!     bbox: [100.5, 80.25, 180.0, 200.0],
//!     confidence: 0.98,
//!     pose: [0.1, -0.2, 0.05, -2.5, 0.75, 18.0],
//!     keypoints: [[120.0, 130.0], [160.0, 131.0], [139.0, 150.0], [124.0, 170.0], [157.0, 171.0]],
//!     sigma: None,
//! };
//!
//! let mut buffer = gst::Buffer::new();
//! assert_eq!(meta::read(&buffer)?, None); // nobody has looked at this frame
//!
//! let faces = FrameFaces::new(&info, vec![face]);
//! meta::attach(buffer.make_mut(), &faces)?;
//! assert_eq!(meta::read(&buffer)?, Some(faces));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout, version 1
//!
//! Only scalars, so that C, Python and Rust read them alike. Field names mean the same wherever they occur:
//!
//! | field | type | what |
//! |---|---|---|
//! | `version` | uint | 1 |
//! | `frame-width`, `frame-height` | int | size in pixels of the frame that was looked at; the pose has a meaning only with it |
//! | `x_min`, `x_max`, `y_min`, `y_max` | double | box as a share of that frame's width and height, 0 to 1 |
//! | `confidence` | double | probability that this is a face, 0 to 1 |
//! | `label_id` | int | 0 |
//! | `rx`, `ry`, `rz` | double | rotation vector in radians |
//! | `tx`, `ty`, `tz` | double | translation in head units, in the camera of that frame ([`FrameFaces::camera`]: focal length width + height, principal point in the middle) |
//! | `yaw`, `pitch`, `roll` | double | degrees, see [`img2pose::pose::yaw_pitch_roll`] |
//! | `left-eye-x`, `left-eye-y`, and so for `right-eye`, `nose`, `mouth-left`, `mouth-right` | double | pixels of that frame; left and right of a head that is upright in the pixels |
//! | `sigma` | double | degrees: how sure the rotation is, see [`img2pose::Face::sigma`]; absent where the model does not say |
//! | `pixel-aspect-ratio` | fraction | width of a pixel over its height; the camera depends on it. Beside `frame-width`; absent where pixels are square, but always in the record |
//! | `orientation` | string | how that frame was turned to look at it: `90r`, `180`, `90l`, `horiz`, `vert`, `ul-lr` or `ur-ll`, see [`img2pose::frame::Orientation`]. Beside `frame-width`; absent where it was not. Box, pose and keypoints are those of the pixels as they lie |
//!
//! The record's structure holds `version`, `frame-width`, `frame-height`, `pixel-aspect-ratio`, `orientation`,
//! `n-faces` (uint), `reused` (boolean, only where it is true, see [`FrameFaces::reused`]) and one structure `face` for each face under `face-0`, `face-1`, ... in order of falling
//! confidence, with all fields of a face. A structure for each face, and not one flat list of names, because
//! finding a field in a structure is a walk over all of them. `n-faces` is 0 on a frame that was looked at and
//! shows no face; a frame without the record was not looked at.
//!
//! The ROI of face `i` has the type `face`, the id `i`, no parent (-1), the smallest box of whole pixels that
//! holds the face's box, and two parameter structures: `detection` (`x_min`, `x_max`, `y_min`, `y_max`,
//! `confidence`, `label_id`, the fields that readers of DL Streamer know) and `face-pose` (`version`,
//! `frame-width`, `frame-height`, `pixel-aspect-ratio`, `orientation`, pose, angles, keypoints, `sigma`, `reused` as in the record).
//!
//! # Faces through time
//!
//! `img2posetrack` writes the record anew, with the faces smoothed, and with those that should be there though they were not found.
//! To each face that it follows it adds, in the record and in `face-pose`:
//!
//! | field | type | what |
//! |---|---|---|
//! | `track-id` | uint64 | the same for the same face through time, from 1 on |
//! | `track-age`, `track-unseen` | uint64 | nanoseconds since it was seen for the first and for the last time |
//! | `track-state` | string | `new`, `seen`: found in this frame, for the first time or again; `predicted`: not found, or nobody looked: where it should be; `interpolated`: nobody looked, between a look before and one after |
//!
//! and, in the record alone, a structure `seen` with the fields of the face as it was found in this frame, before it was smoothed.
//! `reused` is true on frames that nobody looked at.
//!
//! # For this plugin alone
//!
//! For [`read_current`] the record may have a field `likeness` (string: 64 means of samples for each face, two hexadecimal digits each), and beside the record
//! there is a meta `Img2PosePlacementMeta` that follows scalers; other readers leave them alone. Fields are added to a version, never
//! changed.
//!
//! # Aligned crops
//!
//! A crop of `img2posealign` carries a custom meta named [`ALIGNED_NAME`]: `version`, `frame-width`, `frame-height`,
//! `pixel-aspect-ratio`, `orientation` and all fields of the face, and
//!
//! | field | type | what |
//! |---|---|---|
//! | `pts` | uint64 | timestamp of the frame in nanoseconds; absent if it has none |
//! | `frame` | uint64 | number of the frame, counted from 0 since the stream started or was flushed |
//! | `face` | uint | index of the face in the frame's record |
//! | `template` | int | alignment template: 0 left profile to 4 right profile, 2 frontal |
//! | `m00` ... `m12` | double | from pixels of the frame that was looked at to pixels of the crop: x' = m00 x + m01 y + m02, y' = m10 x + m11 y + m12 |
//!
//! # GStreamer's own analytics metadata
//!
//! Built with the feature `v1_24`, `v1_26` or `v1_28`, for at least that version of GStreamer, the frame also has:
//!
//! | from | what |
//! |---|---|
//! | `v1_24` | in the `GstAnalyticsRelationMeta` a `GstAnalyticsODMtd` of the class `face` for each face, with the ROI's box and the confidence; behind `img2posetrack` for each face that it follows a `GstAnalyticsTrackingMtd` with its id and when it was seen first and last, to which the detection is related (`GST_ANALYTICS_REL_TYPE_RELATE_TO`) |
//! | `v1_26` | a `GstTensorMeta` with one tensor `img2pose-face-poses`, `[faces, 6]` f32 row-major: `rx, ry, rz, tx, ty, tz`; also without faces |
//! | `v1_28` | for each face a `GstAnalyticsTensorMtd` `img2pose-face-pose`, `[6]` f32, which the object detection contains (`GST_ANALYTICS_REL_TYPE_CONTAIN`) |
//!
//! # Two detectors
//!
//! A frame has one record. [`attach`] takes away the faces that an earlier detector of this plugin left and puts
//! its own in their place; ROIs of other elements stay. Object detections cannot be taken out of a relation meta:
//! it goes as a whole when they are the earlier faces, and nothing goes when another element has added its own.

mod aligned;
#[cfg(feature = "v1_24")]
mod analytics;
mod current;
mod error;
mod fields;
mod likeness;
mod record;
mod roi;
mod shape;
mod trace;
mod track;

pub use aligned::{ALIGNED_NAME, AlignedFace, attach_aligned, read_aligned};
#[cfg(feature = "v1_28")]
pub use analytics::POSE_TENSOR;
#[cfg(feature = "v1_26")]
pub use analytics::POSES_TENSOR;
pub use current::{CurrentFaces, FrameChange, read_current};
pub(crate) use current::{refuse_all, refuse_crop};
pub use error::MetaError;
pub use record::RECORD_NAME;
pub use roi::ROI_TYPE;
pub(crate) use roi::pixel_rect;
pub use track::{Track, TrackState};

use img2pose::Face;
use img2pose::frame::{Orientation, View};
use img2pose::pose::Camera;

use crate::video::pixel_aspect_ratio;

/// The version of the layout that this crate writes, and the only one that it reads.
pub const LAYOUT_VERSION: u32 = 1;

/// The faces of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameFaces {
    /// Width in pixels of the frame that was looked at.
    pub frame_width: u32,
    /// Height in pixels of the frame that was looked at.
    pub frame_height: u32,
    /// Width of a pixel over its height; tells a stretched picture from one with borders.
    pub pixel_aspect_ratio: gst::Fraction,
    /// Whether nobody has looked at this frame, and its faces are those of an earlier one of the stream: as they were found there
    /// (`reuse-faces` of `img2posedetect`) or where they should be now (`img2posetrack`). They may have moved since, and others
    /// may have come.
    pub reused: bool,
    /// How the frame was turned to look at it. The faces are those of its pixels as they lie.
    pub orientation: Orientation,
    /// The faces, in order of falling confidence, in pixels of that frame.
    pub faces: Vec<Face>,
    /// Which face through time each of them is, in the same order. Empty where `img2posetrack` has not seen the frame; `None` for a
    /// face that it does not follow.
    pub tracks: Vec<Option<Track>>,
}

impl FrameFaces {
    /// The faces found in a frame of the given format.
    pub fn new(info: &gst_video::VideoInfo, faces: Vec<Face>) -> Self {
        Self {
            frame_width: info.width(),
            frame_height: info.height(),
            pixel_aspect_ratio: info.par(),
            reused: false,
            orientation: Orientation::Identity,
            faces,
            tracks: Vec::new(),
        }
    }

    /// Which face through time a face is, by its index; `None` if nobody follows it.
    #[must_use]
    pub fn track(&self, face: usize) -> Option<&Track> {
        self.tracks.get(face)?.as_ref()
    }

    /// Whether a face, by its index, was seen in this frame. Of others it is known only where they were, or where they should be.
    #[must_use]
    pub fn is_seen(&self, face: usize) -> bool {
        match self.track(face) {
            Some(track) => track.state.is_seen(),
            None => !self.reused,
        }
    }

    /// The same, found in a frame that was turned by `orientation` to look at it.
    #[must_use]
    pub fn turned(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// Whether all that is known of this frame is what `img2posetrack` expects: nobody has looked at it.
    pub(crate) fn is_expectation(&self) -> bool {
        self.reused && !self.tracks.is_empty()
    }

    /// How the frame is meant to be seen.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            pixel_aspect_ratio: pixel_aspect_ratio(self.pixel_aspect_ratio),
            orientation: self.orientation,
        }
    }

    /// The camera that the poses belong to, in pixels of the frame.
    #[must_use]
    pub fn camera(&self) -> Camera {
        Camera::with_pixels(
            self.frame_width,
            self.frame_height,
            pixel_aspect_ratio(self.pixel_aspect_ratio),
        )
    }

    /// Width and height in pixels of the frame.
    fn size(&self) -> (u32, u32) {
        (self.frame_width, self.frame_height)
    }
}

/// Makes the record's type known to GStreamer, so that readers in other languages can ask for it by name.
///
/// The functions of this module do it themselves. To be called after [`gst::init`].
pub fn register() {
    record::register();
    trace::register();
    aligned::register();
}

/// Puts the faces of a frame on its buffer, in place of those that are there from an earlier look.
///
/// A frame without faces is marked as looked at. ROIs are clipped to the frame.
///
/// # Errors
/// [`MetaError::NotFinite`] if a number is not finite, [`MetaError::NotRegistered`] if another library has taken
/// the record's name. The buffer is then as it was. With analytics metadata also `MetaError::Analytics`, when
/// GStreamer refuses to add more of it to this buffer.
pub fn attach(buffer: &mut gst::BufferRef, faces: &FrameFaces) -> Result<(), MetaError> {
    record::check(faces)?;
    clear(buffer);
    record::add(buffer, faces)?;
    trace::add(buffer, faces)?;
    for (index, face) in faces.faces.iter().enumerate() {
        roi::add(buffer, faces, index, face);
    }
    #[cfg(feature = "v1_24")]
    analytics::add(buffer, faces)?;
    Ok(())
}

/// [`attach`], with what the faces look like in this frame, whose format is `info`. By that [`read_current`] tells behind elements that
/// drop ROIs whether they have moved the picture. It is left out where the pixels cannot be read.
///
/// # Errors
/// As [`attach`].
pub fn attach_with_likeness(
    buffer: &mut gst::BufferRef,
    info: &gst_video::VideoInfo,
    faces: &FrameFaces,
) -> Result<(), MetaError> {
    attach(buffer, faces)?;
    if let Some(likeness) = likeness::take(buffer, info, faces) {
        record::set_likeness(buffer, likeness);
    }
    Ok(())
}

/// Takes the small pictures of the faces off the buffer that [`attach_with_likeness`] put there. To be called where the faces
/// are hidden: what is left of them must not travel beside the frame.
pub fn forget_likeness(buffer: &mut gst::BufferRef) {
    record::register();
    record::remove_likeness(buffer);
}

/// Whether the small pictures that [`attach_with_likeness`] put there are on the buffer.
pub(crate) fn has_likeness(buffer: &gst::BufferRef) -> bool {
    record::register();
    record::has_likeness(buffer)
}

/// The faces that [`attach`] put on the buffer, in pixels of the frame that was looked at; `None` if nobody has
/// looked at this frame.
///
/// Where the picture was scaled or cropped since, [`read_current`] says where the faces are now.
///
/// # Errors
/// The record has another version, lacks a field, or has one of a wrong type.
pub fn read(buffer: &gst::BufferRef) -> Result<Option<FrameFaces>, MetaError> {
    record::read(buffer)
}

/// Takes the record and this plugin's ROIs off the buffer, so that it counts as not looked at.
pub fn clear(buffer: &mut gst::BufferRef) {
    // Before the record goes: it tells which bare ROIs are ours.
    roi::remove_all(buffer);
    #[cfg(feature = "v1_24")]
    analytics::remove(buffer, record::face_count(buffer).unwrap_or(0));
    record::remove(buffer);
}
