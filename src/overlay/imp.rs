//! The element behind the wrapper.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoInfo;

use super::blending::Blender;
use super::drawing::{attach, blend};
use super::hiding::{everything, hidden_areas, hide};
use super::negotiation;
use super::obscure::Scratch;
use super::painter::Painter;
use super::settings::{Blur, Label, Settings};
use super::untracked::{MISSING, Untracked};
use crate::meta::{self, CurrentFaces, FrameFaces};
use crate::reader::{Counts, Once, Reader};
use crate::shell::{self, Pads, Shell};
use crate::video::mapping::{self, MappingError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2poseoverlay",
        gst::DebugColorFlags::empty(),
        Some("Faces and head poses drawn into video"),
    )
});

pub struct Img2PoseOverlay {
    pads: Pads,
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
    warnings: Warnings,
}

/// Warnings that are posted once a stream.
#[derive(Default)]
struct Warnings {
    /// Of frames that were changed.
    change: Once,
    /// Of frames that were not inferred.
    unknown: Once,
    /// Of faces of earlier frames.
    reuse: Once,
    /// Of faces without ids, where those are to be written.
    untracked: Untracked,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseOverlay {
    const NAME: &'static str = "GstImg2PoseOverlay";
    type Type = super::Img2PoseOverlay;
    type ParentType = gst::Element;

    fn new() -> Self {
        Self {
            pads: Pads::new::<Self>(),
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
        self.pads.add_to(&*self.obj());
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
            shell::templates(&caps, &caps)
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        shell::change_state(self, transition)
    }
}

impl Shell for Img2PoseOverlay {
    // Frames pass through: downstream's pool and metas are for upstream.
    const SINK_FLAGS: gst::PadFlags = gst::PadFlags::PROXY_ALLOCATION;

    fn pads(&self) -> &Pads {
        &self.pads
    }

    fn chain(&self, pad: &gst::Pad, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.pads.src.check_reconfigure()
            && let Some(caps) = pad.current_caps()
        {
            self.negotiate(&caps)
                .inspect_err(|_| self.pads.src.mark_reconfigure())?;
        }
        self.draw(&mut buffer)?;
        self.pads.src.push(buffer)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::trace!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Caps(caps) => return self.set_caps(pad, caps.caps()),
            gst::EventView::StreamStart(_) => {
                let mut state = self.state();
                state.warnings = Warnings::default();
                state.counts = Counts::default();
            }
            gst::EventView::FlushStop(_) => self.state().counts = Counts::default(),
            gst::EventView::Eos(_) => {
                let settings = *self.settings();
                let (counts, said) = {
                    let mut state = self.state();
                    self.look_for_ids(&mut state.warnings.untracked, None, settings.label);
                    (state.counts, state.warnings.unknown.was_said())
                };
                // Blurring has said so with the first frame.
                if !said {
                    self.warn_if_none_inferred(counts);
                }
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        self.query(pad, query)
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        self.query(pad, query)
    }

    fn forget_stream(&self) {
        *self.state() = State::default();
    }
}

impl Reader for Img2PoseOverlay {
    const ELEMENT: &'static str = "img2poseoverlay";
    const OUTPUT: &'static str = "drawings";
}

impl Img2PoseOverlay {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        shell::lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A half-drawn frame leaves nothing behind that the next one reads.
        shell::lock(&self.state)
    }

    /// Does with the frame what its faces and the settings ask for. A frame without faces is not touched.
    fn draw(&self, buffer: &mut gst::Buffer) -> Result<(), gst::FlowError> {
        let settings = *self.settings();
        let mut state = self.state();
        let state = &mut *state;
        let Some(info) = &state.info else {
            return Err(self.refuse_without_caps());
        };
        let number = state.counts.arrive();
        let pts = buffer.pts();
        let current = self.read_faces(buffer, info, number)?;
        // What a tracker expects in a frame that was not inferred hides no face that has come since.
        let unseen = (current.as_ref()).is_none_or(|current| current.recorded.is_expectation());
        if unseen && settings.blur_faces != Blur::None {
            self.warn_of_unknown(
                &mut state.warnings.unknown,
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
        state.counts.infer();
        if current.recorded.reused && !unseen && settings.blur_faces != Blur::None {
            self.warn_of_reuse(&mut state.warnings.reuse);
        }
        if current.recorded.faces.is_empty() {
            return Ok(());
        }
        self.look_for_ids(
            &mut state.warnings.untracked,
            Some(&current.recorded),
            settings.label,
        );
        let known = current.change.is_known();
        if !known {
            self.say_change(&mut state.warnings.change, &current, &settings);
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
            mapping::check(buffer, info).map_err(|error| self.failed("drawn", pts, &error))?;
        }
        let composition = state
            .painter
            .compose(current, &settings)
            .map_err(|error| self.failed("drawn", pts, &MappingError::Map(error)))?;
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

    fn failed(&self, what: &str, pts: Option<gst::ClockTime>, error: &MappingError) -> gst::FlowError {
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

    fn say_change(&self, warning: &mut Once, current: &CurrentFaces, settings: &Settings) {
        if !warning.is_first() {
            return;
        }
        let what = current.change.words();
        let then = if settings.blur_faces == Blur::None {
            "nothing is drawn"
        } else {
            "nothing is drawn and whole frames are blurred"
        };
        self.warn_of_change(&format!(
            "The {}x{} frame {what} after its faces were found in {}x{} pixels, so it is not known where they are now: {then}. \
             Put img2poseoverlay before the element that changes the picture.",
            current.width, current.height, current.recorded.frame_width, current.recorded.frame_height
        ));
    }

    fn warn_of_unknown(&self, warning: &mut Once, hidden: bool, expected: bool) {
        if !warning.is_first() {
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
            ("A frame that no detector looked at {then}. Put img2posedetect before img2poseoverlay. With \
                 inference-interval or qos, set reuse-faces=true on img2posedetect and do not use img2posetrack.")
        );
    }

    fn warn_of_reuse(&self, warning: &mut Once) {
        if !warning.is_first() {
            return;
        }
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            ("Frames are blurred where the faces of an earlier frame were (reuse-faces): a face that has moved \
                 or appeared since stays visible until the next frame that is looked at. To have every frame \
                 looked at, set inference-interval=1 and qos=false.")
        );
    }

    fn look_for_ids(&self, untracked: &mut Untracked, faces: Option<&FrameFaces>, label: Label) {
        if untracked.is_to_say(faces, label) {
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{MISSING}"));
        }
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
        self.pads.src.check_reconfigure();
        match self.negotiate(&caps.to_owned()) {
            Ok(()) => true,
            Err(error) => {
                gst::warning!(CAT, obj = pad, "caps {caps} refused downstream: {error}");
                self.pads.src.mark_reconfigure();
                false
            }
        }
    }

    fn negotiate(&self, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        let attach = negotiation::negotiate(&self.pads.src, caps)?;
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
                let result = if *pad == self.pads.sink {
                    negotiation::sink_caps(&self.pads.src, filter)
                } else {
                    negotiation::src_caps(&self.pads.sink, filter)
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
