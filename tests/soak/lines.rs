//! The pipelines of the soak.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use crate::support;

/// What happens to a line while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    /// Nothing.
    None,
    /// Flushing seeks to changing places, at EOS too.
    Seek,
    /// Another size and format with each change.
    Caps,
    /// PAUSED, READY and NULL in turn.
    State,
    /// The pipeline is thrown away and made again.
    Remake,
}

/// One pipeline.
pub struct Line {
    pub name: &'static str,
    description: String,
    disturbance: Disturbance,
    /// Every how many seconds.
    every: u64,
    pipeline: gst::Pipeline,
    frames: Arc<AtomicU64>,
    rounds: u64,
}

/// A video file for the line that reads one.
pub fn make_file() -> PathBuf {
    let path = support::scratch().join("soak.avi");
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=250 pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1 ! jpegenc ! \
         avimux ! filesink location={}",
        path.display()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    support::run_to_eos(&pipeline);
    path
}

/// All lines, running.
pub fn all(file: &Path) -> Vec<Line> {
    let model = support::model().display().to_string();
    let detect = |settings: &str| {
        format!(
            "img2posedetect name=detect model={model} min-size=64 max-faces=8 score-threshold=0.05 num-threads=1 \
             {settings}"
        )
    };
    let filter = |caps: &str| format!("capsfilter name=filter caps=\"video/x-raw,{caps}\"");
    let line = |name, disturbance, every, source: String, settings: &str, sink: &str| {
        let description = format!("{source} ! {} ! {sink} name=sink", detect(settings));
        Line::start(name, disturbance, every, description)
    };
    let test = |extra: &str, caps: &str| format!("videotestsrc {extra} ! {}", filter(caps));
    vec![
        line(
            "seeks",
            Disturbance::Seek,
            1,
            test("", "format=NV12,width=64,height=48,framerate=100/1"),
            "batch-size=4",
            "fakesink sync=true",
        ),
        line(
            "file",
            Disturbance::Seek,
            4,
            format!("filesrc location={} ! avidemux ! jpegdec ! queue", file.display()),
            "batch-size=3 inference-interval=2 reuse-faces=true",
            "fakesink sync=true",
        ),
        line(
            "live",
            Disturbance::None,
            1,
            test("is-live=true", "format=I420,width=320,height=240,framerate=30/1"),
            "batch-size=2 qos=true stats-interval=1000000000",
            "fakesink sync=true qos=true",
        ),
        line(
            "shared 1",
            Disturbance::None,
            1,
            test("is-live=true", "format=RGB,width=64,height=48,framerate=50/1"),
            "batch-size=4 model-instance-id=soak",
            "fakesink sync=true",
        ),
        line(
            "shared 2",
            Disturbance::State,
            3,
            test("is-live=true", "format=RGB,width=64,height=48,framerate=25/1"),
            "batch-size=4 model-instance-id=soak",
            "fakesink sync=true",
        ),
        line(
            "shared 3",
            Disturbance::Remake,
            5,
            test("is-live=true", "format=GRAY8,width=48,height=64,framerate=25/1"),
            "batch-size=4 model-instance-id=soak",
            "fakesink sync=true",
        ),
        line(
            "caps",
            Disturbance::Caps,
            1,
            test("is-live=true", "format=RGB,width=64,height=48,framerate=30/1"),
            "batch-size=5 batch-timeout=50000000",
            "fakesink sync=true",
        ),
        line(
            "remade",
            Disturbance::Remake,
            3,
            test("", "format=BGRx,width=96,height=64,framerate=100/1"),
            "batch-size=1",
            "fakesink sync=true",
        ),
    ]
}

impl Line {
    fn start(name: &'static str, disturbance: Disturbance, every: u64, description: String) -> Self {
        let frames = Arc::new(AtomicU64::new(0));
        let pipeline = play(&description, &frames);
        Self {
            name,
            description,
            disturbance,
            every,
            pipeline,
            frames,
            rounds: 0,
        }
    }

    /// Frames that have reached the sink.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Looks for errors, and does what is due in this second.
    pub fn disturb(&mut self, second: u64) {
        let bus = self.pipeline.bus().unwrap();
        let mut eos = false;
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(_) => panic!("'{}': {}", self.name, support::error_text(&message)),
                gst::MessageView::Eos(_) => eos = true,
                gst::MessageView::Latency(_) => self.pipeline.recalculate_latency().unwrap(),
                _ => {}
            }
        }
        if !second.is_multiple_of(self.every) && !eos {
            return;
        }
        self.rounds += 1;
        let round = self.rounds;
        match self.disturbance {
            Disturbance::None => {}
            Disturbance::Seek => {
                let position = gst::ClockTime::from_mseconds(if eos { 0 } else { round * 370 % 2000 });
                // Short pieces, so that EOS comes between the seeks.
                let stop = position + gst::ClockTime::from_mseconds(700);
                let (flags, set) = (gst::SeekFlags::FLUSH, gst::SeekType::Set);
                let sought = self.pipeline.seek(1.0, flags, set, position, set, stop);
                sought.unwrap_or_else(|error| panic!("'{}': {error}", self.name));
            }
            Disturbance::Caps => {
                let (format, width, height) = [
                    ("NV12", 64, 64),
                    ("RGB", 96, 48),
                    ("GRAY8", 50, 38),
                    ("I420", 64, 48),
                ][round as usize % 4];
                let caps =
                    format!("video/x-raw,format={format},width={width},height={height},framerate=30/1");
                let filter = self.pipeline.by_name("filter").unwrap();
                filter.set_property("caps", caps.parse::<gst::Caps>().unwrap());
            }
            Disturbance::State => {
                let state = [gst::State::Paused, gst::State::Ready, gst::State::Null][round as usize % 3];
                self.pipeline.set_state(state).unwrap();
                self.pipeline.set_state(gst::State::Playing).unwrap();
            }
            Disturbance::Remake => {
                self.pipeline.set_state(gst::State::Null).unwrap();
                self.pipeline = play(&self.description, &self.frames);
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn play(description: &str, frames: &Arc<AtomicU64>) -> gst::Pipeline {
    let pipeline = gst::parse::launch(description)
        .unwrap_or_else(|error| panic!("{description}: {error}"))
        .downcast::<gst::Pipeline>()
        .unwrap();
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    let frames = frames.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        frames.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}
