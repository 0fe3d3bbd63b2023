//! The frames that everything is measured on, decoded once and kept in memory.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::prelude::*;
use gst_video::prelude::*;
use img2pose::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, PixelAspectRatio, PixelFormat, Plane, View,
};

/// How long decoding may stand still.
const DECODE_TIMEOUT: Duration = Duration::from_secs(20);

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32, pub u32);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=16_384).contains(side));
        text.split_once('x')
            .and_then(|(width, height)| Some(Self(side(width)?, side(height)?)))
            .ok_or_else(|| "expected width and height in pixels, such as 1280x720".to_owned())
    }
}

type ReadableFrame = gst_video::VideoFrame<gst_video::video_frame::Readable>;

/// Frames of one size and format, mapped for reading.
pub struct Clip {
    /// Where they come from, for the report.
    pub source: String,
    pub info: gst_video::VideoInfo,
    frames: Vec<ReadableFrame>,
}

impl Clip {
    /// The first `count` of every `every`-th frame of the video at `path`, brought to `format` and `size`. A path with a
    /// printf pattern, such as `pictures/%03d.png`, stands for numbered pictures.
    pub fn decode(path: &Path, format: &str, size: Option<Size>, count: u32, every: u32) -> Result<Self> {
        let is_pattern = path.to_string_lossy().contains('%');
        ensure!(is_pattern || path.is_file(), "no such video: {}", path.display());
        let reader = match is_pattern {
            true => "multifilesrc name=source start-index=0",
            false => "filesrc name=source",
        };
        let (pipeline, sink) = pipeline(&format!("{reader} ! decodebin"), format, size)?;
        let source = pipeline.by_name("source").context("the source is gone")?;
        if is_pattern {
            let first = (0..100_000).find(|index| numbered(path, *index).is_file());
            let first = first.with_context(|| format!("no such pictures: {}", path.display()))?;
            source.set_property("start-index", first);
            source.set_property("location", path.to_string_lossy().as_ref());
        } else {
            source.set_property("location", path);
        }
        Self::pull(path.display().to_string(), &pipeline, &sink, count, every)
    }

    /// `count` frames of a test picture in motion, 640x480 unless `size` says otherwise.
    pub fn synthetic(format: &str, size: Option<Size>, count: u32) -> Result<Self> {
        let size = size.unwrap_or(Size(640, 480));
        let source = format!("videotestsrc pattern=smpte horizontal-speed=3 num-buffers={count}");
        let (pipeline, sink) = pipeline(&source, format, Some(size))?;
        Self::pull("synthetic".to_owned(), &pipeline, &sink, count, 1)
    }

    fn pull(
        source: String,
        pipeline: &gst::Pipeline,
        sink: &gst_app::AppSink,
        count: u32,
        every: u32,
    ) -> Result<Self> {
        pipeline.set_state(gst::State::Playing)?;
        let frames = Self::pull_frames(&source, pipeline, sink, count, every);
        pipeline.set_state(gst::State::Null)?;
        let (info, frames) = frames?;
        Ok(Self { source, info, frames })
    }

    fn pull_frames(
        source: &str,
        pipeline: &gst::Pipeline,
        sink: &gst_app::AppSink,
        count: u32,
        every: u32,
    ) -> Result<(gst_video::VideoInfo, Vec<ReadableFrame>)> {
        let mut info = None;
        let mut frames = Vec::new();
        let mut decoded = 0;
        while frames.len() < count as usize {
            let timeout = gst::ClockTime::try_from(DECODE_TIMEOUT)?;
            let Some(sample) = sink.try_pull_sample(timeout) else {
                if let Some(message) = pipeline
                    .bus()
                    .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]))
                    && let gst::MessageView::Error(error) = message.view()
                {
                    bail!("{source} cannot be decoded: {}", error.error());
                }
                break;
            };
            decoded += 1;
            if (decoded - 1) % every != 0 {
                continue;
            }
            let caps = sample.caps().context("a sample without caps")?;
            let found = gst_video::VideoInfo::from_caps(caps)?;
            if info.get_or_insert_with(|| found.clone()) != &found {
                bail!(
                    "{source} changes its format at frame {}; all frames must be alike",
                    frames.len()
                );
            }
            let buffer = sample.buffer_owned().context("a sample without buffer")?;
            let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &found)
                .map_err(|_| anyhow!("frame {} of {source} cannot be mapped", frames.len()))?;
            frames.push(frame);
        }
        let info = info.with_context(|| format!("{source} has no video frames"))?;
        Ok((info, frames))
    }

    /// Keeps as many frames as fill whole batches of every size.
    pub fn truncate_to_multiple(mut self, batch_sizes: &[u32]) -> Result<Self> {
        let multiple = batch_sizes.iter().fold(1, |a, &b| a / gcd(a, b) * b) as usize;
        let kept = self.frames.len() / multiple * multiple;
        ensure!(
            kept > 0,
            "{} has {} frames; batches of {batch_sizes:?} need a multiple of {multiple}",
            self.source,
            self.frames.len()
        );
        self.frames.truncate(kept);
        Ok(self)
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The buffers, for a pipeline.
    pub fn buffers(&self) -> impl Iterator<Item = gst::Buffer> {
        self.frames.iter().map(|frame| frame.buffer_owned())
    }

    /// The frames, as the detector takes them.
    pub fn views(&self) -> Result<Vec<Frame<'_>>> {
        let layout = self.layout()?;
        self.frames.iter().map(|frame| view(frame, layout)).collect()
    }

    fn pixel_aspect_ratio(&self) -> PixelAspectRatio {
        let side = |number: i32| u32::try_from(number).unwrap_or(0);
        let ratio = self.info.par();
        PixelAspectRatio::new(side(ratio.numer()), side(ratio.denom())).unwrap_or_default()
    }

    pub fn layout(&self) -> Result<FrameLayout> {
        use gst_video::{VideoColorMatrix, VideoColorRange};
        let colorimetry = self.info.colorimetry();
        Ok(FrameLayout {
            format: pixel_format(self.info.format())?,
            width: self.info.width(),
            height: self.info.height(),
            matrix: match colorimetry.matrix() {
                VideoColorMatrix::Bt709 => ColorMatrix::Bt709,
                _ => ColorMatrix::Bt601,
            },
            range: match colorimetry.range() {
                VideoColorRange::Range0_255 => ColorRange::Full,
                _ => ColorRange::Limited,
            },
            view: View {
                pixel_aspect_ratio: self.pixel_aspect_ratio(),
                ..View::PLAIN
            },
        })
    }
}

/// `source`, brought to `format` and `size`, into an appsink.
fn pipeline(source: &str, format: &str, size: Option<Size>) -> Result<(gst::Pipeline, gst_app::AppSink)> {
    pixel_format(gst_video::VideoFormat::from_string(format))?;
    let size = size.map_or(String::new(), |Size(width, height)| {
        format!(",width={width},height={height},pixel-aspect-ratio=1/1")
    });
    let pipeline = gst::parse::launch(&format!(
        "{source} ! videoconvert ! videoscale add-borders=false ! video/x-raw,format={format}{size} \
         ! appsink name=sink sync=false max-buffers=4"
    ))?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow!("no pipeline was made"))?;
    let sink = pipeline.by_name("sink").and_then(|sink| sink.downcast().ok());
    Ok((pipeline, sink.context("the sink is gone")?))
}

/// The picture number `index` of a pattern such as `%03d.png`.
fn numbered(pattern: &Path, index: i32) -> PathBuf {
    let text = pattern.to_string_lossy();
    let Some((before, rest)) = text.split_once('%') else {
        return pattern.to_owned();
    };
    let Some((width, after)) = rest.split_once('d') else {
        return pattern.to_owned();
    };
    let width: usize = width.trim_start_matches('0').parse().unwrap_or(0);
    PathBuf::from(format!("{before}{index:0width$}{after}"))
}

fn view<'f>(frame: &'f ReadableFrame, layout: FrameLayout) -> Result<Frame<'f>> {
    let mut planes = [Plane { data: &[], stride: 0 }; 3];
    for (index, plane) in planes.iter_mut().enumerate().take(frame.n_planes() as usize) {
        *plane = Plane {
            data: frame.plane_data(index as u32)?,
            stride: usize::try_from(frame.plane_stride()[index])?,
        };
    }
    Ok(Frame { layout, planes })
}

fn pixel_format(format: gst_video::VideoFormat) -> Result<PixelFormat> {
    use gst_video::VideoFormat;
    Ok(match format {
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgbx | VideoFormat::Rgba => PixelFormat::Rgbx,
        VideoFormat::Bgrx | VideoFormat::Bgra => PixelFormat::Bgrx,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::I420 => PixelFormat::I420,
        other => {
            bail!("the detector takes I420, NV12, RGB, BGR, RGBx, BGRx, RGBA, BGRA and GRAY8, not {other}")
        }
    })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Size, numbered};

    #[test]
    fn a_pattern_stands_for_numbered_pictures() {
        assert_eq!(numbered(Path::new("a/%03d.png"), 7), Path::new("a/007.png"));
        assert_eq!(numbered(Path::new("c%d.png"), 1000), Path::new("c1000.png"));
    }

    #[test]
    fn a_size_is_width_and_height() {
        assert_eq!("1280x720".parse(), Ok(Size(1280, 720)));
        for bad in ["", "1280", "x720", "0x720", "1280x", "1280x720x3", "99999x1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
