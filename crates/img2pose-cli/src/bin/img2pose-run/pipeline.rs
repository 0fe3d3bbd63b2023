//! One source through the elements.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::AppSink;

use crate::annotated::Annotated;
use crate::elements::element;
use crate::error::{Error, Result};
use crate::lines::Lines;
use crate::output;
use crate::page::{Branch, Page};
use crate::precision;
use crate::progress::Progress;
use crate::run_arguments::RunArguments;
use crate::source::{Kind, Source};
use crate::window::{self, Window};

/// How long one look for a line takes at most: signals and messages are answered between two.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// After an error upstream, the frames that came before it are still on their way; this is for how long.
const GRACE: Duration = Duration::from_secs(10);
/// Every n-th frame of a camera is looked at as a whole.
const LIVE_INTERVAL: u32 = 15;
/// Detectors of one run with the same batches share a model.
const INSTANCE: &str = "img2pose run";

/// The detector with what the user asked for.
///
/// # Errors
/// It is not there, or does not take a value.
pub fn detector(arguments: &RunArguments, source: &Source) -> Result<gst::Element> {
    let detect = element("img2posedetect")?;
    let batch_size = match source.kind {
        Kind::Video | Kind::Address { live: false } | Kind::Folder => 8,
        _ => 1,
    };
    let batch_size = arguments.batch_size.unwrap_or(batch_size);
    detect.set_property("model-instance-id", format!("{INSTANCE} {batch_size}"));
    detect.set_property("batch-size", batch_size);
    detect.set_property("score-threshold", arguments.score_threshold);
    let interval = if source.is_live() { LIVE_INTERVAL } else { 1 };
    detect.set_property(
        "whole-frame-interval",
        arguments.whole_frame_interval.unwrap_or(interval),
    );
    detect.set_property("inference-interval", arguments.inference_interval.unwrap_or(1));
    if let Some(model) = &arguments.model {
        let model = model
            .to_str()
            .ok_or_else(|| Error::Usage(format!("{} has a name that is not UTF-8", model.display())))?;
        detect.set_property("model", model);
    }
    let precision = match (&arguments.precision, &arguments.model) {
        (Some(precision), _) => Some(precision.as_str()),
        (None, Some(_)) => None,
        (None, None) => precision::default_for(source.is_live()),
    };
    if let Some(precision) = precision {
        let spec = detect.find_property("precision");
        let class = spec.and_then(|spec| gst::glib::EnumClass::with_type(spec.value_type()));
        let value = class.as_ref().and_then(|class| class.to_value_by_nick(precision));
        let value = value.ok_or_else(|| {
            let known: Vec<_> = class
                .iter()
                .flat_map(|class| class.values())
                .map(|value| value.nick())
                .collect();
            Error::Usage(format!(
                "--precision is '{precision}'; it is one of {}",
                known.join(", ")
            ))
        })?;
        detect.set_property_from_value("precision", &value);
    }
    Ok(detect)
}

/// A pipeline that runs.
pub struct Running<'a> {
    page: Option<(&'a Page, Branch)>,
    pipeline: gst::Pipeline,
    detect: gst::Element,
    sink: AppSink,
    source: Source,
    convert: gst::Element,
    annotated: Option<Annotated>,
    window: Option<Window>,
    /// How players are to turn the first frame.
    orientation: Option<String>,
    /// The decoder that the source needs and GStreamer lacks.
    missing: Option<String>,
    failure: Option<Error>,
}

impl<'a> Running<'a> {
    /// Builds the pipeline and starts it; with a page, its pictures go there.
    ///
    /// # Errors
    /// An element is missing, or one does not start.
    pub fn start(arguments: &RunArguments, source: &Source, page: Option<&'a Page>) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let detect = detector(arguments, source)?;
        let convert = element("videoconvert")?;
        let mut chain = vec![convert.clone()];
        if source.is_live() {
            let queue = element("queue")?;
            queue.set_property_from_str("leaky", "downstream");
            queue.set_property("max-size-buffers", arguments.batch_size.unwrap_or(1).max(2));
            queue.set_property("max-size-bytes", 0_u32);
            queue.set_property("max-size-time", 0_u64);
            chain.push(queue);
        }
        chain.push(detect.clone());
        let is_tracked = arguments.track || source.is_live();
        if is_tracked {
            let track = element("img2posetrack")?;
            track.set_property("look-ahead", arguments.look_ahead.unwrap_or(0));
            chain.push(track);
        }
        let sink = AppSink::builder().sync(false).max_buffers(64).build();
        sink.set_property("enable-last-sample", false);
        let to_lines = [element("img2posejson")?, sink.clone().upcast()];
        let annotated = arguments
            .annotated
            .as_deref()
            .map(|path| Annotated::new(path, is_tracked))
            .transpose()?;
        let window = arguments.show.then(|| Window::open(is_tracked)).transpose()?;
        let page = page
            .map(|page| Ok((page, page.branch(is_tracked)?)))
            .transpose()?;
        let tee = element("tee")?;
        if annotated.is_some() || page.is_some() || window.is_some() {
            chain.extend([tee.clone(), element("queue")?]);
        }
        chain.extend(to_lines);
        let fail = |_| Error::Usage("elements of the pipeline do not fit together".to_owned());
        pipeline.add_many(&chain).map_err(fail)?;
        gst::Element::link_many(&chain).map_err(fail)?;
        if let Some(annotated) = &annotated {
            annotated.add_to(&pipeline, &tee)?;
        }
        if let Some(window) = &window {
            window.add_to(&pipeline, &tee)?;
        }
        if let Some((page, branch)) = &page {
            branch.add_to(&pipeline, &tee)?;
            page.watch(&convert);
        }
        add_source(&pipeline, source, &convert)?;
        let mut running = Self {
            page,
            pipeline,
            detect,
            sink,
            source: source.clone(),
            convert,
            annotated,
            window,
            orientation: None,
            missing: None,
            failure: None,
        };
        if running.pipeline.set_state(gst::State::Playing).is_err() {
            running.look_at_messages();
            let unknown = || Error::Usage("the pipeline does not start, and no element says why".to_owned());
            return Err(running.failure.take().unwrap_or_else(unknown));
        }
        Ok(running)
    }

    /// Runs until the source ends, or until `ends` is set: then what was taken is finished first.
    ///
    /// # Errors
    /// An element fails, a file has no frames, or one cannot be written. The lines of all frames before that have been taken.
    pub fn finish_source(
        &mut self,
        ends: &AtomicBool,
        name: Option<&str>,
        lines: &mut Lines,
        progress: &mut Progress,
    ) -> Result<()> {
        let (mut told, mut deadline) = (false, None);
        let before = lines.frames;
        loop {
            let is_closed = self.look_at_window();
            if (ends.load(Ordering::Relaxed) || is_closed) && !told {
                told = true;
                self.end_early();
            }
            if let Some(sample) = self.sink.try_pull_sample(PATIENCE) {
                let buffer = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
                let line = buffer.ok_or_else(|| Error::Usage("a line cannot be read".to_owned()))?;
                let orientation = lines.take(&line, name)?;
                if lines.frames == before + 1 {
                    self.orientation = orientation;
                }
                let position = sample.buffer().and_then(|buffer| buffer.pts());
                if let Some((page, _)) = &self.page {
                    page.line(&line, position, &self.detect);
                }
                progress.show(lines.frames, position, || self.pipeline.query_duration());
            } else if self.sink.is_eos() {
                break;
            }
            self.look_at_messages();
            if self.failure.is_some() {
                if !self.is_decoded() {
                    // No frame is on its way.
                    break;
                }
                if deadline.is_none() {
                    deadline = Some(Instant::now() + GRACE);
                    self.let_out();
                }
                if deadline < Some(Instant::now()) {
                    break;
                }
            }
        }
        self.finish()?;
        match lines.frames == before && !told && !self.source.is_live() {
            true => Err(Error::Usage(format!("{} has no frames", self.source.name))),
            false => Ok(()),
        }
    }

    /// The files of the run are closed, and take their names.
    fn finish(&mut self) -> Result<()> {
        self.look_at_messages();
        let deadline = Instant::now() + GRACE;
        while self.failure.is_none() && !self.is_complete() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            self.look_at_messages();
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        let orientation = self.orientation.as_deref();
        let kept = self
            .annotated
            .as_ref()
            .map_or(Ok(()), |annotated| annotated.keep(orientation));
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => kept,
        }
    }

    /// Whether every file has all of its contents, and the page the last picture.
    fn is_complete(&self) -> bool {
        let is_shown = self.page.as_ref().is_none_or(|(_, branch)| branch.is_complete());
        is_shown && self.annotated.as_ref().is_none_or(Annotated::is_complete)
    }

    /// Ends the stream in front of the detector, so that every file behind it is finished.
    fn end_early(&self) {
        if let Some(pad) = self.detect.static_pad("sink") {
            // From a thread of its own: it waits for a frame that is on its way in.
            self.pipeline.call_async(move |_| {
                let _ = pad.send_event(gst::event::Eos::new());
            });
        }
    }

    /// An error in the preroll leaves the pipeline in it, and with it the first frames.
    fn let_out(&self) {
        for sink in self.pipeline.iterate_sinks().into_iter().flatten() {
            let _ = sink.set_state(gst::State::Playing);
        }
    }

    /// Whether the user has closed the window.
    fn look_at_window(&mut self) -> bool {
        match self.window.as_ref().map(Window::state) {
            None | Some(window::State::Open) => false,
            Some(window::State::Closed) => {
                self.window = None;
                true
            }
            Some(window::State::Lost(reason)) => {
                self.window = None;
                let lost = Error::Usage(format!("the window was lost: {reason}"));
                self.failure.get_or_insert(lost);
                true
            }
        }
    }

    /// Whether the source has given a video.
    fn is_decoded(&self) -> bool {
        let sink = self.convert.static_pad("sink");
        sink.is_some_and(|pad| pad.is_linked())
    }

    /// What the user is told when an element says that it has failed.
    fn failed(&self, element: &str, message: &str) -> Error {
        let name = self.source.name.clone();
        let is_decoded = self.is_decoded();
        match self.source.kind {
            Kind::Camera if !is_decoded => Error::Usage(format!(
                "{name} gives no picture: is it a camera, and does no other program use it? ({message})"
            )),
            Kind::Picture | Kind::Video if !is_decoded => {
                let reason = match &self.missing {
                    Some(missing) => format!(
                        "it needs a {missing}, which GStreamer does not have; Debian, Ubuntu: apt install gstreamer1.0-libav \
                         gstreamer1.0-plugins-bad"
                    ),
                    None => format!("{element}: {message}"),
                };
                Error::NoVideo { name, reason }
            }
            _ => Error::Element {
                name,
                element: element.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    fn look_at_messages(&mut self) {
        let Some(bus) = self.pipeline.bus() else { return };
        while let Some(message) = bus.pop() {
            let from = message
                .src()
                .map_or_else(|| "pipeline".into(), |source| source.name());
            match message.view() {
                gst::MessageView::Error(error) if self.failure.is_none() => {
                    self.failure = Some(self.failed(&from, error.error().message()));
                }
                gst::MessageView::Element(element) => {
                    let structure = element.structure();
                    let structure = structure.filter(|structure| structure.name() == "missing-plugin");
                    if let Some(Ok(name)) = structure.map(|structure| structure.get("name")) {
                        self.missing.get_or_insert(name);
                    }
                }
                gst::MessageView::Warning(warning) => {
                    output::warning(format_args!("{from}: {}", warning.error().message()));
                }
                gst::MessageView::Latency(_) => {
                    let _ = self.pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The elements that read the source, whose video goes to `convert`.
fn add_source(pipeline: &gst::Pipeline, source: &Source, convert: &gst::Element) -> Result<()> {
    let fail = |_| Error::Usage("the source does not fit into a pipeline".to_owned());
    let decode = match source.kind {
        Kind::Address { .. } => {
            let decode = element("uridecodebin")?;
            decode.set_property("uri", &source.name);
            pipeline.add(&decode).map_err(fail)?;
            decode
        }
        kind => {
            let (name, property) = match kind {
                Kind::Camera => ("v4l2src", "device"),
                _ => ("filesrc", "location"),
            };
            let read = element(name)?;
            read.set_property(property, Path::new(&source.name).to_str());
            let decode = element("decodebin")?;
            pipeline.add_many([&read, &decode]).map_err(fail)?;
            read.link(&decode).map_err(fail)?;
            decode
        }
    };
    let convert = convert.downgrade();
    decode.connect_no_more_pads({
        let convert = convert.clone();
        move |decode| {
            let sink = convert.upgrade().and_then(|convert| convert.static_pad("sink"));
            if sink.is_some_and(|sink| !sink.is_linked()) {
                // Whoever reads a file of sound may end in silence, and what waits for pictures would wait for ever.
                gst::element_error!(decode, gst::StreamError::WrongType, ("there is no video in it"));
            }
        }
    });
    decode.connect_pad_added(move |_, pad| {
        let Some(sink) = convert.upgrade().and_then(|convert| convert.static_pad("sink")) else {
            return;
        };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|caps| caps.name() == "video/x-raw");
        // Of several videos in a file, the first; sound goes nowhere.
        if is_video && !sink.is_linked() {
            // What does not fit posts an error itself.
            let _ = pad.link(&sink);
        }
    });
    Ok(())
}
