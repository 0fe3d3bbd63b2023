//! Faces for tests, and pipelines that carry them.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;

/// Initialises GStreamer and registers the elements under test.
pub fn init() {
    crate::detector::register();
}

/// Format of a frame with square pixels. Initialises: every test begins with a format.
pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
}

/// Every format that the elements read.
pub const FORMATS: [VideoFormat; 9] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Gray8,
];

/// A face whose numbers are no round binary fractions, with its box at `x`, `y`.
pub fn face(x: f32, y: f32, confidence: f32) -> Face {
    Face {
        bbox: [x, y, x + 40.3, y + 55.7],
        confidence,
        pose: [0.1497, -0.0661, -0.2353, -13.109, 2.3118, 60.632],
        keypoints: [
            [x + 10.1, y + 20.2],
            [x + 29.9, y + 19.8],
            [x + 20.3, y + 30.4],
            [x + 12.7, y + 41.1],
            [x + 28.3, y + 40.9],
        ],
        sigma: None,
    }
}

/// Two faces, the first away from the middle of the frame.
pub fn two_faces(info: &VideoInfo) -> FrameFaces {
    FrameFaces::new(info, vec![face(33.3, 21.7, 0.987), face(150.6, 90.1, 0.654)])
}

/// A gray frame number `index` at 25 frames a second.
/// What an element takes from ordinary memory. The detector takes other memories, too.
pub fn sink_caps(element: &str) -> gst::Caps {
    let factory = gst::ElementFactory::find(element).unwrap();
    let templates = factory.static_pad_templates();
    let sink = templates
        .iter()
        .find(|template| template.direction() == gst::PadDirection::Sink);
    let caps = sink.unwrap().caps();
    let is_ordinary =
        |features: &gst::CapsFeaturesRef| features.is_equal(gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY.as_ref());
    caps.iter_with_features()
        .filter(|(_, features)| is_ordinary(features))
        .map(|(structure, _)| structure.to_owned())
        .collect()
}

pub fn blank_frame(info: &VideoInfo, index: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![128u8; info.size()]);
    let frame = buffer.get_mut().unwrap();
    frame.set_pts(gst::ClockTime::from_mseconds(40 * index));
    frame.set_duration(gst::ClockTime::from_mseconds(40));
    frame.set_offset(index);
    buffer
}

/// The same with faces on it.
pub fn frame_with(info: &VideoInfo, index: u64, faces: &FrameFaces) -> gst::Buffer {
    let mut buffer = blank_frame(info, index);
    meta::attach(buffer.get_mut().unwrap(), faces).unwrap();
    buffer
}

/// What arrived at the end of a pipeline.
pub struct Arrived {
    pub samples: Vec<gst::Sample>,
    pub warnings: Vec<String>,
    pub error: Option<String>,
}

impl Arrived {
    /// The only buffer, with the format that it has.
    pub fn frame(&self) -> (&gst::BufferRef, VideoInfo) {
        assert_eq!(self.error, None);
        assert_eq!(self.samples.len(), 1);
        let sample = &self.samples[0];
        (
            sample.buffer().unwrap(),
            VideoInfo::from_caps(sample.caps().unwrap()).unwrap(),
        )
    }

    /// All bytes of all buffers, as text.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        for sample in &self.samples {
            bytes.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// The pipeline that a description makes.
pub fn launch(description: &str) -> gst::Pipeline {
    gst::parse::launch(description).unwrap().downcast().unwrap()
}

/// The element of this name and type.
pub fn named<E: IsA<gst::Element>>(pipeline: &gst::Pipeline, name: &str) -> E {
    pipeline.by_name(name).unwrap().downcast().unwrap()
}

/// `appsrc ! ELEMENTS` for frames of the format, and the source.
pub fn pipeline(elements: &str, info: &VideoInfo) -> (gst::Pipeline, gst_app::AppSrc) {
    init();
    let pipeline = launch(&format!("appsrc name=src format=time ! {elements}"));
    let src = named::<gst_app::AppSrc>(&pipeline, "src");
    src.set_caps(Some(&info.to_caps().unwrap()));
    (pipeline, src)
}

/// Runs `appsrc ! ELEMENTS ! appsink` over the frames until the end of the stream or an error.
pub fn run(elements: &str, info: &VideoInfo, frames: Vec<gst::Buffer>) -> Arrived {
    let (pipeline, src) = pipeline(&format!("{elements} ! appsink name=sink sync=false"), info);
    let samples = Arc::new(Mutex::new(Vec::new()));
    let sink = named::<gst_app::AppSink>(&pipeline, "sink");
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample({
                let samples = samples.clone();
                move |sink| {
                    samples.lock().unwrap().push(sink.pull_sample().unwrap());
                    Ok(gst::FlowSuccess::Ok)
                }
            })
            .build(),
    );

    pipeline.set_state(gst::State::Playing).unwrap();
    for frame in frames {
        if src.push_buffer(frame).is_err() {
            break; // The reason is on the bus.
        }
    }
    let _ = src.end_of_stream();

    let (mut warnings, mut error) = (Vec::new(), None);
    let bus = pipeline.bus().unwrap();
    loop {
        let message = bus
            .timed_pop(gst::ClockTime::from_seconds(20))
            .expect("the pipeline hangs");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => {
                error = Some(e.error().to_string());
                break;
            }
            gst::MessageView::Warning(w) => warnings.push(w.error().to_string()),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let samples = std::mem::take(&mut *samples.lock().unwrap());
    Arrived {
        samples,
        warnings,
        error,
    }
}
