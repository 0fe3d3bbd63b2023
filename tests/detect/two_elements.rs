//! Elements do not disturb each other.

use super::support::*;
use gst::prelude::*;

#[test]
fn one_after_the_other() {
    init();
    let pipeline = gst::Pipeline::new();
    let make = |name| gst::ElementFactory::make(name);
    let source = make("videotestsrc")
        .property("num-buffers", 30i32)
        .build()
        .unwrap();
    let (first, second) = (detector(), detector());
    second.set_property("batch-size", 3u32);
    let sink = make("fakesink").build().unwrap();
    pipeline.add_many([&source, &first, &second, &sink]).unwrap();
    let caps = CAPS.parse::<gst::Caps>().unwrap();
    source.link_filtered(&first, &caps).unwrap();
    gst::Element::link_many([&first, &second, &sink]).unwrap();
    run_to_eos(&pipeline);
    for element in [&first, &second] {
        assert_eq!(stat(element, "frames-out"), 30);
        assert_eq!(stat(element, "inferred"), 30);
    }
}

#[test]
fn side_by_side_behind_a_tee() {
    init();
    let pipeline = gst::Pipeline::new();
    let make = |name| gst::ElementFactory::make(name);
    let source = make("videotestsrc")
        .property("num-buffers", 30i32)
        .build()
        .unwrap();
    let tee = make("tee").build().unwrap();
    pipeline.add_many([&source, &tee]).unwrap();
    source
        .link_filtered(&tee, &CAPS.parse::<gst::Caps>().unwrap())
        .unwrap();
    let elements = [4u32, 7].map(|size| {
        let element = detector();
        element.set_property("batch-size", size);
        let queue = make("queue").build().unwrap();
        let sink = make("fakesink").build().unwrap();
        pipeline.add_many([&queue, &element, &sink]).unwrap();
        gst::Element::link_many([&tee, &queue, &element, &sink]).unwrap();
        element
    });
    // Without the faces of the other branch: each has its own buffers.
    run_to_eos(&pipeline);
    let faces = elements.map(|element| {
        assert_eq!(stat(&element, "frames-out"), 30);
        stat(&element, "faces")
    });
    assert_eq!(faces[0], faces[1]);
}
