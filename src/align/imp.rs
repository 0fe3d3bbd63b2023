//! The element behind the wrapper.

mod held;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::best::BestCrops;
use super::output::{self, Output};
use super::settings::Settings;
use super::source::{Crop, Source, crops};
use crate::meta::{self, AlignedFace, CurrentFaces, Track};
use crate::reader::{Counts, Once, Reader};
use crate::shell::{self, Pads, Shell};
use crate::video::readable_caps;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2posealign",
        gst::DebugColorFlags::empty(),
        Some("Aligned crops of faces"),
    )
});

pub struct Img2PoseAlign {
    pads: Pads,
    settings: Mutex<Settings>,
    /// Whether the user has set the property `size`.
    size_is_set: AtomicBool,
    /// Never held while something is pushed or asked, nor while a buffer is waited for.
    state: Mutex<State>,
}

/// What is known of the stream; everything is forgotten when it restarts.
#[derive(Default)]
struct State {
    source: Option<Arc<Source>>,
    output: Option<Arc<Output>>,
    counts: Counts,
    /// The warning about changed frames.
    warning: Once,
    /// With `per-track-interval`: what is held back.
    best: BestCrops,
    /// The warning about faces that no tracker follows.
    untracked: Once,
}

/// A frame at hand, and where its crops go.
struct Cropping<'a> {
    buffer: &'a gst::BufferRef,
    number: u64,
    source: &'a Source,
    output: &'a Output,
    faces: &'a CurrentFaces,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseAlign {
    const NAME: &'static str = "GstImg2PoseAlign";
    type Type = super::Img2PoseAlign;
    type ParentType = gst::Element;

    fn new() -> Self {
        Self {
            pads: Pads::new::<Self>(),
            settings: Mutex::default(),
            size_is_set: AtomicBool::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for Img2PoseAlign {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::param_specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
        if pspec.name() == "size" {
            self.size_is_set.store(true, Ordering::Relaxed);
            // With the next frame.
            self.pads.src.mark_reconfigure();
        }
        if pspec.name() == "per-track-interval" {
            let latency = gst::message::Latency::builder().src(&*self.obj()).build();
            // There is nobody to tell without a bus.
            let _ = self.obj().post_message(latency);
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

impl GstObjectImpl for Img2PoseAlign {}

impl ElementImpl for Img2PoseAlign {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Aligned crops of faces",
                "Filter/Converter/Video",
                "Turns video annotated by img2posedetect into upright square pictures of the faces, aligned for face \
                 recognition: one buffer for each face",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| shell::templates(&readable_caps(), &output::template_caps()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            // The parent waits for the streaming thread, which may wait for a buffer.
            self.set_flushing(true);
        }
        shell::change_state(self, transition)
    }
}

impl Shell for Img2PoseAlign {
    fn pads(&self) -> &Pads {
        &self.pads
    }

    fn chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (source, number) = self.count_frame().ok_or_else(|| self.refuse_without_caps())?;
        self.end_stretch(buffer.pts())?;
        let output = self.output()?;
        let Some(faces) = self.read_faces(&buffer, &source.format.info, number)? else {
            gst::trace!(CAT, obj = pad, "frame {number} was not inferred");
            return Ok(self.push_gap(&buffer));
        };
        self.state().counts.infer();
        if faces.recorded.faces.is_empty() {
            return Ok(self.push_gap(&buffer));
        }
        if !faces.change.is_known() {
            self.say_change(number, &faces);
            return Ok(self.push_gap(&buffer));
        }
        self.push_crops(&Cropping {
            buffer: &buffer,
            number,
            source: &source,
            output: &output,
            faces: &faces,
        })
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::trace!(CAT, obj = pad, "{event:?}");
        if held::ends_stretch(event.type_()) {
            self.release_before(&event);
        }
        match event.view() {
            gst::EventView::Caps(caps) => return self.set_caps(pad, caps.caps()),
            gst::EventView::FlushStart(_) => {
                let forwarded = gst::Pad::event_default(pad, Some(&*self.obj()), event);
                self.set_flushing(true);
                return forwarded;
            }
            gst::EventView::FlushStop(_) => {
                self.set_flushing(false);
                self.restart();
            }
            gst::EventView::StreamStart(_) => self.restart(),
            gst::EventView::Eos(_) => {
                let counts = self.state().counts;
                self.warn_if_none_inferred(counts);
            }
            gst::EventView::Tag(tags) => {
                let event = upright(&event, tags.tag());
                return gst::Pad::event_default(pad, Some(&*self.obj()), event);
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                answer(caps, &readable_caps());
                true
            }
            gst::QueryViewMut::Allocation(allocation) => {
                // Any strides and offsets will do; the pool is upstream's own affair.
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                answer(caps, &output::offered_caps(self.settings().size));
                true
            }
            gst::QueryViewMut::Latency(latency) => self.add_latency(latency),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn forget_stream(&self) {
        *self.state() = State::default();
    }
}

impl Reader for Img2PoseAlign {
    const ELEMENT: &'static str = "img2posealign";
    const OUTPUT: &'static str = "crops";
}

impl Img2PoseAlign {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        shell::lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        shell::lock(&self.state)
    }

    /// The format of the frame that arrives, and its number; `None` before caps.
    fn count_frame(&self) -> Option<(Arc<Source>, u64)> {
        let mut state = self.state();
        let source = state.source.clone()?;
        Some((source, state.counts.arrive()))
    }

    fn set_flushing(&self, flushing: bool) {
        let output = self.state().output.clone();
        if let Some(output) = output {
            output.set_flushing(flushing);
        }
    }

    /// Negotiates anew if downstream or a property asks for it.
    fn output(&self) -> Result<Arc<Output>, gst::FlowError> {
        if !self.pads.src.check_reconfigure()
            && let Some(output) = self.state().output.clone()
        {
            return Ok(output);
        }
        // What is held back has the caps that were.
        self.release()?;
        self.negotiate()
    }

    fn negotiate(&self) -> Result<Arc<Output>, gst::FlowError> {
        let size = self.settings().size;
        // Before a new pool is asked for, which may be the same one.
        let old = self.state().output.take();
        drop(old);
        match Output::negotiate(&self.pads.src, size) {
            Ok(output) => {
                gst::debug!(CAT, imp = self, "crops are {0}x{0}", output.size());
                if output.size() != size && self.size_is_set.load(Ordering::Relaxed) {
                    self.warn_of_size(size, output.size());
                }
                let output = Arc::new(output);
                self.state().output = Some(output.clone());
                Ok(output)
            }
            Err((error, why)) => {
                gst::warning!(CAT, imp = self, "crops are refused downstream: {error}, {why}");
                self.pads.src.mark_reconfigure();
                if error == gst::FlowError::NotNegotiated {
                    gst::element_imp_error!(self, gst::CoreError::Negotiation, ("{why}"));
                }
                Err(error)
            }
        }
    }

    fn warn_of_size(&self, set: u32, taken: u32) {
        gst::element_imp_warning!(
            self,
            gst::CoreError::Negotiation,
            ("Crops are {taken}x{taken}, because downstream does not accept size={set}")
        );
    }

    /// Pushes a buffer for each face that is wanted, or a gap.
    fn push_crops(&self, frame: &Cropping<'_>) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut settings = *self.settings();
        // Changed since the negotiation: the next frame has the new size.
        settings.size = frame.output.size();
        if settings.per_track_interval().is_some() {
            return self.keep_best(frame, &settings);
        }
        let mut pushed = 0_usize;
        for crop in crops(frame.faces, &settings) {
            let mut buffer = self.cut(frame, &crop)?;
            if pushed == 0 && frame.buffer.flags().contains(gst::BufferFlags::DISCONT) {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            self.pads.src.push(buffer)?;
            pushed += 1;
        }
        gst::log!(
            CAT,
            imp = self,
            "frame {}: {pushed} crops of {} faces",
            frame.number,
            frame.faces.recorded.faces.len()
        );
        if pushed == 0 {
            return Ok(self.push_gap(frame.buffer));
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn cut(&self, frame: &Cropping<'_>, crop: &Crop) -> Result<gst::Buffer, gst::FlowError> {
        let recorded = &frame.faces.recorded;
        let pts = frame.buffer.pts();
        let mut buffer = frame
            .output
            .crop(|picture| frame.source.cut(frame.buffer, crop, picture))
            .map_err(|(flow, why)| {
                if flow == gst::FlowError::Error {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Failed,
                        ("Frame {}: no crop of face {}: {why}", frame.number, crop.face)
                    );
                }
                flow
            })?;
        let aligned = AlignedFace {
            pts,
            frame: frame.number,
            index: crop.face as u32,
            frame_width: recorded.frame_width,
            frame_height: recorded.frame_height,
            pixel_aspect_ratio: recorded.pixel_aspect_ratio,
            orientation: recorded.orientation,
            face: recorded.faces[crop.face].clone(),
            reused: !recorded.is_seen(crop.face),
            track: recorded.track(crop.face).map(|track| Track {
                seen: None,
                ..track.clone()
            }),
            alignment: crop.alignment,
        };
        let out = buffer.make_mut();
        out.set_pts(pts);
        out.set_duration(frame.buffer.duration());
        meta::attach_aligned(out, &aligned).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
            gst::FlowError::Error
        })?;
        Ok(buffer)
    }

    fn say_change(&self, number: u64, current: &CurrentFaces) {
        if !self.state().warning.is_first() {
            return;
        }
        let what = current.change.words();
        self.warn_of_change(&format!(
            "Frame {number} of {}x{} {what} after its faces were found in {}x{} pixels, so it is not known where they are \
             now: there are no crops. Put img2posealign before the element that changes the picture.",
            current.width, current.height, current.recorded.frame_width, current.recorded.frame_height
        ));
    }

    fn restart(&self) {
        let mut state = self.state();
        state.counts = Counts::default();
        state.warning = Once::default();
        state.untracked = Once::default();
        state.best = BestCrops::default();
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::CapsRef) -> bool {
        match Source::new(caps) {
            Ok(source) => self.state().source = Some(Arc::new(source)),
            Err(error) => {
                gst::error!(CAT, obj = pad, "{error}");
                return false;
            }
        }
        // Crops are crops, whatever the size of the video.
        self.output().is_ok()
    }
}

/// A tag event without word of how the video is to be turned: crops are upright.
fn upright(event: &gst::Event, tags: &gst::TagListRef) -> gst::Event {
    if tags.size_by_name(gst::tags::ImageOrientation::TAG_NAME.as_str()) == 0 {
        return event.clone();
    }
    let mut tags = tags.to_owned();
    // Not taken out: what was said before has to be replaced.
    tags.make_mut()
        .add::<gst::tags::ImageOrientation>(&"rotate-0", gst::TagMergeMode::Replace);
    gst::event::Tag::builder(tags).seqnum(event.seqnum()).build()
}

/// The caps, in the order of the query's filter.
fn answer(query: &mut gst::query::Caps, caps: &gst::Caps) {
    let filter = query.filter_owned();
    let result = match filter {
        Some(filter) => filter.intersect_with_mode(caps, gst::CapsIntersectMode::First),
        None => caps.clone(),
    };
    query.set_result(&result);
}
