//! The page in the browser (`--view`): what a run shows there.

mod branch;
mod meter;

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use img2pose_view::{Token, View};

use crate::error::{Error, Result};
use crate::output;
use crate::run_arguments::RunArguments;

pub use branch::Branch;
use meter::Meter;

/// Names the token in the environment: arguments can be read by every user of the machine.
const TOKEN: &str = "IMG2POSE_VIEW_TOKEN";
/// How often signals are looked for while nothing else happens.
const PAUSE: Duration = Duration::from_millis(50);

/// The page of a run.
pub struct Page {
    view: Arc<View>,
    meter: Arc<Mutex<Meter>>,
}

impl Page {
    /// Serves it, where the user asked for it, and says where.
    ///
    /// # Errors
    /// Its address cannot be had, or others could reach it and may not.
    pub fn open(arguments: &RunArguments) -> Result<Option<Self>> {
        let Some(address) = arguments.view else {
            return Ok(None);
        };
        let is_remote = !address.ip().is_loopback();
        if is_remote && !arguments.view_remote {
            return Err(Error::Usage(format!(
                "--view is {address}, which other machines can reach; add --view-remote if they shall, or leave it at 127.0.0.1 and \
                 reach it with ssh -L"
            )));
        }
        let failed = |error| Error::Usage(format!("{error}"));
        let token = match env::var(TOKEN) {
            Ok(text) => Some(Token::new(&text).map_err(|error| Error::Usage(format!("{TOKEN}: {error}")))?),
            Err(env::VarError::NotUnicode(_)) => return Err(Error::Usage(format!("{TOKEN} is no text"))),
            Err(env::VarError::NotPresent) if is_remote => Some(Token::random().map_err(failed)?),
            Err(env::VarError::NotPresent) => None,
        };
        let view = View::start(address, token).map_err(failed)?;
        // Also where little is to be said: nobody could know the port or the token.
        output::note(format_args!("page: {}", view.url()));
        Ok(Some(Self {
            view: Arc::new(view),
            meter: Arc::default(),
        }))
    }

    /// A source begins.
    pub fn source(&self, name: &str) {
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Meter::default();
        self.view.source(name);
    }

    /// The elements that make its pictures; `is_tracked`: faces have ids.
    ///
    /// # Errors
    /// GStreamer lacks one.
    pub fn branch(&self, is_tracked: bool) -> Result<Branch> {
        Branch::new(&self.view, is_tracked)
    }

    /// The time of a frame counts from when it leaves `element`.
    pub fn watch(&self, element: &gst::Element) {
        let Some(pad) = element.static_pad("src") else {
            return;
        };
        let meter = self.meter.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.comes(info.buffer().and_then(|buffer| buffer.pts()), Instant::now());
            gst::PadProbeReturn::Ok
        });
    }

    /// A line, the timestamp of its frame, and the detector that it came from.
    pub fn line(&self, line: &[u8], pts: Option<gst::ClockTime>, detect: &gst::Element) {
        self.view.line(line);
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        meter.leaves(pts, now);
        if meter.is_time(now) {
            let batch_size = detect.property("batch-size");
            self.view
                .numbers(&meter.numbers(now, &detect.property("stats"), batch_size));
        }
    }

    /// The source has ended, with an error or without.
    pub fn ended(&self, error: Option<&Error>) {
        match error {
            None => self.view.ended(),
            Some(error) => self.view.failed(&error.to_string()),
        }
    }

    /// Goes on serving what was seen last, until `ends` is set.
    pub fn stay(&self, ends: &AtomicBool) {
        if !ends.load(Ordering::Relaxed) {
            output::note(format_args!("the page stays until Ctrl-C"));
        }
        while !ends.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}
