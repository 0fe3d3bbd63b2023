//! Faces of known shape, and pixels to look at.

use gst_check::Harness;
use gst_video::prelude::*;
use gst_video::{VideoConverter, VideoFormat, VideoFrame, VideoInfo, VideoOverlayCompositionMeta};
use gstimg2pose::meta::FrameFaces;
use img2pose::Face;

use crate::faces;

/// Draws one thing at a time: everything is off.
pub const NOTHING: &str = "draw-box=false draw-axes=false draw-points=none label=0";

/// An element with the given properties, downstream takes compositions or not.
pub fn harness(info: &VideoInfo, properties: &str, attach: bool) -> Harness {
    faces::init();
    let element = gst::parse::launch(&format!("img2poseoverlay {properties}")).unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    if attach {
        harness.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    }
    harness.set_src_caps(info.to_caps().unwrap());
    harness.play();
    harness
}

/// The frame that comes out for a gray frame with the faces.
pub fn render(info: &VideoInfo, properties: &str, found: &FrameFaces) -> gst::Buffer {
    let mut harness = harness(info, properties, false);
    harness.push_and_pull(faces::frame_with(info, 0, found)).unwrap()
}

/// A face with its nose about in the middle of a 640x480 frame, 240 pixels high, turned by the rotation vector.
pub fn middle_face(rotation: [f32; 3]) -> Face {
    let [rx, ry, rz] = rotation;
    let pose = [rx, ry, rz, 0.0, 0.0, 7.0];
    Face {
        bbox: [200.0, 120.0, 440.0, 360.0],
        confidence: 0.9,
        pose,
        keypoints: img2pose::pose::project_keypoints(&pose, 640, 480),
        sigma: None,
    }
}

/// The frame in RGB.
pub struct Picture {
    pixels: Vec<u8>,
    pub width: usize,
    pub height: usize,
}

impl Picture {
    pub fn new(buffer: &gst::Buffer, info: &VideoInfo) -> Self {
        let out_info = VideoInfo::builder(VideoFormat::Rgb, info.width(), info.height())
            .fps(info.fps())
            .par(info.par())
            .build()
            .unwrap();
        let converter = VideoConverter::new(info, &out_info, None).unwrap();
        let input = VideoFrame::from_buffer_readable(buffer.clone(), info).unwrap();
        let out = gst::Buffer::with_size(out_info.size()).unwrap();
        let mut out = VideoFrame::from_buffer_writable(out, &out_info).unwrap();
        converter.frame(&input, &mut out);
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = out.plane_stride()[0] as usize;
        let data = out.plane_data(0).unwrap();
        let pixels = data
            .chunks(stride)
            .take(height)
            .flat_map(|row| row[..width * 3].to_vec())
            .collect();
        Self {
            pixels,
            width,
            height,
        }
    }

    /// Red, green, blue.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        self.pixels[at..at + 3].try_into().unwrap()
    }

    /// The pixels that differ from another picture by more than `tolerance` in a colour.
    pub fn changes(&self, other: &Self, tolerance: u8) -> Vec<(usize, usize)> {
        let mut changes = Vec::new();
        for y in 0..self.height {
            for x in 0..self.width {
                let (a, b) = (self.at(x, y), other.at(x, y));
                if a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > tolerance) {
                    changes.push((x, y));
                }
            }
        }
        changes
    }
}

/// The gray frame before anything is drawn.
pub fn blank(info: &VideoInfo) -> Picture {
    Picture::new(&faces::blank_frame(info, 0), info)
}

/// All bytes of a buffer.
pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// A frame of noise with the faces: whatever is changed shows.
pub fn noise(info: &VideoInfo, found: &FrameFaces) -> gst::Buffer {
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(info.size())
    .collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    gstimg2pose::meta::attach(buffer.get_mut().unwrap(), found).unwrap();
    buffer
}
