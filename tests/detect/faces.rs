//! The faces of a frame do not depend on its company.

use super::support::*;
use gst::prelude::*;

#[test]
fn every_frame_carries_the_faces_that_it_has_alone() {
    for batch_size in [1u32, 2, 3, 5, 8] {
        let element = detector();
        element.set_property("batch-size", batch_size);
        let mut harness = harness(&element, true);
        for index in 0..16 {
            harness.push(frame(index)).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        for index in 0..16 {
            assert_frame(&harness.pull().unwrap(), index);
        }
        assert_eq!(stat(&element, "inferred"), 16);
        assert_eq!(stat(&element, "batches"), 16u64.div_ceil(u64::from(batch_size)));
    }
}

#[test]
fn neighbouring_frames_have_other_faces() {
    // Otherwise the test above would prove nothing.
    for index in 0..16 {
        assert_ne!(faces_alone(index), faces_alone(index + 1));
    }
}

#[test]
fn a_frame_without_faces_counts_as_looked_at() {
    let element = detector();
    element.set_property("score-threshold", 1.0f32);
    let mut harness = harness(&element, false);
    harness.push(frame(0)).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert_eq!(faces_on(&harness.pull().unwrap()), Some(Vec::new()));
}

#[test]
fn the_record_names_the_size_of_the_frame() {
    let element = detector();
    let mut harness = harness(&element, false);
    harness.push(frame(0)).unwrap();
    let buffer = harness.pull().unwrap();
    let record = gstimg2pose::meta::read(&buffer).unwrap().unwrap();
    assert_eq!((record.frame_width, record.frame_height), (WIDTH, HEIGHT));
}
