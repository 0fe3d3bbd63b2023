//! The window on this machine's screen (`--show`).
//!
//! Its sink is in a pipeline of its own: one that is closed fails, and with it everything that it is linked to.

use std::env;

use gst::prelude::*;
use gst_app::{AppLeakyType, AppSink, AppSinkCallbacks, AppSrc};

use crate::elements::{add_branch, element, label};
use crate::error::{Error, Result};

/// Sinks that need no display: one crashes where there is none (Debian 12), the other takes a console.
const NO_WINDOWS: [&str; 2] = ["dfbvideosink", "kmssink"];
/// Frames that wait for the screen at most.
const FRAMES: u64 = 2;

/// What has become of a window.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// It is open.
    Open,
    /// The user has closed it.
    Closed,
    /// It is gone for another reason, which GStreamer has in these words.
    Lost(String),
}

/// A window, and the branch that leads to it.
pub struct Window {
    branch: Vec<gst::Element>,
    screen: gst::Pipeline,
}

impl Window {
    /// Opens it. It appears with the first frame.
    ///
    /// # Errors
    /// There is no display, or no window can be opened there.
    pub fn open(is_tracked: bool) -> Result<Self> {
        if !["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return Err(Error::Usage(
                "no display for --show: neither DISPLAY nor WAYLAND_DISPLAY is set; --view shows it in a browser, and over ssh there is \
                 ssh -X"
                    .to_owned(),
            ));
        }
        let registry = gst::Registry::get();
        for feature in NO_WINDOWS.iter().filter_map(|name| registry.lookup_feature(name)) {
            feature.set_rank(gst::Rank::NONE);
        }
        let source = AppSrc::builder()
            .is_live(true)
            .format(gst::Format::Time)
            .max_buffers(FRAMES)
            .leaky_type(AppLeakyType::Downstream)
            .build();
        let sink = element("autovideosink")?;
        sink.set_property("sync", false);
        let chain = [
            source.clone().upcast(),
            element("videoconvert")?,
            element("videoscale")?,
            sink,
        ];
        let screen = gst::Pipeline::new();
        let fail = |_| Error::Usage("the window does not fit into a pipeline".to_owned());
        screen.add_many(&chain).map_err(fail)?;
        gst::Element::link_many(&chain).map_err(fail)?;
        let frames = AppSink::builder().sync(false).max_buffers(1).drop(true).build();
        frames.set_property("enable-last-sample", false);
        let callbacks = AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                // Fails when the window is gone, of which its own pipeline tells.
                let _ = source.push_sample(&sample);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        frames.set_callbacks(callbacks);
        let queue = element("queue")?;
        queue.set_property_from_str("leaky", "downstream");
        queue.set_property("max-size-buffers", 1_u32);
        queue.set_property("max-size-bytes", 0_u32);
        queue.set_property("max-size-time", 0_u64);
        let overlay = element("img2poseoverlay")?;
        overlay.set_property_from_str("label", label(is_tracked));
        let flip = element("videoflip")?;
        flip.set_property_from_str("video-direction", "auto");
        let window = Self {
            branch: vec![queue, overlay, element("videoconvert")?, flip, frames.upcast()],
            screen,
        };
        let started = window.screen.set_state(gst::State::Playing);
        // Where no window can be opened autovideosink only warns, and then shows nothing.
        if let State::Lost(reason) = window.look(&[gst::MessageType::Error, gst::MessageType::Warning]) {
            return Err(Error::Usage(format!(
                "no window can be opened on this display: {reason}"
            )));
        }
        started.map_err(|_| Error::Usage("no window can be opened on this display".to_owned()))?;
        Ok(window)
    }

    /// Puts the branch behind `tee`.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn add_to(&self, pipeline: &gst::Pipeline, tee: &gst::Element) -> Result<()> {
        add_branch(&self.branch, pipeline, tee)
            .ok_or_else(|| Error::Usage("the window does not fit into the pipeline".to_owned()))
    }

    /// What has become of it.
    pub fn state(&self) -> State {
        self.look(&[gst::MessageType::Error])
    }

    fn look(&self, kinds: &[gst::MessageType]) -> State {
        let Some(bus) = self.screen.bus() else {
            return State::Open;
        };
        while let Some(message) = bus.pop_filtered(kinds) {
            let text = match message.view() {
                gst::MessageView::Error(error) => error.error().message().to_owned(),
                gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
                _ => continue,
            };
            // For GStreamer a window that is closed is an error.
            return match text.contains("window was closed") || text.contains("Quit requested") {
                true => State::Closed,
                false => State::Lost(text),
            };
        }
        State::Open
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.screen.set_state(gst::State::Null);
    }
}
