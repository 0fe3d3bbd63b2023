//! One buffer for each face, and what it says of itself.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::frame::Orientation;
use img2pose::pose::turn_pose;

use super::support::{aligned, face, frame, harness, pixels, pull_all, rgb};
use crate::faces::{blank_frame, init};

#[test]
fn a_buffer_for_each_face_in_the_order_of_the_record() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let found = [
        face(0.0, 0.9, 200.0),
        face(0.7, 0.8, 200.0),
        face(-0.7, 0.7, 200.0),
    ];
    harness.push(frame(&info, 0, &[])).unwrap();
    harness.push(frame(&info, 1, &found)).unwrap();
    harness.push(frame(&info, 2, &found[..1])).unwrap();
    let crops = pull_all(&mut harness);
    let of: Vec<_> = crops
        .iter()
        .map(|crop| {
            let aligned = aligned(crop);
            (aligned.frame, aligned.index)
        })
        .collect();
    assert_eq!(of, [(1, 0), (1, 1), (1, 2), (2, 0)]);
    for crop in &crops {
        let aligned = aligned(crop);
        assert_eq!(
            crop.pts(),
            Some(gst::ClockTime::from_mseconds(40 * aligned.frame))
        );
        assert_eq!(crop.duration(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!(aligned.pts, crop.pts());
        assert_eq!((aligned.frame_width, aligned.frame_height), (640, 480));
        let face = &found[aligned.index as usize];
        assert_eq!(&aligned.face, face);
        assert_eq!(
            Some(aligned.alignment),
            img2pose::pose::align(&face.pose, 640, 480, 112)
        );
        assert_eq!(
            meta::read(crop).unwrap(),
            None,
            "the frame's own metas stay with it"
        );
    }
    assert_eq!(
        [0, 1, 2].map(|i| aligned(&crops[i]).alignment.template),
        [2, 1, 3]
    );
    assert_ne!(pixels(&crops[0], 112), pixels(&crops[1], 112));
}

#[test]
fn which_faces_can_change_while_playing() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let element = harness.element().unwrap();
    let found = [face(0.0, 0.9, 200.0), face(1.2, 0.8, 200.0), face(0.1, 0.7, 30.0)];
    let mut indices = |property: &str, value: &str| -> Vec<u32> {
        element.set_property_from_str(property, value);
        harness.push(frame(&info, 0, &found)).unwrap();
        pull_all(&mut harness)
            .iter()
            .map(|crop| aligned(crop).index)
            .collect()
    };
    assert_eq!(indices("max-faces", "-1"), [0, 1, 2]);
    assert_eq!(indices("max-faces", "2"), [0, 1]);
    assert_eq!(indices("max-yaw", "45"), [0, 2]);
    assert_eq!(indices("min-face-size", "31"), [0]);
    assert!(indices("max-faces", "0").is_empty());
}

#[test]
fn frames_without_a_timestamp() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let mut buffer = frame(&info, 0, &[face(0.0, 0.9, 200.0)]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    let crop = harness.push_and_pull(buffer).unwrap();
    assert_eq!((crop.pts(), aligned(&crop).pts), (None, None));
}

#[test]
fn the_first_crop_after_a_jump_says_so() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let mut buffer = frame(&info, 0, &[face(0.0, 0.9, 200.0), face(0.1, 0.8, 200.0)]);
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    harness.push(buffer).unwrap();
    let discont = pull_all(&mut harness)
        .iter()
        .map(|crop| crop.flags().contains(gst::BufferFlags::DISCONT))
        .collect::<Vec<_>>();
    assert_eq!(discont, [true, false]);
}

#[test]
fn memory_is_used_again() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let mut memories = std::collections::BTreeSet::new();
    for index in 0..10 {
        let crop = harness
            .push_and_pull(frame(&info, index, &[face(0.0, 0.9, 200.0)]))
            .unwrap();
        assert_eq!(aligned(&crop).frame, index, "nothing is left of the last crop");
        memories.insert(crop.peek_memory(0).as_ptr() as usize);
    }
    assert!(memories.len() <= 2, "{} memories for 10 crops", memories.len());
}

#[test]
fn the_meta_survives_conversion() {
    let info = rgb();
    let elements = "img2posealign ! videoconvert ! video/x-raw,format=I420 ! videoscale ! video/x-raw,width=56,height=56";
    let arrived = crate::faces::run(elements, &info, vec![frame(&info, 0, &[face(0.0, 0.9, 200.0)])]);
    let (crop, info) = arrived.frame();
    assert_eq!((info.width(), info.format()), (56, gst_video::VideoFormat::I420));
    assert_eq!(aligned(crop).face, face(0.0, 0.9, 200.0));
}

#[test]
fn what_is_no_crop_has_no_meta() {
    init();
    let frame = blank_frame(&rgb(), 0);
    assert_eq!(meta::read_aligned(&frame).unwrap(), None);
    let mut strange = gst::Buffer::new();
    {
        let mut meta = gst::meta::CustomMeta::add(strange.get_mut().unwrap(), meta::ALIGNED_NAME).unwrap();
        meta.mut_structure().set("version", 1_u32);
        meta.mut_structure().set("frame-width", 0_i32);
    }
    let error = meta::read_aligned(&strange).unwrap_err().to_string();
    assert!(
        error.contains("frame-width") && error.contains("1 or more"),
        "{error}"
    );
}

#[test]
fn a_crop_says_whether_its_face_was_found_in_an_earlier_frame() {
    let info = rgb();
    let mut harness = harness(&info, "");
    for reused in [false, true] {
        let mut buffer = frame(&info, 0, &[face(0.0, 0.9, 200.0)]);
        let found = meta::FrameFaces {
            reused,
            ..meta::read(&buffer).unwrap().unwrap()
        };
        meta::attach(buffer.get_mut().unwrap(), &found).unwrap();
        let crop = harness.push_and_pull(buffer).unwrap();
        assert_eq!(aligned(&crop).reused, reused);
    }
}

/// A frame of half as many columns, each twice as wide: the same crop, of square pixels.
#[test]
fn crops_of_stretched_frames_have_square_pixels() {
    let square = rgb();
    let narrow = VideoInfo::builder(VideoFormat::Rgb, 320, 480)
        .par(gst::Fraction::new(2, 1))
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    // A slope across the picture, the same in both.
    let slope = |info: &VideoInfo| {
        let width = info.width();
        let row = |_| (0..width).flat_map(move |x| [(x * 255 / (width - 1)) as u8, 40, 90]);
        gst::Buffer::from_mut_slice((0..480).flat_map(row).collect::<Vec<u8>>())
    };
    let pose_of = face(0.2, 0.9, 200.0);
    let crop = |info: &VideoInfo| {
        let mut buffer = slope(info);
        let mut found = pose_of.clone();
        found.bbox[0] *= info.width() as f32 / 640.0;
        found.bbox[2] *= info.width() as f32 / 640.0;
        meta::attach(buffer.get_mut().unwrap(), &FrameFaces::new(info, vec![found])).unwrap();
        let mut harness = harness(info, "");
        let crop = harness.push_and_pull(buffer).unwrap();
        (pixels(&crop, 112), aligned(&crop))
    };
    let ((expected, from_square), (found, from_narrow)) = (crop(&square), crop(&narrow));
    let largest = expected
        .iter()
        .zip(&found)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap();
    assert!(largest <= 2, "{largest} grey levels");
    assert_eq!(from_narrow.pixel_aspect_ratio, gst::Fraction::new(2, 1));
    assert_eq!(from_square.pixel_aspect_ratio, gst::Fraction::new(1, 1));
    // The transform takes the keypoints of the frame to the same places.
    let place = |aligned: &meta::AlignedFace, [x, y]: [f64; 2]| aligned.alignment.transform.apply([x, y]);
    let (a, b) = (
        place(&from_square, [300.5, 200.0]),
        place(&from_narrow, [150.0, 200.0]),
    );
    assert!(
        (a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6,
        "{a:?} {b:?}"
    );
}

/// What a frame shows mirrored, a crop shows as it is.
#[test]
fn crops_of_mirrored_frames_are_not_mirrored() {
    let info = rgb();
    let pose = face(0.5, 0.9, 200.0);
    let picture: Vec<u8> = (0..480_u32)
        .flat_map(|y| {
            (0..640_u32).flat_map(move |x| [(x * 255 / 639) as u8, (y / 2) as u8, (x * y % 251) as u8])
        })
        .collect();
    let mirrored: Vec<u8> = picture
        .chunks_exact(640 * 3)
        .flat_map(|row| row.chunks_exact(3).rev().flatten().copied())
        .collect();
    let crop = |picture: &[u8], orientation: Orientation| {
        let mut found = pose.clone();
        let turned = turn_pose(pose.pose.map(f64::from), orientation.inverse());
        found.pose = turned.map(|number| number as f32);
        let mut buffer = gst::Buffer::from_mut_slice(picture.to_vec());
        let faces = FrameFaces::new(&info, vec![found]).turned(orientation);
        meta::attach(buffer.get_mut().unwrap(), &faces).unwrap();
        let crop = harness(&info, "").push_and_pull(buffer).unwrap();
        (pixels(&crop, 112), aligned(&crop))
    };
    let (expected, plain) = crop(&picture, Orientation::Identity);
    let (found, aligned) = crop(&mirrored, Orientation::MirrorHorizontal);
    assert_eq!(aligned.orientation, Orientation::MirrorHorizontal);
    assert_eq!(aligned.alignment.template, plain.alignment.template);
    let mean = expected
        .iter()
        .zip(&found)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum::<f64>()
        / expected.len() as f64;
    assert!(mean < 0.5, "{mean} grey levels");
}
