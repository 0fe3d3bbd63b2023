//! Frames that are too late for the sink pass without inference, and are never dropped.

use super::support::*;
use gst::prelude::*;

/// The sink has shown a frame of this running time too late by a frame.
fn report_late(harness: &mut gst_check::Harness, time: gst::ClockTime) {
    let difference = FRAME.nseconds() as i64;
    let event = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, difference, Some(time));
    harness.push_upstream_event(event);
}

#[test]
fn late_frames_are_not_looked_at() {
    let element = detector();
    element.set_property("qos", true);
    let mut harness = harness(&element, true);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    // Twice the delay and a frame: everything before 3 + 2 + 1 frames is too late.
    report_late(&mut harness, FRAME * 3);
    for index in 4..10 {
        harness.push(frame(index)).unwrap();
    }
    for index in 4..6 {
        let buffer = harness.pull().unwrap();
        assert_eq!((buffer.offset(), faces_on(&buffer)), (index, None));
    }
    for index in 6..10 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    assert_eq!((stat(&element, "late"), stat(&element, "inferred")), (2, 8));
}

#[test]
fn frames_that_wait_are_let_go_when_they_become_late() {
    let element = detector();
    element.set_property("qos", true);
    let mut harness = harness(&element, true);
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    report_late(&mut harness, FRAME * 8);
    for index in 0..3 {
        let buffer = harness.pull().unwrap();
        assert_eq!((buffer.offset(), faces_on(&buffer)), (index, None));
    }
    assert_eq!(stat(&element, "batches"), 0);
    // What is early enough is looked at again.
    for index in 11..15 {
        harness.push(frame(index)).unwrap();
    }
    for index in 11..15 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn without_qos_every_frame_is_looked_at() {
    let element = detector();
    let mut harness = harness(&element, true);
    report_late(&mut harness, FRAME * 100);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn a_new_segment_forgets_the_lateness() {
    let element = detector();
    element.set_property("qos", true);
    let mut harness = harness(&element, true);
    harness.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("x")));
    report_late(&mut harness, FRAME * 100);
    flush(&mut harness);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn a_late_frame_is_looked_at_when_others_have_only_its_faces_to_reuse() {
    let element = detector();
    element.set_property("qos", true);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    harness.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("x")));
    // Everything is late, also while it waits.
    report_late(&mut harness, FRAME * 100);
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    report_late(&mut harness, FRAME * 200);
    let wide = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    harness.push_event(gst::event::Caps::new(&wide.parse::<gst::Caps>().unwrap()));
    for index in 3..6 {
        harness.push(frame_of(96, 60, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    for index in 0..6 {
        let buffer = harness.pull().unwrap();
        let found = gstimg2pose::meta::read(&buffer)
            .unwrap()
            .expect("no frame is without faces");
        assert_eq!((buffer.offset(), found.reused), (index, index % 3 != 0));
    }
    assert_eq!((stat(&element, "late"), stat(&element, "inferred")), (4, 2));
}
