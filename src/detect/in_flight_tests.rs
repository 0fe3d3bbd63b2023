//! The element with a model that is loaded twice, as on a GPU, here on the processor.

use std::sync::{Arc, Once};

use gst::prelude::*;
use img2pose::{Detector, DetectorOptions, Model};

use super::instance::{self, Instance};
use super::settings::{LoadSettings, Settings};
use super::watcher::Watcher;
use super::worker::Worker;
use crate::meta;
use frames::{faces_of, frame_of};

#[path = "../../tests/detect/support/frames.rs"]
mod frames;
#[path = "../../tests/detect/support/model.rs"]
#[allow(dead_code)] // Written for the tests of the element.
mod model;

const SIDE: u32 = 64;
const BATCH_SIZE: u32 = 2;
const FRAMES: u64 = 60;

fn settings(id: &str) -> Settings {
    Settings {
        load: LoadSettings {
            model_instance_id: Some(id.to_owned()),
            model: Some(model::model().to_owned()),
            batch_size: BATCH_SIZE,
            min_size: SIDE,
            num_threads: 1,
            ..Settings::default().load
        },
        score_threshold: 0.05,
        max_faces: 8,
        ..Settings::default()
    }
}

fn options() -> DetectorOptions {
    settings("").detector_options()
}

/// Puts a model that runs two batches at one time in the place of the one that an element with that id would load.
fn twice_loaded(id: &str) -> Arc<Instance> {
    let model = Model::open(model::model()).unwrap();
    let first = Detector::load(&model, options()).unwrap();
    assert_eq!(first.batches_in_flight(), 1, "on the processor");
    let twin = first.twin(&model).unwrap();
    let provider = first.active_provider().to_owned();
    assert_eq!(twin.active_provider(), provider);
    let networks = [first, twin].map(|detector| Watcher::new(detector, None));
    let worker = Worker::start(networks.into(), BATCH_SIZE as usize).unwrap();
    let settings = settings(id);
    instance::get(id, "test", &settings, || {
        Ok::<_, String>(Instance::new(worker, provider, 1, "test", settings.clone()))
    })
    .unwrap()
}

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        if let Err(error) = img2pose::runtime::load(None, None) {
            panic!("these tests need ONNX Runtime, run scripts/setup.sh: {error}");
        }
    });
}

fn harness(id: &str) -> gst_check::Harness {
    let element = gst::ElementFactory::make("img2posedetect")
        .property("model", model::model().to_str().unwrap())
        .property("model-instance-id", id)
        .property("batch-size", BATCH_SIZE)
        .property("min-size", SIDE)
        .property("num-threads", 1u32)
        .property("score-threshold", 0.05f32)
        .property("max-faces", 8i32)
        .build()
        .unwrap();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1");
    harness
}

/// Takes the next frame; it must be number `index` and carry that frame's own faces, whose number is returned.
fn pull_own(harness: &mut gst_check::Harness, alone: &mut Detector, index: u64) -> usize {
    let buffer = harness.pull().expect("every frame comes out");
    assert_eq!(buffer.offset(), index);
    let found = meta::read(&buffer).unwrap().expect("it was looked at").faces;
    assert_eq!(found, faces_of(alone, SIDE, SIDE, index), "frame {index}");
    found.len()
}

#[test]
fn every_frame_leaves_in_order_with_its_own_faces() {
    init();
    let instance = twice_loaded("in-flight-order");
    let mut alone = Detector::open(model::model(), options()).unwrap();
    let mut harness = harness("in-flight-order");
    for index in 0..FRAMES {
        harness.push(frame_of(SIDE, SIDE, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let mut with_faces = 0;
    for index in 0..FRAMES {
        with_faces += usize::from(pull_own(&mut harness, &mut alone, index) > 0);
    }
    assert!(with_faces > 0, "frames without faces prove nothing");
    drop(instance);
}

#[test]
fn flushes_and_stops_among_running_batches_lose_nothing_that_comes_after() {
    init();
    let instance = twice_loaded("in-flight-flush");
    let mut alone = Detector::open(model::model(), options()).unwrap();
    let mut harness = harness("in-flight-flush");
    for round in 0..20 {
        for index in 0..5 {
            harness.push(frame_of(SIDE, SIDE, index)).unwrap();
        }
        match round % 2 {
            0 => {
                harness.push_event(gst::event::FlushStart::new());
                harness.push_event(gst::event::FlushStop::new(true));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                harness.push_event(gst::event::Segment::new(&segment));
            }
            _ => {
                let element = harness.element().unwrap();
                element.set_state(gst::State::Ready).unwrap();
                harness.play();
                harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1");
            }
        }
        while harness.try_pull().is_some() {}
        let index = 30 + round;
        harness.push(frame_of(SIDE, SIDE, index)).unwrap();
        harness.push(frame_of(SIDE, SIDE, index + 100)).unwrap();
        for index in [index, index + 100] {
            pull_own(&mut harness, &mut alone, index);
        }
    }
    drop(instance);
}
