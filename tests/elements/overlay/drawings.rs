//! What is drawn where.

use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{FrameFaces, Track, TrackState};
use img2pose::contract::REFERENCE_POINTS_68;
use img2pose::frame::Orientation;
use img2pose::pose::{project_landmarks, project_points, turn_pose};

use super::support::{NOTHING, Picture, blank, middle_face, render};
use crate::faces;

fn info() -> VideoInfo {
    faces::info(VideoFormat::Rgb, 640, 480)
}

fn picture(properties: &str, rotation: [f32; 3]) -> Picture {
    let info = info();
    let found = FrameFaces::new(&info, vec![middle_face(rotation)]);
    Picture::new(&render(&info, &format!("{NOTHING} {properties}"), &found), &info)
}

#[track_caller]
fn assert_color(picture: &Picture, [x, y]: [f32; 2], color: [u8; 3]) {
    let found = picture.at(x.round() as usize, y.round() as usize);
    let near = found.iter().zip(color).all(|(a, b)| a.abs_diff(b) <= 20);
    assert!(near, "{found:?} at {x}, {y}, expected {color:?}");
}

const AXES: &str = "draw-axes=true x-axis-color=0xffff0000 y-axis-color=0xff00ff00 z-axis-color=0xff0000ff";
const COLORS: [[u8; 3]; 3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];

/// The nose and the ends of the axes.
fn axis_ends(rotation: [f32; 3]) -> [[f32; 2]; 4] {
    let [x, y, z] = REFERENCE_POINTS_68[30];
    let points = [[x, y, z], [x + 0.9, y, z], [x, y + 0.9, z], [x, y, z - 0.9]];
    project_points(&points, &middle_face(rotation).pose, 640, 480)
}

#[test]
fn axes_of_an_upright_face_point_right_and_down() {
    // Seen from the front, one head unit at the nose is 1120 / (7 - 0.746) = 179 pixels.
    let picture = picture(AXES, [0.0; 3]);
    let nose = [320.0 - 0.0181 * 179.0, 240.0 - 0.062 * 179.0];
    assert_color(&picture, [nose[0] + 100.0, nose[1]], COLORS[0]);
    assert_color(&picture, [nose[0], nose[1] + 100.0], COLORS[1]);
    // z points into the camera: next to nothing of it is seen.
    assert_color(&picture, nose, COLORS[2]);
    for beside in [
        [nose[0] - 20.0, nose[1]],
        [nose[0], nose[1] - 20.0],
        [nose[0] + 180.0, nose[1]],
    ] {
        assert_color(&picture, beside, [128; 3]);
    }
}

#[test]
fn axes_turn_with_the_head() {
    for rotation in [
        [0.0, 0.6, 0.0],
        [-0.5, 0.0, 0.0],
        [0.0, 0.0, 0.7],
        [-0.3, -0.5, 0.2],
    ] {
        let picture = picture(AXES, rotation);
        let [nose, ends @ ..] = axis_ends(rotation);
        for (end, color) in ends.into_iter().zip(COLORS) {
            let length = (end[0] - nose[0]).hypot(end[1] - nose[1]);
            // Beyond the middle, where no other axis lies over it; a shorter one points at the camera.
            if length > 25.0 {
                let at = |share: f32| [0, 1].map(|c| nose[c] + (end[c] - nose[c]) * share);
                assert_color(&picture, at(0.6), color);
                assert_color(&picture, at(0.95), color);
                assert_color(&picture, at(1.0 + 10.0 / length), [128; 3]);
            }
        }
    }
}

#[test]
fn z_goes_where_the_nose_points() {
    // A positive yaw turns the face to the left of the picture.
    let rotation = [0.0, 0.6, 0.0];
    assert!(img2pose::pose::yaw_pitch_roll(&middle_face(rotation).pose)[0] > 30.0);
    let picture = picture(AXES, rotation);
    let blue = |x: usize| (0..480).any(|y| picture.at(x, y) == [0, 0, 255]);
    let nose = axis_ends(rotation)[0][0] as usize;
    assert!(blue(nose - 60));
    assert!(!blue(nose + 20));
}

#[test]
fn box_edges_are_inside_the_box() {
    let picture = picture("draw-box=true box-color=0xff0000ff thickness=3", [0.0; 3]);
    let blank = blank(&info());
    for (x, y) in [
        (200, 120),
        (202, 240),
        (320, 122),
        (439, 359),
        (437, 300),
        (300, 357),
    ] {
        assert_eq!(picture.at(x, y), [0, 0, 255], "{x} {y}");
    }
    let changes = picture.changes(&blank, 0);
    assert_eq!(changes.len(), 240 * 240 - 234 * 234);
    let border = |v: usize, low: usize| v < low + 3 || v >= low + 237;
    for (x, y) in changes {
        assert!((200..440).contains(&x) && (120..360).contains(&y), "{x} {y}");
        assert!(border(x, 200) || border(y, 120), "{x} {y}");
    }
}

#[test]
fn keypoints_and_landmarks() {
    let color = "points-color=0xff00ffff thickness=4";
    let face = middle_face([0.1, 0.2, 0.0]);
    let keypoints = picture(&format!("draw-points=keypoints {color}"), [0.1, 0.2, 0.0]);
    for point in face.keypoints {
        assert_color(&keypoints, point, [0, 255, 255]);
    }
    let landmarks = picture(&format!("draw-points=landmarks {color}"), [0.1, 0.2, 0.0]);
    for point in project_landmarks(&face.pose, 640, 480) {
        assert_color(&landmarks, point, [0, 255, 255]);
    }
    let blank = blank(&info());
    let count = |picture: &Picture| picture.changes(&blank, 0).len();
    assert!(count(&keypoints) < 5 * 120);
    assert!(count(&landmarks) > 3 * count(&keypoints));
}

#[test]
fn outline_runs_through_the_landmarks() {
    let picture = picture("draw-outline=true outline-color=0xffff00ff thickness=5", [0.0; 3]);
    let landmarks = project_landmarks(&middle_face([0.0; 3]).pose, 640, 480);
    let middle = |a: usize, b: usize| [0, 1].map(|c| (landmarks[a][c] + landmarks[b][c]) / 2.0);
    // Along the jaw, and where the eye is closed.
    for (a, b) in [(7, 8), (10, 11), (41, 36), (29, 30)] {
        assert_color(&picture, middle(a, b), [255, 0, 255]);
    }
    // Nothing between the jaw and the brow, nor on the chin.
    assert_color(&picture, middle(16, 17), [128; 3]);
    assert_color(&picture, middle(8, 57), [128; 3]);
}

#[test]
fn label_stands_on_the_box() {
    let picture = picture("label=score+angles label-background-color=0xff0000ff", [0.0; 3]);
    assert_eq!(picture.at(200, 119), [0, 0, 255]);
    let changes = picture.changes(&blank(&info()), 0);
    assert!(
        changes
            .iter()
            .all(|(x, y)| (200..400).contains(x) && (40..120).contains(y))
    );
    assert!(
        changes.iter().any(|(x, y)| picture.at(*x, *y) == [255; 3]),
        "white text"
    );
    let small = self::picture("label=score", [0.0; 3]).changes(&blank(&info()), 0);
    assert!(small.len() * 3 < changes.len());
}

#[test]
fn nothing_far_from_the_face() {
    let all = "draw-box=true draw-axes=true draw-points=landmarks draw-outline=true label=score+number";
    let picture = picture(all, [0.3, -0.4, 0.2]);
    for (x, y) in picture.changes(&blank(&info()), 0) {
        assert!((189..530).contains(&x) && (80..470).contains(&y), "{x} {y}");
    }
}

#[test]
fn sizes_and_colours_follow_the_properties() {
    let changed = |properties: &str| picture(properties, [0.4; 3]).changes(&blank(&info()), 0).len();
    assert!(changed("draw-axes=true thickness=8") > 2 * changed("draw-axes=true thickness=2"));
    assert!(changed("label=score text-size=40") > 4 * changed("label=score text-size=14"));
    // Half transparent yellow on gray.
    let picture = picture("draw-box=true box-color=0x80ffff00", [0.0; 3]);
    assert_color(&picture, [201.0, 200.0], [191, 191, 64]);
}

#[test]
fn the_box_of_a_face_of_an_earlier_frame_is_dashed() {
    let info = info();
    let found = |reused| FrameFaces {
        reused,
        ..FrameFaces::new(&info, vec![middle_face([0.0; 3])])
    };
    let properties = format!("{NOTHING} draw-box=true box-color=0xff0000ff thickness=2");
    for (reused, share) in [(false, 1.0), (true, 0.5)] {
        let picture = Picture::new(&render(&info, &properties, &found(reused)), &info);
        let is_blue = |x: usize, y: usize| picture.at(x, y) == [0, 0, 255];
        let top = (200..440).filter(|x| is_blue(*x, 120)).count() as f32 / 240.0;
        let left = (120..360).filter(|y| is_blue(200, *y)).count() as f32 / 240.0;
        assert!(
            (top - share).abs() < 0.05 && (left - share).abs() < 0.05,
            "{top} {left}"
        );
        assert!(is_blue(200, 120), "a corner is seen");
    }
}

/// A frame whose face is followed.
fn followed(id: u64, state: TrackState) -> FrameFaces {
    let track = Track {
        id,
        age: gst::ClockTime::from_mseconds(40),
        unseen: gst::ClockTime::ZERO,
        state,
        seen: None,
    };
    FrameFaces {
        tracks: vec![Some(track)],
        ..FrameFaces::new(&info(), vec![middle_face([0.0; 3])])
    }
}

#[test]
fn the_box_of_a_face_that_was_not_seen_is_dashed() {
    let properties = format!("{NOTHING} draw-box=true box-color=0xff0000ff thickness=2 track-colors=false");
    for (state, share) in [
        (TrackState::New, 1.0),
        (TrackState::Seen, 1.0),
        (TrackState::Predicted, 0.5),
        (TrackState::Interpolated, 0.5),
    ] {
        let picture = Picture::new(&render(&info(), &properties, &followed(4, state)), &info());
        let top = (200..440).filter(|x| picture.at(*x, 120) == [0, 0, 255]).count() as f32 / 240.0;
        assert!((top - share).abs() < 0.05, "{state:?}: {top}");
    }
}

#[test]
fn boxes_have_a_colour_for_each_id() {
    let color = |found: &FrameFaces, properties: &str| {
        let properties = format!("{NOTHING} draw-box=true box-color=0xff0000ff thickness=4 {properties}");
        Picture::new(&render(&info(), &properties, found), &info()).at(300, 121)
    };
    let of = |id| color(&followed(id, TrackState::Seen), "");
    assert_eq!(of(3), of(3));
    assert!(of(3) != of(4) && of(4) != of(5));
    assert_ne!(of(3), [0, 0, 255]);
    assert_eq!(
        color(&followed(3, TrackState::Seen), "track-colors=false"),
        [0, 0, 255]
    );
    // Nobody follows it.
    let found = FrameFaces::new(&info(), vec![middle_face([0.0; 3])]);
    assert_eq!(color(&found, ""), [0, 0, 255]);
}

#[test]
fn the_id_is_written_where_there_is_one() {
    let properties = format!("{NOTHING} label=track");
    let changed = |found: &FrameFaces| {
        let picture = Picture::new(&render(&info(), &properties, found), &info());
        picture.changes(&blank(&info()), 0).len()
    };
    let one = changed(&followed(1, TrackState::Seen));
    assert!(one > 100 && changed(&followed(1234, TrackState::Seen)) > one * 5 / 4);
    assert_eq!(changed(&FrameFaces::new(&info(), vec![middle_face([0.0; 3])])), 0);
}

/// A frame of half as many columns, each twice as wide: what is drawn lies where the head is.
#[test]
fn landmarks_of_stretched_frames_lie_on_the_face() {
    faces::init();
    let info = VideoInfo::builder(VideoFormat::Rgb, 320, 480)
        .par(gst::Fraction::new(2, 1))
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    let face = middle_face([0.1, 0.4, 0.2]);
    let found = FrameFaces::new(&info, vec![face.clone()]);
    let properties = format!("{NOTHING} draw-points=landmarks points-color=0xff00ffff thickness=4");
    let picture = Picture::new(&render(&info, &properties, &found), &info);
    for [x, y] in project_landmarks(&face.pose, 640, 480) {
        assert_color(&picture, [x / 2.0, y], [0, 255, 255]);
    }
}

/// Players turn the picture with what is drawn into it: text has to be upright then, and where it would be.
#[test]
fn labels_and_boxes_of_frames_to_be_turned_are_right_for_the_viewer() {
    let upright_info = faces::info(VideoFormat::Rgb, 480, 640);
    let properties = format!("{NOTHING} draw-box=true label=number+score text-size=30");
    let mut upright = middle_face([0.0; 3]);
    upright.bbox = [100.0, 200.0, 300.0, 400.0];
    let expected = FrameFaces::new(&upright_info, vec![upright.clone()]);
    let expected = Picture::new(&render(&upright_info, &properties, &expected), &upright_info);
    for orientation in Orientation::ALL {
        let back = orientation.inverse();
        let (width, height) = match orientation.swaps_sides() {
            true => (640, 480),
            false => (480, 640),
        };
        let info = faces::info(VideoFormat::Rgb, width, height);
        let mut face = upright.clone();
        face.bbox = back.turn_box(upright.bbox, 480.0, 640.0);
        face.pose = turn_pose(upright.pose.map(f64::from), back).map(|number| number as f32);
        let found = FrameFaces::new(&info, vec![face]).turned(orientation);
        let picture = Picture::new(&render(&info, &properties, &found), &info);
        for y in 0..640 {
            for x in 0..480 {
                let at = back.turn_point([x as f32 + 0.5, y as f32 + 0.5], 480.0, 640.0);
                let found = picture.at(at[0] as usize, at[1] as usize);
                assert_eq!(found, expected.at(x, y), "{orientation:?}: {x} {y}");
            }
        }
    }
}
