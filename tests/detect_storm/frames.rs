//! Frames of several formats, sizes and layouts in memory, and the faces that each has alone.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use gst_video::{VideoFormat, VideoInfo};
use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, Face, Selection};

use crate::support;

/// Format, width, height and framerate of the streams.
const STREAMS: [(VideoFormat, u32, u32, i32); 7] = [
    (VideoFormat::Gray8, 64, 48, 25),
    (VideoFormat::Gray8, 48, 64, 0),
    (VideoFormat::Rgb, 33, 21, 500),
    (VideoFormat::Nv12, 50, 38, 25),
    (VideoFormat::I420, 34, 46, 500),
    (VideoFormat::Bgrx, 64, 48, 25),
    // Differs from the first in nothing that the network sees.
    (VideoFormat::Gray8, 64, 48, 30),
];

/// Number of streams to choose from.
pub const N_STREAMS: usize = STREAMS.len();
/// Number of different pictures in each stream.
pub const N_PICTURES: u8 = 3;
/// Values of `score-threshold` that sort the faces of the test network apart.
pub const THRESHOLDS: [f32; 3] = [0.05, 0.575, 0.6];

/// What the faces of a frame depend on besides the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `score-threshold` by index.
    pub threshold: usize,
    /// `inference-interval`.
    pub interval: u32,
    /// Whether faces are followed: a frame that is not looked at as a whole may carry others than it has alone.
    pub follows: bool,
    /// Where the network runs.
    pub network: Network,
}

/// Where the network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// In this process: what comes out is the same to the last bit.
    Here,
    /// At a server, which sums in another order. It answers every batch in the end.
    #[allow(dead_code, reason = "the storm with a server is built elsewhere")]
    Server,
    /// At one that does not answer some batches in time: their frames pass without faces.
    #[allow(dead_code, reason = "the same")]
    LostServer,
}

impl Setting {
    /// What a sequence starts with.
    pub const FIRST: Self = Self {
        threshold: 0,
        interval: 1,
        follows: false,
        network: Network::Here,
    };
}

impl Network {
    /// Whether `found` are the faces `expected`.
    pub fn agrees(self, expected: &[Face], found: &[Face]) -> bool {
        if self == Self::Here {
            return expected == found;
        }
        let near = |a: &[f32], b: &[f32], most: f32| a.iter().zip(b).all(|(a, b)| (a - b).abs() < most);
        expected.len() == found.len()
            && expected.iter().zip(found).all(|(a, b)| {
                near(&a.bbox, &b.bbox, 1e-3)
                    && near(&[a.confidence], &[b.confidence], 1e-5)
                    && near(&a.pose, &b.pose, 1e-4)
            })
    }
}

/// What a stream's frames look like.
pub fn info(stream: usize) -> VideoInfo {
    static INFOS: LazyLock<Vec<VideoInfo>> = LazyLock::new(|| {
        STREAMS
            .iter()
            .map(|(format, width, height, fps)| {
                let builder = VideoInfo::builder(*format, *width, *height).fps(gst::Fraction::new(*fps, 1));
                let bt601 = "bt601".parse::<gst_video::VideoColorimetry>().unwrap();
                match format {
                    VideoFormat::Nv12 | VideoFormat::I420 => builder.colorimetry(&bt601).build(),
                    _ => builder.build(),
                }
                .unwrap()
            })
            .collect()
    });
    INFOS[stream].clone()
}

/// The caps of a stream; where the framerate is 0 they have none, as applications write them.
pub fn caps(stream: usize) -> gst::Caps {
    let mut caps = info(stream).to_caps().unwrap();
    if STREAMS[stream].3 == 0 {
        let structure = caps.get_mut().unwrap().structure_mut(0).unwrap();
        structure.remove_field("framerate");
    }
    caps
}

/// How the pixels lie in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As GStreamer's defaults say, in one memory.
    Plain,
    /// The same, read-only.
    ReadOnly,
    /// Longer rows and gaps before the planes, described by a `GstVideoMeta`.
    Padded,
    /// A memory for each plane.
    PlanePerMemory,
    /// Two memories, cut in the midst of a plane.
    Cut,
}

/// All layouts.
pub const LAYOUTS: [Layout; 5] = [
    Layout::Plain,
    Layout::ReadOnly,
    Layout::Padded,
    Layout::PlanePerMemory,
    Layout::Cut,
];

/// Pixels whose life is counted.
pub struct Pixels {
    bytes: Vec<u8>,
    _life: Arc<()>,
}

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Pixels {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Bytes in a row of a plane, and number of rows.
fn plane_size(info: &VideoInfo, plane: u32) -> (usize, usize) {
    // In all formats here plane n begins with component n.
    let plane = plane as u8;
    (
        info.comp_width(plane) as usize * info.comp_pstride(plane) as usize,
        info.comp_height(plane) as usize,
    )
}

fn byte(picture: u8, plane: u32, x: usize, y: usize) -> u8 {
    let phase = f32::from(picture) * 0.7 + plane as f32 * 1.9;
    let (x, y) = (x as f32, y as f32);
    let wave = (x * 0.21 + phase).sin() + (y * 0.17 - 1.3 * phase).cos() + (x * y * 0.003 + phase).sin();
    (128.0 + 40.0 * wave) as u8
}

/// The bytes of a picture with the given offset and stride of each plane.
fn lay_out(info: &VideoInfo, picture: u8, offsets: &[usize], strides: &[i32], size: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; size];
    for plane in 0..info.n_planes() {
        let (row, rows) = plane_size(info, plane);
        let (offset, stride) = (offsets[plane as usize], strides[plane as usize] as usize);
        for y in 0..rows {
            for x in 0..row {
                bytes[offset + y * stride + x] = byte(picture, plane, x, y);
            }
        }
    }
    bytes
}

/// A buffer with a picture of a stream, without timestamps. `life` is held as long as its pixels live.
pub fn buffer(stream: usize, picture: u8, layout: Layout, life: &Arc<()>) -> gst::Buffer {
    let info = info(stream);
    let counted = |bytes: Vec<u8>| Pixels {
        bytes,
        _life: life.clone(),
    };
    let n_planes = info.n_planes() as usize;
    if layout == Layout::Padded {
        let (mut offsets, mut strides, mut size) = (Vec::new(), Vec::new(), 0);
        for plane in 0..info.n_planes() {
            let (row, rows) = plane_size(&info, plane);
            let stride = row + 5 + plane as usize;
            offsets.push(size + 3);
            strides.push(stride as i32);
            size += 3 + stride * rows;
        }
        let bytes = lay_out(&info, picture, &offsets, &strides, size);
        let mut buffer = gst::Buffer::from_mut_slice(counted(bytes));
        gst_video::VideoMeta::add_full(
            buffer.get_mut().unwrap(),
            gst_video::VideoFrameFlags::empty(),
            info.format(),
            info.width(),
            info.height(),
            &offsets,
            &strides,
        )
        .unwrap();
        return buffer;
    }

    let bytes = lay_out(&info, picture, info.offset(), info.stride(), info.size());
    let cuts: Vec<usize> = match layout {
        Layout::Cut => vec![bytes.len() / 3],
        Layout::PlanePerMemory => info.offset()[1..n_planes].to_vec(),
        _ => Vec::new(),
    };
    let mut buffer = gst::Buffer::new();
    let mut begin = 0;
    for end in cuts.into_iter().chain([bytes.len()]) {
        let part = counted(bytes[begin..end].to_vec());
        let memory = if layout == Layout::ReadOnly {
            gst::Memory::from_slice(part)
        } else {
            gst::Memory::from_mut_slice(part)
        };
        buffer.get_mut().unwrap().append_memory(memory);
        begin = end;
    }
    buffer
}

/// The faces of a picture alone, in a batch of one and without the element.
pub fn faces_alone(stream: usize, picture: u8, threshold: usize) -> Vec<Face> {
    type Known = HashMap<(usize, u8, usize), Vec<Face>>;
    static KNOWN: LazyLock<Mutex<(Detector, Known)>> =
        LazyLock::new(|| Mutex::new((support::bare_detector(), HashMap::new())));
    let mut guard = KNOWN.lock().unwrap();
    let (detector, known) = &mut *guard;
    known
        .entry((stream, picture, threshold))
        .or_insert_with(|| {
            detector
                .set_selection(
                    Selection::default()
                        .with_score_threshold(THRESHOLDS[threshold])
                        .with_max_faces(4),
                )
                .unwrap();
            detect(detector, stream, picture)
        })
        .clone()
}

fn detect(detector: &mut Detector, stream: usize, picture: u8) -> Vec<Face> {
    let info = info(stream);
    let bytes = lay_out(&info, picture, info.offset(), info.stride(), info.size());
    let (format, range) = match info.format() {
        VideoFormat::Gray8 => (PixelFormat::Gray8, ColorRange::Full),
        VideoFormat::Rgb => (PixelFormat::Rgb, ColorRange::Full),
        VideoFormat::Bgrx => (PixelFormat::Bgrx, ColorRange::Full),
        VideoFormat::Nv12 => (PixelFormat::Nv12, ColorRange::Limited),
        VideoFormat::I420 => (PixelFormat::I420, ColorRange::Limited),
        other => unreachable!("{other:?} is not among the streams"),
    };
    let planes = std::array::from_fn(|plane| {
        if plane < info.n_planes() as usize {
            Plane {
                data: &bytes[info.offset()[plane]..],
                stride: info.stride()[plane] as usize,
            }
        } else {
            Plane { data: &[], stride: 0 }
        }
    });
    let frame = Frame {
        layout: FrameLayout {
            format,
            width: info.width(),
            height: info.height(),
            matrix: ColorMatrix::Bt601,
            range,
            view: View::PLAIN,
        },
        planes,
    };
    detector.detect(&[frame]).unwrap().remove(0)
}

#[test]
fn pictures_and_thresholds_can_be_told_apart() {
    support::init();
    let mut seen: Vec<Vec<Face>> = Vec::new();
    let mut by_threshold = 0;
    for stream in 0..N_STREAMS - 1 {
        for picture in 0..N_PICTURES {
            let faces = faces_alone(stream, picture, 0);
            assert!(!faces.is_empty(), "stream {stream}, picture {picture}");
            assert!(!seen.contains(&faces), "stream {stream}, picture {picture}");
            by_threshold += usize::from((1..THRESHOLDS.len()).any(|threshold| {
                let fewer = faces_alone(stream, picture, threshold);
                !fewer.is_empty() && fewer != faces
            }));
            seen.push(faces);
        }
    }
    assert!(
        by_threshold > 6,
        "{by_threshold} pictures depend on the threshold"
    );
}
