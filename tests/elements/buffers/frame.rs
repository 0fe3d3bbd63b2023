//! Frames as somebody describes them, truly or not.

use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};
use gstimg2pose::meta::{self, FrameFaces};
use proptest::prelude::*;

use super::init;
use crate::faces::{self, FORMATS};

/// Bytes before and behind the memory of a frame that are not its own.
const GUARD: usize = 512;
const GUARDED: u8 = 0xa5;

/// A frame as somebody describes it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub format: VideoFormat,
    pub width: u32,
    pub height: u32,
    pub meta: Option<Meta>,
    /// Bytes of the memories.
    pub memories: Vec<usize>,
    /// Others hold the memory too.
    pub shared: bool,
    /// A real producer would have let nobody write.
    pub read_only: bool,
}

#[derive(Clone, Debug)]
pub struct Meta {
    pub format: VideoFormat,
    pub width: u32,
    pub height: u32,
    pub offsets: Vec<usize>,
    pub strides: Vec<i32>,
}

impl Frame {
    pub fn info(&self) -> VideoInfo {
        faces::info(self.format, self.width, self.height)
    }

    /// Whether every pixel has a byte of its own in the buffer, by another way than the plugin's: byte by byte.
    pub fn is_true(&self) -> bool {
        let info = self.info();
        let alike = |a: VideoFormat, b: VideoFormat| {
            let plain = |format| match format {
                VideoFormat::Rgba => VideoFormat::Rgbx,
                VideoFormat::Bgra => VideoFormat::Bgrx,
                other => other,
            };
            plain(a) == plain(b)
        };
        if let Some(meta) = &self.meta {
            let fits = alike(meta.format, self.format)
                && meta.width >= self.width
                && meta.height >= self.height
                && meta.offsets.len() >= info.n_planes() as usize;
            if !fits {
                return false;
            }
        }
        self.pixel_bytes().is_some()
    }

    /// The bytes of all components of all pixels, with the rows of a plane in order; `None` if one is outside or
    /// rows overlap.
    pub fn pixel_bytes(&self) -> Option<Vec<usize>> {
        let info = self.info();
        let format = info.format_info();
        let size = self.memories.iter().sum::<usize>() as i128;
        let mut bytes = Vec::new();
        for component in 0..info.n_components() as u8 {
            let plane = info.comp_plane(component) as usize;
            let (offset, stride) = match &self.meta {
                Some(meta) => (meta.offsets[plane] as i128, i128::from(meta.strides[plane])),
                None => (info.offset()[plane] as i128, i128::from(info.stride()[plane])),
            };
            let step = i128::from(info.comp_pstride(component).max(1));
            let (width, height) = (info.comp_width(component), info.comp_height(component));
            // With the byte of a pixel that is no component.
            if stride < i128::from(width) * step {
                return None;
            }
            for y in 0..i128::from(height) {
                let end = offset + y * stride + i128::from(width) * step;
                if end > size {
                    return None;
                }
                for x in 0..i128::from(width) {
                    let at =
                        offset + y * stride + x * step + i128::from(format.poffset()[component as usize]);
                    bytes.push(at as usize);
                }
            }
        }
        Some(bytes)
    }

    pub fn buffer(&self, found: Option<&FrameFaces>) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let frame = buffer.get_mut().unwrap();
        for (index, size) in self.memories.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size)
                .map(|at| (at * 7 + index) as u8 ^ (at / 11) as u8)
                .collect();
            if self.read_only {
                frame.append_memory(gst::Memory::from_slice(bytes));
                continue;
            }
            let guard = [GUARDED; GUARD];
            let guarded = [&guard, bytes.as_slice(), &guard].concat();
            let mut memory = gst::Memory::from_mut_slice(guarded);
            memory.get_mut().unwrap().resize(GUARD..GUARD + *size);
            frame.append_memory(memory);
        }
        frame.set_pts(gst::ClockTime::ZERO);
        if let Some(Meta {
            format,
            width,
            height,
            offsets,
            strides,
        }) = &self.meta
        {
            let flags = VideoFrameFlags::empty();
            VideoMeta::add_full(frame, flags, *format, *width, *height, offsets, strides).unwrap();
        }
        if let Some(found) = found {
            meta::attach(frame, found).unwrap();
        }
        buffer
    }
}

/// All bytes of a buffer, and whether those around its memories are as they were.
pub fn bytes(buffer: &gst::BufferRef) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let mut sound = true;
    for memory in buffer.iter_memories() {
        all.extend_from_slice(&memory.map_readable().unwrap());
        if memory.maxsize() == memory.size() + 2 * GUARD && memory.offset() == GUARD {
            let whole = memory.share_maxsize(..);
            let map = whole.map_readable().unwrap();
            let (before, behind) = (&map[..GUARD], &map[map.len() - GUARD..]);
            sound &= before.iter().chain(behind).all(|byte| *byte == GUARDED);
        }
    }
    (all, sound)
}

/// Numbers around the true one, and some far from it.
fn near(number: i64) -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(number),
        2 => (number - 40)..(number + 40),
        1 => (2 * number)..(4 * number + 2),
        1 => prop::sample::select(vec![
            0,
            -1,
            -number,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            i64::from(u32::MAX),
            i64::MAX,
            i64::MIN,
        ]),
    ]
}

fn meta_for(format: VideoFormat, width: u32, height: u32) -> impl Strategy<Value = Meta> {
    let info = faces::info(format, width, height);
    let planes = info.n_planes() as usize;
    let offsets: Vec<_> = info.offset().iter().map(|offset| near(*offset as i64)).collect();
    let strides: Vec<_> = info
        .stride()
        .iter()
        .map(|stride| near((*stride).into()))
        .collect();
    let count = prop_oneof![8 => Just(planes), 1 => 1..=4_usize];
    let other = prop_oneof![12 => Just(format), 1 => prop::sample::select(FORMATS.to_vec())];
    let side = |side: u32| prop_oneof![10 => Just(side), 1 => 0..2 * side, 1 => Just(u32::MAX)];
    (offsets, strides, count, other, side(width), side(height)).prop_map(
        |(offsets, strides, count, format, width, height)| Meta {
            format,
            width,
            height,
            offsets: (0..count)
                .map(|plane| offsets.get(plane).map_or(0, |offset| *offset as usize))
                .collect(),
            strides: (0..count)
                .map(|plane| {
                    strides.get(plane).map_or(8, |stride| {
                        (*stride).clamp(i32::MIN.into(), i32::MAX.into()) as i32
                    })
                })
                .collect(),
        },
    )
}

/// Frames of all kinds, many of which lie.
pub fn frame() -> impl Strategy<Value = Frame> {
    init();
    let sizes = (1..70_u32, 1..50_u32);
    (prop::sample::select(FORMATS.to_vec()), sizes)
        .prop_flat_map(|(format, (width, height))| {
            let size = faces::info(format, width, height).size();
            let meta = prop::option::weighted(0.9, meta_for(format, width, height));
            let room = prop_oneof![4 => Just(size), 2 => size..3 * size, 1 => 0..size];
            let cuts = prop::collection::vec(0.0..1.0_f64, 0..4);
            (
                Just((format, width, height)),
                meta,
                room,
                cuts,
                any::<bool>(),
                prop::bool::weighted(0.2),
            )
        })
        .prop_map(|((format, width, height), meta, room, cuts, shared, read_only)| {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * room as f64) as usize).collect();
            ends.push(room);
            ends.sort_unstable();
            let memories = ends.iter().scan(0, |begin, end| {
                let size = end - *begin;
                *begin = *end;
                Some(size)
            });
            Frame {
                format,
                width,
                height,
                meta,
                memories: memories.collect(),
                shared,
                read_only,
            }
        })
}
