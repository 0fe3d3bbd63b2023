//! What cannot be followed, and what the user is told.

use gst_check::Harness;
use gst_video::VideoFormat;
use gstimg2pose::meta::{self, FrameFaces};

use super::support::*;
use crate::faces;

#[test]
fn a_frame_before_caps_is_refused() {
    faces::init();
    let mut harness = Harness::new("img2posetrack");
    harness.play();
    harness.push_event(gst::event::StreamStart::new("no caps"));
    harness.push_event(segment(1.0));
    assert_eq!(harness.push(looked(0, &[])), Err(gst::FlowError::NotNegotiated));
}

#[test]
fn a_record_of_another_version_is_an_error_that_says_so() {
    let mut harness = harness("");
    let bus = watch(&harness);
    let mut frame = looked(0, &[face(100.0)]);
    {
        let mut record = gst::meta::CustomMeta::from_mut_buffer(frame.make_mut(), meta::RECORD_NAME).unwrap();
        record.mut_structure().set("version", 2u32);
    }
    assert_eq!(harness.push(frame), Err(gst::FlowError::Error));
    let error = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = error.view() else {
        unreachable!()
    };
    assert!(
        error
            .error()
            .to_string()
            .contains("Frame 0: Img2PoseFacesMeta has layout version 2")
    );
}

#[test]
fn faces_of_a_cropped_frame_are_left_alone_and_a_warning_says_why() {
    let small = faces::info(VideoFormat::I420, 300, 200);
    let mut harness = harness_for("", &small);
    let bus = watch(&harness);
    let found = FrameFaces::new(&info(), vec![face(100.0)]);
    for index in 0..3 {
        let out = harness
            .push_and_pull(faces::frame_with(&small, index, &found))
            .unwrap();
        assert_eq!(record(&out), found);
    }
    let warnings = warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("Put img2posetrack before the element that changes the picture"),
        "{warnings:?}"
    );
}

#[test]
fn a_stream_that_nobody_looked_at_ends_with_a_warning() {
    let mut harness = harness("");
    let bus = watch(&harness);
    for index in 0..3 {
        harness.push(unlooked(index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let warnings = warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("None of the 3 frames was looked at"),
        "{warnings:?}"
    );
}
