//! What elements that share a model cost. Alone in its program, because it measures the memory of the process.

use crate::alone;
use crate::support::*;
use test_support::{process_status, shipped_model};

const ELEMENTS: usize = 16;

/// Resident memory in bytes.
fn memory() -> f64 {
    process_status("VmRSS:") as f64 * 1024.0
}

/// An element with the model that users get, after its first frame.
fn running() -> (gst::Element, gst_check::Harness) {
    let model = shipped_model();
    let element = gst::ElementFactory::make("img2posedetect")
        .property("model", text(&model))
        .property("model-instance-id", "memory")
        .build()
        .unwrap();
    let mut harness = harness(&element, false);
    harness.push(frame(0)).unwrap();
    harness.push_event(gst::event::Gap::new(FRAME, FRAME));
    harness.pull().expect("the first frame");
    (element, harness)
}

#[test]
fn the_memory_of_sixteen_elements_is_about_that_of_one() {
    alone(
        "memory::the_memory_of_sixteen_elements_is_about_that_of_one",
        || {
            init();
            let before = memory();
            let mut elements = vec![running()];
            let of_one = memory() - before;
            elements.extend((1..ELEMENTS).map(|_| running()));
            let of_all = memory() - before;
            println!(
                "one element: {:.0} MB, {ELEMENTS} elements: {:.0} MB",
                of_one / 1e6,
                of_all / 1e6
            );
            assert!(
                of_all < 1.5 * of_one,
                "one element takes {of_one} bytes, {ELEMENTS} take {of_all}"
            );
        },
    );
}
