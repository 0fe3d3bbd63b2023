//! What an element answers to upstream's allocation query.

use gst::prelude::*;
use gst_video::{VideoCropMeta, VideoFormat, VideoInfo, VideoMeta};

use super::init;
use crate::{detector, faces};

/// The elements that pass frames on.
const PASSING: [&str; 2] = ["img2posedetect", "img2poseoverlay"];

fn info() -> VideoInfo {
    init();
    faces::info(VideoFormat::I420, 130, 98)
}

fn element(name: &str) -> gst::Element {
    init();
    if name == "img2posedetect" {
        return detector::detector();
    }
    gst::ElementFactory::make(name).build().unwrap()
}

/// What downstream does with the query.
enum Downstream {
    /// Answers with these metas.
    Takes(&'static [fn(&mut gst::query::Allocation)]),
    /// Adds a meta and says that it has not answered.
    Fails,
}

fn add<M: gst::MetaAPI>(query: &mut gst::query::Allocation) {
    query.add_allocation_meta::<M>(None);
}

/// Whether the query was answered, and the metas of the answer: GstVideoMeta and GstVideoCropMeta.
fn ask(name: &str, downstream: Downstream) -> (bool, [bool; 2]) {
    let element = element(name);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps(info().to_caps().unwrap());
    harness.play();
    let pad = harness.sinkpad().unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        let Some(gst::PadProbeData::Query(query)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let gst::QueryViewMut::Allocation(query) = query.view_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        match downstream {
            Downstream::Takes(metas) => {
                metas.iter().for_each(|add| add(query));
                gst::PadProbeReturn::Handled
            }
            Downstream::Fails => {
                add::<VideoMeta>(query);
                gst::PadProbeReturn::Drop
            }
        }
    });
    let mut query = gst::query::Allocation::new(Some(&info().to_caps().unwrap()), true);
    let answered = harness.srcpad().unwrap().peer_query(&mut query);
    let metas = [
        query.find_allocation_meta::<VideoMeta>().is_some(),
        query.find_allocation_meta::<VideoCropMeta>().is_some(),
    ];
    (answered, metas)
}

#[test]
fn strides_are_promised_only_where_downstream_promises_them() {
    for name in PASSING {
        assert_eq!(ask(name, Downstream::Takes(&[])).1, [false, false], "{name}");
        let strides = Downstream::Takes(&[add::<VideoMeta>]);
        assert_eq!(ask(name, strides), (true, [true, false]), "{name}");
    }
}

#[test]
fn an_answer_that_failed_is_no_promise() {
    for name in PASSING {
        let (answered, metas) = ask(name, Downstream::Fails);
        assert_eq!(metas, [false, false], "{name}");
        // The detector has something to say: how many buffers it holds.
        assert_eq!(answered, name == "img2posedetect");
    }
}

#[test]
fn cropping_is_never_left_to_downstream() {
    for name in PASSING {
        let both = Downstream::Takes(&[add::<VideoCropMeta>, add::<VideoMeta>]);
        assert_eq!(ask(name, both), (true, [true, false]), "{name}");
    }
}

#[test]
fn a_chain_of_all_is_as_strict_as_its_end() {
    let metas = |end: &str| {
        init();
        let chain = format!(
            "img2poseoverlay name=first ! img2posedetect model={} min-size=64 ! queue ! img2poseoverlay ! {end}",
            detector::model().display()
        );
        let bin = gst::parse::bin_from_description(&chain, true).unwrap();
        let mut harness =
            gst_check::Harness::with_element(bin.upcast_ref::<gst::Element>(), Some("sink"), None);
        harness.set_src_caps(info().to_caps().unwrap());
        harness.play();
        let mut query = gst::query::Allocation::new(Some(&info().to_caps().unwrap()), true);
        harness.srcpad().unwrap().peer_query(&mut query);
        bin.set_state(gst::State::Null).unwrap();
        query.find_allocation_meta::<VideoMeta>().is_some()
    };
    assert!(!metas("filesink location=/dev/null async=false"));
    assert!(!metas("appsink async=false"));
    assert!(metas(
        "videoconvert ! video/x-raw,format=GRAY8 ! fakesink async=false"
    ));
    // One branch of two.
    assert!(!metas(
        "tee name=t ! queue ! img2posejson ! fakesink async=false t. ! queue ! filesink location=/dev/null async=false"
    ));
}

/// They read or ignore the frames, and nobody behind them sees them.
#[test]
fn strides_are_welcome_where_frames_end() {
    for name in ["img2posejson", "img2posealign"] {
        let (answered, metas) = ask(name, Downstream::Takes(&[]));
        assert!(answered);
        assert_eq!(metas, [true, false], "{name}");
    }
}
