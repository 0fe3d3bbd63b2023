//! A model of two networks through the element: batches of any size, and what it is refused with.

use gst::prelude::*;
use img2pose::frame::View;
use img2pose::{Detector, DetectorOptions, Face, Selection};

use super::support::*;

/// The element with two small networks, batches of 4 and fast settings.
fn pair_detector() -> gst::Element {
    init();
    gst::ElementFactory::make("img2posedetect")
        .property("model", text(test_support::small_pair_model()))
        .property("score-threshold", 0.3f32)
        .property("max-faces", 8i32)
        .property("num-threads", 1u32)
        .property("batch-size", 4u32)
        .build()
        .unwrap()
}

/// A detector with the same settings, without GStreamer around it.
fn bare() -> Detector {
    let options = DetectorOptions::default()
        .with_selection(Selection::default().with_score_threshold(0.3).with_max_faces(8))
        .with_num_threads(1);
    Detector::open(test_support::small_pair_model(), options).unwrap()
}

/// Partial batches of random sizes: every buffer carries the faces of its own frame, bit for bit, and how sure each is.
#[test]
fn every_buffer_of_any_batch_carries_the_faces_of_its_own_frame() {
    let element = pair_detector();
    let mut harness = harness(&element, false);
    let mut alone = bare();
    let mut expected =
        |index: u64| -> Vec<Face> { faces_seen(&mut alone, WIDTH, HEIGHT, index, View::PLAIN) };
    let (mut index, mut state, mut seen) = (0, 11_u64, 0);
    for _ in 0..8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let count = 1 + (state >> 33) % 9;
        for _ in 0..count {
            harness.push(frame(index)).unwrap();
            index += 1;
        }
        // What is left of a batch runs when nothing more comes.
        for number in index - count..index {
            let buffer = harness.pull().unwrap();
            assert_eq!(buffer.offset(), number);
            let faces = faces_on(&buffer).expect("it was looked at");
            assert_eq!(faces, expected(number), "frame {number}");
            for face in &faces {
                let sigma = face.sigma.expect("the model says how sure it is");
                assert!(sigma > 0.0 && sigma <= 180.0, "{face:?}");
            }
            seen += faces.len();
        }
    }
    assert!(
        seen > index as usize,
        "frames without faces prove nothing: {seen} in {index}"
    );
}

#[test]
fn faces_are_not_followed_with_it() {
    let element = pair_detector();
    element.set_property("whole-frame-interval", 5u32);
    let bus = listen(&element);
    assert!(element.set_state(gst::State::Paused).is_err());
    let error = bus
        .timed_pop_filtered(
            gst::ClockTime::try_from(TIME_LIMIT).unwrap(),
            &[gst::MessageType::Error],
        )
        .unwrap();
    let said = error_text(&error);
    assert!(
        said.contains("whole-frame-interval is 5") && said.contains("find-and-look"),
        "{said}"
    );
    element.set_state(gst::State::Null).unwrap();
}
