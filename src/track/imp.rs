//! The element behind the wrapper: its pads, its state, and the way of a frame.

use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Instant;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::held::{HeldFrame, Item};
use super::patience::Release;
use super::settings::Settings;
use super::stream::{Stream, Taken};
use super::watch::Watch;
use crate::meta;
use crate::reader::Reader;
use crate::shell::{self, Pads, Shell};
use crate::video::any_caps;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2posetrack",
        gst::DebugColorFlags::empty(),
        Some("Face tracker"),
    )
});

pub struct Img2PoseTrack {
    pub(super) pads: Pads,
    settings: Mutex<Settings>,
    /// Never held while something is pushed, asked or posted.
    stream: Mutex<Stream>,
    watch: Mutex<Watch>,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseTrack {
    const NAME: &'static str = "GstImg2PoseTrack";
    type Type = super::Img2PoseTrack;
    type ParentType = gst::Element;

    fn new() -> Self {
        Self {
            pads: Pads::new::<Self>(),
            settings: Mutex::default(),
            stream: Mutex::default(),
            watch: Mutex::default(),
        }
    }
}

impl ObjectImpl for Img2PoseTrack {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::param_specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
        if pspec.name() == "look-ahead" {
            self.post_latency();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.settings().get(pspec.name())
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.pads.add_to(&*self.obj());
    }
}

impl GstObjectImpl for Img2PoseTrack {}

impl ElementImpl for Img2PoseTrack {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face tracker",
                "Filter/Analyzer/Video",
                "Follows the faces that img2posedetect found: gives each an id, predicts where it is in frames in \
                 which it was not found or that were not looked at, and smooths its box and pose",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| shell::templates(&any_caps(), &any_caps()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        shell::change_state(self, transition)
    }
}

impl Shell for Img2PoseTrack {
    // Frames pass through: what downstream wants, upstream is asked for.
    const SINK_FLAGS: gst::PadFlags = gst::PadFlags::PROXY_CAPS.union(gst::PadFlags::PROXY_ALLOCATION);
    const SRC_FLAGS: gst::PadFlags = gst::PadFlags::PROXY_CAPS;

    fn pads(&self) -> &Pads {
        &self.pads
    }

    fn chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = *self.settings();
        let look_ahead = match settings.look_ahead {
            0 => 0,
            frames => self.arrive(frames),
        };
        let taken = self.stream().take(buffer, &settings);
        match taken {
            Ok(Taken { number, warning }) => {
                gst::trace!(CAT, obj = pad, "took frame {number}");
                if let Some(warning) = warning {
                    gst::element_imp_warning!(self, gst::StreamError::Format, ("{warning}"));
                }
            }
            Err((flow, message)) => {
                self.post_error_message(message);
                return Err(flow);
            }
        }
        let flow = self.push_ready(look_ahead as usize);
        if look_ahead > 0 {
            self.wait_for_more();
        }
        flow
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        self.take_event(pad, event)
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        self.answer_upstream(pad, query)
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        self.answer_downstream(pad, query)
    }

    fn forget_stream(&self) {
        // Its thread waits for nothing but pads, which are not active any more.
        let watch = std::mem::take(&mut *shell::lock(&self.watch));
        watch.end();
        *self.stream() = Stream::default();
    }
}

impl Reader for Img2PoseTrack {
    const ELEMENT: &'static str = "img2posetrack";
    const OUTPUT: &'static str = "tracks";
}

impl Img2PoseTrack {
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        shell::lock(&self.settings)
    }

    pub(super) fn stream(&self) -> MutexGuard<'_, Stream> {
        shell::lock(&self.stream)
    }

    /// Takes note of a frame that comes. Returns how many frames can be held, at most `look_ahead`.
    fn arrive(&self, look_ahead: u32) -> u32 {
        let watch = shell::lock(&self.watch);
        let (news, limit) =
            watch.with_patience(|patience| (patience.arrive(Instant::now()), patience.limit()));
        drop(watch);
        if let Some(limit) = news {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                (
                    "look-ahead={look_ahead} is too much for what is before the element: it waits for one of {} frames \
                     to leave before it brings another, so no more than {limit} wait from now on; lower look-ahead, or \
                     give it more buffers",
                    limit + 1
                )
            );
        }
        limit.map_or(look_ahead, |limit| {
            look_ahead.min(u32::try_from(limit).unwrap_or(u32::MAX))
        })
    }

    /// Frames that are held wait from now on.
    pub(super) fn wait_for_more(&self) {
        let held = self.stream().held.frames();
        let mut watch = shell::lock(&self.watch);
        watch.with_patience(|patience| patience.hold(held, Instant::now()));
        if held == 0 {
            return;
        }
        let element = self.obj().downgrade();
        let begun = watch.begin(move || {
            if let Some(element) = element.upgrade() {
                let imp = element.imp();
                imp.catch_panic(|| (), Self::let_go);
            }
        });
        if let Err(error) = begun {
            // Without it they would wait for ever where upstream waits, too.
            watch.with_patience(|patience| patience.hold_none());
            drop(watch);
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Failed,
                ("look-ahead needs a thread, which the system refuses ({error}); from now on no frame waits")
            );
        }
    }

    /// Nothing has come for long: frames leave although they were to wait.
    fn let_go(&self) {
        // Nothing comes meanwhile.
        let _streaming = self.pads.sink.stream_lock();
        let held = self.stream().held.frames();
        let release = {
            let watch = shell::lock(&self.watch);
            watch.with_patience(|patience| patience.run_out(held, Instant::now()))
        };
        let limit = match release {
            None => return,
            Some(Release::First) => held.saturating_sub(1),
            Some(Release::All) => 0,
        };
        gst::debug!(
            CAT,
            imp = self,
            "nothing has come for long: {} frames leave",
            held - limit
        );
        if let Err(error) = self.push_ready(limit) {
            // Upstream is told with its next frame.
            gst::debug!(CAT, imp = self, "frames that waited: {error}");
        }
    }

    /// Pushes what need not wait, when at most `limit` frames may.
    pub(super) fn push_ready(&self, limit: usize) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut flow = gst::FlowSuccess::Ok;
        loop {
            let item = self.stream().held.pop(limit);
            match item {
                None => return Ok(flow),
                Some(Item::Event(event)) => {
                    // What becomes of it was no longer upstream's concern when it was taken.
                    self.pads.src.push_event(event);
                }
                Some(Item::Frame(frame)) => flow = self.pads.src.push(self.annotate(frame)?)?,
            }
        }
    }

    /// The buffer with what is known of its faces.
    fn annotate(&self, frame: HeldFrame<gst::Buffer>) -> Result<gst::Buffer, gst::FlowError> {
        let HeldFrame {
            mut buffer, known, ..
        } = frame;
        let record = known.record();
        let likeness_in = {
            let mut stream = self.stream();
            stream.give_back(known);
            stream.likeness_in()
        };
        let Some(record) = record else {
            return Ok(buffer);
        };
        gst::log!(
            CAT,
            imp = self,
            "frame at {}: {} faces",
            buffer.pts().display(),
            record.faces.len()
        );
        let out = buffer.make_mut();
        let attached = match likeness_in {
            Some(info) => meta::attach_with_likeness(out, &info, &record),
            None => meta::attach(out, &record),
        };
        attached.map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
            gst::FlowError::Error
        })?;
        Ok(buffer)
    }

    /// Tells the pipeline that the latency has changed.
    pub(super) fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }
}
