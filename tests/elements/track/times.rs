//! Time is that of the buffers.

use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

use super::support::*;
use crate::faces;

fn at(ms: u64, mut frame: gst::Buffer) -> gst::Buffer {
    frame.make_mut().set_pts(gst::ClockTime::from_mseconds(ms));
    frame
}

fn untimed(mut frame: gst::Buffer) -> gst::Buffer {
    let buffer = frame.make_mut();
    buffer.set_pts(None);
    buffer.set_duration(None);
    frame
}

/// 150 pixels a second.
fn x(ms: u64) -> f32 {
    100.0 + 0.15 * ms as f32
}

#[test]
fn a_framerate_that_changes_does_no_harm() {
    let mut harness = harness("");
    let mut time = 0;
    for step in [40, 40, 13, 100, 33, 200, 40, 7, 120, 40, 66, 150] {
        time += step;
        harness
            .push_and_pull(at(time, looked(0, &[face(x(time))])))
            .unwrap();
    }
    let out = harness.push_and_pull(at(time + 70, unlooked(0))).unwrap();
    let track = record(&out).track(0).unwrap().clone();
    assert_eq!((track.id, track.unseen), (1, gst::ClockTime::from_mseconds(70)));
    let expected = x(time + 70);
    assert!(
        (left(&out, 1) - expected).abs() < 5.0,
        "{} {expected}",
        left(&out, 1)
    );
}

#[test]
fn timestamps_may_begin_anywhere() {
    // A camera whose clock counts from 1970.
    let begin = 1_800_000_000_000;
    let mut harness = harness("");
    for index in 0..5 {
        let out = harness
            .push_and_pull(at(begin + 40 * index, looked(0, &[face(100.0)])))
            .unwrap();
        let track = record(&out).track(0).unwrap().clone();
        assert_eq!(
            (track.id, track.age),
            (1, gst::ClockTime::from_mseconds(40 * index))
        );
    }
}

#[test]
fn timestamps_that_fall_begin_anew() {
    let mut harness = harness("");
    for (ms, id) in [(1000, 1), (1040, 1), (0, 2), (40, 2), (5000, 3)] {
        let out = harness.push_and_pull(at(ms, looked(0, &[face(100.0)]))).unwrap();
        assert_eq!(tracks(&out)[0].unwrap().0, id, "at {ms}");
    }
}

#[test]
fn played_backwards_faces_are_followed_backwards() {
    let mut harness = harness("");
    harness.push_event(segment(-1.0));
    for index in 0..20u64 {
        let ms = 2000 - 40 * index;
        let frame = match index % 4 {
            0 => looked(0, &[face(x(ms))]),
            _ => unlooked(0),
        };
        let out = harness.push_and_pull(at(ms, frame)).unwrap();
        assert_eq!(tracks(&out)[0].unwrap().0, 1, "frame {index}");
        if index > 8 {
            assert!(
                (left(&out, 1) - x(ms)).abs() < 5.0,
                "frame {index}: {} {}",
                left(&out, 1),
                x(ms)
            );
        }
    }
    // And forwards again.
    harness.push_event(segment(1.0));
    let out = harness
        .push_and_pull(at(1240, looked(0, &[face(x(1240))])))
        .unwrap();
    assert_eq!(tracks(&out), [Some((2, New))]);
}

#[test]
fn frames_without_timestamps_follow_each_other_at_the_framerate() {
    let mut harness = harness("");
    let bus = watch(&harness);
    for index in 0..10 {
        let out = harness
            .push_and_pull(untimed(looked(0, &[face(x(40 * index))])))
            .unwrap();
        let track = record(&out).track(0).unwrap().clone();
        assert_eq!(
            (track.id, track.age),
            (1, gst::ClockTime::from_mseconds(40 * index))
        );
    }
    let out = harness.push_and_pull(untimed(unlooked(0))).unwrap();
    assert!((left(&out, 1) - x(400)).abs() < 3.0);
    assert_eq!(warnings(&bus), [""; 0]);
}

#[test]
fn where_nothing_tells_the_time_a_warning_does() {
    faces::init();
    let variable = VideoInfo::builder(VideoFormat::I420, 640, 480)
        .fps(gst::Fraction::new(0, 1))
        .build()
        .unwrap();
    let mut harness: Harness = harness_for("", &variable);
    let bus = watch(&harness);
    for _ in 0..3 {
        let out = harness.push_and_pull(untimed(looked(0, &[face(100.0)]))).unwrap();
        assert_eq!(tracks(&out)[0].unwrap().0, 1);
    }
    let warnings = warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("Frame 0 has no timestamp") && warnings[0].contains("do-timestamp"));
    // With timestamps a framerate of 0/1 is nothing to speak of.
    let mut harness: Harness = harness_for("", &variable);
    let bus = watch(&harness);
    harness.push_and_pull(looked(0, &[face(100.0)])).unwrap();
    assert_eq!(super::support::warnings(&bus), [""; 0]);
}
