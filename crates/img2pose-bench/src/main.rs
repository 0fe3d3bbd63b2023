//! How fast the detector and a pipeline around `img2posedetect` are, beside a plain ONNX Runtime run of the same model
//! file. All work on the same frames, in turns, so that a busy moment of the machine hits all.

mod deviation;
mod follow;
mod frames;
mod machine;
mod memory;
mod place;
mod report;
mod roofline;
mod runners;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use frames::{Clip, Size};
use machine::Load;
use place::Place;
use report::{Kind, Report};
use runners::{Direct, Pipeline, Plain, Runner, Settings};

/// Measures the detector and the pipeline beside plain ONNX Runtime on the same frames.
#[derive(Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Model file
    #[arg(long, default_value = "models/img2pose-slim.onnx")]
    model: PathBuf,
    /// Video whose first frames are used, or numbered pictures such as pictures/%03d.png; without it, a synthetic picture
    /// that moves
    #[arg(long)]
    video: Option<PathBuf>,
    /// Size that the frames are brought to before anything is measured, such as 1280x720; without it, the video's own, or
    /// 640x480
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Number of frames; rounded down to a multiple of every batch size
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Takes every N-th frame of the video
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Pixel format in which the frames are handed over: I420, NV12, RGB, BGR, RGBx or GRAY8
    #[arg(long, default_value = "I420")]
    format: String,
    /// Batch sizes, one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [1u32, 2, 4, 8, 16], value_parser = clap::value_parser!(u32).range(1..=64))]
    batch_size: Vec<u32>,
    /// Execution providers, each with a precision or without: cpu, openvino:bf16, webgpu:fp16. Without it, all that the
    /// loaded ONNX Runtime has and that work here
    #[arg(long, value_delimiter = ',')]
    provider: Vec<Place>,
    /// Rounds for each batch size; each measures every subject once
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
    /// Least confidence of a face
    #[arg(long, default_value_t = 0.5)]
    score_threshold: f32,
    /// Measures the peak memory of each subject too, in a process of its own
    #[arg(long)]
    memory: bool,
    /// Prints the result as JSON, with the faces of every frame
    #[arg(long)]
    json: bool,
    /// Writes the JSON to a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Other measurements.
#[derive(Subcommand)]
enum Command {
    /// Faces that are followed from frame to frame, beside those of whole frames
    Follow(follow::Arguments),
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The whole model file in ONNX Runtime with its default options, on frames that are converted already
    #[value(name = "onnxruntime")]
    OnnxRuntime,
    /// The detector alone: conversion, network, faces
    Detector,
    /// appsrc, img2posedetect, appsink
    Pipeline,
}

fn main() -> Result<()> {
    // First of all, while there is one thread.
    img2pose::telemetry::refuse();
    let arguments = Arguments::parse();
    ensure!(
        !arguments.subject.is_empty() && !arguments.batch_size.is_empty(),
        "nothing to measure: give --subject and --batch-size"
    );
    gst::init().context("GStreamer does not start")?;
    gstimg2pose::plugin_register_static().context("the plugin cannot be registered")?;

    if let Some(Command::Follow(arguments)) = &arguments.command {
        return follow::measure(arguments);
    }
    let clip = match &arguments.video {
        Some(path) => Clip::decode(
            path,
            &arguments.format,
            arguments.size,
            arguments.frames,
            arguments.every,
        )?,
        None => Clip::synthetic(&arguments.format, arguments.size, arguments.frames)?,
    };
    let clip = clip.truncate_to_multiple(&arguments.batch_size)?;
    let settings = |place| Settings {
        model: arguments.model.clone(),
        place,
        threads: arguments.threads,
        min_size: arguments.min_size,
        max_size: arguments.max_size,
        score_threshold: arguments.score_threshold,
    };
    let places = match &arguments.provider[..] {
        [] => place::available(|place| settings(place).options(), &arguments.model)?,
        chosen => chosen.to_vec(),
    };

    let mut report = Report::new(&arguments, &clip)?;
    for place in places {
        measure(&arguments, &settings(place), &clip, &mut report)?;
    }
    if arguments.memory {
        memory::measure(&mut report)?;
    }
    report.finish();
    if let Some(path) = &arguments.save {
        let text = serde_json::to_string(&report)?;
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// All subjects at all batch sizes at one place.
fn measure(arguments: &Arguments, settings: &Settings, clip: &Clip, report: &mut Report) -> Result<()> {
    let has = |subject| arguments.subject.contains(&subject);
    // One session and one detector serve all batch sizes; a pipeline has its own model.
    let mut plain = match has(Subject::OnnxRuntime) {
        true => report.attempt(settings.place, Plain::new(settings))?,
        false => None,
    };
    let mut direct = match has(Subject::Detector) {
        true => Some(Direct::new(settings, clip)?),
        false => None,
    };
    for &batch_size in &arguments.batch_size {
        let batch_size = batch_size as usize;
        let mut pipeline = match has(Subject::Pipeline) {
            true => Some(Pipeline::new(settings, clip, batch_size)?),
            false => None,
        };
        let mut runners: Vec<(Kind, &mut dyn Runner)> = Vec::new();
        if let Some(plain) = &mut plain {
            runners.push((Kind::OnnxRuntime, plain));
        }
        if let Some(direct) = &mut direct {
            runners.push((Kind::Detector, direct));
        }
        if let Some(pipeline) = &mut pipeline {
            runners.push((Kind::Pipeline, pipeline));
        }
        // The first run of each allocates, tunes and fills caches.
        for (_, runner) in &mut runners {
            runner.run(clip, batch_size)?;
        }
        let load = Load::start()?;
        for _ in 0..arguments.rounds {
            for (kind, runner) in &mut runners {
                let run = runner.run(clip, batch_size)?;
                report.add(settings.place, *kind, batch_size, run);
            }
        }
        report.note_load(load.others()?);
    }
    Ok(())
}
