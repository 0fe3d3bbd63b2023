//! `whole-frame-interval`: faces are followed from one whole frame to the next.

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Face, FollowCounts, FollowOptions, Follower, StreamFrame};

use super::support::*;
use gst::prelude::*;

const BATCH: usize = 4;

fn options(interval: u32) -> FollowOptions {
    FollowOptions::default()
        .with_whole_frame_interval(interval)
        .with_region_size(32)
}

fn following(interval: u32) -> gst::Element {
    let element = detector();
    element.set_property("batch-size", BATCH as u32);
    element.set_property("whole-frame-interval", interval);
    element.set_property("region-size", 32u32);
    element
}

/// What the library finds in these frames, which come in batches of [`BATCH`].
fn expected(indices: &[u64], options: &FollowOptions) -> (Vec<Vec<Face>>, FollowCounts) {
    let mut detector = bare_detector();
    let mut followers = [Follower::default()];
    let (mut all, mut faces) = (Vec::new(), Vec::new());
    for indices in indices.chunks(BATCH) {
        let pictures: Vec<Vec<u8>> = indices
            .iter()
            .map(|index| pixels(WIDTH, HEIGHT, *index))
            .collect();
        let frames: Vec<StreamFrame<'_>> = pictures
            .iter()
            .map(|data| StreamFrame {
                frame: Frame {
                    layout: FrameLayout {
                        format: PixelFormat::Gray8,
                        width: WIDTH,
                        height: HEIGHT,
                        matrix: ColorMatrix::Bt601,
                        range: ColorRange::Full,
                        view: View::PLAIN,
                    },
                    planes: [Plane {
                        data,
                        stride: WIDTH as usize,
                    }; 3],
                },
                stream: 0,
            })
            .collect();
        detector
            .detect_following(&frames, &mut followers, options, &mut faces)
            .unwrap();
        all.append(&mut faces);
    }
    (all, followers[0].counts())
}

fn assert_counts(element: &gst::Element, counts: FollowCounts) {
    let found = ["whole-frames", "regions", "losses"].map(|name| stat(element, name));
    assert_eq!(found, [counts.whole_frames, counts.regions, counts.losses]);
}

/// Each frame eight times, as if nothing moved: faces are found again, and not in every frame.
fn indices() -> Vec<u64> {
    (0..16).map(|index| index / 8).collect()
}

#[test]
fn every_frame_carries_what_the_library_finds() {
    for interval in [2, 6, 100] {
        let element = following(interval);
        let mut harness = harness(&element, true);
        for index in indices() {
            harness.push(frame(index)).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        let (expected, counts) = expected(&indices(), &options(interval));
        assert!(counts.regions > 0, "{counts:?}");
        for (index, expected) in indices().into_iter().zip(expected) {
            let buffer = harness.pull().unwrap();
            assert_eq!(buffer.offset(), index);
            assert_eq!(faces_on(&buffer), Some(expected), "interval {interval}");
        }
        assert_counts(&element, counts);
    }
}

#[test]
fn an_interval_of_one_is_every_frame_as_it_is_alone() {
    let element = following(1);
    let mut harness = harness(&element, true);
    for index in 0..8 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..8 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    assert_counts(&element, FollowCounts::default());
}

#[test]
fn a_flush_a_jump_and_other_caps_begin_anew() {
    let element = following(1000);
    let mut harness = harness(&element, true);
    let batch = |harness: &mut gst_check::Harness, index: u64| {
        for _ in 0..BATCH {
            harness.push(frame(index)).unwrap();
        }
        let first = harness.pull().unwrap();
        for _ in 1..BATCH {
            harness.pull().unwrap();
        }
        first
    };
    assert_frame(&batch(&mut harness, 0), 0);
    flush(&mut harness);
    assert_frame(&batch(&mut harness, 1), 1);
    assert!(harness.push_event(segment()));
    assert_frame(&batch(&mut harness, 2), 2);
    let other = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    harness.push_event(gst::event::Caps::new(&other.parse::<gst::Caps>().unwrap()));
    for _ in 0..BATCH {
        harness.push(frame_of(96, 60, 3)).unwrap();
    }
    let buffer = harness.pull().unwrap();
    let alone = faces_of(&mut bare_detector(), 96, 60, 3);
    assert_eq!(faces_on(&buffer), Some(alone));
}

#[test]
fn frames_that_are_left_out_are_no_part_of_it() {
    let element = following(4);
    element.set_property("inference-interval", 2u32);
    let mut harness = harness(&element, true);
    for index in 0..16 {
        harness.push(frame(index / 8)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let inferred: Vec<u64> = (0..16).step_by(2).map(|index| index / 8).collect();
    let (expected, counts) = expected(&inferred, &options(4));
    let mut expected = expected.into_iter();
    for place in 0..16 {
        let found = faces_on(&harness.pull().unwrap());
        match place % 2 {
            0 => assert_eq!(found, expected.next(), "frame {place}"),
            _ => assert_eq!(found, None),
        }
    }
    assert_counts(&element, counts);
}

#[test]
fn elements_that_share_a_model_follow_their_own_faces() {
    let elements = [following(6), following(6)];
    for element in &elements {
        element.set_property("model-instance-id", "following");
        // Each fills half a batch.
        element.set_property("batch-size", 2 * BATCH as u32);
    }
    let mut harnesses = elements.each_ref().map(|element| harness(element, true));
    let streams = [indices(), indices().iter().map(|index| index + 5).collect()];
    let expected = streams.each_ref().map(|indices| expected(indices, &options(6)));
    for first in (0..16).step_by(BATCH) {
        for (harness, indices) in harnesses.iter_mut().zip(&streams) {
            for index in &indices[first..first + BATCH] {
                harness.push(frame(*index)).unwrap();
            }
        }
        for (harness, (expected, _)) in harnesses.iter_mut().zip(&expected) {
            for expected in &expected[first..first + BATCH] {
                assert_eq!(faces_on(&harness.pull().unwrap()).as_ref(), Some(expected));
            }
        }
    }
    for (element, (_, counts)) in elements.iter().zip(&expected) {
        assert_counts(element, *counts);
    }
    let other = following(7);
    other.set_property("model-instance-id", "following");
    other.set_property("batch-size", 2 * BATCH as u32);
    let bus = listen(&other);
    assert!(other.set_state(gst::State::Ready).is_err());
    let error = error_text(&bus.pop_filtered(&[gst::MessageType::Error]).unwrap());
    assert!(error.contains("whole-frame-interval=6"), "{error}");
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_stream_behind_those_before_it() {
    let element = following(10);
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    harness.push(frame(0)).unwrap();
    let mut short = gst::Buffer::from_mut_slice(vec![0u8; 7]);
    short.get_mut().unwrap().set_offset(2);
    assert!(harness.push(short).is_err());
    assert_frame(&harness.pull().unwrap(), 0);
    assert_eq!(harness.pull().unwrap().offset(), 0);
    let error = error_text(&bus.pop_filtered(&[gst::MessageType::Error]).unwrap());
    assert!(error.contains("cannot read the frame"), "{error}");
}
