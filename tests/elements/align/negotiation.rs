//! Caps: always squares of RGB, whatever the video.

use gst::prelude::*;
use gst_video::VideoFormat;

use super::support::{aligned, face, frame, harness, out_caps, pixels, pull_all, rgb};
use crate::faces;

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
fn downstream_that_changes_its_mind_is_followed() {
    let mut harness = harness(&rgb(), "");
    let mut size = |caps: gst::Caps| {
        harness.set_sink_caps(caps);
        harness.push_upstream_event(gst::event::Reconfigure::new());
        harness.push(frame(&rgb(), 0, &[face(0.0, 0.9, 200.0)])).unwrap();
        out_caps(&harness)
    };
    assert_eq!(size(expected(200)), expected(200));
    assert_eq!(size(expected(64)), expected(64));
}

/// The side of the crops behind an element with the properties, in front of a filter; the warnings, or the error.
fn through(properties: &str, filter: &str) -> Result<(i32, Vec<String>), String> {
    let info = rgb();
    let frames = vec![frame(&info, 0, &[face(0.0, 0.9, 200.0)])];
    let arrived = faces::run(&format!("img2posealign {properties} ! {filter}"), &info, frames);
    match arrived.error {
        Some(error) => Err(error),
        None => {
            let (_, info) = arrived.frame();
            assert_eq!(info.width(), info.height());
            Ok((info.width() as i32, arrived.warnings))
        }
    }
}

#[test]
fn a_filter_behind_it_says_the_size() {
    for (filter, size) in [
        ("video/x-raw,width=224,height=224", 224),
        ("video/x-raw,height=224", 224),
        ("video/x-raw,width=96", 96),
        (
            "video/x-raw,format=RGB,width=224,height=224,pixel-aspect-ratio=1/1",
            224,
        ),
        ("video/x-raw,width=[200,300]", 200),
        ("video/x-raw,width=[16,100],height=[16,2048]", 100),
        ("video/x-raw,width=[100,300],height=[200,400]", 200),
        ("video/x-raw,width={64,128,256},height={256,64}", 64),
        ("video/x-raw,width=[64,2048,64]", 128),
        (
            "video/x-raw,width=224,height=224;video/x-raw,width=128,height=128",
            128,
        ),
        ("video/x-raw,width=[64,512]", 112),
        ("videoconvert ! video/x-raw,format=I420,width=224,height=224", 224),
        ("videoscale ! video/x-raw,width=64,height=64", 64),
    ] {
        assert_eq!(through("", filter), Ok((size, vec![])), "{filter}");
    }
}

#[test]
fn a_size_that_was_set_and_is_not_taken_is_told() {
    assert_eq!(through("size=64", "video/x-raw,width=[16,100]"), Ok((64, vec![])));
    let (size, warnings) = through("size=64", "video/x-raw,width=224,height=224").unwrap();
    assert_eq!((size, warnings.len()), (224, 1), "{warnings:?}");
    assert!(
        warnings[0].contains("size=64") && warnings[0].contains("224x224"),
        "{warnings:?}"
    );
}

#[test]
fn what_is_no_square_is_refused_in_words() {
    for filter in [
        "video/x-raw,width=224,height=112",
        "video/x-raw,width=[100,200],height=[300,400]",
    ] {
        let error = through("", filter).unwrap_err();
        assert!(
            error.contains("squares") && error.contains("width=(int)"),
            "{error}"
        );
    }
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
