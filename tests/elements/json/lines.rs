//! What `img2posejson` writes, in pipelines.

use crate::faces::{Arrived, blank_frame, face, frame_with, info, run, two_faces};
use gst::meta::CustomMeta;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{FrameFaces, RECORD_NAME};
use serde_json::{Value, json};

fn video_info() -> VideoInfo {
    info(VideoFormat::I420, 320, 240)
}

fn lines(arrived: &Arrived) -> Vec<Value> {
    assert_eq!(arrived.error, None);
    let text = arrived.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A number as it is written: the shortest decimal of the f32.
fn short(number: f32) -> Value {
    serde_json::from_str(&format!("{number:?}")).unwrap()
}

#[test]
fn a_line_for_each_frame_that_was_looked_at() {
    let info = video_info();
    let nothing = FrameFaces::new(&info, vec![]);
    let mut untimed = frame_with(&info, 4, &nothing);
    untimed.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    let arrived = run(
        "img2posejson",
        &info,
        vec![
            blank_frame(&info, 0),
            frame_with(&info, 1, &two_faces(&info)),
            frame_with(&info, 2, &nothing),
            blank_frame(&info, 3),
            untimed,
        ],
    );
    let lines = lines(&arrived);
    assert_eq!(lines.len(), 3);
    let heads: Vec<_> = lines
        .iter()
        .map(|l| (&l["frame"], &l["pts"], &l["width"], &l["height"]))
        .collect();
    assert_eq!(
        heads,
        [
            (&json!(1), &json!(40_000_000), &json!(320), &json!(240)),
            (&json!(2), &json!(80_000_000), &json!(320), &json!(240)),
            (&json!(4), &Value::Null, &json!(320), &json!(240)),
        ]
    );
    assert_eq!(lines[1]["faces"], json!([]));
    assert_eq!(arrived.warnings, [""; 0]);

    let found = &lines[0]["faces"][0];
    let expected = face(33.3, 21.7, 0.987);
    assert_eq!(found["box"], json!(expected.bbox.map(short)));
    assert_eq!(found["confidence"], short(0.987));
    assert_eq!(found["pose"], json!(expected.pose.map(short)));
    let angles = img2pose::pose::yaw_pitch_roll(&expected.pose);
    assert_eq!(found["yaw_pitch_roll_deg"], json!(angles.map(short)));
    for (name, point) in ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"]
        .iter()
        .zip(expected.keypoints)
    {
        assert_eq!(found["keypoints"][name], json!(point.map(short)));
    }
    assert_eq!(lines[0]["faces"][1]["confidence"], short(0.654));
}

#[test]
fn frames_without_faces_can_be_left_out() {
    let info = video_info();
    let frames = || {
        vec![
            frame_with(&info, 0, &FrameFaces::new(&info, vec![])),
            frame_with(&info, 1, &two_faces(&info)),
            blank_frame(&info, 2),
        ]
    };
    let numbers = |elements| -> Vec<Value> {
        lines(&run(elements, &info, frames()))
            .iter()
            .map(|l| l["frame"].clone())
            .collect()
    };
    assert_eq!(numbers("img2posejson include-empty=false"), [json!(1)]);
    assert_eq!(numbers("img2posejson"), [json!(0), json!(1)]);
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    let info = video_info();
    let frames = || (0..20).map(|i| frame_with(&info, i, &two_faces(&info))).collect();
    let once = run("img2posejson", &info, frames()).text();
    assert_eq!(once.lines().count(), 20);
    assert_eq!(run("queue ! img2posejson", &info, frames()).text(), once);
    // Conversion drops the regions' parameters; the lines do not come from there.
    assert_eq!(
        run(
            "videoconvert ! video/x-raw,format=RGB ! img2posejson",
            &info,
            frames()
        )
        .text(),
        once
    );
}

#[test]
fn coordinates_follow_scaling() {
    let info = video_info();
    let arrived = run(
        "videoscale ! video/x-raw,width=640,height=480 ! img2posejson",
        &info,
        vec![frame_with(&info, 0, &two_faces(&info))],
    );
    let line = &lines(&arrived)[0];
    assert_eq!((&line["width"], &line["height"]), (&json!(640), &json!(480)));
    assert_eq!(line.get("frame_changed"), None);
    let sent = face(33.3, 21.7, 0.987);
    assert_eq!(line["faces"][0]["box"], json!(sent.bbox.map(|c| short(c * 2.0))));
    assert_eq!(
        line["faces"][0]["keypoints"]["nose"],
        json!(sent.keypoints[2].map(|c| short(c * 2.0)))
    );
    assert_eq!(line["faces"][0]["pose"], json!(sent.pose.map(short)));
    assert_eq!(arrived.warnings, [""; 0]);
}

#[test]
fn cropped_frames_are_reported_as_the_detector_saw_them() {
    let info = video_info();
    let frames = (0..3).map(|i| frame_with(&info, i, &two_faces(&info))).collect();
    let arrived = run("videocrop left=20 ! img2posejson", &info, frames);
    let lines = lines(&arrived);
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!((&line["width"], &line["height"]), (&json!(320), &json!(240)));
        assert_eq!(line["frame_changed"], json!(true));
        assert_eq!(
            line["faces"][0]["box"],
            json!(face(33.3, 21.7, 0.987).bbox.map(short))
        );
    }
    // Once for the stream, not once a frame.
    assert_eq!(arrived.warnings.len(), 1, "{:?}", arrived.warnings);
    let warning = &arrived.warnings[0];
    assert!(
        warning.contains("pixels of the 320x240 frame") && warning.contains("this 300x240 frame"),
        "{warning}"
    );
}

#[test]
fn a_stream_that_nobody_looked_at_says_so() {
    let info = video_info();
    let arrived = run(
        "img2posejson",
        &info,
        (0..3).map(|i| blank_frame(&info, i)).collect(),
    );
    assert_eq!(lines(&arrived), [Value::Null; 0]);
    assert_eq!(arrived.warnings.len(), 1);
    assert!(
        arrived.warnings[0].contains("None of the 3 frames"),
        "{:?}",
        arrived.warnings
    );
    assert_eq!(run("img2posejson", &info, vec![]).warnings, [""; 0]);
}

#[test]
fn a_record_of_another_version_is_an_error() {
    let info = video_info();
    let mut buffer = frame_with(&info, 0, &two_faces(&info));
    CustomMeta::from_mut_buffer(buffer.get_mut().unwrap(), RECORD_NAME)
        .unwrap()
        .mut_structure()
        .set("version", 9u32);
    let arrived = run("img2posejson", &info, vec![buffer]);
    let error = arrived.error.expect("no error");
    assert!(
        error.contains("Frame 0") && error.contains("layout version 9"),
        "{error}"
    );
    assert_eq!(arrived.samples.len(), 0);
}

#[test]
fn filesink_gets_the_lines() {
    let info = video_info();
    let path = std::env::temp_dir().join(format!("img2posejson-{}.jsonl", std::process::id()));
    let elements = format!(
        "tee name=t t. ! queue ! img2posejson ! filesink location={} async=false t. ! queue ! img2posejson",
        path.display()
    );
    let arrived = run(
        &elements,
        &info,
        (0..5).map(|i| frame_with(&info, i, &two_faces(&info))).collect(),
    );
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(written, arrived.text());
    assert_eq!(written.lines().count(), 5);
}
