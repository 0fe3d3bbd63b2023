//! Faces that are followed from frame to frame beside those of whole frames: which are found, how far apart they are, and what
//! both cost.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use img2pose::{Detector, Face, FollowCounts, FollowOptions, Follower, StreamFrame};

use crate::deviation::{Deviation, compare};
use crate::frames::{Clip, Size};
use crate::machine::{Load, processor_time};
use crate::place::Place;
use crate::report::{FoundFace, median};
use crate::runners::Settings;

/// Compares followed faces with those of whole frames, on the same consecutive frames.
#[derive(Args)]
pub struct Arguments {
    /// Model file
    #[arg(long, default_value = "models/img2pose-slim.onnx")]
    model: PathBuf,
    /// Videos, one after the other
    #[arg(long, required = true, num_args = 1..)]
    video: Vec<PathBuf>,
    /// Size that the frames are brought to; without it, the video's own
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Frames of each video, from its first one on
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Takes every N-th frame of the video, as a slower camera would
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Pixel format in which the frames are handed over
    #[arg(long, default_value = "I420")]
    format: String,
    /// Frames that are handed over at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch_size: u32,
    /// Execution provider and precision
    #[arg(long, default_value = "cpu:int8")]
    provider: Place,
    /// Threads for inference; 0 takes one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Short side of the network image; the model's own when left out
    #[arg(long)]
    min_size: Option<u32>,
    /// Least confidence of a face
    #[arg(long, default_value_t = 0.5)]
    score_threshold: f32,
    /// Every how many frames the whole frame is looked at, one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [15, 30])]
    whole_frame_interval: Vec<u32>,
    /// Sizes of a region's network image in pixels, one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [FollowOptions::default().region_size])]
    region_size: Vec<u32>,
    /// Sides of a region in sides of the face, one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [FollowOptions::default().region_margin])]
    region_margin: Vec<f64>,
    /// Rounds; each takes every way to look at the frames once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// One way through the clip.
struct Pass {
    faces: Vec<Vec<FoundFace>>,
    /// Of all threads of this process.
    processor: Duration,
    elapsed: Duration,
    counts: FollowCounts,
}

/// What was measured of one choice of options.
struct Row {
    options: FollowOptions,
    /// Times of whole frames over times of followed ones, a number a round: processor, and wall clock.
    ratios: Vec<(f64, f64)>,
    /// Processor time in milliseconds a frame, whole and followed, a pair a round.
    milliseconds: Vec<(f64, f64)>,
    last: Option<(Deviation, FollowCounts)>,
}

pub fn measure(arguments: &Arguments) -> Result<()> {
    let settings = Settings {
        model: arguments.model.clone(),
        place: arguments.provider,
        threads: arguments.threads,
        min_size: arguments.min_size,
        max_size: None,
        score_threshold: arguments.score_threshold,
    };
    let mut detector = Detector::open(&settings.model, settings.options())?;
    println!(
        "model {}, {}, threads {} (0: one for each core), batches of {}, {} rounds in turns, medians",
        arguments.model.display(),
        arguments.provider,
        arguments.threads,
        arguments.batch_size,
        arguments.rounds
    );
    for video in &arguments.video {
        let clip = Clip::decode(
            video,
            &arguments.format,
            arguments.size,
            arguments.frames,
            arguments.every,
        )?;
        let load = Load::start()?;
        let rows = measure_clip(&mut detector, &clip, arguments)?;
        println!(
            "\n{}, {} frames of {}x{}; other processes took {:.0} % of the machine",
            clip.source,
            clip.len(),
            clip.info.width(),
            clip.info.height(),
            100.0 * load.others()?
        );
        print(&rows, clip.len());
    }
    Ok(())
}

fn measure_clip(detector: &mut Detector, clip: &Clip, arguments: &Arguments) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &whole_frame_interval in &arguments.whole_frame_interval {
        for &region_size in &arguments.region_size {
            for &region_margin in &arguments.region_margin {
                rows.push(Row {
                    options: FollowOptions::default()
                        .with_whole_frame_interval(whole_frame_interval)
                        .with_region_size(region_size)
                        .with_region_margin(region_margin),
                    ratios: Vec::new(),
                    milliseconds: Vec::new(),
                    last: None,
                });
            }
        }
    }
    ensure!(!rows.is_empty(), "nothing to measure");
    let batch_size = arguments.batch_size as usize;
    let every_frame = FollowOptions::default().with_whole_frame_interval(1);
    for round in 0..=arguments.rounds {
        let whole = pass(detector, clip, &every_frame, batch_size)?;
        for row in &mut rows {
            let followed = pass(detector, clip, &row.options, batch_size)?;
            // The first one allocates and fills caches.
            if round > 0 {
                let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
                row.ratios.push((
                    ratio(whole.processor, followed.processor),
                    ratio(whole.elapsed, followed.elapsed),
                ));
                let frame = |time: Duration| 1e3 * time.as_secs_f64() / clip.len() as f64;
                row.milliseconds
                    .push((frame(whole.processor), frame(followed.processor)));
            }
            row.last = Some((compare(&whole.faces, &followed.faces), followed.counts));
        }
    }
    Ok(rows)
}

fn pass(detector: &mut Detector, clip: &Clip, options: &FollowOptions, batch_size: usize) -> Result<Pass> {
    let views = clip.views()?;
    let mut follower = [Follower::default()];
    let mut all: Vec<Vec<FoundFace>> = Vec::with_capacity(views.len());
    let mut faces: Vec<Vec<Face>> = Vec::new();
    let (began, before) = (Instant::now(), processor_time()?);
    for frames in views.chunks(batch_size) {
        let frames: Vec<StreamFrame<'_>> = frames
            .iter()
            .map(|frame| StreamFrame {
                frame: *frame,
                stream: 0,
            })
            .collect();
        detector.detect_following(&frames, &mut follower, options, &mut faces)?;
        let found = faces
            .iter()
            .map(|faces| faces.iter().cloned().map(FoundFace::from));
        all.extend(found.map(Iterator::collect));
    }
    Ok(Pass {
        faces: all,
        processor: processor_time()?.saturating_sub(before),
        elapsed: began.elapsed(),
        counts: follower[0].counts(),
    })
}

fn print(rows: &[Row], frames: usize) {
    println!(
        "| interval | size | margin | found of whole | false | angle median | p95 | box px median | ms/frame whole | followed \
         | times | wall | whole frames | regions | losses |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Some((deviation, counts)) = &row.last else {
            continue;
        };
        let median_of = |values: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| {
            median(&values.iter().map(which).collect::<Vec<_>>())
        };
        let share = deviation.matched as f64 / (deviation.expected.max(1)) as f64;
        println!(
            "| {} | {} | {} | {share:.3} of {} | {} | {:.2} | {:.2} | {:.1} | {:.2} | {:.2} | {:.1} | {:.1} | {} of {frames} | {} | {} |",
            row.options.whole_frame_interval,
            row.options.region_size,
            row.options.region_margin,
            deviation.expected,
            deviation.extra,
            deviation.angle.median,
            deviation.angle.p95,
            deviation.bbox.median,
            median_of(&row.milliseconds, |pair| pair.0),
            median_of(&row.milliseconds, |pair| pair.1),
            median_of(&row.ratios, |pair| pair.0),
            median_of(&row.ratios, |pair| pair.1),
            counts.whole_frames,
            counts.regions,
            counts.losses,
        );
    }
}
