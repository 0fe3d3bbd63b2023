//! `docs/faces.schema.json` describes what `img2posejson` writes, and refuses what it would never write.

use std::sync::LazyLock;

use crate::faces::{self, blank_frame, face, frame_with, info, run, two_faces};
use gst_video::VideoFormat;
use gstimg2pose::meta::{FrameFaces, Track, TrackState};
use img2pose::Face;
use serde_json::{Value, json};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/faces.schema.json")).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
});

fn written(elements: &str, faces: Vec<Face>) -> Value {
    let info = info(VideoFormat::I420, 320, 240);
    let arrived = run(
        elements,
        &info,
        vec![frame_with(&info, 3, &FrameFaces::new(&info, faces))],
    );
    serde_json::from_str(&arrived.text()).unwrap()
}

fn assert_valid(line: &Value) {
    let errors: Vec<_> = SCHEMA
        .iter_errors(line)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0], "{line}");
}

fn full_line() -> Value {
    faces::init();
    written(
        "img2posejson",
        two_faces(&info(VideoFormat::I420, 320, 240)).faces,
    )
}

#[test]
fn lines_are_valid() {
    assert_valid(&full_line());
    assert_valid(&written("img2posejson", vec![]));
    assert_valid(&written(
        "videoscale ! video/x-raw,width=160,height=120 ! img2posejson",
        vec![face(1.5, 2.5, 0.7)],
    ));
    let changed = written("videocrop left=20 ! img2posejson", vec![face(30.0, 20.0, 0.7)]);
    assert_eq!(changed["frame_changed"], json!(true));
    assert!(
        [json!("moved"), json!("unknown")].contains(&changed["frame_change"]),
        "{changed}"
    );
    assert_valid(&changed);
    // Rotations of all kinds, and keypoints outside the frame.
    for axis in 0..3 {
        for angle in [-3.1, -1.6, -std::f32::consts::FRAC_PI_2, 1e-8, 2.0] {
            let mut turned = face(0.0, 180.0, 1.0);
            turned.pose[axis] = angle;
            turned.keypoints[0] = [-12.5, 260.0];
            assert_valid(&written("img2posejson", vec![turned]));
        }
    }
    let line = written("img2posejson source=door-{stream-id} time=arrival", vec![]);
    assert!(line["source"].as_str().unwrap().starts_with("door-"), "{line}");
    assert!(line["time"].is_string(), "{line}");
    assert_valid(&line);
    let mut untimed = full_line();
    untimed["pts"] = Value::Null;
    assert_valid(&untimed);
}

#[test]
fn faces_of_an_earlier_frame_carry_a_mark() {
    let info = info(VideoFormat::I420, 320, 240);
    let line = |reused| -> Value {
        let found = FrameFaces {
            reused,
            ..two_faces(&info)
        };
        let arrived = run("img2posejson", &info, vec![frame_with(&info, 3, &found)]);
        serde_json::from_str(&arrived.text()).unwrap()
    };
    let (looked_at, mut reused) = (line(false), line(true));
    assert_valid(&reused);
    assert_eq!(
        reused.as_object_mut().unwrap().remove("reused"),
        Some(json!(true))
    );
    // Otherwise they are the same, and lines of frames that were looked at are what they were.
    assert_eq!(reused, looked_at);
}

#[test]
fn faces_that_are_followed_say_who_they_are() {
    let info = info(VideoFormat::I420, 320, 240);
    let track = |state| {
        Some(Track {
            id: 12,
            age: gst::ClockTime::from_mseconds(480),
            unseen: gst::ClockTime::ZERO,
            state,
            seen: Some(face(30.0, 20.0, 0.9)),
        })
    };
    for state in [
        TrackState::New,
        TrackState::Seen,
        TrackState::Predicted,
        TrackState::Interpolated,
    ] {
        let found = FrameFaces {
            tracks: vec![track(state), None],
            ..two_faces(&info)
        };
        let arrived = run("img2posejson", &info, vec![frame_with(&info, 3, &found)]);
        let line: Value = serde_json::from_str(&arrived.text()).unwrap();
        assert_valid(&line);
        let expected = json!({"id": 12, "age": 480_000_000, "state": state.name()});
        assert_eq!(line["faces"][0]["track"], expected);
        assert_eq!(line["faces"][1].get("track"), None);
        for member in ["id", "age", "state"] {
            let mut without = line.clone();
            without["faces"][0]["track"]
                .as_object_mut()
                .unwrap()
                .remove(member);
            assert!(!SCHEMA.is_valid(&without), "{member}");
            let mut wrong = line.clone();
            wrong["faces"][0]["track"][member] = json!(-1);
            assert!(!SCHEMA.is_valid(&wrong), "{member}");
        }
    }
}

#[test]
fn how_sure_a_rotation_is_is_written_where_it_is_known() {
    faces::init();
    let mut sure = face(30.0, 20.0, 0.9);
    sure.sigma = Some(4.5);
    let line = written("img2posejson", vec![sure, face(90.0, 20.0, 0.8)]);
    assert_valid(&line);
    assert_eq!(line["faces"][0]["sigma"], json!(4.5));
    assert_eq!(line["faces"][1].get("sigma"), None);
    for wrong in [json!(-1.0), json!(181.0), Value::Null, json!("4")] {
        let mut line = line.clone();
        line["faces"][0]["sigma"] = wrong;
        assert!(!SCHEMA.is_valid(&line), "{line}");
    }
}

#[test]
fn wrong_lines_are_refused() {
    let good = full_line();
    let refuses = |what: &str, change: &dyn Fn(&mut Value)| {
        let mut line = good.clone();
        change(&mut line);
        assert_ne!(line, good, "{what} changes nothing");
        assert!(!SCHEMA.is_valid(&line), "{what} is accepted: {line}");
    };
    let without = |pointer: &'static str, member: &'static str| {
        refuses(member, &|line| {
            line.pointer_mut(pointer)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(member);
        });
    };
    for member in ["pts", "frame", "width", "height", "faces"] {
        without("", member);
    }
    for member in ["box", "confidence", "pose", "yaw_pitch_roll_deg", "keypoints"] {
        without("/faces/1", member);
    }
    for member in ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"] {
        without("/faces/0/keypoints", member);
    }
    for (pointer, value) in [
        ("/pts", json!(-1)),
        ("/pts", json!("0:00:01")),
        ("/pts", json!(0.5)),
        ("/frame", Value::Null),
        ("/width", json!(0)),
        ("/height", json!("240")),
        ("/faces", json!({})),
        ("/faces", Value::Null),
        ("/faces/0/box", json!([1.0, 2.0, 3.0])),
        ("/faces/0/box", json!([1.0, 2.0, 3.0, 4.0, 5.0])),
        ("/faces/0/box/0", json!(-1.0)),
        ("/faces/0/box/2", Value::Null),
        ("/faces/0/confidence", json!(1.5)),
        ("/faces/0/confidence", json!(-0.1)),
        ("/faces/0/pose", json!([0.0, 0.0, 0.0])),
        ("/faces/0/pose/3", Value::Null),
        ("/faces/0/yaw_pitch_roll_deg", json!([0.0, 0.0])),
        ("/faces/0/yaw_pitch_roll_deg", json!([0.0, 0.0, 0.0, 0.0])),
        ("/faces/0/yaw_pitch_roll_deg/0", json!(91.0)),
        ("/faces/0/yaw_pitch_roll_deg/2", json!(181.0)),
        ("/faces/0/keypoints/nose", json!([1.0])),
        ("/faces/0/keypoints/nose", json!({"x": 1.0, "y": 2.0})),
    ] {
        refuses(pointer, &|line| {
            *line.pointer_mut(pointer).unwrap() = value.clone()
        });
    }
    for (pointer, member) in [
        ("", "frame_changed"),
        ("", "frame_change"),
        ("", "reused"),
        ("", "note"),
        ("/faces/0", "id"),
        ("/faces/0/keypoints", "chin"),
    ] {
        refuses(member, &|line| {
            line.pointer_mut(pointer).unwrap()[member] = json!(false)
        });
    }
}

/// The numbers of a JSON array.
fn floats<const N: usize>(array: &Value) -> [f32; N] {
    let numbers: Vec<f32> = serde_json::from_value(array.clone()).unwrap();
    numbers.try_into().unwrap()
}

/// The example in the documentation is what comes out for its boxes, poses and keypoints.
#[test]
fn the_documented_line_is_written() {
    faces::init();
    let page = include_str!("../../../docs/json-lines.md");
    let example = page.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    let source = include_str!("../../../src/json/mod.rs");
    let line = source
        .lines()
        .find_map(|line| line.strip_prefix("//! {"))
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&format!("{{{line}")).unwrap(),
        example
    );
    assert_valid(&example);

    let found = &example["faces"][0];
    let points = ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"];
    let documented = Face {
        bbox: floats(&found["box"]),
        confidence: floats::<1>(&json!([found["confidence"]]))[0],
        pose: floats(&found["pose"]),
        keypoints: points.map(|name| floats(&found["keypoints"][name])),
        sigma: None,
    };
    let info = info(VideoFormat::I420, 640, 480);
    let frames = vec![
        blank_frame(&info, 0),
        frame_with(&info, 1, &FrameFaces::new(&info, vec![documented])),
    ];
    let written: Value = serde_json::from_str(&run("img2posejson", &info, frames).text()).unwrap();
    assert_eq!(written, example);
}
