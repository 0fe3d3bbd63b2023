//! A `GstVideoMeta` that lies: the frame is refused, or treated as it says, and no byte beside its pixels is touched.

use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;
use img2pose::pose::project_keypoints;
use proptest::prelude::*;

use super::frame::{Frame, Meta, bytes, frame};
use super::init;
use crate::detector;
use crate::faces;

/// A face in the middle of the frame and one over its edge.
fn found(info: &VideoInfo) -> FrameFaces {
    let (width, height) = (info.width() as f32, info.height() as f32);
    let pose = [0.1, -0.3, 0.1, 0.0, 0.0, 5.0];
    let face = |bbox, confidence| Face {
        bbox,
        confidence,
        pose,
        keypoints: project_keypoints(&pose, info.width(), info.height()),
        sigma: None,
    };
    let middle = [width * 0.2, height * 0.2, width * 0.7, height * 0.8];
    let edge = [width * 0.8, height * 0.5, width, height];
    FrameFaces::new(info, vec![face(middle, 0.9), face(edge, 0.8)])
}

/// Pushes the frame through an element; says what came out, or the element's error.
fn push(element: &gst::Element, frame: &Frame, buffer: gst::Buffer) -> Result<Vec<gst::Buffer>, String> {
    let bus = detector::listen(element);
    let mut harness = Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_src_caps(frame.info().to_caps().unwrap());
    let pushed = harness.push(buffer);
    harness.push_event(gst::event::Eos::new());
    let error = bus
        .iter()
        .find(|message| message.type_() == gst::MessageType::Error)
        .map(|message| detector::error_text(&message));
    match (pushed, error) {
        (Ok(_), None) => Ok(std::iter::from_fn(|| harness.try_pull()).collect()),
        (Err(gst::FlowError::Error), Some(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn launch(description: &str) -> gst::Element {
    init();
    gst::parse::launch(description).unwrap()
}

/// Properties of the overlay under which it writes into the frame.
const WRITING: [&str; 5] = [
    "label=score text-size=8",
    "draw-points=landmarks draw-outline=true label=0 thickness=3",
    "blur-faces=pixelate",
    "blur-faces=blur blur-margin=1",
    "blur-faces=solid blur-margin=0",
];

#[track_caller]
fn check_overlay(frame: &Frame, properties: &str) {
    let found = found(&frame.info());
    let input = frame.buffer(Some(&found));
    let other = frame.shared.then(|| input.copy());
    let (before, _) = bytes(&input);
    let out = push(&launch(&format!("img2poseoverlay {properties}")), frame, input);
    if let Some(other) = other {
        assert_eq!(
            bytes(&other),
            (before.clone(), true),
            "the buffer of somebody else"
        );
    }
    match out {
        Ok(out) => {
            assert!(frame.is_true(), "{frame:?} is taken");
            assert_eq!(out.len(), 1);
            let (after, sound) = bytes(&out[0]);
            assert!(sound, "{frame:?}: bytes around the memory");
            assert_eq!(after.len(), before.len());
            let mut pixels = vec![false; before.len()];
            for at in frame.pixel_bytes().unwrap() {
                pixels[at] = true;
            }
            // The fourth byte of a pixel of RGBx is nobody's; GStreamer sets it.
            let free = matches!(frame.format, VideoFormat::Rgbx | VideoFormat::Bgrx);
            for (at, (before, after)) in before.iter().zip(&after).enumerate() {
                assert!(before == after || pixels[at] || free, "{frame:?}: byte {at}");
            }
        }
        Err(error) => {
            assert!(!frame.is_true(), "{frame:?}: {error}");
            assert!(error.contains("in the frame at 0:00:00"), "{error}");
        }
    }
}

#[track_caller]
fn check_reader(element: &gst::Element, frame: &Frame, found: Option<&FrameFaces>) {
    let input = frame.buffer(found);
    let other = input.copy();
    let (before, _) = bytes(&input);
    let out = push(element, frame, input);
    assert_eq!(bytes(&other), (before, true), "{frame:?}: read, not written");
    match out {
        Ok(_) => assert!(frame.is_true(), "{frame:?} is taken"),
        Err(error) => assert!(!frame.is_true(), "{frame:?}: {error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_overlay_writes_pixels_or_refuses(frame in frame(), writing in 0..WRITING.len()) {
        check_overlay(&frame, WRITING[writing]);
    }

    #[test]
    fn the_crops_come_from_pixels_or_the_frame_is_refused(frame in frame()) {
        check_reader(&launch("img2posealign size=32"), &frame, Some(&found(&frame.info())));
    }

    #[test]
    fn faces_are_followed_without_pixels(frame in frame()) {
        let found = found(&frame.info());
        let out = push(&launch("img2posetrack"), &frame, frame.buffer(Some(&found))).unwrap();
        prop_assert_eq!(out.len(), 1);
    }

    #[test]
    fn lines_need_no_pixels(frame in frame()) {
        let found = found(&frame.info());
        let lines = push(&launch("img2posejson"), &frame, frame.buffer(Some(&found))).unwrap();
        prop_assert_eq!(lines.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_detector_reads_pixels_or_refuses(frame in frame()) {
        let element = detector::detector();
        element.set_property("batch-size", 1_u32);
        check_reader(&element, &frame, None);
    }
}

/// A plain frame of noise with a meta that says something else.
fn lying(format: VideoFormat, (width, height): (u32, u32), offsets: &[usize], strides: &[i32]) -> Frame {
    init();
    Frame {
        format,
        width,
        height,
        meta: Some(Meta {
            format,
            width,
            height,
            offsets: offsets.to_vec(),
            strides: strides.to_vec(),
        }),
        memories: vec![faces::info(format, width, height).size()],
        shared: false,
        read_only: false,
    }
}

/// It used to end in a SIGSEGV.
#[test]
fn the_overlay_refuses_a_meta_that_points_outside_the_memory() {
    let cases: [(VideoFormat, &[usize], &[i32], &str); 6] = [
        (VideoFormat::Rgb, &[1 << 40], &[960], "from offset 1099511627776"),
        (VideoFormat::Rgb, &[0], &[1 << 30], "plane 0 needs"),
        (
            VideoFormat::I420,
            &[0, 76_800, 1 << 30],
            &[320, 160, 160],
            "plane 2 needs",
        ),
        (
            VideoFormat::Nv12,
            &[0, usize::MAX - 5],
            &[320, 320],
            "plane 1 needs",
        ),
        (VideoFormat::Bgra, &[0], &[-1280], "negative stride"),
        (VideoFormat::Gray8, &[0], &[7], "its stride is 7"),
    ];
    for (format, offsets, strides, words) in cases {
        for properties in WRITING {
            let frame = lying(format, (320, 240), offsets, strides);
            let input = frame.buffer(Some(&found(&frame.info())));
            let element = launch(&format!("img2poseoverlay {properties}"));
            let error = push(&element, &frame, input).unwrap_err();
            assert!(error.contains(words), "{format:?} {properties}: {error}");
        }
    }
}

/// It used to end in a SIGSEGV: GStreamer's vector instructions take a multiple of four for granted.
#[test]
fn pixels_of_four_bytes_may_begin_anywhere() {
    for format in [VideoFormat::Rgba, VideoFormat::Bgrx, VideoFormat::Nv12] {
        for (shift, wider) in [(1, 0), (2, 1), (3, 2), (0, 3), (5, 5)] {
            let info = faces::info(format, 161, 121);
            let strides: Vec<i32> = info.stride().iter().map(|stride| stride + wider).collect();
            let mut next = shift;
            let offsets: Vec<usize> = (0..strides.len())
                .map(|plane| {
                    let here = next;
                    next += strides[plane] as usize * info.comp_height(plane as u8) as usize + shift;
                    here
                })
                .collect();
            let frame = Frame {
                memories: vec![next],
                ..lying(format, (161, 121), &offsets, &strides)
            };
            for properties in WRITING {
                check_overlay(&frame, properties);
            }
        }
    }
}

/// Frames that it does not touch are none of its business.
#[test]
fn a_lie_about_a_frame_without_faces_passes() {
    let frame = lying(VideoFormat::Rgb, (320, 240), &[1 << 40], &[960]);
    let element = launch("img2poseoverlay blur-faces=solid");
    let none = FrameFaces::new(&frame.info(), vec![]);
    assert_eq!(
        push(&element, &frame, frame.buffer(Some(&none))).unwrap().len(),
        1
    );
}

/// Planes in memories of their own, and one plane in pieces.
#[test]
fn memories_of_all_kinds_give_the_same_picture() {
    let whole = Frame {
        meta: None,
        ..lying(VideoFormat::I420, (160, 120), &[], &[])
    };
    let size = whole.memories[0];
    let pixels = |memories: Vec<usize>, read_only, shared, properties: &str| {
        let frame = Frame {
            memories,
            read_only,
            shared,
            ..whole.clone()
        };
        let mut input = frame.buffer(None);
        // The same bytes, however they are divided.
        let plain = whole.buffer(None);
        {
            let input = input.make_mut();
            let bytes = bytes(&plain).0;
            let mut at = 0;
            let memories: Vec<_> = frame
                .memories
                .iter()
                .map(|size| {
                    let part = bytes[at..at + size].to_vec();
                    at += size;
                    if read_only {
                        gst::Memory::from_slice(part)
                    } else {
                        gst::Memory::from_mut_slice(part)
                    }
                })
                .collect();
            input.remove_all_memory();
            memories
                .into_iter()
                .for_each(|memory| input.append_memory(memory));
            meta::attach(input, &found(&frame.info())).unwrap();
        }
        let _other = shared.then(|| input.copy());
        let out = push(&launch(&format!("img2poseoverlay {properties}")), &frame, input).unwrap();
        bytes(&out[0]).0
    };
    let luma = 160 * 120;
    for properties in WRITING {
        let expected = pixels(vec![size], false, false, properties);
        for memories in [
            vec![size],
            vec![luma, size - luma],
            vec![luma, luma / 4, luma / 4],
            vec![100, size - 100],
            vec![0, luma, 0, size - luma, 0],
        ] {
            for (read_only, shared) in [(false, false), (true, false), (false, true)] {
                let found = pixels(memories.clone(), read_only, shared, properties);
                assert!(
                    found == expected,
                    "{memories:?} {read_only} {shared} {properties}"
                );
            }
        }
    }
}
