//! When properties can change, and what a change does.

use super::support::*;
use gst::prelude::*;

#[test]
fn a_new_threshold_counts_while_playing() {
    let element = detector();
    let mut harness = harness(&element, true);
    element.set_property("batch-size", 1u32);
    harness.push(frame(0)).unwrap();
    harness.push(frame(0)).unwrap();
    harness.push(frame(0)).unwrap();
    harness.push(frame(0)).unwrap();
    for _ in 0..4 {
        assert_eq!(faces_on(&harness.pull().unwrap()), Some(faces_alone(0)));
    }
    element.set_property("max-faces", 1i32);
    for _ in 0..4 {
        harness.push(frame(0)).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(
            faces_on(&harness.pull().unwrap()),
            Some(faces_alone(0)[..1].to_vec())
        );
    }
    element.set_property("score-threshold", 1.0f32);
    for _ in 0..4 {
        harness.push(frame(0)).unwrap();
    }
    assert_eq!(faces_on(&harness.pull().unwrap()), Some(Vec::new()));
}

#[test]
fn what_is_fixed_while_running_stays_and_says_so() {
    let element = detector();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    wait_until("the element is paused", || {
        element.current_state() == gst::State::Paused
    });
    element.set_property("batch-size", 9u32);
    assert_eq!(element.property::<u32>("batch-size"), 4);
    let message = message(&pipeline, &[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!()
    };
    // It used to stand in the debug text alone, under "Could not configure supporting library."
    let text = warning.error().to_string();
    assert!(text.contains("'batch-size' can only be changed"), "{text}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// It used to be rounded up in silence.
#[test]
fn a_region_size_that_is_not_used_as_it_is_is_said() {
    for (size, interval, said) in [(100_u32, 2_u32, true), (96, 2, false), (100, 1, false)] {
        let element = detector();
        element.set_property("region-size", size);
        element.set_property("whole-frame-interval", interval);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&element).unwrap();
        pipeline.set_state(gst::State::Paused).unwrap();
        wait_until("the element is paused", || {
            element.current_state() == gst::State::Paused
        });
        let warning = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Warning]);
        assert_eq!(warning.is_some(), said, "{size}, {interval}");
        if let Some(gst::MessageView::Warning(warning)) = warning.as_ref().map(|warning| warning.view()) {
            let text = warning.error().to_string();
            assert!(
                text.contains("region-size is 100, which is rounded up to 128"),
                "{text}"
            );
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// It used to be read back as set while faces were chosen by the old value for good.
#[test]
fn a_threshold_that_is_set_while_the_model_is_loaded_counts() {
    for delay in 0..12 {
        let element = detector();
        let start = std::thread::spawn({
            let element = element.clone();
            move || element.set_state(gst::State::Ready).unwrap()
        });
        std::thread::sleep(std::time::Duration::from_millis(3 * delay));
        element.set_property("score-threshold", 1.0f32);
        start.join().unwrap();
        let mut harness = harness(&element, true);
        element.set_property("batch-timeout", 0u64);
        harness.push(frame(0)).unwrap();
        assert_eq!(
            faces_on(&harness.pull().unwrap()),
            Some(Vec::new()),
            "set after {delay}"
        );
    }
}

#[test]
fn a_change_in_ready_loads_the_model_again() {
    let element = detector();
    element.set_state(gst::State::Ready).unwrap();
    element.set_property("batch-size", 2u32);
    let mut harness = harness(&element, true);
    for index in 0..2 {
        harness.push(frame(index)).unwrap();
    }
    assert_frame(&harness.pull().unwrap(), 0);
    assert_frame(&harness.pull().unwrap(), 1);
    assert_eq!(stat(&element, "batches"), 1);
}

#[test]
fn statistics_begin_anew_with_each_start() {
    let element = detector();
    for _ in 0..2 {
        let mut harness = harness(&element, false);
        harness.push(frame(0)).unwrap();
        harness.pull().unwrap();
        wait_until("the frame is counted", || stat(&element, "frames-out") == 1);
        assert_eq!(stat(&element, "frames-in"), 1);
        drop(harness);
        element.set_state(gst::State::Null).unwrap();
    }
}
