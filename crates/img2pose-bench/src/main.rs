//! Frames per second of the detector and of a pipeline around `img2posedetect`, beside a plain ONNX Runtime run of
//! the same model file. All three work on the same frames, in turns, so that a busy moment of the machine hits all.

mod frames;
mod machine;
mod report;
mod runners;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use frames::Clip;
use report::Report;
use runners::{Runner, Settings};

/// Measures the detector and the pipeline beside plain ONNX Runtime on the same frames.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Model file
    #[arg(long, default_value = "models/img2pose-slim.onnx")]
    model: PathBuf,
    /// Video whose first frames are used; without it, a synthetic 640x480 picture that moves
    #[arg(long)]
    video: Option<PathBuf>,
    /// Number of frames; rounded down to a multiple of every batch size
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Takes every N-th frame of the video
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Pixel format in which the frames are handed over: I420, NV12, RGB, BGR, RGBx or GRAY8
    #[arg(long, default_value = "I420")]
    format: String,
    /// Batch sizes, each measured for every subject
    #[arg(long, value_delimiter = ',', default_values_t = [1u32, 8], value_parser = clap::value_parser!(u32).range(1..=64))]
    batch_size: Vec<u32>,
    /// Rounds; each measures everything once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Subject::OnnxRuntime, Subject::Detector, Subject::Pipeline])]
    subject: Vec<Subject>,
    /// Threads for inference; 0 takes one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Short side of the network image; the model's own when left out
    #[arg(long)]
    min_size: Option<u32>,
    /// Upper bound of its long side; the model's own when left out
    #[arg(long)]
    max_size: Option<u32>,
    /// Prints the result as JSON, with the faces of every frame
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The whole model file in ONNX Runtime, on frames that are converted already
    #[value(name = "onnxruntime")]
    OnnxRuntime,
    /// `Detector::detect`: conversion, network, faces
    Detector,
    /// appsrc, img2posedetect, appsink
    Pipeline,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init().context("GStreamer does not start")?;
    gstimg2pose::plugin_register_static().context("the plugin cannot be registered")?;

    let clip = match &arguments.video {
        Some(path) => Clip::decode(path, &arguments.format, arguments.frames, arguments.every)?,
        None => Clip::synthetic(&arguments.format, arguments.frames)?,
    };
    let clip = clip.truncate_to_multiple(&arguments.batch_size)?;
    let settings = Settings {
        model: arguments.model.clone(),
        threads: arguments.threads,
        min_size: arguments.min_size,
        max_size: arguments.max_size,
    };

    let mut runners: Vec<Box<dyn Runner>> = Vec::new();
    for &batch_size in &arguments.batch_size {
        for subject in &arguments.subject {
            let batch_size = batch_size as usize;
            runners.push(match subject {
                Subject::OnnxRuntime => Box::new(runners::Plain::new(&settings, &clip, batch_size)?),
                Subject::Detector => Box::new(runners::Direct::new(&settings, batch_size)?),
                Subject::Pipeline => Box::new(runners::Pipeline::new(&settings, &clip, batch_size)?),
            });
        }
    }
    ensure!(
        !runners.is_empty(),
        "nothing to measure: give --subject and --batch-size"
    );

    let mut report = Report::new(&arguments, &clip)?;
    // The first run of each allocates, tunes and fills caches.
    for runner in &mut runners {
        runner.run(&clip)?;
    }
    for _ in 0..arguments.rounds {
        for runner in &mut runners {
            let run = runner.run(&clip)?;
            report.add(&**runner, run);
        }
    }
    report.finish()?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
