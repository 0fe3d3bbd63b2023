//! What is left of hidden faces: this project's own detector finds none of them again, and nothing sticks out.

mod pictures;

use gst::prelude::*;
use img2pose::contract::REFERENCE_POINTS_68;
use img2pose::frame::Frame;
use img2pose::pose::{project_landmarks, project_points};
use img2pose::{Detector, DetectorOptions, Face, Selection};

use crate::faces;
use pictures::{Picture, hide, pictures};

/// The default of `score-threshold`: what counts as a face.
const FOUND: f32 = 0.5;
const KINDS: [&str; 3] = ["pixelate", "blur", "solid"];
/// Of JPEG: coarse and fine.
const QUALITIES: [u32; 2] = [50, 95];

fn detector() -> Detector {
    faces::init();
    img2pose::runtime::load(None, None).unwrap_or_else(|error| {
        panic!("these tests need ONNX Runtime, run scripts/setup.sh: {error}");
    });
    let options = DetectorOptions::default().with_selection(Selection::default().with_score_threshold(FOUND));
    Detector::open(&test_support::shipped_model(), options).unwrap()
}

fn detect(detector: &mut Detector, picture: &Picture) -> Vec<Face> {
    let frame = Frame::rgb(&picture.pixels, picture.width, picture.height);
    detector.detect(&[frame]).unwrap().remove(0)
}

/// Area in common over the area of both.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |b: [f32; 4]| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let both = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    area(both) / (area(a) + area(b) - area(both))
}

/// How many of the faces are found where they were before they were hidden.
fn found_again(detector: &mut Detector, picture: &Picture, found: &[Face], properties: &str) -> usize {
    let mut again = 0;
    for quality in QUALITIES {
        let after = detect(detector, &hide(picture, found, properties, quality));
        for face in found {
            if let Some(after) = after.iter().find(|after| overlap(after.bbox, face.bbox) > 0.2) {
                let Picture { name, .. } = picture;
                println!(
                    "{name} {properties} quality {quality}: {:?} as {:?} {}",
                    face.bbox, after.bbox, after.confidence
                );
                again += 1;
            }
        }
    }
    again
}

#[test]
fn the_detector_finds_no_hidden_face_again() {
    let mut detector = detector();
    let (mut faces, mut again) = (0, 0);
    for picture in pictures() {
        let found = detect(&mut detector, &picture);
        faces += found.len();
        for kind in KINDS {
            again += found_again(&mut detector, &picture, &found, &format!("blur-faces={kind}"));
        }
    }
    println!("{faces} faces");
    assert_eq!(again, 0, "of {faces} faces");
}

/// As it was before there were margin and strength, faces are found: the test above would see it.
#[test]
fn weakly_hidden_faces_are_found_again() {
    let pictures = pictures();
    let Some(group) = pictures.iter().find(|picture| picture.name == "multi_face.jpg") else {
        return; // `pictures` has said so.
    };
    let mut detector = detector();
    let found = detect(&mut detector, group);
    assert_eq!(found.len(), 5);
    for kind in ["pixelate", "blur"] {
        let weak = format!("blur-faces={kind} blur-margin=0 blur-strength=0.1");
        assert!(found_again(&mut detector, group, &found, &weak) >= 4, "{kind}");
    }
}

/// The box that a detector reports for the pose, before it is clipped.
fn face_box(pose: &[f32; 6], width: u32, height: u32) -> [f32; 4] {
    let landmarks = project_landmarks(pose, width, height);
    let side = |axis: usize| {
        let low = landmarks
            .iter()
            .map(|point| point[axis])
            .fold(f32::INFINITY, f32::min);
        let high = landmarks
            .iter()
            .map(|point| point[axis])
            .fold(f32::NEG_INFINITY, f32::max);
        let middle = (low + high) / 2.0;
        let half = (high - low) * 1.1 / 2.0;
        (middle - half, middle + half, high - low)
    };
    let (left, right, width) = side(0);
    let (top, bottom, height) = side(1);
    // The forehead, on the side where the roll puts it.
    match pose[2] {
        roll if roll > 1.0 => [left, top, right + 0.3 * width, bottom],
        roll if roll < -1.0 => [left - 0.3 * width, top, right, bottom],
        _ => [left, top - 0.3 * height, right, bottom],
    }
}

/// Where a head reaches beyond the landmarks of its face, in head units of about 11 cm (an adult's outer corners of the
/// eyes are 9 cm apart, 0.83 in the model): the width over the ears is 19 cm, from chin to crown are 23 cm, and the
/// lower edge of a chin lies a little below its landmark.
fn sticking_out() -> [[f32; 3]; 8] {
    let chin = REFERENCE_POINTS_68[8];
    [
        [chin[0], chin[1] + 0.1, chin[2]],
        [chin[0] - 0.2, chin[1] + 0.08, chin[2]],
        [chin[0] + 0.2, chin[1] + 0.08, chin[2]],
        [-0.88, -0.45, 0.4],
        [0.88, -0.45, 0.4],
        [-0.84, 0.05, 0.35],
        [0.84, 0.05, 0.35],
        [0.0, -1.35, 0.35],
    ]
}

#[test]
fn the_default_margin_covers_chin_ears_and_crown() {
    faces::init();
    let overlay = gst::ElementFactory::make("img2poseoverlay").build().unwrap();
    let margin = overlay.property::<f64>("blur-margin") as f32;
    let (width, height) = (1280, 720);
    for distance in [6.0, 15.0, 60.0] {
        for yaw in (-75..=75).step_by(15) {
            for pitch in [-30, -15, 0, 15, 30] {
                for roll in [-30, 0, 30] {
                    // Turned about the vertical axis first, then nodded, then rolled.
                    let pose = turned(
                        [yaw, pitch, roll].map(|degrees| (degrees as f32).to_radians()),
                        distance,
                    );
                    let [left, top, right, bottom] = face_box(&pose, width, height);
                    let around = margin * (right - left).max(bottom - top);
                    for [x, y] in project_points(&sticking_out(), &pose, width, height) {
                        assert!(
                            (left - around..right + around).contains(&x)
                                && (top - around..bottom + around).contains(&y),
                            "{x} {y} of yaw {yaw} pitch {pitch} roll {roll} is outside {left} {top} {right} {bottom} and {around}"
                        );
                    }
                }
            }
        }
    }
}

/// The pose of a head in the middle of the frame.
fn turned([yaw, pitch, roll]: [f32; 3], distance: f32) -> [f32; 6] {
    let about = |axis: usize, angle: f32| {
        let mut vector = [0.0; 3];
        vector[axis] = f64::from(angle);
        img2pose::pose::rotation_matrix(vector)
    };
    let times = |a: [[f64; 3]; 3], b: [[f64; 3]; 3]| {
        let cell = |row: usize, column: usize| (0..3).map(|i| a[row][i] * b[i][column]).sum::<f64>();
        std::array::from_fn(|row| std::array::from_fn(|column| cell(row, column)))
    };
    let rotation = times(about(2, roll), times(about(0, pitch), about(1, yaw)));
    let [rx, ry, rz] = img2pose::pose::matrix_to_rotation_vector(&rotation).map(|angle| angle as f32);
    [rx, ry, rz, 0.0, 0.0, distance]
}
