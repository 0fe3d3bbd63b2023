//! Attached where downstream takes compositions, blended otherwise.

use gst::prelude::*;
use gst_video::{
    CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as COMPOSITION, VideoCropMeta, VideoFormat,
    VideoFrameRef, VideoInfo, VideoMeta, VideoOverlayCompositionMeta,
};
use gstimg2pose::meta::FrameFaces;

use super::support::{bytes, harness, middle_face};
use crate::faces::{self, frame_with, two_faces};

fn info() -> VideoInfo {
    faces::info(VideoFormat::I420, 640, 480)
}

fn frame(index: u64) -> gst::Buffer {
    frame_with(&info(), index, &two_faces(&info()))
}

fn has_feature(harness: &gst_check::Harness) -> bool {
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    caps.features(0).unwrap().contains(COMPOSITION)
}

fn composition(buffer: &gst::BufferRef) -> Option<gst_video::VideoOverlayComposition> {
    buffer
        .meta::<VideoOverlayCompositionMeta>()
        .map(|meta| meta.overlay_owned())
}

#[test]
fn attached_and_blended_look_the_same() {
    let mut attaching = harness(&info(), "", true);
    let attached = attaching.push_and_pull(frame(0)).unwrap();
    assert!(has_feature(&attaching));
    assert_eq!(bytes(&attached), bytes(&frame(0)), "the pixels stay as they are");
    let composition = composition(&attached).expect("a composition is attached");

    let mut blending = harness(&info(), "", false);
    let blended = blending.push_and_pull(frame(0)).unwrap();
    assert!(!has_feature(&blending));
    assert!(blended.meta::<VideoOverlayCompositionMeta>().is_none());

    let mut by_hand = frame(0);
    {
        let mut frame = VideoFrameRef::from_buffer_ref_writable(by_hand.make_mut(), &info()).unwrap();
        composition.blend(&mut frame).unwrap();
    }
    assert!(bytes(&by_hand) == bytes(&blended));
}

#[test]
fn blended_where_only_plain_video_is_taken() {
    // The filter refuses the caps feature, whatever is behind it.
    let mut harness = gst_check::Harness::new_parse("img2poseoverlay ! capsfilter caps=video/x-raw");
    harness.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    harness.set_src_caps(info().to_caps().unwrap());
    harness.play();
    let out = harness.push_and_pull(frame(0)).unwrap();
    assert!(composition(&out).is_none());
    assert_ne!(bytes(&out), bytes(&frame(0)));
}

#[test]
fn attached_where_only_compositions_are_taken() {
    crate::faces::init();
    let filter =
        format!("img2poseoverlay ! capsfilter caps=\"video/x-raw(memory:SystemMemory,{COMPOSITION})\"");
    let mut harness = gst_check::Harness::new_parse(&filter);
    harness.set_src_caps(info().to_caps().unwrap());
    harness.play();
    let out = harness.push_and_pull(frame(0)).unwrap();
    assert!(composition(&out).is_some());
}

#[test]
fn downstream_that_changes_its_mind() {
    let mut harness = harness(&info(), "", false);
    assert!(composition(&harness.push_and_pull(frame(0)).unwrap()).is_none());
    harness.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    harness.push_upstream_event(gst::event::Reconfigure::new());
    assert!(composition(&harness.push_and_pull(frame(1)).unwrap()).is_some());
    assert!(has_feature(&harness));
}

#[test]
fn drawings_of_another_element_stay() {
    let mut first = harness(&info(), "label=0", true);
    let drawn = first.push_and_pull(frame(0)).unwrap();
    let before = composition(&drawn).unwrap().n_rectangles();
    let caps = first.sinkpad().unwrap().current_caps().unwrap();

    faces::init();
    let mut second = gst_check::Harness::new("img2poseoverlay");
    second.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    second.set_src_caps(caps);
    second.play();
    let drawn = second.push_and_pull(drawn).unwrap();
    let both = composition(&drawn).unwrap();
    assert_eq!(drawn.iter_meta::<VideoOverlayCompositionMeta>().count(), 1);
    // Two faces, each with the same figure and box again and a label.
    assert_eq!(both.n_rectangles(), 2 * before + 2);
}

#[test]
fn faces_that_stay_are_not_drawn_again() {
    let mut harness = harness(&info(), "thickness=2", true);
    let mut seqnum = |index, found: &FrameFaces| {
        let out = harness.push_and_pull(frame_with(&info(), index, found)).unwrap();
        let seqnum = composition(&out).unwrap().seqnum();
        harness
            .element()
            .unwrap()
            .set_property("thickness", index as u32 / 4 + 2);
        seqnum
    };
    let (here, there) = (
        two_faces(&info()),
        FrameFaces::new(&info(), vec![middle_face([0.1; 3])]),
    );
    let first = seqnum(0, &here);
    assert_eq!(seqnum(1, &here), first);
    let moved = seqnum(2, &there);
    assert_ne!(moved, first);
    assert_eq!(seqnum(3, &there), moved);
    assert_eq!(seqnum(4, &there), moved);
    // The thickness has changed.
    assert_ne!(seqnum(5, &there), moved);
}

#[test]
fn caps_change_in_the_middle() {
    for attach in [false, true] {
        let mut harness = harness(&info(), "", attach);
        harness.push_and_pull(frame(0)).unwrap();
        let small = faces::info(VideoFormat::Bgrx, 320, 240);
        harness.set_src_caps(small.to_caps().unwrap());
        let found = two_faces(&small);
        let out = harness.push_and_pull(frame_with(&small, 1, &found)).unwrap();
        assert_eq!(has_feature(&harness), attach);
        let caps = harness.sinkpad().unwrap().current_caps().unwrap();
        assert_eq!(VideoInfo::from_caps(&caps).unwrap().width(), 320);
        if attach {
            assert!(composition(&out).is_some());
        } else {
            assert_ne!(bytes(&out), bytes(&frame_with(&small, 1, &found)));
        }
    }
}

#[test]
fn caps_queries_tell_both_ways() {
    let harness = harness(&info(), "", false);
    let element = harness.element().unwrap();
    let sink = element.static_pad("sink").unwrap().query_caps(None);
    let src = element.static_pad("src").unwrap().query_caps(None);
    let plain = info().to_caps().unwrap();
    let mut attached = plain.clone();
    let features = gst::CapsFeatures::new([gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY, COMPOSITION]);
    attached.make_mut().set_features(0, Some(features));
    assert!(plain.is_subset(&sink) && attached.is_subset(&sink), "{sink}");
    assert!(plain.is_subset(&src) && attached.is_subset(&src), "{src}");
    let other: gst::Caps = "video/x-raw,format=Y42B".parse().unwrap();
    assert!(!sink.can_intersect(&other));
    let filtered = element.static_pad("sink").unwrap().query_caps(Some(&plain));
    assert!(filtered.is_subset(&plain) && !filtered.is_empty(), "{filtered}");
}

#[test]
fn elements_behind_it_that_do_not_know_compositions() {
    for behind in ["videoconvert", "videoscale", "videocrop left=10", "queue", "tee"] {
        let arrived = faces::run(
            &format!("img2poseoverlay ! {behind}"),
            &info(),
            vec![frame(0), frame(1)],
        );
        assert_eq!(arrived.error, None, "{behind}");
        assert_eq!(arrived.samples.len(), 2, "{behind}");
        assert!(
            arrived.samples[0]
                .buffer()
                .unwrap()
                .meta::<VideoOverlayCompositionMeta>()
                .is_none()
        );
    }
}

#[test]
fn upstream_does_not_leave_cropping_to_downstream() {
    // Drawings and blurred areas would lie elsewhere in the picture than faces.
    let mut harness = harness(&info(), "", false);
    harness.add_propose_allocation_meta(VideoCropMeta::meta_api(), None);
    harness.add_propose_allocation_meta(VideoMeta::meta_api(), None);
    let mut query = gst::query::Allocation::new(Some(&info().to_caps().unwrap()), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert!(query.find_allocation_meta::<VideoCropMeta>().is_none());
    assert!(query.find_allocation_meta::<VideoMeta>().is_some());
}
