//! What scalers on the way do to the picture: a meta that goes where ROIs go, and keeps count.
//!
//! ROIs have whole numbers, which every scaler cuts on its own: after a scaling down and up again they lie elsewhere, as
//! after a small crop. This meta has the tags of ROIs, so that elements keep it and drop it as they do ROIs, but it is told of
//! each scaling on the way.

use std::ffi::{CStr, c_char};
use std::sync::Once;

use gst::glib;
use gst::glib::translate::IntoGlib;
use gst::meta::CustomMeta;
use gst_video::VideoInfo;

use super::shape::Shape;
use super::{FrameFaces, MetaError};

/// Name of the custom meta.
pub const TRACE_NAME: &str = "Img2PosePlacementMeta";

/// Those of a `GstVideoRegionOfInterestMeta`.
const TAGS: [&CStr; 3] = [c"video", c"size", c"orientation"];

const WIDTH: &str = "width";
const HEIGHT: &str = "height";
const SCALED: &str = "scaled";
const WHOLE: &str = "whole";
const SLACK: [&str; 2] = ["slack-x", "slack-y"];

/// How far, in pixels, a scaler may put a side of an ROI from where it belongs: it cuts the fractions of x, y, width and
/// height off, each on its own.
const CUT: f64 = 2.0;

/// What has happened to a picture since it was looked at, if only scalers saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// Width in pixels behind the last scaler.
    pub width: u32,
    /// Height in pixels behind the last scaler.
    pub height: u32,
    /// Whether its size ever changed.
    pub scaled: bool,
    /// Whether it fills the frame as it did: no scaler stretched it or added borders.
    pub whole: bool,
    /// How far, in pixels, sides of ROIs may lie from where scaling puts them, across and down.
    pub slack: [f64; 2],
}

impl Trace {
    fn of_frame(frame: &FrameFaces) -> Self {
        Self {
            width: frame.frame_width,
            height: frame.frame_height,
            scaled: false,
            whole: true,
            slack: [0.0; 2],
        }
    }

    /// The same behind a scaler.
    fn scaled(self, from: Shape, to: Shape) -> Self {
        let is_here = (from.width, from.height) == (self.width, self.height);
        let resized = (from.width, from.height) != (to.width, to.height);
        let grow = |slack: f64, from: u32, to: u32| match resized {
            true => slack * f64::from(to) / f64::from(from.max(1)) + CUT,
            false => slack,
        };
        Self {
            width: to.width,
            height: to.height,
            scaled: self.scaled || resized,
            // Something that knows nothing of this meta may have come before.
            whole: self.whole && is_here && from.is_like(to),
            slack: [
                grow(self.slack[0], from.width, to.width),
                grow(self.slack[1], from.height, to.height),
            ],
        }
    }

    fn write(self, s: &mut gst::StructureRef) {
        s.set(WIDTH, self.width);
        s.set(HEIGHT, self.height);
        s.set(SCALED, self.scaled);
        s.set(WHOLE, self.whole);
        for (name, slack) in SLACK.into_iter().zip(self.slack) {
            s.set(name, slack);
        }
    }

    /// `None` if another library uses the name.
    fn read(s: &gst::StructureRef) -> Option<Self> {
        Some(Self {
            width: s.get(WIDTH).ok()?,
            height: s.get(HEIGHT).ok()?,
            scaled: s.get(SCALED).ok()?,
            whole: s.get(WHOLE).ok()?,
            slack: [s.get(SLACK[0]).ok()?, s.get(SLACK[1]).ok()?],
        })
    }
}

pub(super) fn register() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        if CustomMeta::is_registered(TRACE_NAME) {
            return;
        }
        let name = c"Img2PosePlacementMeta";
        let mut tags: [*const c_char; 4] = [std::ptr::null(); 4];
        for (tag, text) in tags.iter_mut().zip(TAGS) {
            *tag = text.as_ptr();
        }
        // SAFETY: GStreamer is initialised, which `is_registered` asserts; it copies the name and the tags, which end with
        // null; the function has the signature of GstCustomMetaTransformFunction and needs no user data.
        unsafe {
            gst::ffi::gst_meta_register_custom(
                name.as_ptr(),
                tags.as_mut_ptr(),
                Some(transform),
                std::ptr::null_mut(),
                None,
            );
        }
    });
}

/// Puts the meta on another buffer when an element copies or scales the picture. Any other change leaves it behind.
///
/// # Safety
/// To be called by GStreamer, as a `GstCustomMetaTransformFunction`.
unsafe extern "C" fn transform(
    to: *mut gst::ffi::GstBuffer,
    meta: *mut gst::ffi::GstCustomMeta,
    _from: *mut gst::ffi::GstBuffer,
    kind: glib::ffi::GQuark,
    data: glib::ffi::gpointer,
    _user_data: glib::ffi::gpointer,
) -> glib::ffi::gboolean {
    // SAFETY: GStreamer calls this with a meta of the registered kind, which outlives the call.
    let structure = unsafe { &*meta.cast::<CustomMeta>() }.structure();
    let Some(mut trace) = Trace::read(structure) else {
        return false.into_glib();
    };
    // Their numbers differ from one process to the next, their names do not.
    let kind = kind_of(kind);
    if kind == Some("gst-video-scale") {
        let data = data.cast::<gst_video::ffi::GstVideoMetaTransform>();
        // SAFETY: with this kind the data is a GstVideoMetaTransform, whose two infos are those of the scaler.
        let shapes = unsafe {
            data.as_ref()
                .and_then(|data| Some((shape(data.in_info)?, shape(data.out_info)?)))
        };
        match shapes {
            Some((from, to)) => trace = trace.scaled(from, to),
            None => return false.into_glib(),
        }
    } else if kind != Some("gst-copy") {
        return false.into_glib();
    }
    // SAFETY: GStreamer hands over the buffer that it adds metas to, and nobody else changes it meanwhile.
    let to = unsafe { gst::BufferRef::from_mut_ptr(to) };
    let added = CustomMeta::add(to, TRACE_NAME).map(|mut meta| trace.write(meta.mut_structure()));
    added.is_ok().into_glib()
}

/// Name of a kind of change.
fn kind_of(kind: glib::ffi::GQuark) -> Option<&'static str> {
    // SAFETY: a quark that GStreamer hands over has a name, which lives as long as the process.
    let name = unsafe { glib::ffi::g_quark_to_string(kind) };
    if name.is_null() {
        return None;
    }
    // SAFETY: as above; it ends with a zero.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// # Safety
/// `info` is null or points to a valid info.
unsafe fn shape(info: *const gst_video::ffi::GstVideoInfo) -> Option<Shape> {
    // SAFETY: as the caller has it.
    let info = unsafe { info.as_ref() }?;
    Some(Shape {
        width: u32::try_from(info.width).ok()?,
        height: u32::try_from(info.height).ok()?,
        pixel_aspect_ratio: (info.par_n, info.par_d),
    })
}

pub(super) fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces) -> Result<(), MetaError> {
    register();
    let mut meta =
        CustomMeta::add(buffer, TRACE_NAME).map_err(|_| MetaError::NotRegistered { name: TRACE_NAME })?;
    Trace::of_frame(frame).write(meta.mut_structure());
    Ok(())
}

/// What only scalers have done to the picture, whose format is `info` now; `None` if others have too, or may have.
pub(super) fn read(buffer: &gst::BufferRef, info: &VideoInfo) -> Option<Trace> {
    register();
    let meta = CustomMeta::from_buffer(buffer, TRACE_NAME).ok()?;
    let trace = Trace::read(meta.structure())?;
    // An application that changed the size by hand and copied all metas.
    ((trace.width, trace.height) == (info.width(), info.height())).then_some(trace)
}
