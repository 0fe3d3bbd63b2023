//! Frames that say of themselves what they like, in any memories, are drawn on, hidden, cut out or refused, and nothing
//! outside of them is touched.
#![no_main]

use std::sync::Once;

use arbitrary::Arbitrary;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};
use gstimg2pose::meta::{self, FrameFaces};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    format: u8,
    width: u8,
    height: u8,
    meta: Option<Meta>,
    /// Bytes that the buffer has beyond those that the caps ask for.
    more: i16,
    /// Where the memory is cut into several.
    cuts: [u16; 3],
    read_only: bool,
    shared: bool,
    element: u8,
    faces: Vec<[u8; 4]>,
    pose: [i8; 6],
}

/// As changes of what is true, so that some are.
#[derive(Arbitrary, Debug)]
struct Meta {
    format: Option<u8>,
    width: i8,
    height: i8,
    planes: Option<u8>,
    offsets: [Number; 4],
    strides: [Number; 4],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    True,
    Near(i8),
    Far(i32),
    Farther(i64),
}

impl Number {
    fn of(self, truth: i64) -> i64 {
        match self {
            Self::True => truth,
            Self::Near(more) => truth.saturating_add(more.into()),
            Self::Far(other) => other.into(),
            Self::Farther(other) => other,
        }
    }
}

const FORMATS: [VideoFormat; 9] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Gray8,
];

const ELEMENTS: [&str; 7] = [
    "img2poseoverlay label=number+score+angles text-size=8",
    "img2poseoverlay draw-points=landmarks draw-outline=true label=0 thickness=3",
    "img2poseoverlay blur-faces=pixelate",
    "img2poseoverlay blur-faces=blur blur-margin=1 blur-strength=0.1",
    "img2poseoverlay blur-faces=solid blur-margin=0",
    "img2posealign size=16",
    "img2posetrack",
];

fn buffer(input: &Input, info: &VideoInfo) -> gst::Buffer {
    let size = (info.size() as i64 + i64::from(input.more)).max(0) as usize;
    let mut ends: Vec<usize> = input.cuts.iter().map(|cut| usize::from(*cut).min(size)).collect();
    ends.push(size);
    ends.sort_unstable();
    let mut buffer = gst::Buffer::new();
    let frame = buffer.get_mut().unwrap();
    let mut begin = 0;
    for end in ends {
        let bytes: Vec<u8> = (begin..end).map(|at| at as u8).collect();
        begin = end;
        frame.append_memory(if input.read_only {
            gst::Memory::from_slice(bytes)
        } else {
            gst::Memory::from_mut_slice(bytes)
        });
    }
    if let Some(meta) = &input.meta {
        let planes = meta
            .planes
            .map_or(info.n_planes() as usize, |planes| 1 + planes as usize % 4);
        let plane = |plane: usize, of: &[i64]| of.get(plane).copied().unwrap_or(0);
        let offsets: Vec<i64> = info.offset().iter().map(|offset| *offset as i64).collect();
        let strides: Vec<i64> = info.stride().iter().map(|stride| (*stride).into()).collect();
        let offsets: Vec<usize> = (0..planes)
            .map(|index| meta.offsets[index].of(plane(index, &offsets)) as usize)
            .collect();
        let strides: Vec<i32> = (0..planes)
            .map(|index| meta.strides[index].of(plane(index, &strides)) as i32)
            .collect();
        let format = meta
            .format
            .map_or(info.format(), |format| FORMATS[format as usize % 9]);
        let side = |side: u32, more: i8| side.saturating_add_signed(more.into());
        let (width, height) = (side(info.width(), meta.width), side(info.height(), meta.height));
        let flags = VideoFrameFlags::empty();
        VideoMeta::add_full(frame, flags, format, width, height, &offsets, &strides).unwrap();
    }
    let pose = input.pose.map(|number| f32::from(number) / 20.0);
    let faces = input.faces.iter().take(4).map(|[x, y, width, height]| {
        let [x, y, width, height] = [*x, *y, *width, *height].map(f32::from);
        img2pose::Face {
            bbox: [x, y, x + width, y + height],
            confidence: 0.9,
            pose,
            keypoints: [[x, y]; 5],
            sigma: None,
        }
    });
    meta::attach(frame, &FrameFaces::new(info, faces.collect())).unwrap();
    buffer
}

fuzz_target!(|input: Input| {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstimg2pose::plugin_register_static().unwrap();
    });
    let format = FORMATS[input.format as usize % 9];
    let (width, height) = (u32::from(input.width).max(1), u32::from(input.height).max(1));
    let info = VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    let element = gst::parse::launch(ELEMENTS[input.element as usize % ELEMENTS.len()]).unwrap();
    let upstream = gst::Pad::builder(gst::PadDirection::Src).build();
    let downstream = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
        .build();
    upstream.link(&element.static_pad("sink").unwrap()).unwrap();
    element.static_pad("src").unwrap().link(&downstream).unwrap();
    downstream.set_active(true).unwrap();
    upstream.set_active(true).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    upstream.push_event(gst::event::StreamStart::new("fuzz"));
    upstream.push_event(gst::event::Caps::new(&info.to_caps().unwrap()));
    upstream.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new(),
    ));
    let frame = buffer(&input, &info);
    let other = input.shared.then(|| frame.copy());
    let before = other.as_ref().map(|other| other.map_readable().unwrap().to_vec());
    let _ = upstream.push(frame);
    if let (Some(other), Some(before)) = (other, before) {
        assert!(
            *other.map_readable().unwrap() == *before,
            "the buffer of somebody else"
        );
    }
    element.set_state(gst::State::Null).unwrap();
});
