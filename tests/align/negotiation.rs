//! Caps: always squares of RGB, whatever the video.

use gst::prelude::*;
use gst_video::VideoFormat;

use super::faces;
use super::support::{aligned, face, frame, harness, out_caps, pixels, pull_all, rgb};

fn expected(size: i32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", size)
        .field("height", size)
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("framerate", gst::Fraction::new(0, 1))
        .build()
}

#[test]
fn squares_of_rgb_with_a_variable_framerate() {
    for size in [16, 112, 113, 224] {
        let mut harness = harness(&rgb(), &format!("size={size}"));
        let crop = harness
            .push_and_pull(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)]))
            .unwrap();
        assert_eq!(out_caps(&harness), expected(size));
        let info = gst_video::VideoInfo::from_caps(&out_caps(&harness)).unwrap();
        assert_eq!(crop.size(), info.size());
        assert_eq!(pixels(&crop, size as usize).len(), (size * size * 3) as usize);
    }
}

#[test]
fn another_frame_size_in_the_middle() {
    let mut harness = harness(&rgb(), "");
    harness.push(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)])).unwrap();
    let other = faces::info(VideoFormat::I420, 320, 240);
    harness.push_event(gst::event::Caps::new(&other.to_caps().unwrap()));
    harness.push(frame(&other, 1, &[face(0.0, 0.9, 100.0)])).unwrap();
    let crops = pull_all(&mut harness);
    let widths: Vec<_> = crops.iter().map(|crop| aligned(crop).frame_width).collect();
    assert_eq!(widths, [640, 320]);
    assert_eq!(out_caps(&harness), expected(112));
    let caps_events = std::iter::from_fn(|| harness.try_pull_event())
        .filter(|event| event.type_() == gst::EventType::Caps)
        .count();
    assert_eq!(caps_events, 1, "crops stay what they are");
}

#[test]
fn another_crop_size_in_the_middle() {
    let mut harness = harness(&rgb(), "");
    let mut size = |size: u32| {
        harness.element().unwrap().set_property("size", size);
        let crop = harness
            .push_and_pull(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)]))
            .unwrap();
        assert_eq!(out_caps(&harness), expected(size as i32));
        crop.size()
    };
    assert_eq!([112, 224, 112].map(&mut size), [112 * 336, 224 * 672, 112 * 336]);
}

#[test]
fn downstream_that_wants_another_size_is_refused() {
    let mut harness = harness(&rgb(), "");
    harness.set_sink_caps(expected(200));
    harness.push_upstream_event(gst::event::Reconfigure::new());
    let push = |harness: &mut gst_check::Harness| harness.push(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)]));
    assert_eq!(push(&mut harness), Err(gst::FlowError::NotNegotiated));
    // And served as soon as it is asked for what it wants.
    harness.element().unwrap().set_property("size", 200_u32);
    assert_eq!(push(&mut harness), Ok(gst::FlowSuccess::Ok));
    assert_eq!(out_caps(&harness), expected(200));
}

#[test]
fn video_that_the_detector_does_not_take_is_refused() {
    let harness = harness(&rgb(), "");
    let sink = harness.element().unwrap().static_pad("sink").unwrap();
    let accepts = |caps: &str| sink.query_accept_caps(&caps.parse().unwrap());
    assert!(accepts(
        "video/x-raw,format=NV12,width=640,height=480,framerate=30/1"
    ));
    assert!(!accepts(
        "video/x-raw,format=Y42B,width=640,height=480,framerate=30/1"
    ));
    // Not narrowed by what downstream takes: frames do not go there.
    let caps = sink.query_caps(None);
    let large: gst::Caps = "video/x-raw,format=I420,width=1920,height=1080".parse().unwrap();
    assert!(caps.can_intersect(&large));
}

#[test]
fn frames_may_lie_in_any_memory_layout() {
    let mut harness = harness(&rgb(), "");
    let mut query = gst::query::Allocation::new(Some(&rgb().to_caps().unwrap()), true);
    let pad = harness.srcpad().unwrap();
    assert!(pad.peer_query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    harness.push(frame(&rgb(), 0, &[])).unwrap();
}

#[test]
fn many_starts() {
    let mut harness = harness(&rgb(), "");
    let element = harness.element().unwrap();
    for _ in 0..3 {
        let crop = harness.push_and_pull(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)]));
        assert_eq!(aligned(&crop.unwrap()).frame, 0);
        element.set_state(gst::State::Ready).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        // Sticky events are gone with the state.
        harness.push_event(gst::event::StreamStart::new("again"));
        harness.push_event(gst::event::Caps::new(&rgb().to_caps().unwrap()));
        harness.push_event(gst::event::Segment::new(
            &gst::FormattedSegment::<gst::ClockTime>::new(),
        ));
    }
}
