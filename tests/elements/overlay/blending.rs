//! Blending changes the pixels that GStreamer changes when it is given the whole composition, to the same values.

use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, VideoOverlayCompositionMeta};
use gstimg2pose::meta::FrameFaces;
use img2pose::Face;

use super::support::{bytes, harness, middle_face, noise};
use crate::faces::{self, FORMATS};

const EVERYTHING: &str = "draw-points=landmarks draw-outline=true label=number+score+angles+position";
const TRANSLUCENT: &str = "box-color=0x80ff0000 points-color=0x40ffffff x-axis-color=0xc0ff3030 label-color=0x70ffffff \
     label-background-color=0x30204060 thickness=5";

/// Faces of several sizes all over the frame, some of them over its edges and over each other.
fn found(info: &VideoInfo) -> FrameFaces {
    let (width, height) = (info.width() as f32, info.height() as f32);
    let faces = (0..5).map(|n| {
        let n = n as f32;
        let (x, y) = (width * (0.13 + 0.21 * n), height * (0.9 - 0.19 * n));
        let side = height * (0.15 + 0.11 * n);
        let z = (width + height) * 1.75 / side;
        let pose = [
            0.2 * n - 0.3,
            0.4 - 0.2 * n,
            0.1 * n,
            (x - width / 2.0) * z / (width + height),
            (y - height / 2.0) * z / (width + height),
            z,
        ];
        Face {
            bbox: [x - side / 2.0, y - side / 2.0, x + side / 2.0, y + side / 2.0],
            confidence: 0.9,
            pose,
            keypoints: img2pose::pose::project_keypoints(&pose, info.width(), info.height()),
            sigma: None,
        }
    });
    FrameFaces::new(info, faces.collect())
}

/// The frame as this element blends it, and as GStreamer does the composition that it attaches elsewhere.
#[track_caller]
fn assert_same(info: &VideoInfo, properties: &str, frame: impl Fn() -> gst::Buffer) {
    let mut attaching = harness(info, properties, true);
    let mut expected = attaching.push_and_pull(frame()).unwrap();
    let composition = expected
        .meta::<VideoOverlayCompositionMeta>()
        .map(|meta| meta.overlay_owned());
    if let Some(composition) = composition {
        let mut frame = VideoFrameRef::from_buffer_ref_writable(expected.make_mut(), info).unwrap();
        composition.blend(&mut frame).unwrap();
    }
    let mut blending = harness(info, properties, false);
    let blended = blending.push_and_pull(frame()).unwrap();
    let (expected, blended) = (bytes(&expected), bytes(&blended));
    let other = expected.iter().zip(&blended).filter(|(a, b)| a != b).count();
    let (width, height, format) = (info.width(), info.height(), info.format());
    assert_eq!(
        other, 0,
        "bytes differ in {format:?} {width}x{height}, {properties}"
    );
}

#[test]
fn tiles_give_the_pixels_of_whole_rectangles_in_every_format() {
    for format in FORMATS {
        // Sides that are multiples of nothing: the last tile and the last chroma sample are cut off.
        for (width, height) in [(640, 480), (321, 241), (50, 35), (3, 3), (1, 1)] {
            let info = faces::info(format, width, height);
            let found = found(&info);
            for properties in ["", EVERYTHING, &format!("{EVERYTHING} {TRANSLUCENT}")] {
                assert_same(&info, properties, || noise(&info, &found));
            }
        }
    }
}

#[test]
fn tiles_give_the_pixels_of_whole_rectangles_wherever_a_face_lies() {
    for format in [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Rgb] {
        let info = faces::info(format, 160, 120);
        for shift in 0..17_u8 {
            let shift = f32::from(shift);
            let face = Face {
                bbox: [20.0 + shift, 10.0 + shift, 61.0 + 2.0 * shift, 70.0 + shift / 2.0],
                ..middle_face([0.1, 0.3, 0.02 * shift])
            };
            let found = FrameFaces::new(&info, vec![face]);
            assert_same(&info, EVERYTHING, || noise(&info, &found));
        }
    }
}

#[test]
fn tiles_give_the_pixels_of_whole_rectangles_in_rows_of_any_stride() {
    let info = faces::info(VideoFormat::I420, 321, 241);
    let found = found(&info);
    // Chroma first, gaps between the planes and behind the rows.
    let (luma, chroma) = (384, 201);
    let offsets = [2 * chroma * 121 + 77, 5, chroma * 121 + 31];
    let frame = || {
        let mut frame = gst::Buffer::from_mut_slice(vec![90_u8; offsets[0] + luma * 241]);
        {
            let frame = frame.get_mut().unwrap();
            let strides = [luma as i32, chroma as i32, chroma as i32];
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(frame, flags, VideoFormat::I420, 321, 241, &offsets, &strides)
                .unwrap();
            gstimg2pose::meta::attach(frame, &found).unwrap();
        }
        frame
    };
    assert_same(&info, EVERYTHING, frame);
}
