//! Labels among many faces.

use gst_video::{VideoFormat, VideoInfo, VideoOverlayCompositionMeta};
use gstimg2pose::meta::FrameFaces;
use img2pose::Face;

use super::support::{NOTHING, harness, middle_face};
use crate::faces;

fn info() -> VideoInfo {
    faces::info(VideoFormat::I420, 1280, 720)
}

fn face(bbox: [f32; 4]) -> Face {
    Face {
        bbox,
        ..middle_face([0.0; 3])
    }
}

/// The areas of the labels: left, top, right, bottom.
fn labels(found: &[Face], properties: &str) -> Vec<[f32; 4]> {
    let info = info();
    let mut harness = harness(&info, &format!("{NOTHING} {properties}"), true);
    let frame = faces::frame_with(&info, 0, &FrameFaces::new(&info, found.to_vec()));
    let out = harness.push_and_pull(frame).unwrap();
    let Some(meta) = out.meta::<VideoOverlayCompositionMeta>() else {
        return vec![];
    };
    let areas = meta.overlay().iter().map(|rectangle| {
        let (x, y, width, height) = rectangle.render_rectangle();
        [
            x as f32,
            y as f32,
            x as f32 + width as f32,
            y as f32 + height as f32,
        ]
    });
    areas.collect()
}

fn overlap(a: [f32; 4], b: [f32; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// Faces in rows and columns, `width` x `height` pixels each, `gap` pixels apart.
fn crowd(columns: usize, rows: usize, [width, height]: [f32; 2], gap: f32) -> Vec<Face> {
    let faces = (0..rows).flat_map(|row| {
        (0..columns).map(move |column| {
            let x = 10.0 + column as f32 * (width + gap) + (row % 2) as f32 * 3.0;
            let y = 20.0 + row as f32 * (height + gap);
            face([x, y, x + width, y + height])
        })
    });
    faces.collect()
}

/// They used to be as large as with one face, and to lie over the faces above and beside.
#[test]
fn labels_in_a_crowd_cover_no_other_face_and_no_other_label() {
    for (crowd, all) in [
        (crowd(25, 12, [32.0, 40.0], 14.0), true),
        (crowd(25, 12, [24.0, 32.0], 12.0), true),
        (crowd(25, 12, [40.0, 50.0], 4.0), false),
        (crowd(20, 15, [14.0, 18.0], 2.0), false),
        (crowd(20, 15, [44.0, 40.0], -4.0), false),
    ] {
        assert_eq!(crowd.len(), 300);
        for label in ["score", "number+score", "score+angles"] {
            let labels = labels(&crowd, &format!("label={label}"));
            if all && label == "score" {
                assert_eq!(labels.len(), 300, "every face has its label");
            }
            for (index, area) in labels.iter().enumerate() {
                // Inside its own box it may reach over that where nobody is.
                let is_own = |b: [f32; 4]| b[0].floor() == area[0] && (b[1].floor()..b[3]).contains(&area[1]);
                let mut others = crowd.iter().filter(|face| !is_own(face.bbox));
                let covered = others.any(|face| overlap(face.bbox, *area));
                let inside = crowd.iter().any(|face| {
                    let b = face.bbox;
                    is_own(b) && area[2] <= b[2].ceil() && area[3] <= b[3].ceil()
                });
                assert!(!covered || inside, "{label} {area:?} covers another face");
                if !covered {
                    let other = labels[..index].iter().find(|other| overlap(**other, *area));
                    assert_eq!(other, None, "{label} {area:?}");
                }
            }
        }
    }
}

#[test]
fn text_is_as_large_as_its_face_allows() {
    let height = |width: f32| {
        let labels = labels(
            &[face([300.0, 300.0, 300.0 + width, 300.0 + width])],
            "label=score",
        );
        labels[0][3] - labels[0][1]
    };
    // 18 pixels and 3 above and below: a 40th of the short side.
    assert_eq!(height(200.0), 24.0);
    assert!(height(30.0) < height(45.0) && height(45.0) < height(60.0));
    // A face that is small and alone has a label that can be read.
    assert!(height(6.0) >= 10.0);
}

#[test]
fn a_size_that_was_set_is_kept_and_every_face_has_its_label() {
    let crowd = crowd(20, 15, [14.0, 18.0], 2.0);
    let labels = labels(&crowd, "label=score text-size=20");
    assert_eq!(labels.len(), 300);
    assert!(labels.iter().all(|area| area[3] - area[1] == 26.0));
}

#[test]
fn a_label_goes_where_there_is_room() {
    // One face right above the other: the label of the lower one goes below.
    let pair = [
        face([300.0, 200.0, 380.0, 300.0]),
        face([300.0, 305.0, 380.0, 405.0]),
    ];
    let labels = labels(&pair, "label=score");
    assert_eq!((labels[0][3], labels[1][1]), (200.0, 405.0));
}

/// Frames with a face that has no id.
fn untracked(info: &VideoInfo, count: u64) -> Vec<gst::Buffer> {
    let found = FrameFaces::new(info, vec![middle_face([0.0; 3])]);
    (0..count)
        .map(|index| faces::frame_with(info, index, &found))
        .collect()
}

#[test]
fn ids_that_nobody_gives_are_missed_once_and_aloud() {
    faces::init();
    let info = info();
    for count in [1, 40] {
        let arrived = faces::run(
            "img2poseoverlay label=track+angles",
            &info,
            untracked(&info, count),
        );
        assert_eq!(
            (arrived.error, arrived.warnings.len()),
            (None, 1),
            "{:?}",
            arrived.warnings
        );
        assert!(
            arrived.warnings[0].contains("img2posetrack"),
            "{:?}",
            arrived.warnings
        );
    }
    for pipeline in [
        "img2poseoverlay label=score",
        "img2posetrack ! img2poseoverlay label=track",
    ] {
        let arrived = faces::run(pipeline, &info, untracked(&info, 3));
        assert_eq!((arrived.error, arrived.warnings), (None, vec![]), "{pipeline}");
    }
}
