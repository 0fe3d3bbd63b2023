//! The element behind the wrapper.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::VideoInfo;

use super::line::{self, Origin};
use super::settings::Settings;
use super::time;
use crate::meta::CurrentFaces;
use crate::reader::{Counts, Once, Reader};
use crate::shell::{self, Pads, Shell};
use crate::video::any_caps;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2posejson",
        gst::DebugColorFlags::empty(),
        Some("Faces as JSON lines"),
    )
});

pub struct Img2PoseJson {
    pads: Pads,
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

/// What is known of the stream; everything is forgotten when it restarts.
#[derive(Default)]
struct State {
    info: Option<VideoInfo>,
    counts: Counts,
    /// The warning about changed frames.
    warning: Once,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseJson {
    const NAME: &'static str = "GstImg2PoseJson";
    type Type = super::Img2PoseJson;
    type ParentType = gst::Element;

    fn new() -> Self {
        Self {
            pads: Pads::new::<Self>(),
            settings: Mutex::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Img2PoseJson {
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

impl GstObjectImpl for Img2PoseJson {}

impl ElementImpl for Img2PoseJson {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Faces as JSON lines",
                "Converter/Video/Metadata",
                "Turns video annotated by img2posedetect into JSON lines: for each frame that was looked at one \
                 object with all its faces (box, confidence, 6DoF pose, angles, keypoints)",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| shell::templates(&any_caps(), &lines_caps()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        shell::change_state(self, transition)
    }
}

/// JSON lines have no registered media type; this name is the one in use.
fn lines_caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-ndjson")
}

impl Shell for Img2PoseJson {
    fn pads(&self) -> &Pads {
        &self.pads
    }

    fn chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (info, frame) = self.count_frame().ok_or_else(|| self.refuse_without_caps())?;
        let Some(current) = self.read_faces(&buffer, &info, frame)? else {
            gst::trace!(CAT, obj = pad, "frame {frame} was not inferred");
            return Ok(self.push_gap(&buffer));
        };
        self.state().counts.infer();
        if current.recorded.faces.is_empty() && !self.settings().include_empty {
            gst::trace!(CAT, obj = pad, "frame {frame} has no faces");
            return Ok(self.push_gap(&buffer));
        }
        self.push_line(&buffer, frame, &current)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::trace!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Caps(caps) => return self.set_caps(pad, caps),
            gst::EventView::StreamStart(_) | gst::EventView::FlushStop(_) => {
                let mut state = self.state();
                state.counts = Counts::default();
                state.warning = Once::default();
            }
            gst::EventView::Eos(_) => {
                let counts = self.state().counts;
                self.warn_if_none_inferred(counts);
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Allocation(allocation) => {
                // Pixels are never mapped, so any strides will do; the pool is upstream's own affair.
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn forget_stream(&self) {
        *self.state() = State::default();
    }
}

impl Reader for Img2PoseJson {
    const ELEMENT: &'static str = "img2posejson";
    const OUTPUT: &'static str = "lines";
}

impl Img2PoseJson {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        shell::lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        shell::lock(&self.state)
    }

    /// The format of the frame that arrives, and its number; `None` before caps.
    fn count_frame(&self) -> Option<(VideoInfo, u64)> {
        let mut state = self.state();
        let info = state.info.clone()?;
        Some((info, state.counts.arrive()))
    }

    fn push_line(
        &self,
        buffer: &gst::BufferRef,
        frame: u64,
        current: &CurrentFaces,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (source, clock) = {
            let settings = self.settings();
            (settings.source(|| self.pads.sink.stream_id()), settings.time)
        };
        let origin = Origin {
            pts: buffer.pts(),
            frame,
            source: source.as_deref(),
            time: time::of(buffer, clock),
        };
        let (line, frame_changed) = line::write(&origin, current).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Encode, ("Frame {frame}: {error}"));
            gst::FlowError::Error
        })?;
        if frame_changed {
            self.say_change(frame, current);
        }
        gst::log!(
            CAT,
            imp = self,
            "frame {frame}: {} faces",
            current.recorded.faces.len()
        );
        let mut out = gst::Buffer::from_mut_slice(line);
        {
            let out = out.get_mut().expect("a new buffer has one owner");
            out.set_pts(buffer.pts());
            out.set_dts(buffer.dts());
            out.set_duration(buffer.duration());
            out.set_flags(buffer.flags() & gst::BufferFlags::DISCONT);
        }
        self.pads.src.push(out)
    }

    fn say_change(&self, frame: u64, current: &CurrentFaces) {
        if !self.state().warning.is_first() {
            return;
        }
        let what = current.change.words();
        self.warn_of_change(&format!(
            "Frame {frame} {what} after its faces were found: coordinates are written in pixels of the {}x{} frame that the \
             detector saw, not of this {}x{} frame. Put img2posejson before the element that changes the picture.",
            current.recorded.frame_width, current.recorded.frame_height, current.width, current.height
        ));
    }

    fn set_caps(&self, pad: &gst::Pad, event: &gst::event::Caps) -> bool {
        match VideoInfo::from_caps(event.caps()) {
            Ok(info) => self.state().info = Some(info),
            Err(error) => {
                gst::error!(CAT, obj = pad, "caps {} refused: {error}", event.caps());
                return false;
            }
        }
        if self.pads.src.has_current_caps() {
            return true; // Lines are lines, whatever the size of the video.
        }
        self.pads.src.push_event(
            gst::event::Caps::builder(&lines_caps())
                .seqnum(event.seqnum())
                .build(),
        )
    }
}
