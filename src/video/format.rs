//! From GStreamer's description of a frame to the detector's, and the formats that the detector reads.

use gst::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo};
use img2pose::CudaFrame;
use img2pose::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, Orientation, PixelAspectRatio, PixelFormat, View,
};

use super::mapping;

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
pub fn readable_caps() -> gst::Caps {
    let formats = FORMATS.iter().map(|format| format.to_str().as_str());
    let side = gst::IntRange::new(1, i32::MAX);
    gst::Caps::builder("video/x-raw")
        .field("format", gst::List::new(formats))
        .field("width", side)
        .field("height", side)
        .build()
}

/// Features of memory that GStreamer fetches for the processor where it is mapped.
const MAPPED: [&str; 3] = ["memory:GLMemory", "memory:CUDAMemory", "memory:DMABuf"];

/// The same as [`readable_caps`], and in memory of a device too, which mapping it makes readable. For elements that only read: the
/// frames go on in the memory that they came in.
pub fn mappable_caps() -> gst::Caps {
    let mut caps = readable_caps();
    let all = caps.make_mut();
    for feature in MAPPED {
        let mut on_device = readable_caps();
        on_device
            .make_mut()
            .set_features_simple(Some(gst::CapsFeatures::new([feature])));
        all.append(on_device);
    }
    caps
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
        let layout = self.layout;
        mapping::read(buffer, &self.info, |planes| read(&Frame { layout, planes }))
            .map_err(|error| error.to_string())
    }

    /// Gives the frame to `read` where it is, if it is in the memory of an NVIDIA GPU; `None`: it is not.
    ///
    /// # Errors
    /// See [`mapping::read_cuda`]; [`read_frame`](Self::read_frame) may read it all the same.
    pub fn read_cuda_frame<R>(
        &self,
        buffer: &gst::BufferRef,
        read: impl FnOnce(&CudaFrame<'_>) -> R,
    ) -> Result<R, String> {
        mapping::read_cuda(buffer, &self.info, self.layout, read)
    }
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
}
