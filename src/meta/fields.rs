//! The fields of a face, and their way into a structure and out of it.

use gst::glib;
use img2pose::Face;
use img2pose::frame::Orientation;
use img2pose::pose::yaw_pitch_roll;

use super::{LAYOUT_VERSION, MetaError};

const VERSION: &str = "version";
const FRAME_WIDTH: &str = "frame-width";
const FRAME_HEIGHT: &str = "frame-height";
const REUSED: &str = "reused";
pub(super) const PIXEL_ASPECT_RATIO: &str = "pixel-aspect-ratio";
const ORIENTATION: &str = "orientation";

const X_MIN: &str = "x_min";
const X_MAX: &str = "x_max";
const Y_MIN: &str = "y_min";
const Y_MAX: &str = "y_max";
const CONFIDENCE: &str = "confidence";
const LABEL_ID: &str = "label_id";
const SIGMA: &str = "sigma";

const POSE: [&str; 6] = ["rx", "ry", "rz", "tx", "ty", "tz"];
const ANGLES: [&str; 3] = ["yaw", "pitch", "roll"];
/// In the order of [`Face::keypoints`].
const KEYPOINTS: [[&str; 2]; 5] = [
    ["left-eye-x", "left-eye-y"],
    ["right-eye-x", "right-eye-y"],
    ["nose-x", "nose-y"],
    ["mouth-left-x", "mouth-left-y"],
    ["mouth-right-x", "mouth-right-y"],
];

/// The shape of most pixels.
const SQUARE: gst::Fraction = gst::Fraction::new_raw(1, 1);

/// Number of the class "face", the only one there is.
const FACE_LABEL: i32 = 0;

/// Box, confidence and label of a face in a frame of `width` x `height`: the `detection` parameter of an ROI.
pub(super) fn set_detection(s: &mut gst::StructureRef, (width, height): (u32, u32), face: &Face) {
    // In f64 a share of the frame keeps every bit of the f32 pixel coordinate: reading gives back the same.
    let (width, height) = (f64::from(width), f64::from(height));
    let [x_min, y_min, x_max, y_max] = face.bbox.map(f64::from);
    s.set(X_MIN, x_min / width);
    s.set(X_MAX, x_max / width);
    s.set(Y_MIN, y_min / height);
    s.set(Y_MAX, y_max / height);
    s.set(CONFIDENCE, f64::from(face.confidence));
    s.set(LABEL_ID, FACE_LABEL);
}

/// Pose, angles, keypoints and how sure the rotation is: with [`set_frame`] the `face-pose` parameter of an ROI.
pub(super) fn set_pose(s: &mut gst::StructureRef, face: &Face) {
    for (name, value) in POSE.into_iter().zip(face.pose) {
        s.set(name, f64::from(value));
    }
    for (name, value) in ANGLES.into_iter().zip(yaw_pitch_roll(&face.pose)) {
        s.set(name, f64::from(value));
    }
    for (names, point) in KEYPOINTS.into_iter().zip(face.keypoints) {
        for (name, value) in names.into_iter().zip(point) {
            s.set(name, f64::from(value));
        }
    }
    if let Some(sigma) = face.sigma {
        s.set(SIGMA, f64::from(sigma));
    }
}

/// Layout version, and width and height of the frame.
pub(super) fn set_frame(s: &mut gst::StructureRef, (width, height): (u32, u32)) {
    s.set(VERSION, LAYOUT_VERSION);
    s.set(FRAME_WIDTH, width as i32);
    s.set(FRAME_HEIGHT, height as i32);
}

/// The mark of faces that were found in an earlier frame; there is none on others.
pub(super) fn set_reused(s: &mut gst::StructureRef, reused: bool) {
    if reused {
        s.set(REUSED, true);
    }
}

/// Whether the mark is there.
pub(super) fn get_reused(s: &gst::StructureRef) -> Result<bool, MetaError> {
    match s.has_field(REUSED) {
        true => get(s, REUSED, "a boolean"),
        false => Ok(false),
    }
}

/// How the frame is meant to be seen, as far as that is not what one expects.
pub(super) fn set_view(s: &mut gst::StructureRef, ratio: gst::Fraction, orientation: Orientation) {
    if ratio != SQUARE {
        s.set(PIXEL_ASPECT_RATIO, ratio);
    }
    if orientation != Orientation::Identity {
        s.set(ORIENTATION, orientation.name());
    }
}

/// The shape of a pixel and the orientation of the frame.
pub(super) fn get_view(s: &gst::StructureRef) -> Result<(gst::Fraction, Orientation), MetaError> {
    let ratio = match s.has_field(PIXEL_ASPECT_RATIO) {
        true => get(s, PIXEL_ASPECT_RATIO, "a fraction")?,
        false => SQUARE,
    };
    if !s.has_field(ORIENTATION) {
        return Ok((ratio, Orientation::Identity));
    }
    let name: &str = get(s, ORIENTATION, "a string")?;
    let orientation = Orientation::from_name(name)
        .ok_or_else(|| wrong(s, ORIENTATION, format!("'{name}'"), "the name of an orientation"))?;
    Ok((ratio, orientation))
}

/// Width and height of the frame, from the meta `name` of this layout version.
pub(super) fn get_frame(s: &gst::StructureRef, name: &'static str) -> Result<(u32, u32), MetaError> {
    let found: u32 = get(s, VERSION, "an unsigned integer")?;
    if found != LAYOUT_VERSION {
        return Err(MetaError::UnknownVersion { name, found });
    }
    Ok((get_side(s, FRAME_WIDTH)?, get_side(s, FRAME_HEIGHT)?))
}

/// A face with all its fields, in pixels of a frame of `width` x `height`.
pub(super) fn get_face(s: &gst::StructureRef, (width, height): (u32, u32)) -> Result<Face, MetaError> {
    let number = |name: &str| get_number(s, name);
    let (w, h) = (f64::from(width), f64::from(height));
    let mut face = Face {
        bbox: [
            (number(X_MIN)? * w) as f32,
            (number(Y_MIN)? * h) as f32,
            (number(X_MAX)? * w) as f32,
            (number(Y_MAX)? * h) as f32,
        ],
        confidence: number(CONFIDENCE)? as f32,
        pose: [0.0; 6],
        keypoints: [[0.0; 2]; 5],
        sigma: match s.has_field(SIGMA) {
            true => Some(number(SIGMA)? as f32),
            false => None,
        },
    };
    for (name, value) in POSE.into_iter().zip(&mut face.pose) {
        *value = number(name)? as f32;
    }
    for (names, point) in KEYPOINTS.into_iter().zip(&mut face.keypoints) {
        for (name, value) in names.into_iter().zip(point) {
            *value = number(name)? as f32;
        }
    }
    Ok(face)
}

/// A side of a frame in pixels.
fn get_side(s: &gst::StructureRef, name: &str) -> Result<u32, MetaError> {
    let side: i32 = get(s, name, "an integer")?;
    u32::try_from(side)
        .ok()
        .filter(|side| *side > 0)
        .ok_or_else(|| wrong(s, name, side, "1 or more"))
}

/// A finite double.
fn get_number(s: &gst::StructureRef, name: &str) -> Result<f64, MetaError> {
    let value: f64 = get(s, name, "a double")?;
    // A number that is too large for f32 would become infinite.
    if (value as f32).is_finite() {
        Ok(value)
    } else {
        Err(wrong(s, name, value, "a finite number"))
    }
}

/// A field of the given type; `expected` names the type for the error.
pub(super) fn get<'a, T: glib::value::FromValue<'a>>(
    s: &'a gst::StructureRef,
    name: &str,
    expected: &'static str,
) -> Result<T, MetaError> {
    let value = s.value(name).map_err(|_| MetaError::MissingField {
        structure: s.name().to_string(),
        field: name.to_owned(),
    })?;
    value
        .get()
        .map_err(|_| wrong(s, name, format!("a {}", value.type_()), expected))
}

pub(super) fn wrong(
    s: &gst::StructureRef,
    field: &str,
    found: impl std::fmt::Display,
    expected: &'static str,
) -> MetaError {
    MetaError::WrongField {
        structure: s.name().to_string(),
        field: field.to_owned(),
        found: found.to_string(),
        expected,
    }
}
