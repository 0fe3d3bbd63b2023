//! What `GST_DEBUG=img2posedetect:5` says of batches.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::support::*;

/// Lines of this element about batches that close.
fn reasons(element: &gst::Element, act: impl FnOnce()) -> Vec<String> {
    let category = gst::DebugCategory::get("img2posedetect").expect("the plugin is loaded");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = lines.clone();
    let name = element.name().to_string();
    let function = gst::log::add_log_function(move |of, _, _, _, _, object, message| {
        let is_ours = of == category && object.is_some_and(|object| object.to_string().contains(&name));
        if let Some(line) = message.get().filter(|line| is_ours && line.contains("closes")) {
            writer.lock().unwrap().push(line.to_string());
        }
    });
    // Other tests run meanwhile, and would write what they do to the terminal.
    gst::log::remove_default_log_function();
    let threshold = category.threshold();
    category.set_threshold(gst::DebugLevel::Debug);
    act();
    category.set_threshold(threshold);
    gst::log::remove_log_function(function);
    std::mem::take(&mut *lines.lock().unwrap())
}

#[test]
fn why_each_batch_closes() {
    let element = detector();
    element.set_property("name", "teller");
    let mut harness = harness(&element, true);
    let lines = reasons(&element, || {
        for index in 0..4 {
            harness.push(frame(index)).unwrap();
        }
        harness.push(frame(4)).unwrap();
        harness.crank_single_clock_wait().unwrap();
        harness.push(frame(5)).unwrap();
        assert!(harness.push_event(gst::event::Eos::new()));
        for index in 0..6 {
            assert_frame(&harness.pull().unwrap(), index);
        }
    });
    let expected = ["a full batch", "batch-timeout", "eos"];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, why) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("{why} closes")), "{lines:?}");
    }
}
