//! `img2posedetect` whose network runs at a server.

mod outages;
mod streams;
#[path = "../remote/support.rs"]
#[allow(dead_code, reason = "the tests of detectors use the rest")]
mod support;

use std::sync::Once;
use std::time::{Duration, Instant};

use gst::prelude::*;
use img2pose::Face;
use server_tests::{FakeServer, MODEL};

use support::{SIDE, picture};

/// The time for an answer where every batch has one.
pub const LONG: u64 = 3_600_000_000_000;
/// Long enough for a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(60);
const FRAME: u64 = 40_000_000;

/// An element that asks `server`, two frames at a time.
pub fn element(server: &FakeServer) -> gst::Element {
    element_at(&server.url())
}

/// One that asks at an address.
pub fn element_at(url: &str) -> gst::Element {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        gst::init().unwrap();
        gstimg2pose::plugin_register_static().unwrap();
    });
    gst::ElementFactory::make("img2posedetect")
        .property("model", test_support::shipped_model().to_str().unwrap())
        .property("server-url", url)
        .property("server-model", MODEL)
        .property("server-timeout", LONG)
        .property("min-size", SIDE)
        .property("num-threads", 1u32)
        .property("batch-size", 2u32)
        .property("score-threshold", 0.0f32)
        .build()
        .unwrap()
}

/// The element in a harness, and the bus on which it speaks.
pub fn harness(element: &gst::Element) -> (gst_check::Harness, gst::Bus) {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = gst_check::Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_src_caps_str(&format!(
        "video/x-raw,format=RGB,width={SIDE},height={SIDE},framerate=25/1"
    ));
    (harness, bus)
}

/// Frame `index` of a stream.
pub fn frame(index: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(picture(index as usize % 5, SIDE, SIDE));
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(gst::ClockTime::from_nseconds(index * FRAME));
    inner.set_duration(gst::ClockTime::from_nseconds(FRAME));
    inner.set_offset(index);
    buffer
}

/// The next frame that leaves, which must be number `index`, and its faces; `None`: nobody has looked at it.
pub fn pull(harness: &mut gst_check::Harness, index: u64) -> Option<Vec<Face>> {
    let buffer = harness.pull().expect("a frame leaves");
    assert_eq!(buffer.offset(), index);
    gstimg2pose::meta::read(&buffer).unwrap().map(|faces| faces.faces)
}

/// The texts of the messages of a kind on the bus.
pub fn texts(bus: &gst::Bus, kind: gst::MessageType) -> Vec<String> {
    std::iter::from_fn(|| bus.pop_filtered(&[kind]))
        .map(|message| match message.view() {
            gst::MessageView::Warning(warning) => {
                format!("{} {}", warning.error(), warning.debug().unwrap_or_default())
            }
            gst::MessageView::Error(error) => {
                format!("{} {}", error.error(), error.debug().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A number of its statistics.
pub fn count(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// Fails when it has lasted longer than [`LIMIT`].
pub fn within_limit(began: Instant) {
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}
