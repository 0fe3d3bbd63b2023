//! Faces made unrecognisable.

use gst_video::{VideoFormat, VideoInfo, VideoOverlayCompositionMeta};
use gstimg2pose::meta::{FrameFaces, Track, TrackState};
use img2pose::Face;

use super::support::{NOTHING, Picture, bytes, harness, middle_face, noise};
use crate::faces;
use crate::faces::FORMATS;

const KINDS: [&str; 3] = ["pixelate", "blur", "solid"];

/// The box and nothing around it.
const BARE: &str = "blur-margin=0";

/// A face in even pixels, so that no chroma sample lies across its border.
fn found(info: &VideoInfo) -> FrameFaces {
    let face = |bbox| Face {
        bbox,
        ..middle_face([0.0; 3])
    };
    FrameFaces::new(
        info,
        vec![
            face([20.0, 30.0, 84.0, 110.0]),
            face([300.0, 200.0, 320.0, 240.0]),
        ],
    )
}

fn inside((x, y): (usize, usize)) -> bool {
    ((20..84).contains(&x) && (30..110).contains(&y)) || ((300..320).contains(&x) && (200..240).contains(&y))
}

#[test]
fn only_the_boxes_change_in_every_format() {
    for format in FORMATS {
        for kind in KINDS {
            let info = faces::info(format, 320, 240);
            let frame = noise(&info, &found(&info));
            let before = Picture::new(&frame, &info);
            let mut harness = harness(&info, &format!("{NOTHING} {BARE} blur-faces={kind}"), false);
            let after = Picture::new(&harness.push_and_pull(frame).unwrap(), &info);
            let changes = after.changes(&before, 0);
            let area = 64 * 80 + 20 * 40;
            assert!(
                changes.len() > area * 95 / 100,
                "{format:?} {kind}: {} of {area}",
                changes.len()
            );
            // The converter smooths chroma over a pixel beside its sample.
            let stray = changes.iter().filter(|(x, y)| {
                let near = |v: usize| [v.saturating_sub(1), v, v + 1];
                !near(*x).iter().any(|x| near(*y).iter().any(|y| inside((*x, *y))))
            });
            assert_eq!(stray.count(), 0, "{format:?} {kind}");
        }
    }
}

#[test]
fn bytes_outside_and_alpha_stay() {
    let info = faces::info(VideoFormat::Rgba, 320, 240);
    for kind in KINDS {
        let frame = noise(&info, &found(&info));
        let before = bytes(&frame);
        let mut harness = harness(&info, &format!("{NOTHING} {BARE} blur-faces={kind}"), false);
        let after = bytes(&harness.push_and_pull(frame).unwrap());
        for (index, (a, b)) in before.iter().zip(&after).enumerate() {
            let at = (index / 4 % 320, index / 4 / 320);
            assert!(a == b || (inside(at) && index % 4 != 3), "{kind} {at:?}");
        }
    }
}

#[test]
fn blocks_are_of_one_colour_and_blurs_are_smooth() {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    let row = |kind: &str| {
        let properties = format!("{NOTHING} {BARE} blur-strength=0.1 blur-faces={kind}");
        let mut harness = harness(&info, &properties, false);
        let out = bytes(&harness.push_and_pull(noise(&info, &found(&info))).unwrap());
        out[70 * 320 + 20..70 * 320 + 84].to_vec()
    };
    // 64 pixels in cells of 8, a tenth of the long side.
    let blocks = row("pixelate");
    assert!(
        blocks
            .chunks(8)
            .all(|block| block.iter().all(|value| *value == block[0])),
        "{blocks:?}"
    );
    assert!(blocks.windows(2).any(|pair| pair[0] != pair[1]));
    let smooth = row("blur");
    let steps = |row: &[u8]| {
        row.windows(2)
            .map(|pair| pair[0].abs_diff(pair[1]))
            .max()
            .unwrap()
    };
    assert!(steps(&smooth) <= steps(&blocks) / 4 + 1, "{smooth:?}");
}

#[test]
fn pixels_change_also_when_the_drawing_is_attached() {
    let info = faces::info(VideoFormat::Nv12, 320, 240);
    let frame = noise(&info, &found(&info));
    let before = Picture::new(&frame, &info);
    let mut harness = harness(&info, "blur-faces=pixelate", true);
    let out = harness.push_and_pull(frame).unwrap();
    assert!(out.meta::<VideoOverlayCompositionMeta>().is_some());
    assert!(Picture::new(&out, &info).changes(&before, 0).len() > 64 * 80);
}

#[test]
fn boxes_at_odd_places_and_over_the_edge() {
    for format in FORMATS {
        // An odd size: the last chroma sample stands for less than two pixels.
        let info = faces::info(format, 321, 241);
        let boxes = [
            [319.5, 239.5, 321.0, 241.0],
            [-20.0, -20.0, 11.3, 7.7],
            [310.1, 100.0, 400.0, 143.9],
            [33.0, 55.0, 34.0, 56.0],
            [50.0, 50.0, 50.0, 90.0],
            [0.0, 0.0, 321.0, 241.0],
        ];
        let faces = boxes.map(|bbox| Face {
            bbox,
            ..middle_face([0.0; 3])
        });
        let found = FrameFaces::new(&info, faces.to_vec());
        for kind in KINDS {
            let frame = noise(&info, &found);
            let before = bytes(&frame);
            let mut harness = harness(&info, &format!("blur-faces={kind}"), false);
            assert_ne!(
                bytes(&harness.push_and_pull(frame).unwrap()),
                before,
                "{format:?} {kind}"
            );
        }
    }
}

/// Where the frame changes: left, top, right, bottom.
fn changed(info: &VideoInfo, face: [f32; 4], properties: &str) -> [usize; 4] {
    let found = FrameFaces::new(
        info,
        vec![Face {
            bbox: face,
            ..middle_face([0.0; 3])
        }],
    );
    let frame = noise(info, &found);
    let before = Picture::new(&frame, info);
    let mut harness = harness(info, &format!("{NOTHING} {properties}"), false);
    let after = Picture::new(&harness.push_and_pull(frame).unwrap(), info);
    let changes = after.changes(&before, 0);
    let (x, y) = (changes.iter().map(|c| c.0), changes.iter().map(|c| c.1));
    [
        x.clone().min().unwrap(),
        y.clone().min().unwrap(),
        x.max().unwrap() + 1,
        y.max().unwrap() + 1,
    ]
}

#[test]
fn the_margin_is_a_share_of_the_box_on_each_side() {
    let info = faces::info(VideoFormat::Rgb, 320, 240);
    let face = [100.0, 80.0, 180.0, 180.0];
    let area = |properties: &str| changed(&info, face, &format!("blur-faces=solid {properties}"));
    assert_eq!(area("blur-margin=0"), [100, 80, 180, 180]);
    assert_eq!(area("blur-margin=0.25"), [75, 55, 205, 205]);
    // As far as the frame goes.
    assert_eq!(area("blur-margin=2"), [0, 0, 320, 240]);
    // Without a word, more than the box.
    let [left, top, right, bottom] = area("");
    assert!(left < 85 && top < 60 && right > 195 && bottom > 200);
}

#[test]
fn strength_is_the_side_of_a_block() {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    let steps = |face: [f32; 4], strength: f64| {
        let found = FrameFaces::new(
            &info,
            vec![Face {
                bbox: face,
                ..middle_face([0.0; 3])
            }],
        );
        let properties = format!("{NOTHING} {BARE} blur-faces=pixelate blur-strength={strength}");
        let mut harness = harness(&info, &properties, false);
        let out = bytes(&harness.push_and_pull(noise(&info, &found)).unwrap());
        let (left, right) = (face[0] as usize, face[2] as usize);
        let row = &out[100 * 320 + left..100 * 320 + right];
        row.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    let whole = [100.0, 60.0, 180.0, 160.0];
    assert_eq!(steps(whole, 0.1), 7);
    assert_eq!(steps(whole, 0.2), 3);
    assert_eq!(steps(whole, 1.0), 0);
    // What the edge of the frame leaves of a face is not shown in finer blocks.
    assert_eq!(steps([0.0, 60.0, 20.0, 160.0], 0.2), 0);
}

#[test]
fn solid_is_black_in_every_format() {
    for format in FORMATS {
        let info = faces::info(format, 320, 240);
        let mut harness = harness(&info, &format!("{NOTHING} {BARE} blur-faces=solid"), false);
        let out = harness.push_and_pull(noise(&info, &found(&info))).unwrap();
        let picture = Picture::new(&out, &info);
        for (x, y) in [(22, 32), (50, 70), (81, 107), (302, 202), (317, 237)] {
            assert!(
                picture.at(x, y).iter().all(|c| *c <= 1),
                "{format:?} {x} {y} {:?}",
                picture.at(x, y)
            );
        }
    }
}
/// Pushes frames of noise through an element that blurs; those that are given faces carry them. Returns which of them came out
/// changed, and the warnings.
fn blurred(properties: &str, frames: &[Option<FrameFaces>]) -> (Vec<bool>, Vec<String>) {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let mut before = Vec::new();
    let frames = frames.iter().enumerate().map(|(index, found)| {
        let mut frame = noise(&info, &FrameFaces::new(&info, vec![]));
        before.push(bytes(&frame));
        let out = frame.get_mut().unwrap();
        out.set_pts(gst::ClockTime::from_mseconds(40 * index as u64));
        gstimg2pose::meta::clear(out);
        if let Some(found) = found {
            gstimg2pose::meta::attach(out, found).unwrap();
        }
        frame
    });
    let frames = frames.collect();
    let arrived = faces::run(&format!("img2poseoverlay {NOTHING} {properties}"), &info, frames);
    assert_eq!(arrived.error, None);
    let after = arrived
        .samples
        .iter()
        .map(|sample| bytes(sample.buffer().unwrap()));
    (
        before
            .iter()
            .zip(after)
            .map(|(before, after)| *before != after)
            .collect(),
        arrived.warnings,
    )
}

#[test]
fn a_frame_that_nobody_looked_at_does_not_pass_in_the_clear() {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let empty = FrameFaces::new(&info, vec![]);
    for kind in KINDS {
        let (changed, warnings) = blurred(
            &format!("blur-faces={kind}"),
            &[None, Some(empty.clone()), None, Some(found(&info))],
        );
        // One that was looked at and shows no face is left alone.
        assert_eq!(changed, [true, false, true, true], "{kind}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("no detector looked at") && warnings[0].contains("blurred as a whole"),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_frame_that_nobody_looked_at_is_blurred_everywhere() {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    let mut frame = noise(&info, &FrameFaces::new(&info, vec![]));
    gstimg2pose::meta::clear(frame.get_mut().unwrap());
    let mut harness = harness(&info, &format!("{NOTHING} blur-faces=pixelate"), false);
    let out = bytes(&harness.push_and_pull(frame).unwrap());
    for row in out.chunks(320) {
        let steps = row.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(steps < 40, "{steps} steps in a row");
    }
}

#[test]
fn whoever_lets_unseen_frames_pass_is_told_so() {
    let (changed, warnings) = blurred("blur-faces=blur blur-unseen=false", &[None, None]);
    assert_eq!(changed, [false, false]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("passes without blurring"), "{warnings:?}");
}

#[test]
fn blurring_by_the_faces_of_an_earlier_frame_is_told_once() {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let reused = FrameFaces {
        reused: true,
        ..found(&info)
    };
    let frames = [Some(found(&info)), Some(reused.clone()), Some(reused)];
    let (changed, warnings) = blurred("blur-faces=pixelate", &frames);
    assert_eq!(changed, [true; 3]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("earlier frame") && warnings[0].contains("inference-interval=1"),
        "{warnings:?}"
    );
    assert_eq!(blurred("", &frames), (vec![false; 3], vec![]));
}

fn track(state: TrackState, seen: Option<Face>) -> Option<Track> {
    Some(Track {
        id: 1,
        age: gst::ClockTime::ZERO,
        unseen: gst::ClockTime::ZERO,
        state,
        seen,
    })
}

/// What changed of a frame of noise with this record.
fn hidden(found: &FrameFaces, properties: &str) -> Vec<(usize, usize)> {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    let frame = noise(&info, found);
    let before = Picture::new(&frame, &info);
    let mut harness = harness(
        &info,
        &format!("{NOTHING} {BARE} blur-faces=solid {properties}"),
        false,
    );
    Picture::new(&harness.push_and_pull(frame).unwrap(), &info).changes(&before, 0)
}

/// A tracker knows where faces should be that were there before, not who has come since.
#[test]
fn a_frame_that_nobody_looked_at_is_hidden_whole_whatever_a_tracker_expects() {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    for state in [TrackState::Predicted, TrackState::Interpolated] {
        let expected = FrameFaces {
            reused: true,
            tracks: vec![track(state, None); 2],
            ..found(&info)
        };
        let whole = hidden(&expected, "").len();
        assert!(whole > 320 * 240 * 98 / 100, "{whole}");
        let places = hidden(&expected, "blur-unseen=false");
        assert!(places.len() > 64 * 80 && places.iter().all(|at| inside(*at)));
    }
    let looked_at = FrameFaces {
        tracks: vec![track(TrackState::Seen, None), track(TrackState::Predicted, None)],
        ..found(&info)
    };
    let places = hidden(&looked_at, "");
    // The face that was not found again is hidden where it should be.
    assert!(places.contains(&(310, 220)) && places.iter().all(|at| inside(*at)));
}

#[test]
fn a_face_is_hidden_where_it_was_found_not_only_where_it_was_smoothed_to() {
    let info = faces::info(VideoFormat::Gray8, 320, 240);
    let mut smoothed = found(&info);
    let was_found = smoothed.faces[0].clone();
    smoothed.faces[0].bbox = [10.0, 30.0, 74.0, 110.0];
    smoothed.tracks = vec![track(TrackState::Seen, Some(was_found)), None];
    let places = hidden(&smoothed, "");
    for at in [(12, 60), (40, 60), (80, 60)] {
        assert!(
            places
                .iter()
                .any(|(x, y)| x.abs_diff(at.0) < 3 && y.abs_diff(at.1) < 3),
            "{at:?} is seen"
        );
    }
}

#[test]
fn what_a_tracker_changes_of_the_protection_is_told() {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let expected = FrameFaces {
        reused: true,
        tracks: vec![track(TrackState::Predicted, None); 2],
        ..found(&info)
    };
    let (_, warnings) = blurred("blur-faces=blur", &[Some(expected.clone())]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("blurred as a whole"), "{warnings:?}");
    let (_, warnings) = blurred("blur-faces=blur blur-unseen=false", &[Some(expected)]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("only where img2posetrack expects faces"),
        "{warnings:?}"
    );
}

/// The record has small pictures of the faces, of 8 x 8 grey values: a frame whose faces are hidden must not bring them along.
#[test]
fn no_small_pictures_of_hidden_faces_are_left_in_the_record() {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let likeness = |frame: &gst::BufferRef| {
        let meta = gst::meta::CustomMeta::from_buffer(frame, gstimg2pose::meta::RECORD_NAME).unwrap();
        meta.structure().has_field("likeness")
    };
    let looked_at = || {
        let mut frame = noise(&info, &found(&info));
        gstimg2pose::meta::attach_with_likeness(frame.make_mut(), &info, &found(&info)).unwrap();
        assert!(likeness(&frame));
        frame
    };
    for kind in KINDS {
        let mut harness = harness(&info, &format!("{NOTHING} blur-faces={kind}"), false);
        let frame = looked_at();
        // The same frame on another branch keeps its own.
        let kept = frame.clone();
        let hidden = harness.push_and_pull(frame).unwrap();
        assert!(!likeness(&hidden), "{kind}");
        assert_eq!(gstimg2pose::meta::read(&hidden), Ok(Some(found(&info))), "{kind}");
        assert!(likeness(&kept), "{kind}");
    }
    let mut harness = harness(&info, NOTHING, false);
    assert!(likeness(&harness.push_and_pull(looked_at()).unwrap()));
}
