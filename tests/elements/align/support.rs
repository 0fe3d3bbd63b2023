//! Frames whose crops are known.

use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, AlignedFace, FrameFaces};
use img2pose::Face;
use img2pose::pose::project_keypoints;

use crate::faces;

/// A face with its nose about in the middle of a 640x480 frame, turned about the vertical axis by `ry` radians.
pub fn face(ry: f32, confidence: f32, side: f32) -> Face {
    let pose = [0.05, ry, 0.1, 0.2, -0.1, 7.0];
    Face {
        bbox: [
            320.0 - side / 2.0,
            240.0 - side / 2.0,
            320.0 + side / 2.0,
            240.0 + side / 2.0,
        ],
        confidence,
        pose,
        keypoints: project_keypoints(&pose, 640, 480),
        sigma: None,
    }
}

pub fn rgb() -> VideoInfo {
    faces::info(VideoFormat::Rgb, 640, 480)
}

/// A frame number `index` with the faces, whose pixels change from place to place.
pub fn frame(info: &VideoInfo, index: u64, found: &[Face]) -> gst::Buffer {
    let mut buffer =
        gst::Buffer::from_mut_slice((0..info.size()).map(|at| (at / 7) as u8).collect::<Vec<_>>());
    let out = buffer.get_mut().unwrap();
    out.set_pts(gst::ClockTime::from_mseconds(40 * index));
    out.set_duration(gst::ClockTime::from_mseconds(40));
    meta::attach(out, &FrameFaces::new(info, found.to_vec())).unwrap();
    buffer
}

/// An element with the given properties that plays frames of the format.
pub fn harness(info: &VideoInfo, properties: &str) -> Harness {
    faces::init();
    let element = gst::parse::launch(&format!("img2posealign {properties}")).unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps(info.to_caps().unwrap());
    harness.play();
    harness
}

/// All crops that are there.
pub fn pull_all(harness: &mut Harness) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| harness.try_pull()).collect()
}

/// What the crop shows.
pub fn aligned(crop: &gst::BufferRef) -> AlignedFace {
    meta::read_aligned(crop)
        .unwrap()
        .expect("a crop says what it shows")
}

/// Red, green and blue of each pixel of a crop, without padding.
pub fn pixels(crop: &gst::BufferRef, size: usize) -> Vec<u8> {
    let map = crop.map_readable().unwrap();
    let stride = crop
        .meta::<gst_video::VideoMeta>()
        .map_or((size * 3).next_multiple_of(4), |meta| meta.stride()[0] as usize);
    map.chunks(stride)
        .take(size)
        .flat_map(|row| row[..size * 3].to_vec())
        .collect()
}

/// Caps at the end of the harness.
pub fn out_caps(harness: &Harness) -> gst::Caps {
    use gst::prelude::*;
    harness.sinkpad().unwrap().current_caps().unwrap()
}
