//! `img2pose run`: finds the faces in a video, a camera, an address, or every file of a folder.

#[path = "../../output.rs"]
mod output;
#[path = "../../run_arguments.rs"]
mod run_arguments;

mod annotated;
mod elements;
mod error;
mod lines;
mod mp4;
#[cfg(feature = "view")]
mod page;
#[cfg(not(feature = "view"))]
#[path = "no_page.rs"]
mod page;
mod pipeline;
mod plugin;
mod precision;
mod progress;
mod source;
mod window;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Parser;
use gst::prelude::*;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use error::{Error, Result};
use lines::Lines;
use page::Page;
use pipeline::Running;
use progress::Progress;
use run_arguments::RunArguments;
use source::{Kind, Source};

/// The arguments of `img2pose run`.
#[derive(Parser)]
#[command(name = "img2pose run", version)]
struct Cli {
    #[command(flatten)]
    arguments: RunArguments,
}

fn main() -> ExitCode {
    // First of all, while there is one thread.
    img2pose::telemetry::refuse();
    plugin::find();
    match run(&Cli::parse().arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failed(error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &RunArguments) -> Result<()> {
    let source = Source::new(&arguments.source)?;
    let (sources, folder) = match source.kind {
        Kind::Folder => (source.files()?, true),
        _ => (vec![source], false),
    };
    if folder && arguments.annotated.is_some() {
        return Err(Error::Usage(
            "--annotated is for one video, the source is a folder".to_owned(),
        ));
    }
    let is_tracked = arguments.track || sources[0].is_live();
    if arguments.look_ahead.is_some_and(|frames| frames > 0) && !is_tracked {
        return Err(Error::Usage(
            "--look-ahead is for followed faces; add --track".to_owned(),
        ));
    }
    gst::init().map_err(|error| Error::Usage(format!("GStreamer cannot be initialised: {error}")))?;
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The second one ends the program as it would without.
        let told = signal_hook::flag::register_conditional_default(signal, ends.clone())
            .and_then(|_| signal_hook::flag::register(signal, ends.clone()));
        told.map_err(|error| Error::Usage(format!("signals cannot be watched: {error}")))?;
    }

    // Before anything is written: its address may be refused.
    let page = Page::open(arguments)?;
    let mut lines = Lines::create(arguments.json.as_deref())?;
    let mut progress = Progress::new(arguments.quiet);
    // Its model stays loaded from file to file.
    let keeper = folder
        .then(|| pipeline::detector(arguments, &sources[0]))
        .transpose()?;
    if let Some(keeper) = &keeper {
        // Where it fails, the first file says why.
        let _ = keeper.set_state(gst::State::Ready);
    }
    let started = Instant::now();
    let mut failures = Vec::new();
    for source in &sources {
        let name = folder.then_some(source.name.as_str());
        if let Some(page) = &page {
            page.source(&source.name);
        }
        let ran = Running::start(arguments, source, page.as_ref())
            .and_then(|mut running| running.finish_source(&ends, name, &mut lines, &mut progress));
        if let Some(page) = &page {
            page.ended(ran.as_ref().err());
        }
        if ends.load(std::sync::atomic::Ordering::Relaxed) {
            ran?;
            break;
        }
        match ran {
            Ok(()) => {}
            // One damaged file of many is no reason to leave out those that follow.
            Err(error) if folder => {
                progress.clear();
                output::failed(&error);
                failures.push(source.name.clone());
            }
            Err(error) => {
                progress.clear();
                lines.finish()?;
                return Err(error);
            }
        }
    }
    if let Some(keeper) = &keeper {
        let _ = keeper.set_state(gst::State::Null);
    }
    progress.clear();
    lines.finish()?;
    if !arguments.quiet {
        progress::summary(&lines, started.elapsed());
    }
    if let Some(page) = &page {
        page.stay(&ends);
    }
    match failures.len() {
        0 => Ok(()),
        count => Err(Error::Usage(format!(
            "{count} of {} files failed, see above",
            sources.len()
        ))),
    }
}
