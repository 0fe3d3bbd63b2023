//! The video with the faces drawn into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::elements::{add_branch, element, label};
use crate::error::{Error, Result};
use crate::mp4;

/// Encoders, the best first, each with what it is told. x264enc does not look ahead, which would make the pipeline hold many frames;
/// openh264enc makes 128 kbit/s unless told.
const ENCODERS: [(&str, &[(&str, &str)]); 3] = [
    (
        "x264enc",
        &[
            ("tune", "zerolatency"),
            ("speed-preset", "veryfast"),
            ("pass", "quant"),
            ("quantizer", "21"),
        ],
    ),
    (
        "openh264enc",
        &[
            ("bitrate", "6000000"),
            ("rate-control", "bitrate"),
            ("enable-frame-skip", "false"),
            ("gop-size", "60"),
        ],
    ),
    ("avenc_mpeg4", &[("bitrate", "8000000")]),
];
/// What a video without a framerate is taken for: encoders count bits by it. Timestamps are the frames' own.
const FRAMERATE: gst::Fraction = gst::Fraction::new_raw(30, 1);

/// A file in the making: it has its name only when it is complete.
pub struct Annotated {
    path: PathBuf,
    part: PathBuf,
    /// Whether the file can say how players are to turn it.
    is_marked: bool,
    elements: Vec<gst::Element>,
    complete: Arc<AtomicBool>,
}

impl Annotated {
    /// Finds the elements for a file of that name; `is_tracked`: faces have ids.
    ///
    /// # Errors
    /// There is no muxer for its ending, no encoder, or no file can be made there.
    pub fn new(path: &Path, is_tracked: bool) -> Result<Self> {
        let (muxer, is_marked) = match path.extension().and_then(|ending| ending.to_str()) {
            Some("mp4" | "m4v" | "mov") => ("mp4mux", true),
            Some("mkv") => ("matroskamux", false),
            _ => {
                return Err(Error::Usage(format!(
                    "--annotated is {}; its name ends with .mp4 or .mkv",
                    path.display()
                )));
            }
        };
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        fs::File::create(&part).map_err(|source| Error::File {
            path: part.clone(),
            source,
        })?;
        let overlay = element("img2poseoverlay")?;
        overlay.set_property_from_str("label", label(is_tracked));
        let mut elements = vec![element("queue")?, overlay];
        if !is_marked {
            let flip = element("videoflip")?;
            flip.set_property_from_str("video-direction", "auto");
            elements.push(flip);
        }
        elements.push(element("videoconvert")?);
        let encoder = encoder()?;
        let name = encoder.factory().map(|factory| factory.name());
        if name.as_deref() == Some("openh264enc") {
            lead_eos_around(&encoder);
        }
        let is_h264 = name.is_some_and(|name| name.contains("264"));
        elements.push(encoder);
        if is_h264 {
            elements.push(element("h264parse")?);
        }
        elements.push(element(muxer)?);
        let sink = element("filesink")?;
        let location = part
            .to_str()
            .ok_or_else(|| Error::Usage(format!("{} has a name that is not UTF-8", part.display())))?;
        sink.set_property("location", location);
        elements.push(sink);
        Ok(Self {
            path: path.to_owned(),
            part,
            is_marked,
            elements,
            complete: Arc::default(),
        })
    }

    /// Puts the elements behind `tee`.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn add_to(&self, pipeline: &gst::Pipeline, tee: &gst::Element) -> Result<()> {
        add_branch(&self.elements, pipeline, tee)
            .ok_or_else(|| Error::Usage("the encoder does not fit into the pipeline".to_owned()))?;
        let pad = |element: &gst::Element, name| element.static_pad(name).expect("each of them has it");
        pad(&self.elements[0], "src").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && let Some(structure) = caps.caps().structure(0)
                && structure
                    .get::<gst::Fraction>("framerate")
                    .is_ok_and(|rate| rate.numer() == 0)
            {
                let mut caps = caps.caps_owned();
                caps.make_mut().set("framerate", FRAMERATE);
                info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
            }
            gst::PadProbeReturn::Ok
        });
        let complete = self.complete.clone();
        let last = self.elements.last().expect("there is a sink");
        pad(last, "sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && event.type_() == gst::EventType::Eos
            {
                complete.store(true, Ordering::Release);
            }
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Whether all of it has been given to the file.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Gives the file its name, or takes away what is none. To be called when the pipeline has stopped; `orientation` is how the frames
    /// were to be turned, as the lines have it.
    ///
    /// # Errors
    /// It cannot be marked as turned or renamed, or is not complete.
    pub fn keep(&self, orientation: Option<&str>) -> Result<()> {
        let failed = |source| Error::File {
            path: self.path.clone(),
            source,
        };
        if self.is_complete() {
            if let Some(orientation) = orientation.filter(|_| self.is_marked) {
                mp4::mark(&self.part, orientation).map_err(failed)?;
            }
            return fs::rename(&self.part, &self.path).map_err(failed);
        }
        // Nothing can play half of an MP4 file.
        let _ = fs::remove_file(&self.part);
        Err(Error::Usage(format!("{} was not finished", self.path.display())))
    }
}

impl Drop for Annotated {
    fn drop(&mut self) {
        // It is not there where it was kept.
        let _ = fs::remove_file(&self.part);
    }
}

/// It holds no frames back, and yet asks its library for more at the end, which writes an error to stderr.
fn lead_eos_around(encoder: &gst::Element) {
    let pad = |name| encoder.static_pad(name).expect("encoders have both");
    let source = pad("src").downgrade();
    pad("sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let (Some(gst::PadProbeData::Event(event)), Some(source)) = (&info.data, source.upgrade())
            && event.type_() == gst::EventType::Eos
        {
            source.push_event(event.clone());
            // With Drop, GStreamer 1.22 complains of an event that is no more.
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

fn encoder() -> Result<gst::Element> {
    for (name, properties) in ENCODERS {
        if let Ok(encoder) = gst::ElementFactory::make(name).build() {
            for (property, value) in properties {
                encoder.set_property_from_str(property, value);
            }
            return Ok(encoder);
        }
    }
    Err(Error::Usage(
        "no encoder for --annotated; Debian, Ubuntu: apt install gstreamer1.0-plugins-bad, which has openh264enc".to_owned(),
    ))
}
