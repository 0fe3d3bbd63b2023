//! Faces that no detector would find, but that can be on a buffer: nothing panics, nothing fails.

use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::FrameFaces;
use img2pose::Face;
use proptest::prelude::*;

use super::support::{bytes, harness, middle_face};
use crate::faces::{self, frame_with};

const ALL: &str = "draw-points=landmarks draw-outline=true label=number+score+angles+position";

fn push(info: &VideoInfo, properties: &str, faces: Vec<Face>) -> gst::Buffer {
    let mut harness = harness(info, &format!("{ALL} {properties}"), false);
    let found = FrameFaces::new(info, faces);
    harness.push_and_pull(frame_with(info, 0, &found)).unwrap()
}

#[test]
fn faces_of_no_size() {
    let info = faces::info(VideoFormat::I420, 320, 240);
    let empty = |x: f32, y: f32| Face {
        bbox: [x, y, x, y],
        confidence: 0.0,
        pose: [0.0; 6],
        keypoints: [[x, y]; 5],
        sigma: None,
    };
    push(
        &info,
        "blur-faces=blur",
        vec![empty(0.0, 0.0), empty(100.0, 50.0), empty(320.0, 240.0)],
    );
}

#[test]
fn frames_smaller_than_anything_drawn() {
    for (width, height) in [(1, 1), (2, 2), (3, 40), (40, 3)] {
        for format in [
            VideoFormat::I420,
            VideoFormat::Nv12,
            VideoFormat::Rgb,
            VideoFormat::Gray8,
        ] {
            let info = faces::info(format, width, height);
            push(
                &info,
                "blur-faces=pixelate thickness=100 text-size=500",
                vec![middle_face([0.2; 3])],
            );
        }
    }
}

#[test]
fn a_head_around_the_camera_and_one_behind_it() {
    let info = faces::info(VideoFormat::Rgb, 640, 480);
    let at = |z: f32| Face {
        pose: [0.3, 0.2, 0.1, 0.0, 0.0, z],
        ..middle_face([0.0; 3])
    };
    for z in [0.0, 0.5, 0.75, 0.8, -5.0, 1e-30, 1e30] {
        push(&info, "", vec![at(z)]);
    }
    // The box of the one behind is drawn, its axes are not: they would point the wrong way.
    let mut plain = harness(&info, "draw-points=none label=0", false);
    let mut without = harness(&info, "draw-points=none label=0 draw-axes=false", false);
    let frame = || frame_with(&info, 0, &FrameFaces::new(&info, vec![at(-5.0)]));
    let drawn = bytes(&plain.push_and_pull(frame()).unwrap());
    assert!(drawn == bytes(&without.push_and_pull(frame()).unwrap()));
    assert!(drawn != bytes(&frame()));
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        -50.0..700.0_f32,
        -3.2..3.2_f32,
        prop::num::f32::NORMAL,
        Just(0.0),
        Just(f32::MAX),
        Just(f32::MIN_POSITIVE)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_numbers(
        bbox in prop::array::uniform4(number()),
        pose in prop::array::uniform6(number()),
        point in prop::array::uniform2(number()),
        confidence in number(),
        blur in prop::sample::select(vec!["none", "pixelate", "blur"]),
    ) {
        let info = faces::info(VideoFormat::I420, 160, 120);
        let face = Face { bbox, confidence, pose, keypoints: [point; 5], sigma: None };
        // Keypoints and landmarks are drawn by different properties.
        for points in ["keypoints", "landmarks"] {
            push(&info, &format!("draw-points={points} blur-faces={blur}"), vec![face.clone()]);
        }
    }
}
