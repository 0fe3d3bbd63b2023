//! The pictures of the page: the frames with their faces drawn into them, as JPEG.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use img2pose_view::View;

use crate::elements::element;
use crate::error::{Error, Result};

/// Width and height of a picture at most: what a page has room for, and a forwarded port bears.
const MOST_PIXELS: i32 = 960;
const QUALITY: i32 = 80;
/// While nobody looks, a picture is made this often, for who comes.
const UNSEEN: Duration = Duration::from_secs(1);

/// The elements behind the tee. They never hold it up: what they have no time for is left out.
pub struct Branch {
    elements: Vec<gst::Element>,
    view: Arc<View>,
    complete: Arc<AtomicBool>,
}

impl Branch {
    /// Finds the elements; `is_tracked`: faces have ids.
    ///
    /// # Errors
    /// GStreamer lacks one.
    pub fn new(view: &Arc<View>, is_tracked: bool) -> Result<Self> {
        let queue = element("queue")?;
        queue.set_property_from_str("leaky", "downstream");
        queue.set_property("max-size-buffers", 1_u32);
        queue.set_property("max-size-bytes", 0_u32);
        queue.set_property("max-size-time", 0_u64);
        // Scaled first, so that lines and letters are of the picture's size.
        let limit = element("capsfilter")?;
        let range = gst::IntRange::new(1, MOST_PIXELS);
        let caps = gst::Caps::builder("video/x-raw")
            .field("width", range)
            .field("height", range)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        limit.set_property("caps", caps);
        let overlay = element("img2poseoverlay")?;
        let label = if is_tracked { "track+score" } else { "number+score" };
        overlay.set_property_from_str("label", label);
        let flip = element("videoflip")?;
        flip.set_property_from_str("video-direction", "auto");
        let encode = element("jpegenc")?;
        encode.set_property("quality", QUALITY);
        let sink = AppSink::builder().sync(false).max_buffers(1).drop(true).build();
        sink.set_property("enable-last-sample", false);
        let complete = Arc::new(AtomicBool::new(false));
        sink.set_callbacks(callbacks(view.clone(), complete.clone()));
        let elements = vec![
            queue,
            element("videoscale")?,
            limit,
            overlay,
            flip,
            element("videoconvert")?,
            encode,
            sink.upcast(),
        ];
        Ok(Self {
            elements,
            view: view.clone(),
            complete,
        })
    }

    /// Puts the elements behind `tee`.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn add_to(&self, pipeline: &gst::Pipeline, tee: &gst::Element) -> Result<()> {
        let fail = |_| Error::Usage("the page does not fit into the pipeline".to_owned());
        pipeline.add_many(&self.elements).map_err(fail)?;
        gst::Element::link_many(&self.elements).map_err(fail)?;
        tee.link(&self.elements[0]).map_err(fail)?;
        let pad = self.elements[0].static_pad("sink").expect("a queue has it");
        let (view, waiting) = (self.view.clone(), Mutex::new(Waiting::default()));
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |pad, info| match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match waiting.passes(view.viewers() > 0, buffer) {
                    true => gst::PadProbeReturn::Ok,
                    // With Drop, GStreamer 1.22 complains of a buffer that is no more.
                    false => gst::PadProbeReturn::Handled,
                }
            }
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Eos => {
                let last = waiting.lock().unwrap_or_else(PoisonError::into_inner).end();
                if let Some(last) = last {
                    // Where it is not taken the pipeline stops, and there is nobody to show it to.
                    let _ = pad.chain(last);
                }
                gst::PadProbeReturn::Ok
            }
            _ => gst::PadProbeReturn::Ok,
        });
        Ok(())
    }

    /// Whether the last picture has arrived at the page.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
}

fn callbacks(view: Arc<View>, complete: Arc<AtomicBool>) -> AppSinkCallbacks {
    AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let buffer = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
            let jpeg = buffer.ok_or(gst::FlowError::Error)?;
            view.picture(jpeg.to_vec());
            Ok(gst::FlowSuccess::Ok)
        })
        .eos(move |_| complete.store(true, Ordering::Release))
        .build()
}

/// Which frames become pictures: all while somebody looks, else some, and the last one always.
#[derive(Default)]
struct Waiting {
    passed: Option<Instant>,
    last: Option<gst::Buffer>,
    ended: bool,
}

impl Waiting {
    fn passes(&mut self, is_seen: bool, buffer: &gst::Buffer) -> bool {
        let is_time = self.passed.is_none_or(|passed| passed.elapsed() >= UNSEEN);
        if is_seen || is_time || self.ended {
            self.passed = Some(Instant::now());
            self.last = None;
            return true;
        }
        self.last = Some(buffer.clone());
        false
    }

    /// The last frame, if it was left out.
    fn end(&mut self) -> Option<gst::Buffer> {
        self.ended = true;
        self.last.take()
    }
}
