//! What passes as it came.

use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::FrameFaces;

use super::support::{NOTHING, bytes, harness};
use crate::faces::{self, blank_frame, frame_with, two_faces};

fn info() -> VideoInfo {
    faces::info(VideoFormat::I420, 320, 240)
}

/// Pushes the buffer while somebody else holds it: a write would make a copy.
#[track_caller]
fn assert_untouched(properties: &str, attach: bool, buffer: gst::Buffer) {
    let mut harness = harness(&info(), properties, attach);
    let before = bytes(&buffer);
    let out = harness.push_and_pull(buffer.clone()).unwrap();
    assert_eq!(
        out.as_ptr(),
        buffer.as_ptr(),
        "{properties}: another buffer came out"
    );
    assert_eq!(bytes(&out), before);
}

#[test]
fn a_frame_without_faces() {
    for attach in [false, true] {
        for properties in ["", "blur-faces=pixelate"] {
            let found = FrameFaces::new(&info(), vec![]);
            assert_untouched(properties, attach, frame_with(&info(), 0, &found));
        }
    }
}

#[test]
fn a_frame_that_was_not_looked_at() {
    assert_untouched("", false, blank_frame(&info(), 0));
    assert_untouched("blur-faces=blur blur-unseen=false", true, blank_frame(&info(), 0));
}

#[test]
fn a_frame_when_nothing_is_to_be_drawn() {
    assert_untouched(NOTHING, true, frame_with(&info(), 0, &two_faces(&info())));
    assert_untouched(NOTHING, false, frame_with(&info(), 0, &two_faces(&info())));
}

#[test]
fn the_buffer_of_somebody_else() {
    // Drawing into a frame that a tee has given to another branch too makes a copy.
    let frame = frame_with(&info(), 7, &two_faces(&info()));
    let before = bytes(&frame);
    let mut harness = harness(&info(), "blur-faces=pixelate", false);
    let out = harness.push_and_pull(frame.clone()).unwrap();
    assert_eq!(bytes(&frame), before);
    assert_ne!(bytes(&out), before);
    assert_eq!(
        (out.pts(), out.duration(), out.offset()),
        (frame.pts(), frame.duration(), 7)
    );
    // The faces stay on the frame for who comes next.
    assert_eq!(
        gstimg2pose::meta::read(&out).unwrap(),
        gstimg2pose::meta::read(&frame).unwrap()
    );
}

#[test]
fn a_stream_that_nobody_looked_at_ends_with_a_warning() {
    let frames = || vec![blank_frame(&info(), 0), blank_frame(&info(), 1)];
    let arrived = faces::run("img2poseoverlay", &info(), frames());
    assert_eq!(arrived.warnings.len(), 1);
    assert!(
        arrived.warnings[0].contains("None of the 2 frames"),
        "{:?}",
        arrived.warnings
    );
    // Blurring does not wait for the end to say it, and does not say it again.
    let arrived = faces::run("img2poseoverlay blur-faces=blur", &info(), frames());
    assert_eq!(arrived.warnings.len(), 1);
    assert!(
        arrived.warnings[0].contains("blurred as a whole"),
        "{:?}",
        arrived.warnings
    );
    // One that was looked at is enough, also when it shows no face.
    let mut frames = frames();
    frames.push(frame_with(&info(), 2, &FrameFaces::new(&info(), vec![])));
    let arrived = faces::run("img2poseoverlay", &info(), frames);
    assert!(arrived.warnings.is_empty(), "{:?}", arrived.warnings);
    assert!(faces::run("img2poseoverlay", &info(), vec![]).warnings.is_empty());
}
