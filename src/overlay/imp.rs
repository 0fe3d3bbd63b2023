//! The element behind the wrapper.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::{VideoInfo, VideoOverlayComposition, VideoOverlayCompositionMeta};

use super::blending::Blender;
use super::negotiation;
use super::obscure::{Scratch, cell_side, obscure, widened};
use super::painter::Painter;
use super::settings::{Blur, Settings};
use super::style::Area;
use crate::frames::{self, FrameError};
use crate::meta::{self, CurrentFaces};
use crate::reader::Counts;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2poseoverlay",
        gst::DebugColorFlags::empty(),
        Some("Faces and head poses drawn into video"),
    )
});

pub struct Img2PoseOverlay {
    sink_pad: gst::Pad,
    src_pad: gst::Pad,
    settings: Mutex<Settings>,
    /// Held while a frame is drawn, never while something is pushed or asked.
    state: Mutex<State>,
}

/// What is known of the stream; everything is forgotten when it restarts.
#[derive(Default)]
struct State {
    info: Option<VideoInfo>,
    /// Compositions are attached, not blended.
    attach: bool,
    painter: Painter,
    blender: Blender,
    scratch: Scratch,
    counts: Counts,
    /// The warning about changed frames has been posted.
    warned_of_change: bool,
    /// The warning about frames that nobody looked at has been posted.
    warned_of_unknown: bool,
    /// The warning about faces of earlier frames has been posted.
    warned_of_reuse: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseOverlay {
    const NAME: &'static str = "GstImg2PoseOverlay";
    type Type = super::Img2PoseOverlay;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        // A panic becomes an element error; it must not cross into C.
        let sink_pad = gst::Pad::builder_from_template(&class.pad_template("sink").unwrap())
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.query(pad, query))
            })
            // Frames pass through: downstream's pool and metas are for upstream.
            .flags(gst::PadFlags::PROXY_ALLOCATION)
            .build();
        let src_pad = gst::Pad::builder_from_template(&class.pad_template("src").unwrap())
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.query(pad, query))
            })
            .build();
        Self {
            sink_pad,
            src_pad,
            settings: Mutex::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Img2PoseOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::param_specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.settings().get(pspec.name())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        element
            .add_pad(&self.sink_pad)
            .expect("a new element has no pads");
        element.add_pad(&self.src_pad).expect("a new element has one pad");
    }
}

impl GstObjectImpl for Img2PoseOverlay {}

impl ElementImpl for Img2PoseOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Faces and head poses drawn into video",
                "Filter/Editor/Video",
                "Draws what img2posedetect found: boxes, scores, head axes (x red, y green, z blue), points, outlines, \
                 angles; or makes faces unrecognisable",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = negotiation::template_caps();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                        .expect("the caps are valid")
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            *self.state() = State::default();
        }
        Ok(success)
    }
}

impl Img2PoseOverlay {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        // Nothing panics half-way through a change of the settings.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A half-drawn frame leaves nothing behind that the next one reads.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chain(&self, pad: &gst::Pad, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.src_pad.check_reconfigure()
            && let Some(caps) = pad.current_caps()
        {
            self.negotiate(&caps)
                .inspect_err(|_| self.src_pad.mark_reconfigure())?;
        }
        self.draw(&mut buffer)?;
        self.src_pad.push(buffer)
    }

    /// Does with the frame what its faces and the settings ask for. A frame without faces is not touched.
    fn draw(&self, buffer: &mut gst::Buffer) -> Result<(), gst::FlowError> {
        let settings = *self.settings();
        let mut state = self.state();
        let state = &mut *state;
        let Some(info) = &state.info else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ("Video frame before its caps"));
            return Err(gst::FlowError::NotNegotiated);
        };
        state.counts.arrive();
        let pts = buffer.pts();
        let current = meta::read_current(buffer, info).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            gst::FlowError::Error
        })?;
        // What a tracker expects in a frame that nobody looked at hides no face that has come since.
        let unseen = (current.as_ref()).is_none_or(|current| current.recorded.is_expectation());
        if unseen && settings.blur_faces != Blur::None {
            self.warn_of_unknown(
                &mut state.warned_of_unknown,
                settings.blur_unseen,
                current.is_some(),
            );
            if settings.blur_unseen {
                let whole = everything(info.width(), info.height(), settings.blur_strength);
                let whole = std::iter::once(whole);
                hide(buffer, info, whole, settings.blur_faces, &mut state.scratch)
                    .map_err(|error| self.failed("hidden", pts, &error))?;
            }
        }
        let Some(current) = current else {
            return Ok(());
        };
        state.counts.look();
        if current.recorded.reused && !unseen && settings.blur_faces != Blur::None {
            self.warn_of_reuse(&mut state.warned_of_reuse);
        }
        if current.recorded.faces.is_empty() {
            return Ok(());
        }
        let known = current.change.is_known();
        if !known {
            self.warn_of_change(&mut state.warned_of_change, &current, &settings);
        }
        if settings.blur_faces != Blur::None && !(unseen && settings.blur_unseen) {
            let areas = hidden_areas(&current, known, &settings);
            hide(buffer, info, areas, settings.blur_faces, &mut state.scratch)
                .map_err(|error| self.failed("hidden", pts, &error))?;
        }
        if !known || !settings.draws() {
            return Ok(());
        }
        if !state.attach {
            // Drawings are as large as the frame says it is.
            frames::check(buffer, info).map_err(|error| self.failed("drawn", pts, &error))?;
        }
        let composition = state
            .painter
            .compose(current, &settings)
            .map_err(|error| self.failed("drawn", pts, &FrameError::Map(error)))?;
        let Some(composition) = composition else {
            return Ok(());
        };
        if state.attach {
            attach(buffer, &composition);
            return Ok(());
        }
        blend(buffer, info, &composition, &mut state.blender)
            .map_err(|error| self.failed("drawn", pts, &error))
    }

    fn failed(&self, what: &str, pts: Option<gst::ClockTime>, error: &FrameError) -> gst::FlowError {
        gst::element_imp_error!(
            self,
            gst::StreamError::Failed,
            (
                "Faces could not be {what} in the frame at {}: {error}",
                pts.display()
            )
        );
        gst::FlowError::Error
    }

    fn warn_of_change(&self, warned: &mut bool, current: &CurrentFaces, settings: &Settings) {
        if std::mem::replace(warned, true) {
            return;
        }
        let what = current.change.words();
        let then = if settings.blur_faces == Blur::None {
            "nothing is drawn"
        } else {
            "nothing is drawn and whole frames are blurred"
        };
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            (
                "The {}x{} frame {what} after its faces were found in {}x{} pixels, so it is not known where they are \
                 now: {then}. Put img2poseoverlay before the element that changes the picture.",
                current.width,
                current.height,
                current.recorded.frame_width,
                current.recorded.frame_height
            )
        );
    }

    fn warn_of_unknown(&self, warned: &mut bool, hidden: bool, expected: bool) {
        if std::mem::replace(warned, true) {
            return;
        }
        let then = match hidden {
            true => "is blurred as a whole, because it is not known where its faces are",
            false if expected => "is blurred only where img2posetrack expects faces",
            false => "passes without blurring",
        };
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            ("A frame that no detector looked at {then}. Put img2posedetect before img2poseoverlay; with inference-interval \
              or qos, set its reuse-faces, without img2posetrack.")
        );
    }

    fn warn_of_reuse(&self, warned: &mut bool) {
        if std::mem::replace(warned, true) {
            return;
        }
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            ("Frames are blurred where the faces of an earlier frame were (reuse-faces): a face that has moved or come since \
              can be seen until the next frame that is looked at. With inference-interval=1 and qos=false every frame is.")
        );
    }

    fn warn_if_nobody_looked(&self) {
        let warning = {
            let state = self.state();
            // Blurring has said so with the first frame.
            (!state.warned_of_unknown)
                .then(|| state.counts.nobody_looked("img2poseoverlay", "drawings"))
                .flatten()
        };
        if let Some(warning) = warning {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{warning}"));
        }
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::trace!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Caps(caps) => return self.set_caps(pad, caps.caps()),
            gst::EventView::StreamStart(_) => {
                let mut state = self.state();
                state.warned_of_change = false;
                state.warned_of_unknown = false;
                state.warned_of_reuse = false;
                state.counts = Counts::default();
            }
            gst::EventView::FlushStop(_) => self.state().counts = Counts::default(),
            gst::EventView::Eos(_) => self.warn_if_nobody_looked(),
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::CapsRef) -> bool {
        match VideoInfo::from_caps(caps) {
            Ok(info) => {
                let mut state = self.state();
                state.info = Some(info);
                state.painter.clear();
            }
            Err(error) => {
                gst::error!(CAT, obj = pad, "caps {caps} refused: {error}");
                return false;
            }
        }
        // Negotiated here, not again with the next frame.
        self.src_pad.check_reconfigure();
        match self.negotiate(&caps.to_owned()) {
            Ok(()) => true,
            Err(error) => {
                gst::warning!(CAT, obj = pad, "caps {caps} refused downstream: {error}");
                self.src_pad.mark_reconfigure();
                false
            }
        }
    }

    fn negotiate(&self, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        let attach = negotiation::negotiate(&self.src_pad, caps)?;
        gst::debug!(
            CAT,
            imp = self,
            "drawings are {}",
            if attach { "attached" } else { "blended" }
        );
        self.state().attach = attach;
        Ok(())
    }

    /// Of either pad.
    fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let filter = caps.filter_owned();
                let filter = filter.as_deref();
                let result = if *pad == self.sink_pad {
                    negotiation::sink_caps(&self.src_pad, filter)
                } else {
                    negotiation::src_caps(&self.sink_pad, filter)
                };
                gst::log!(CAT, obj = pad, "caps {result} for filter {filter:?}");
                caps.set_result(&result);
                true
            }
            // Comes from upstream; the pad passes it on.
            gst::QueryViewMut::Allocation(_) => {
                let answered = gst::Pad::query_default(pad, Some(&*self.obj()), query);
                if let gst::QueryViewMut::Allocation(allocation) = query.view_mut() {
                    // Nothing of our own: that drawings are blended into any strides here is no promise for those behind.
                    meta::refuse_crop(allocation);
                    if !answered {
                        meta::refuse_all(allocation);
                    }
                }
                answered
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// What is to be hidden: where faces are, or may be, which is anywhere if it is not known. Each with the side of the cells
/// that are left of it.
fn hidden_areas<'c>(
    current: &'c CurrentFaces,
    known: bool,
    settings: &Settings,
) -> impl Iterator<Item = (Area, u32)> + use<'c> {
    let (width, height) = (current.width, current.height);
    let (margin, strength) = (settings.blur_margin, settings.blur_strength);
    let recorded = &current.recorded;
    // A face that is smoothed can lag behind: where it was found, it is hidden too.
    let found = (recorded.tracks.iter().flatten()).filter_map(|track| track.seen.as_ref());
    let boxes = (recorded.faces.iter().chain(found))
        .filter(move |_| known)
        .filter_map(move |face| {
            let bbox = current.scaled_box(face.bbox);
            let area = Area::around(widened(bbox, margin), width, height)?;
            Some((area, cell_side(bbox, strength)))
        });
    boxes.chain((!known).then(|| everything(width, height, strength)))
}

/// The whole frame, whose largest face is as high or as wide as the frame.
fn everything(width: u32, height: u32, strength: f64) -> (Area, u32) {
    let side = width.min(height) as f32;
    (
        Area::whole(width, height),
        cell_side([0.0, 0.0, side, side], strength),
    )
}

fn hide(
    buffer: &mut gst::Buffer,
    info: &VideoInfo,
    areas: impl Iterator<Item = (Area, u32)>,
    kind: Blur,
    scratch: &mut Scratch,
) -> Result<(), FrameError> {
    let mut areas = areas.peekable();
    if areas.peek().is_none() {
        return Ok(());
    }
    let buffer = buffer.make_mut();
    frames::write(buffer, info, |frame| {
        for (area, cell) in areas {
            obscure(frame, area, kind, cell, scratch);
        }
    })?;
    // They show the faces as they were.
    meta::forget_likeness(buffer);
    Ok(())
}

fn attach(buffer: &mut gst::Buffer, composition: &VideoOverlayComposition) {
    let buffer = buffer.make_mut();
    if let Some(mut meta) = buffer.meta_mut::<VideoOverlayCompositionMeta>() {
        // An element before us has drawn too; ours goes on top.
        let mut both = meta.overlay().to_owned();
        {
            let both = both.make_mut();
            for rectangle in composition.iter() {
                both.add_rectangle(&rectangle);
            }
        }
        meta.set_overlay(&both);
    } else {
        VideoOverlayCompositionMeta::add(buffer, composition);
    }
}

fn blend(
    buffer: &mut gst::Buffer,
    info: &VideoInfo,
    composition: &VideoOverlayComposition,
    blender: &mut Blender,
) -> Result<(), FrameError> {
    let blended = frames::write(buffer.make_mut(), info, |frame| blender.blend(frame, composition))?;
    Ok(blended?)
}
