//! From GStreamer's description of a frame to the detector's.

use gst::MemoryMap;
use gst::memory::Readable;
use gst::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo};
use img2pose::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, Orientation, PixelAspectRatio, PixelFormat, Plane, View,
};

/// The raw video formats that the detector reads, those that need no conversion of colours first.
pub const FORMATS: [VideoFormat; 9] = [
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

/// Raw video in one of [`FORMATS`]. Without a framerate: caps that have none are good, too, as applications write them.
pub fn template_caps() -> gst::Caps {
    let formats = FORMATS.iter().map(|format| format.to_str().as_str());
    let side = gst::IntRange::new(1, i32::MAX);
    gst::Caps::builder("video/x-raw")
        .field("format", gst::List::new(formats))
        .field("width", side)
        .field("height", side)
        .build()
}

/// What the caps of a stream say about its frames.
#[derive(Clone, Debug)]
pub struct InputFormat {
    /// The caps, parsed.
    pub info: VideoInfo,
    /// The same for the detector.
    pub layout: FrameLayout,
    /// Duration of a frame; `None` when the framerate is unknown or variable.
    pub frame_duration: Option<gst::ClockTime>,
    /// What was approximated, for the log.
    pub note: Option<&'static str>,
}

impl InputFormat {
    /// Reads raw video caps.
    ///
    /// # Errors
    /// When they are no raw video, or of a format or size that the detector does not read; in words.
    pub fn from_caps(caps: &gst::CapsRef) -> Result<Self, String> {
        let info = VideoInfo::from_caps(caps).map_err(|error| format!("cannot read caps {caps}: {error}"))?;
        let format = match info.format() {
            VideoFormat::Rgb => PixelFormat::Rgb,
            VideoFormat::Bgr => PixelFormat::Bgr,
            VideoFormat::Rgbx | VideoFormat::Rgba => PixelFormat::Rgbx,
            VideoFormat::Bgrx | VideoFormat::Bgra => PixelFormat::Bgrx,
            VideoFormat::Gray8 => PixelFormat::Gray8,
            VideoFormat::Nv12 => PixelFormat::Nv12,
            VideoFormat::I420 => PixelFormat::I420,
            other => {
                let known: Vec<&str> = FORMATS.iter().map(|format| format.to_str().as_str()).collect();
                return Err(format!(
                    "format {} cannot be read, expected one of {}: put a videoconvert before the element",
                    other.to_str(),
                    known.join(", ")
                ));
            }
        };
        if info.width() == 0 || info.height() == 0 {
            return Err(format!("caps {caps} have a side of 0 pixels"));
        }
        let (matrix, range, note) = color(&info, format);
        let fps = info.fps();
        let frame_duration = (fps.numer() > 0 && fps.denom() > 0)
            .then(|| gst::ClockTime::SECOND.mul_div_round(fps.denom() as u64, fps.numer() as u64))
            .flatten();
        let layout = FrameLayout {
            format,
            width: info.width(),
            height: info.height(),
            matrix,
            range,
            view: View {
                pixel_aspect_ratio: pixel_aspect_ratio(info.par()),
                orientation: Orientation::Identity,
            },
        };
        Ok(Self {
            info,
            layout,
            frame_duration,
            note,
        })
    }

    /// Whether faces found in a frame of the other format mean the same in one of this: pictures of one size and shape, seen
    /// in the same way.
    pub fn is_like(&self, other: &Self) -> bool {
        self.layout == other.layout && self.info.par() == other.info.par()
    }

    /// The same frames, to be turned by `orientation` to be upright.
    pub fn turned(&self, orientation: Orientation) -> Self {
        let mut turned = self.clone();
        turned.layout.view.orientation = orientation;
        turned
    }

    /// Maps the buffer and gives its pixels to `read`, without a copy. Strides and offsets are those of the
    /// buffer's video meta if it has one.
    ///
    /// # Errors
    /// When the buffer cannot be mapped or describes planes that are not in it; in words.
    pub fn read_frame<R>(
        &self,
        buffer: &gst::BufferRef,
        read: impl FnOnce(&Frame<'_>) -> R,
    ) -> Result<R, String> {
        let meta = buffer.meta::<gst_video::VideoMeta>();
        let (offsets, strides) = meta.as_ref().map_or_else(
            || (self.info.offset(), self.info.stride()),
            |meta| (meta.offset(), meta.stride()),
        );
        let n_planes = self.info.n_planes() as usize;
        if offsets.len() < n_planes || strides.len() < n_planes {
            return Err(format!(
                "its video meta has {} planes, expected {n_planes}",
                offsets.len()
            ));
        }
        let mut extents = [Extent::default(); 3];
        for (plane, extent) in extents.iter_mut().enumerate().take(n_planes) {
            let stride = usize::try_from(strides[plane])
                .map_err(|_| format!("plane {plane} has a negative stride ({})", strides[plane]))?;
            *extent = Extent {
                offset: offsets[plane],
                stride,
                len: self.plane_len(plane as u8, stride),
            };
        }
        let extents = &extents[..n_planes];

        let mut maps: [Option<MemoryMap<'_, Readable>>; 3] = Default::default();
        let mut starts = [0; 3];
        for ((extent, map), start) in extents.iter().zip(&mut maps).zip(&mut starts) {
            let Some((memory, skip)) = find_memory(buffer, extent) else {
                return self.read_merged(buffer, extents, read);
            };
            *map = Some(
                memory
                    .map_readable()
                    .map_err(|error| format!("it cannot be mapped: {error}"))?,
            );
            *start = skip;
        }
        let planes = std::array::from_fn(|plane| match &maps[plane] {
            Some(map) => Plane {
                data: &map.as_slice()[starts[plane]..],
                stride: extents[plane].stride,
            },
            None => NO_PLANE,
        });
        Ok(read(&Frame {
            layout: self.layout,
            planes,
        }))
    }

    /// For a buffer with a plane that no single memory holds. GStreamer copies such memories together; into a memory
    /// of its own, because mapping the buffer would put the copy in the place of the buffer's memories.
    fn read_merged<R>(
        &self,
        buffer: &gst::BufferRef,
        extents: &[Extent],
        read: impl FnOnce(&Frame<'_>) -> R,
    ) -> Result<R, String> {
        let memory = buffer.all_memory().ok_or("it holds no memory")?;
        let map = memory
            .map_readable()
            .map_err(|error| format!("it cannot be mapped: {error}"))?;
        let mut planes = [NO_PLANE; 3];
        for (index, (plane, extent)) in planes.iter_mut().zip(extents).enumerate() {
            let data = map
                .get(extent.offset..)
                .filter(|data| data.len() >= extent.len)
                .ok_or_else(|| {
                    format!(
                        "plane {index} needs {} bytes from offset {} on, but the buffer has {} bytes",
                        extent.len,
                        extent.offset,
                        map.len()
                    )
                })?;
            *plane = Plane {
                data,
                stride: extent.stride,
            };
        }
        Ok(read(&Frame {
            layout: self.layout,
            planes,
        }))
    }

    /// Bytes from the first to the last pixel of a plane. In all [`FORMATS`] plane `n` begins with component `n`,
    /// or holds all components.
    fn plane_len(&self, plane: u8, stride: usize) -> usize {
        let rows = self.info.comp_height(plane) as usize;
        let row = self.info.comp_width(plane) as usize * self.info.comp_pstride(plane).max(1) as usize;
        rows.saturating_sub(1).saturating_mul(stride).saturating_add(row)
    }
}

const NO_PLANE: Plane<'static> = Plane { data: &[], stride: 0 };

/// Where a plane lies in its buffer, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    offset: usize,
    stride: usize,
    len: usize,
}

/// The memory that holds the whole plane, and where in it the plane starts.
fn find_memory<'b>(buffer: &'b gst::BufferRef, extent: &Extent) -> Option<(&'b gst::MemoryRef, usize)> {
    let mut skip = extent.offset;
    for memory in buffer.iter_memories() {
        if skip < memory.size() {
            return (memory.size() - skip >= extent.len).then_some((memory, skip));
        }
        skip -= memory.size();
    }
    None
}

/// The shape of a pixel; one that is no shape counts as square.
pub fn pixel_aspect_ratio(ratio: gst::Fraction) -> PixelAspectRatio {
    let side = |number: i32| u32::try_from(number).unwrap_or(0);
    PixelAspectRatio::new(side(ratio.numer()), side(ratio.denom())).unwrap_or_default()
}

fn color(info: &VideoInfo, format: PixelFormat) -> (ColorMatrix, ColorRange, Option<&'static str>) {
    let colorimetry = info.colorimetry();
    let is_gray = format == PixelFormat::Gray8;
    if !is_gray && !matches!(format, PixelFormat::Nv12 | PixelFormat::I420) {
        // One value for all RGB, so that caps that differ in nothing that counts are one layout.
        return (ColorMatrix::Bt601, ColorRange::Full, None);
    }
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => ColorRange::Full,
        VideoColorRange::Range16_235 => ColorRange::Limited,
        _ if is_gray => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    let (matrix, note) = match colorimetry.matrix() {
        _ if is_gray => (ColorMatrix::Bt601, None),
        VideoColorMatrix::Bt601 => (ColorMatrix::Bt601, None),
        VideoColorMatrix::Bt709 => (ColorMatrix::Bt709, None),
        VideoColorMatrix::Fcc => (ColorMatrix::Bt601, Some("the FCC matrix is taken for BT.601")),
        VideoColorMatrix::Smpte240m => (
            ColorMatrix::Bt709,
            Some("the SMPTE 240M matrix is taken for BT.709"),
        ),
        VideoColorMatrix::Bt2020 => (ColorMatrix::Bt709, Some("the BT.2020 matrix is taken for BT.709")),
        // GStreamer's own guess for caps without colorimetry: by size.
        _ if info.height() > 576 => (ColorMatrix::Bt709, Some("unknown colour matrix, BT.709 is taken")),
        _ => (ColorMatrix::Bt601, Some("unknown colour matrix, BT.601 is taken")),
    };
    (matrix, range, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(caps: &str) -> Result<InputFormat, String> {
        gst::init().unwrap();
        InputFormat::from_caps(&caps.parse::<gst::Caps>().unwrap())
    }

    fn nv12() -> InputFormat {
        format("video/x-raw,format=NV12,width=6,height=4,framerate=25/1").unwrap()
    }

    /// First byte of each row of each of the two planes.
    fn rows(frame: &Frame<'_>) -> Vec<u8> {
        (0..2)
            .flat_map(|plane| {
                let plane = frame.planes[plane];
                let rows = if std::ptr::eq(plane.data, frame.planes[0].data) {
                    4
                } else {
                    2
                };
                (0..rows).map(move |row| plane.data[row * plane.stride])
            })
            .collect()
    }

    fn meta(buffer: &mut gst::Buffer, offsets: [usize; 2], strides: [i32; 2]) {
        gst_video::VideoMeta::add_full(
            buffer.get_mut().unwrap(),
            gst_video::VideoFrameFlags::empty(),
            VideoFormat::Nv12,
            6,
            4,
            &offsets,
            &strides,
        )
        .unwrap();
    }

    #[test]
    fn framerate_and_size() {
        let format = nv12();
        assert_eq!(format.frame_duration, Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!((format.layout.width, format.layout.height), (6, 4));
        let variable = self::format("video/x-raw,format=RGB,width=6,height=4,framerate=0/1").unwrap();
        assert_eq!(variable.frame_duration, None);
        let unknown = self::format("video/x-raw,format=RGB,width=6,height=4").unwrap();
        assert_eq!(unknown.frame_duration, None);
    }

    #[test]
    fn every_format_of_the_template_is_read() {
        for name in FORMATS {
            let caps = format!("video/x-raw,format={},width=6,height=4", name.to_str());
            format(&caps).unwrap();
        }
        let error = format("video/x-raw,format=Y42B,width=6,height=4").unwrap_err();
        assert!(error.contains("Y42B") && error.contains("NV12"), "{error}");
        assert!(format("audio/x-raw").is_err());
    }

    #[test]
    fn colorimetry() {
        let color = |colorimetry: &str| {
            let format = format(&format!(
                "video/x-raw,format=I420,width=64,height=48,colorimetry={colorimetry}"
            ))
            .unwrap();
            (format.layout.matrix, format.layout.range, format.note.is_some())
        };
        assert_eq!(color("bt601"), (ColorMatrix::Bt601, ColorRange::Limited, false));
        assert_eq!(color("bt709"), (ColorMatrix::Bt709, ColorRange::Limited, false));
        assert_eq!(color("1:4:0:0"), (ColorMatrix::Bt601, ColorRange::Full, false));
        assert_eq!(color("bt2020"), (ColorMatrix::Bt709, ColorRange::Limited, true));
    }

    #[test]
    fn rgb_of_any_colorimetry_is_one_layout() {
        let layout = |extra: &str| {
            format(&format!("video/x-raw,format=RGBA,width=6,height=4{extra}"))
                .unwrap()
                .layout
        };
        assert_eq!(layout(""), layout(",colorimetry=bt709"));
    }

    #[test]
    fn the_shape_of_a_pixel() {
        let ratio = |extra: &str| {
            let format = format(&format!("video/x-raw,format=RGB,width=6,height=4{extra}")).unwrap();
            format.layout.view.pixel_aspect_ratio
        };
        assert_eq!(ratio(""), PixelAspectRatio::SQUARE);
        assert_eq!(
            ratio(",pixel-aspect-ratio=16/15"),
            PixelAspectRatio::new(16, 15).unwrap()
        );
        assert_eq!(ratio(",pixel-aspect-ratio=0/1"), PixelAspectRatio::SQUARE);
    }

    #[test]
    fn planes_without_a_video_meta() {
        let format = nv12();
        // 6x4 NV12 has a stride of 8 by default.
        let buffer = gst::Buffer::from_slice((0..48).collect::<Vec<u8>>());
        let rows = format.read_frame(&buffer, rows).unwrap();
        assert_eq!(rows, [0, 8, 16, 24, 32, 40]);
    }

    #[test]
    fn strides_and_offsets_of_the_video_meta_count() {
        let format = nv12();
        let mut buffer = gst::Buffer::from_slice((0..100).collect::<Vec<u8>>());
        meta(&mut buffer, [2, 60], [12, 14]);
        let rows = format.read_frame(&buffer, rows).unwrap();
        assert_eq!(rows, [2, 14, 26, 38, 60, 74]);
    }

    #[test]
    fn a_last_row_without_its_padding_is_enough() {
        let format = nv12();
        let mut buffer = gst::Buffer::from_slice((0..80).collect::<Vec<u8>>());
        meta(&mut buffer, [0, 60], [12, 14]);
        let rows = format.read_frame(&buffer, rows).unwrap();
        assert_eq!(rows, [0, 12, 24, 36, 60, 74]);
    }

    #[test]
    fn one_memory_for_each_plane() {
        let format = nv12();
        let mut buffer = gst::Buffer::from_slice((0..32).collect::<Vec<u8>>());
        buffer
            .get_mut()
            .unwrap()
            .append_memory(gst::Memory::from_slice((100..116).collect::<Vec<u8>>()));
        let rows = format.read_frame(&buffer, rows).unwrap();
        assert_eq!(rows, [0, 8, 16, 24, 100, 108]);
    }

    #[test]
    fn a_plane_in_two_memories() {
        let format = nv12();
        let mut buffer = gst::Buffer::from_slice((0..20).collect::<Vec<u8>>());
        buffer
            .get_mut()
            .unwrap()
            .append_memory(gst::Memory::from_slice((20..48).collect::<Vec<u8>>()));
        let rows = format.read_frame(&buffer, rows).unwrap();
        assert_eq!(rows, [0, 8, 16, 24, 32, 40]);
        // The buffer leaves as it came.
        assert_eq!(buffer.n_memory(), 2);
    }

    #[test]
    fn short_buffers_and_negative_strides_are_errors() {
        let format = nv12();
        let short = gst::Buffer::from_slice([0u8; 40]);
        let error = format.read_frame(&short, |_| ()).unwrap_err();
        assert!(error.contains("plane 1") && error.contains("40 bytes"), "{error}");
        assert!(format.read_frame(&gst::Buffer::new(), |_| ()).is_err());

        let mut upside_down = gst::Buffer::from_slice([0u8; 48]);
        meta(&mut upside_down, [0, 32], [-8, 8]);
        let error = format.read_frame(&upside_down, |_| ()).unwrap_err();
        assert!(error.contains("negative stride"), "{error}");
    }
}
