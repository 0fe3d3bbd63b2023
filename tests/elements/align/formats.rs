//! Crops of every format that the detector takes, however its rows lie in memory.

use gst::prelude::*;
use gst_video::{VideoConverter, VideoFormat, VideoFrame, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces};
use test_support::mean_difference;

use super::support::{face, frame, harness, pixels, rgb};
use crate::faces::{self, FORMATS};

/// A smooth picture in RGB, so that formats with fewer chroma samples show the same.
fn smooth() -> gst::Buffer {
    let info = rgb();
    let stride = info.stride()[0] as usize;
    let mut data = vec![0; info.size()];
    for (y, row) in data.chunks_exact_mut(stride).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).take(640).enumerate() {
            pixel.copy_from_slice(&[(x * 255 / 639) as u8, (y * 255 / 479) as u8, 128]);
        }
    }
    gst::Buffer::from_mut_slice(data)
}

fn converted(info: &VideoInfo) -> gst::Buffer {
    let converter = VideoConverter::new(&rgb(), info, None).unwrap();
    let input = VideoFrame::from_buffer_readable(smooth(), &rgb()).unwrap();
    let out = gst::Buffer::with_size(info.size()).unwrap();
    let mut out = VideoFrame::from_buffer_writable(out, info).unwrap();
    converter.frame(&input, &mut out);
    out.into_buffer()
}

fn crop(info: &VideoInfo, mut buffer: gst::Buffer) -> Vec<u8> {
    let found = FrameFaces::new(info, vec![face(0.2, 0.9, 200.0)]);
    meta::attach(buffer.make_mut(), &found).unwrap();
    let mut harness = harness(info, "");
    pixels(&harness.push_and_pull(buffer).unwrap(), 112)
}

#[test]
fn every_format_of_the_detector() {
    let expected = crop(&rgb(), smooth());
    assert!(mean_difference(&expected, &vec![0; expected.len()]) > 50.0);
    let (ours, detector) = (
        faces::sink_caps("img2posealign"),
        faces::sink_caps("img2posedetect"),
    );
    assert!(ours.is_subset(&detector) && detector.is_subset(&ours));
    for format in FORMATS {
        let info = faces::info(format, 640, 480);
        let found = crop(&info, converted(&info));
        if format == VideoFormat::Gray8 {
            let (gray, color) = (found.chunks_exact(3), expected.chunks_exact(3));
            for (gray, color) in gray.zip(color) {
                let [r, g, b] = [color[0], color[1], color[2]].map(f64::from);
                assert!(gray.iter().all(|level| *level == gray[0]));
                let luma = [
                    0.299 * r + 0.587 * g + 0.114 * b,
                    0.2126 * r + 0.7152 * g + 0.0722 * b,
                ];
                let near = luma.iter().any(|luma| (luma - f64::from(gray[0])).abs() < 6.0);
                assert!(near, "{gray:?} {color:?}");
            }
            continue;
        }
        let difference = mean_difference(&found, &expected);
        let limit = if info.is_rgb() { 0.01 } else { 3.0 };
        assert!(difference < limit, "{format:?}: {difference}");
    }
}

#[test]
fn rows_and_planes_anywhere_in_the_buffer() {
    let info = faces::info(VideoFormat::Nv12, 640, 480);
    let plain = converted(&info);
    let expected = crop(&info, plain.clone());
    let (offsets, strides) = ([32, 32 + 704 * 480 + 64], [704, 768]);
    let mut data = vec![9_u8; offsets[1] + 768 * 240];
    {
        let plain = plain.map_readable().unwrap();
        for (plane, rows) in [(0, 480), (1, 240)] {
            for row in 0..rows {
                let from = info.offset()[plane] + row * info.stride()[plane] as usize;
                let to = offsets[plane] + row * strides[plane];
                data[to..to + 640].copy_from_slice(&plain[from..from + 640]);
            }
        }
    }
    let mut moved = gst::Buffer::from_mut_slice(data);
    gst_video::VideoMeta::add_full(
        moved.get_mut().unwrap(),
        gst_video::VideoFrameFlags::empty(),
        VideoFormat::Nv12,
        640,
        480,
        &offsets,
        &strides.map(|stride| stride as i32),
    )
    .unwrap();
    assert_eq!(crop(&info, moved), expected);
}

#[test]
fn a_frame_with_too_little_memory_is_an_error() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let bus = gst::Bus::new();
    harness.element().unwrap().set_bus(Some(&bus));
    let mut short = frame(&info, 0, &[face(0.0, 0.9, 200.0)]);
    short.get_mut().unwrap().set_size(1000);
    assert_eq!(harness.push(short), Err(gst::FlowError::Error));
    let message = bus
        .pop_filtered(&[gst::MessageType::Error])
        .expect("an error message");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    assert!(text.contains("face 0") && text.contains("1000 bytes"), "{text}");
    harness.element().unwrap().set_bus(None);
}
