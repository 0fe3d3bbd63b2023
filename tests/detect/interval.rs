//! Only every n-th frame is looked at; all leave in order.

use super::support::*;
use gst::prelude::*;

fn element(interval: u32) -> gst::Element {
    let element = detector();
    element.set_property("inference-interval", interval);
    element.set_property("batch-size", 2u32);
    element
}

fn push(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>) {
    for index in frames {
        harness.push(frame(index)).unwrap();
    }
}

#[test]
fn the_others_pass_without_faces() {
    let element = element(3);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..11);
    harness.push_event(gst::event::Eos::new());
    for index in 0..11 {
        let buffer = harness.pull().unwrap();
        if index % 3 == 0 {
            assert_frame(&buffer, index);
        } else {
            assert_eq!((buffer.offset(), faces_on(&buffer)), (index, None));
        }
    }
    let stats = ["frames-in", "inferred", "skipped", "batches"].map(|name| stat(&element, name));
    assert_eq!(stats, [11, 4, 7, 2]);
}

#[test]
fn the_others_get_the_last_faces() {
    let element = element(3);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..8);
    harness.push_event(gst::event::Eos::new());
    for index in 0..8 {
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.offset(), index);
        assert_eq!(
            faces_on(&buffer),
            Some(faces_alone(index / 3 * 3)),
            "frame {index}"
        );
    }
}

#[test]
fn faces_are_not_reused_after_a_flush_or_in_frames_of_another_size() {
    let element = element(2);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..3);
    let wide = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    harness.push_event(gst::event::Caps::new(&wide.parse::<gst::Caps>().unwrap()));
    harness.push(frame_of(96, 60, 3)).unwrap();
    let reused: Vec<_> = (0..4)
        .map(|_| faces_on(&harness.pull().unwrap()).is_some())
        .collect();
    assert_eq!(reused, [true, true, true, false]);

    // The count begins anew too, so the first frame after a flush is looked at.
    flush(&mut harness);
    harness.push_event(gst::event::Caps::new(&CAPS.parse::<gst::Caps>().unwrap()));
    push(&mut harness, 20..23);
    harness.push_event(gst::event::Eos::new());
    assert_frame(&harness.pull().unwrap(), 20);
    assert_eq!(faces_on(&harness.pull().unwrap()), Some(faces_alone(20)));
    assert_frame(&harness.pull().unwrap(), 22);
}

#[test]
fn a_long_interval_holds_no_more_frames() {
    let element = element(50);
    element.set_property("batch-size", 8u32);
    element.set_property("max-queued-batches", 1u32);
    let mut harness = harness(&element, true);
    for index in 0..400 {
        harness.push(frame(index)).unwrap();
        assert!(stat(&element, "queue-level") <= 17);
    }
    harness.push_event(gst::event::Eos::new());
    for index in 0..400 {
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.offset(), index);
        assert_eq!(faces_on(&buffer).is_some(), index % 50 == 0);
    }
    // 16 frames never hold two that are looked at.
    assert_eq!(stat(&element, "batches"), 8);
}

#[test]
fn the_interval_can_change_while_frames_wait() {
    let element = element(5);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..6);
    element.set_property("inference-interval", 1u32);
    push(&mut harness, 6..10);
    element.set_property("inference-interval", 4u32);
    push(&mut harness, 10..20);
    harness.push_event(gst::event::Eos::new());
    let looked_at = [0, 5, 6, 7, 8, 9, 12, 16];
    for index in 0..20 {
        let buffer = harness.pull().unwrap();
        assert_eq!(
            faces_on(&buffer).is_some(),
            looked_at.contains(&index),
            "frame {index}"
        );
    }
}
