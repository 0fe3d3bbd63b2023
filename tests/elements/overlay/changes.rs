//! Frames that were scaled, cropped or flipped between the detector and the overlay.

use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::FrameFaces;

use super::support::{Picture, bytes, middle_face};
use crate::faces::{self, blank_frame, frame_with, two_faces};

fn info() -> VideoInfo {
    faces::info(VideoFormat::Rgb, 640, 480)
}

fn frame(index: u64) -> gst::Buffer {
    frame_with(
        &info(),
        index,
        &FrameFaces::new(&info(), vec![middle_face([0.0; 3])]),
    )
}

#[test]
fn drawn_where_the_face_is_after_scaling() {
    let elements = "videoscale ! video/x-raw,width=320,height=240 ! \
        img2poseoverlay label=0 draw-points=none box-color=0xff0000ff x-axis-color=0xffff0000 y-axis-color=0xff00ff00";
    let arrived = faces::run(elements, &info(), vec![frame(0)]);
    let (buffer, info) = arrived.frame();
    assert_eq!((info.width(), info.height()), (320, 240));
    let picture = Picture::new(&buffer.copy(), &info);
    assert_eq!(picture.at(100, 100), [0, 0, 255]);
    assert_eq!(picture.at(219, 170), [0, 0, 255]);
    assert_eq!(picture.at(97, 100), [128; 3]);
    // The nose is in the middle: half as far as in the large frame.
    assert_eq!(picture.at(158 + 50, 114), [255, 0, 0]);
    assert_eq!(picture.at(158, 114 + 50), [0, 255, 0]);
    assert!(arrived.warnings.is_empty());
}

#[test]
fn drawn_where_the_face_is_after_stretching_with_its_pixels() {
    // The same picture in pixels that are twice as wide.
    let elements = "videoscale ! video/x-raw,width=320,height=480,pixel-aspect-ratio=2/1 ! \
        img2poseoverlay label=0 draw-points=none x-axis-color=0xffff0000";
    let arrived = faces::run(elements, &info(), vec![frame(0)]);
    let (buffer, info) = arrived.frame();
    let picture = Picture::new(&buffer.copy(), &info);
    assert_eq!(picture.at(158 + 50, 229), [255, 0, 0]);
}

#[test]
fn converted_frames_are_drawn_on() {
    let arrived = faces::run(
        "videoconvert ! video/x-raw,format=NV12 ! img2poseoverlay",
        &info(),
        vec![frame(0)],
    );
    let (buffer, info) = arrived.frame();
    assert_eq!(info.format(), VideoFormat::Nv12);
    let picture = Picture::new(&buffer.copy(), &info);
    let [r, _, b] = picture.at(201, 200);
    assert!(r > b + 100, "yellow");
}

#[test]
fn nothing_is_drawn_after_cropping_and_one_warning_tells() {
    let elements = "videocrop left=64 ! img2poseoverlay";
    let arrived = faces::run(elements, &info(), (0..3).map(frame).collect());
    assert_eq!(arrived.error, None);
    assert_eq!(arrived.samples.len(), 3);
    for sample in &arrived.samples {
        assert!(bytes(sample.buffer().unwrap()).iter().all(|byte| *byte == 128));
    }
    assert_eq!(arrived.warnings.len(), 1, "{:?}", arrived.warnings);
    let warning = &arrived.warnings[0];
    assert!(
        warning.contains("576x480") && warning.contains("nothing is drawn"),
        "{warning}"
    );
}

#[test]
fn everything_is_blurred_after_cropping() {
    // Half of the frame is white: if it is blurred as a whole, no old value is left at the border.
    let info = faces::info(VideoFormat::Gray8, 640, 480);
    let found = FrameFaces::new(&info, vec![middle_face([0.0; 3])]);
    let mut frame = super::support::noise(&info, &found);
    frame.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    let arrived = faces::run(
        "videocrop left=64 ! img2poseoverlay blur-faces=pixelate",
        &info,
        vec![frame],
    );
    let (buffer, info) = arrived.frame();
    assert_eq!(arrived.warnings.len(), 1);
    assert!(arrived.warnings[0].contains("whole frames are blurred"));
    let stride = info.stride()[0] as usize;
    let pixels = bytes(buffer);
    for row in pixels.chunks(stride) {
        let steps = row[..576].windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(steps < 16, "{steps} steps in a row");
    }
}

#[test]
fn frames_that_are_not_blurred_are_told_once() {
    let frames = vec![blank_frame(&info(), 0), blank_frame(&info(), 1)];
    let arrived = faces::run("img2poseoverlay blur-faces=blur", &info(), frames);
    assert_eq!(arrived.warnings.len(), 1);
    assert!(arrived.warnings[0].contains("no detector looked at"));
    let frames = vec![
        blank_frame(&info(), 0),
        frame_with(&info(), 1, &two_faces(&info())),
    ];
    let arrived = faces::run("img2poseoverlay", &info(), frames);
    assert!(arrived.warnings.is_empty(), "{:?}", arrived.warnings);
}
