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

/// Caps of gray frames at 25 a second.
fn caps(width: u32, height: u32, pixel_aspect_ratio: &str) -> gst::Event {
    let caps = format!(
        "video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1,pixel-aspect-ratio={pixel_aspect_ratio}"
    );
    gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap())
}

/// Whether the faces on the buffer were found in an earlier frame; `None` without faces.
fn is_reused(buffer: &gst::BufferRef) -> Option<bool> {
    gstimg2pose::meta::read(buffer).unwrap().map(|found| found.reused)
}

#[test]
fn reused_faces_carry_a_mark() {
    let element = element(3);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..7);
    harness.push_event(gst::event::Eos::new());
    for index in 0..7 {
        assert_eq!(
            is_reused(&harness.pull().unwrap()),
            Some(index % 3 != 0),
            "frame {index}"
        );
    }
}

/// With an interval that would look at no frame but the first, and faces that are reused: pushes three frames, `change`, and three
/// frames of the size that it returns. Every frame must have faces, and the first one after the change its own.
fn looks_after(change: impl FnOnce(&mut gst_check::Harness) -> (u32, u32)) {
    let element = element(7);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..3);
    let (width, height) = change(&mut harness);
    for index in 3..6 {
        harness.push(frame_of(width, height, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let mut alone = bare_detector();
    for index in 0..6 {
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.offset(), index);
        assert_eq!(is_reused(&buffer), Some(index % 3 != 0), "frame {index}");
        let (looked_at, width, height) = match index {
            0..3 => (0, WIDTH, HEIGHT),
            _ => (3, width, height),
        };
        let found = gstimg2pose::meta::read(&buffer).unwrap().unwrap();
        assert_eq!((found.frame_width, found.frame_height), (width, height));
        if found.pixel_aspect_ratio == gst::Fraction::new(1, 1) {
            assert_eq!(
                found.faces,
                faces_of(&mut alone, width, height, looked_at),
                "frame {index}"
            );
        }
    }
}

#[test]
fn the_first_frame_of_another_size_is_looked_at() {
    looks_after(|harness| {
        harness.push_event(caps(96, 60, "1/1"));
        (96, 60)
    });
}

#[test]
fn the_first_frame_of_another_pixel_shape_is_looked_at() {
    looks_after(|harness| {
        harness.push_event(caps(WIDTH, HEIGHT, "2/1"));
        (WIDTH, HEIGHT)
    });
}

#[test]
fn the_first_frame_after_a_jump_is_looked_at() {
    for event in [
        segment(),
        gst::event::Gap::new(FRAME * 2, gst::ClockTime::SECOND),
        gst::event::StreamStart::new("another"),
    ] {
        looks_after(|harness| {
            harness.push_event(event);
            (WIDTH, HEIGHT)
        });
    }
}

#[test]
fn the_first_frame_of_a_size_that_was_there_before_is_looked_at() {
    let element = element(10);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    for (index, (width, height)) in [(64, 48), (96, 60), (64, 48), (96, 60)].into_iter().enumerate() {
        harness.push_event(caps(width, height, "1/1"));
        harness.push(frame_of(width, height, index as u64)).unwrap();
        harness.push(frame_of(width, height, index as u64)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let reused: Vec<_> = (0..8).map(|_| is_reused(&harness.pull().unwrap())).collect();
    assert_eq!(reused, [Some(false), Some(true)].repeat(4));
}

#[test]
fn the_first_frame_after_a_flush_is_looked_at() {
    let element = element(2);
    element.set_property("reuse-faces", true);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..3);
    (0..3).for_each(|_| drop(harness.pull().unwrap()));
    flush(&mut harness);
    push(&mut harness, 20..23);
    harness.push_event(gst::event::Eos::new());
    assert_frame(&harness.pull().unwrap(), 20);
    assert_eq!(faces_on(&harness.pull().unwrap()), Some(faces_alone(20)));
    assert_frame(&harness.pull().unwrap(), 22);
}

#[test]
fn faces_can_be_reused_from_the_next_frame_on() {
    let element = element(5);
    let mut harness = harness(&element, true);
    push(&mut harness, 0..3);
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    element.set_property("batch-timeout", 0u64);
    recorder.wait_for("2", 1);
    element.set_property("reuse-faces", true);
    push(&mut harness, 3..5);
    harness.push_event(gst::event::Eos::new());
    let reused: Vec<_> = (0..5).map(|_| is_reused(&harness.pull().unwrap())).collect();
    assert_eq!(reused, [Some(false), None, None, Some(true), Some(true)]);
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
