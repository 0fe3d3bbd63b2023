//! Live pipelines in real time: a sink that drops what is late shows whether the latency was told right. Alone in
//! their program, and one after the other, because other tests would take their time away.

use crate::alone;
use crate::support::*;
use gst::prelude::*;

const FRAMES: i32 = 90;

/// What the sink has done.
struct Shown {
    rendered: u64,
    dropped: u64,
}

/// A camera at 30 frames a second, the element, and a sink that drops what is later than 200 ms. The pipeline's
/// latency is worked out anew when an element asks for it, as every application must.
fn run(element: &gst::Element) -> Shown {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("videotestsrc")
        .property("is-live", true)
        .property("num-buffers", FRAMES)
        .build()
        .unwrap();
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", true)
        .property("qos", true)
        .property("max-lateness", 200_000_000i64)
        .build()
        .unwrap();
    pipeline.add_many([&source, element, &sink]).unwrap();
    let caps = "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1";
    source
        .link_filtered(element, &caps.parse::<gst::Caps>().unwrap())
        .unwrap();
    element.link(&sink).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    loop {
        let types = [
            gst::MessageType::Eos,
            gst::MessageType::Error,
            gst::MessageType::Latency,
        ];
        let message = message(&pipeline, &types);
        match message.type_() {
            gst::MessageType::Latency => {
                let _ = pipeline.recalculate_latency();
            }
            gst::MessageType::Eos => break,
            _ => panic!("{message:?}"),
        }
    }
    let stats = sink.property::<gst::Structure>("stats");
    let shown = Shown {
        rendered: stats.get("rendered").unwrap(),
        dropped: stats.get("dropped").unwrap(),
    };
    assert_eq!(shown.rendered + shown.dropped, FRAMES as u64);
    assert_eq!(stat(element, "frames-out"), FRAMES as u64);
    pipeline.set_state(gst::State::Null).unwrap();
    shown
}

/// On a busy machine any thread may be held up for longer than the sink forgives, so there are several attempts. A latency
/// that was told wrong makes the sink drop frames in each of them: a fill takes 500 ms.
#[test]
fn no_frame_is_late_when_the_model_keeps_up() {
    alone("live::no_frame_is_late_when_the_model_keeps_up", || {
        let mut dropped = Vec::new();
        while dropped.len() < 5 && dropped.last() != Some(&0) {
            let element = detector();
            element.set_property("batch-size", 16u32);
            dropped.push(run(&element).dropped);
            assert_eq!(stat(&element, "inferred"), FRAMES as u64);
        }
        assert_eq!(dropped.last(), Some(&0), "dropped in each attempt: {dropped:?}");
    });
}

#[test]
fn with_qos_a_display_goes_on_when_the_model_is_too_slow() {
    alone(
        "live::with_qos_a_display_goes_on_when_the_model_is_too_slow",
        || {
            let element = detector();
            element.set_property("batch-size", 2u32);
            element.set_property("qos", true);
            // Several times slower than 30 frames a second.
            element.set_property("min-size", 1600u32);
            element.set_property("max-size", 3000u32);
            let shown = run(&element);
            let (inferred, late) = (stat(&element, "inferred"), stat(&element, "late"));
            assert!(late > 0 && inferred > 0, "inferred {inferred}, late {late}");
            assert_eq!(inferred + late, FRAMES as u64);
            // How many frames are on time depends on what else the machine does (when it does nothing, 9 of 10), but a frame that
            // waits for nothing can be.
            assert!(shown.rendered > 0);
        },
    );
}
