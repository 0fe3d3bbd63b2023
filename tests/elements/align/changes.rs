//! Frames that were scaled, cropped or flipped between the detector and the element.

use test_support::mean_difference;

use super::support::{aligned, face, frame, pixels, rgb};
use crate::faces::{self, blank_frame};

#[test]
fn taken_from_where_the_face_is_after_scaling() {
    let info = faces::info(gst_video::VideoFormat::Rgb, 640, 480);
    // Smooth, so that scaling loses little.
    let mut data = vec![0; info.size()];
    for (y, row) in data.chunks_exact_mut(640 * 3).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[(x * 255 / 639) as u8, (y * 255 / 479) as u8, ((x + y) / 5) as u8]);
        }
    }
    let crop = |elements: &str| {
        let mut buffer = gst::Buffer::from_slice(data.clone());
        let out = buffer.get_mut().unwrap();
        out.set_pts(gst::ClockTime::ZERO);
        let found = gstimg2pose::meta::FrameFaces::new(&info, vec![face(0.2, 0.9, 200.0)]);
        gstimg2pose::meta::attach(out, &found).unwrap();
        let arrived = faces::run(elements, &info, vec![buffer]);
        assert_eq!(arrived.warnings, Vec::<String>::new());
        let (crop, _) = arrived.frame();
        (aligned(crop), pixels(crop, 112))
    };
    let (whole, expected) = crop("img2posealign");
    for scaled in [
        "width=320,height=240",
        "width=320,height=480,pixel-aspect-ratio=2/1",
    ] {
        let (found, picture) = crop(&format!("videoscale ! video/x-raw,{scaled} ! img2posealign"));
        // In pixels of the frame that was looked at.
        assert_eq!(found, whole);
        let difference = mean_difference(&picture, &expected);
        assert!(difference < 1.5, "{scaled}: {difference}");
    }
}

#[test]
fn no_crops_after_cropping_and_one_warning_tells() {
    let info = rgb();
    let frames = (0..3)
        .map(|index| frame(&info, index, &[face(0.0, 0.9, 200.0)]))
        .collect();
    let arrived = faces::run("videocrop left=64 ! img2posealign", &info, frames);
    assert_eq!(arrived.error, None);
    assert_eq!(arrived.samples.len(), 0);
    assert_eq!(arrived.warnings.len(), 1, "{:?}", arrived.warnings);
    let warning = &arrived.warnings[0];
    assert!(
        warning.contains("576x480") && warning.contains("no crops"),
        "{warning}"
    );
}

#[test]
fn a_stream_that_nobody_looked_at_ends_with_a_warning() {
    let info = rgb();
    let frames = vec![blank_frame(&info, 0), blank_frame(&info, 1)];
    let arrived = faces::run("img2posealign", &info, frames);
    assert_eq!(arrived.warnings.len(), 1);
    assert!(
        arrived.warnings[0].contains("None of the 2 frames"),
        "{:?}",
        arrived.warnings
    );
    // One that was looked at is enough, also when it shows no face.
    let frames = vec![blank_frame(&info, 0), frame(&info, 1, &[])];
    let arrived = faces::run("img2posealign", &info, frames);
    assert!(arrived.warnings.is_empty(), "{:?}", arrived.warnings);
}
