//! Faces that move, and what comes out for them.

use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces, TrackState};
use img2pose::Face;

use crate::faces;

pub use TrackState::{Interpolated, New, Predicted, Seen};

pub fn info() -> VideoInfo {
    faces::info(VideoFormat::I420, 640, 480)
}

/// An element with the given properties, in PLAYING, with caps.
pub fn harness(properties: &str) -> Harness {
    harness_for(properties, &info())
}

pub fn harness_for(properties: &str, info: &VideoInfo) -> Harness {
    faces::init();
    let element = gst::parse::launch(&format!("img2posetrack {properties}")).unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps(info.to_caps().unwrap());
    harness.play();
    harness
}

/// A face of 80 x 100 pixels whose left side is at `x`.
pub fn face(x: f32) -> Face {
    let pose = [0.1, -0.2, 0.05, (x - 280.0) / 60.0, 0.3, 18.0];
    Face {
        bbox: [x, 150.0, x + 80.0, 250.0],
        confidence: 0.95,
        pose,
        keypoints: img2pose::pose::project_keypoints(&pose, 640, 480),
        sigma: None,
    }
}

/// The same, lower in the frame and less sure.
pub fn second(x: f32) -> Face {
    Face {
        bbox: [x, 330.0, x + 80.0, 430.0],
        confidence: 0.85,
        ..face(x)
    }
}

/// Frame `index` at 25 frames a second in which these faces were found.
pub fn looked(index: u64, found: &[Face]) -> gst::Buffer {
    faces::frame_with(&info(), index, &FrameFaces::new(&info(), found.to_vec()))
}

/// Frame `index` that nobody looked at.
pub fn unlooked(index: u64) -> gst::Buffer {
    faces::blank_frame(&info(), index)
}

pub fn record(buffer: &gst::BufferRef) -> FrameFaces {
    meta::read(buffer).unwrap().expect("no record")
}

/// Ids and states of the frame's faces, in their order; `None` for one that nobody follows.
pub fn tracks(buffer: &gst::BufferRef) -> Vec<Option<(u64, TrackState)>> {
    let record = record(buffer);
    (0..record.faces.len())
        .map(|index| record.track(index).map(|track| (track.id, track.state)))
        .collect()
}

/// Left side of the box of the face with this id.
pub fn left(buffer: &gst::BufferRef, id: u64) -> f32 {
    let record = record(buffer);
    let index =
        (0..record.faces.len()).find(|index| record.track(*index).is_some_and(|track| track.id == id));
    record.faces[index.expect("no such id")].bbox[0]
}

/// All buffers that have come out.
pub fn out(harness: &mut Harness) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| harness.try_pull()).collect()
}

/// The numbers of frames, by their offsets.
pub fn numbers(buffers: &[gst::Buffer]) -> Vec<u64> {
    buffers.iter().map(|buffer| buffer.offset()).collect()
}

pub fn flush(harness: &mut Harness) {
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(segment(1.0));
}

pub fn segment(rate: f64) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(rate);
    segment.set_stop(gst::ClockTime::from_seconds(3600));
    gst::event::Segment::new(&segment)
}

/// The texts of the warnings on the bus of an element that is in no pipeline.
pub fn watch(harness: &Harness) -> gst::Bus {
    let bus = gst::Bus::new();
    harness.element().unwrap().set_bus(Some(&bus));
    bus
}

pub fn warnings(bus: &gst::Bus) -> Vec<String> {
    bus.iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect()
}
