//! `per-track-interval`: one crop of each followed face now and then.

use gst::prelude::*;
use gstimg2pose::meta::{self, FrameFaces, Track, TrackState};
use img2pose::Face;

use super::support::{aligned, face, harness, pull_all, rgb};
use crate::faces::blank_frame;

/// Frame `index` of 25 a second, whose faces are followed under these ids.
fn followed(index: u64, found: &[(u64, Face, TrackState)]) -> gst::Buffer {
    let info = rgb();
    let mut buffer = blank_frame(&info, index);
    let mut faces = FrameFaces::new(&info, found.iter().map(|(_, face, _)| face.clone()).collect());
    faces.tracks = found
        .iter()
        .map(|(id, _, state)| {
            Some(Track {
                id: *id,
                age: gst::ClockTime::ZERO,
                unseen: gst::ClockTime::ZERO,
                state: *state,
                seen: None,
            })
        })
        .collect();
    meta::attach(buffer.make_mut(), &faces).unwrap();
    buffer
}

/// Which face of which frame each crop is of: its id, and the frame's number.
fn what(crops: &[gst::Buffer]) -> Vec<(u64, u64)> {
    let of = |crop: &gst::Buffer| {
        let aligned = aligned(crop);
        assert_eq!(
            crop.pts(),
            Some(gst::ClockTime::from_mseconds(40 * aligned.frame))
        );
        (aligned.track.unwrap().id, aligned.frame)
    };
    crops.iter().map(of).collect()
}

#[test]
fn the_largest_that_looks_here_of_each_face_when_its_stretch_ends() {
    use TrackState::{Interpolated, New, Predicted, Seen};
    let mut harness = harness(&rgb(), "per-track-interval=200000000");
    let frames = [
        vec![(7, face(0.0, 0.9, 100.0), New), (9, face(0.9, 0.9, 100.0), New)],
        vec![(7, face(0.0, 0.9, 120.0), Seen), (9, face(0.1, 0.9, 100.0), Seen)],
        vec![(7, face(0.8, 0.9, 121.0), Seen), (9, face(0.5, 0.9, 100.0), Seen)],
        vec![
            (7, face(0.0, 0.9, 300.0), Predicted),
            (9, face(0.0, 0.9, 300.0), Interpolated),
        ],
        vec![],
        // The next stretch.
        vec![(7, face(0.9, 0.9, 50.0), Seen)],
        vec![(7, face(0.0, 0.9, 50.0), Seen), (12, face(0.0, 0.9, 50.0), New)],
    ];
    let mut at = Vec::new();
    for (index, found) in (0..).zip(&frames) {
        harness.push(followed(index, found)).unwrap();
        at.push(what(&pull_all(&mut harness)));
    }
    let nothing = Vec::new();
    assert_eq!(at[..5], vec![nothing.clone(); 5], "held back");
    assert_eq!(at[5..], [vec![(7, 1), (9, 1)], nothing]);
    harness.push_event(gst::event::Eos::new());
    assert_eq!(
        what(&pull_all(&mut harness)),
        [(7, 6), (12, 6)],
        "the end of the stream ends it, too"
    );
}

#[test]
fn a_flush_drops_what_is_held_back_and_a_segment_lets_it_out() {
    let mut harness = harness(&rgb(), "per-track-interval=1000000000");
    let found = [(3, face(0.0, 0.9, 100.0), TrackState::Seen)];
    harness.push(followed(0, &found)).unwrap();
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new(),
    ));
    assert!(pull_all(&mut harness).is_empty());
    harness.push(followed(4, &found)).unwrap();
    harness.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new(),
    ));
    let crops = pull_all(&mut harness);
    assert_eq!(crops.len(), 1);
    assert_eq!(crops[0].pts(), Some(gst::ClockTime::from_mseconds(160)));
}

/// Crops that are held back have the caps of their own time.
#[test]
fn another_size_lets_out_what_is_held_back_first() {
    let mut harness = harness(&rgb(), "per-track-interval=1000000000");
    let found = [(3, face(0.0, 0.9, 100.0), TrackState::Seen)];
    harness.push(followed(0, &found)).unwrap();
    harness.element().unwrap().set_property("size", 64u32);
    harness.push(followed(1, &found)).unwrap();
    let before = pull_all(&mut harness);
    harness.push_event(gst::event::Eos::new());
    let after = pull_all(&mut harness);
    assert_eq!((what(&before), what(&after)), (vec![(3, 0)], vec![(3, 1)]));
    assert!(before[0].size() >= 112 * 112 * 3 && after[0].size() < 112 * 112 * 3);
}

#[test]
fn the_wait_is_latency_and_faces_without_a_tracker_are_a_warning() {
    let mut harness = harness(&rgb(), "per-track-interval=300000000");
    let element = harness.element().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(100));
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(400)));
    for index in 0..2 {
        let frame = super::support::frame(&rgb(), index, &[face(0.0, 0.9, 100.0)]);
        harness.push(frame).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    assert!(pull_all(&mut harness).is_empty());
    let warnings: Vec<String> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]))
        .map(|message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            _ => unreachable!("filtered"),
        })
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("img2posetrack"), "{warnings:?}");
}
