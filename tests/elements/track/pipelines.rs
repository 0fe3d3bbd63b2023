//! Between other elements.

use gst_video::VideoFormat;
use gstimg2pose::meta::FrameFaces;

use super::support::*;
use crate::faces::{self, run};

/// Twelve frames with a face that moves; every third is looked at.
fn frames() -> Vec<gst::Buffer> {
    (0..12u64)
        .map(|index| match index % 3 {
            0 => looked(index, &[face(100.0 + 4.0 * index as f32)]),
            _ => unlooked(index),
        })
        .collect()
}

#[test]
fn ids_and_marks_arrive_behind_other_elements() {
    for elements in [
        "img2posetrack",
        "videoscale ! video/x-raw,width=320,height=240 ! img2posetrack",
        "queue ! img2posetrack ! queue",
        "tee name=t t. ! queue ! img2posetrack max-lost=0 ! fakesink t. ! queue ! img2posetrack",
        "videoconvert ! video/x-raw,format=RGB ! img2posetrack ! videoscale ! video/x-raw,width=320,height=240",
    ] {
        let arrived = run(elements, &info(), frames());
        assert_eq!(arrived.error, None, "{elements}");
        assert_eq!(arrived.warnings, [""; 0], "{elements}");
        assert_eq!(arrived.samples.len(), 12, "{elements}");
        for (index, sample) in arrived.samples.iter().enumerate() {
            let state = match index {
                0 => New,
                _ if index % 3 == 0 => Seen,
                _ => Predicted,
            };
            assert_eq!(
                tracks(sample.buffer().unwrap()),
                [Some((1, state))],
                "{elements}: {index}"
            );
        }
    }
}

/// Two trackers on one stream, as behind a tee, do not disturb each other; one behind the other follows what the first wrote.
#[test]
fn a_second_tracker_replaces_the_first() {
    let arrived = run(
        "img2posetrack smoothing=none ! img2posetrack smoothing=none",
        &info(),
        frames(),
    );
    let last = arrived.samples.last().unwrap();
    assert_eq!(tracks(last.buffer().unwrap()), [Some((1, Predicted))]);
}

#[test]
fn behind_a_scaler_faces_are_those_of_the_smaller_frame() {
    let arrived = run(
        "videoscale ! video/x-raw,width=320,height=240 ! img2posetrack smoothing=none",
        &info(),
        frames(),
    );
    let buffer = arrived.samples[9].buffer().unwrap();
    let record = record(buffer);
    assert_eq!((record.frame_width, record.frame_height), (320, 240));
    assert!((record.faces[0].bbox[0] - 68.0).abs() < 1e-3);
    let seen = record.track(0).unwrap().seen.as_ref().unwrap();
    assert_eq!(seen.bbox, record.faces[0].bbox);
}

#[test]
fn lines_say_who_it_is() {
    let arrived = run("img2posetrack ! img2posejson", &info(), frames());
    let lines: Vec<serde_json::Value> = arrived
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 12, "also for frames that nobody looked at");
    for (index, line) in lines.iter().enumerate() {
        let expected = match index {
            0 => "new",
            _ if index % 3 == 0 => "seen",
            _ => "predicted",
        };
        let track = &line["faces"][0]["track"];
        assert_eq!(track["id"], 1);
        assert_eq!(track["state"], expected);
        assert_eq!(track["age"], 40_000_000 * index);
        assert_eq!(line["reused"] == true, index % 3 > 0);
    }
}

#[test]
fn crops_say_who_it_is() {
    let rgb = faces::info(VideoFormat::Rgb, 640, 480);
    let frames = (0..4)
        .map(|index| match index {
            2 => faces::blank_frame(&rgb, index),
            _ => faces::frame_with(&rgb, index, &FrameFaces::new(&rgb, vec![face(100.0)])),
        })
        .collect();
    let arrived = run("img2posetrack ! img2posealign", &rgb, frames);
    let crops: Vec<_> = arrived
        .samples
        .iter()
        .map(|sample| {
            let crop = gstimg2pose::meta::read_aligned(sample.buffer().unwrap())
                .unwrap()
                .unwrap();
            let track = crop.track.unwrap();
            (track.id, track.state, crop.reused)
        })
        .collect();
    assert_eq!(
        crops,
        [
            (1, New, false),
            (1, Seen, false),
            (1, Predicted, true),
            (1, Seen, false)
        ]
    );
}
