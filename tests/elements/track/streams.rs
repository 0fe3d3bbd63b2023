//! Flushes, other streams, other caps, states.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::FrameFaces;
use img2pose::Face;

use super::support::*;
use crate::faces;

/// The id of the face in a frame in which one was found.
fn id(harness: &mut gst_check::Harness, frame: gst::Buffer) -> u64 {
    let out = harness.push_and_pull(frame).unwrap();
    let tracks = tracks(&out);
    assert_eq!(tracks.len(), 1, "{tracks:?}");
    tracks[0].unwrap().0
}

#[test]
fn a_flush_begins_anew_and_ids_go_on_counting() {
    let mut harness = harness("");
    for index in 0..3 {
        assert_eq!(id(&mut harness, looked(index, &[face(100.0)])), 1);
    }
    flush(&mut harness);
    // Where it is known, a face would be expected.
    let out = harness.push_and_pull(unlooked(3)).unwrap();
    assert_eq!(gstimg2pose::meta::read(&out), Ok(None));
    for index in 4..6 {
        assert_eq!(id(&mut harness, looked(index, &[face(100.0)])), 2);
    }
}

#[test]
fn seeks_in_a_loop_give_an_id_each() {
    let mut harness = harness("look-ahead=3");
    for round in 0..50u64 {
        let found = [face(100.0)];
        harness.push(looked(0, &found)).unwrap();
        harness.push(unlooked(1)).unwrap();
        let buffers = out(&mut harness);
        assert_eq!(tracks(&buffers[0]), [Some((round + 1, New))]);
        flush(&mut harness);
    }
}

#[test]
fn another_stream_begins_anew_and_the_same_one_does_not() {
    let mut harness = harness("");
    harness.push_event(gst::event::StreamStart::new("one"));
    assert_eq!(id(&mut harness, looked(0, &[face(100.0)])), 1);
    harness.push_event(gst::event::StreamStart::new("one"));
    assert_eq!(id(&mut harness, looked(1, &[face(100.0)])), 1);
    harness.push_event(gst::event::StreamStart::new("another"));
    assert_eq!(id(&mut harness, looked(2, &[face(100.0)])), 2);
}

fn scaled(found: &Face, width: f32, height: f32) -> Face {
    let (x, y) = (width / 640.0, height / 480.0);
    let [left, top, right, bottom] = found.bbox;
    Face {
        bbox: [left * x, top * y, right * x, bottom * y],
        ..found.clone()
    }
}

fn with(info: &VideoInfo, index: u64, found: Face) -> gst::Buffer {
    faces::frame_with(info, index, &FrameFaces::new(info, vec![found]))
}

#[test]
fn the_same_picture_in_another_size_goes_on_and_another_shape_does_not() {
    let mut harness = harness("");
    let mut at = 0;
    let mut next = |harness: &mut gst_check::Harness, width: u32, height: u32| {
        let info = faces::info(VideoFormat::Nv12, width, height);
        harness.set_src_caps(info.to_caps().unwrap());
        let mut last = 0;
        for _ in 0..3 {
            at += 1;
            let found = scaled(&face(200.0), width as f32, height as f32);
            last = id(harness, with(&info, at, found));
        }
        last
    };
    assert_eq!(next(&mut harness, 640, 480), 1);
    assert_eq!(next(&mut harness, 320, 240), 1);
    assert_eq!(next(&mut harness, 1280, 960), 1);
    // What adaptive streams have, give or take a pixel.
    assert_eq!(next(&mut harness, 426, 320), 1);
    assert_eq!(next(&mut harness, 640, 360), 2);
}

#[test]
fn where_nobody_looks_a_face_follows_the_size_of_the_frame() {
    let mut harness = harness("");
    for index in 0..5 {
        harness.push_and_pull(looked(index, &[face(200.0)])).unwrap();
    }
    let half = faces::info(VideoFormat::I420, 320, 240);
    harness.set_src_caps(half.to_caps().unwrap());
    let out = harness.push_and_pull(faces::blank_frame(&half, 5)).unwrap();
    assert_eq!(tracks(&out), [Some((1, Predicted))]);
    assert!((left(&out, 1) - 100.0).abs() < 0.5);
    let record = record(&out);
    assert_eq!((record.frame_width, record.frame_height), (320, 240));
}

#[test]
fn a_restart_forgets_the_stream() {
    let mut harness = harness("");
    assert_eq!(id(&mut harness, looked(0, &[face(100.0)])), 1);
    let element = harness.element().unwrap();
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    harness.push_event(gst::event::StreamStart::new("again"));
    harness.set_src_caps(info().to_caps().unwrap());
    harness.push_event(segment(1.0));
    let out = harness.push_and_pull(unlooked(0)).unwrap();
    assert_eq!(gstimg2pose::meta::read(&out), Ok(None));
}

#[test]
fn properties_count_from_the_next_frame_on() {
    let mut harness = harness("");
    for index in 0..3 {
        harness.push_and_pull(looked(index, &[face(100.0)])).unwrap();
    }
    let element = harness.element().unwrap();
    element.set_property("max-predicted", 0u64);
    let out = harness.push_and_pull(looked(3, &[])).unwrap();
    assert_eq!(record(&out).faces, []);
    element.set_property_from_str("smoothing", "none");
    let found = face(109.25);
    let out = harness
        .push_and_pull(looked(4, std::slice::from_ref(&found)))
        .unwrap();
    assert_eq!(record(&out).faces, [found]);
    assert_eq!(tracks(&out), [Some((1, Seen))]);
}
