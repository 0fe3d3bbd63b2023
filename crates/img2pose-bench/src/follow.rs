//! Faces that are followed from frame to frame beside those of whole frames: which are found, how far apart they are, and what
//! both cost.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use img2pose::{Detector, Face, FollowCounts, FollowOptions, Follower, StreamFrame};
use serde::Serialize;

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
    /// Writes the results into this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured on one clip.
#[derive(Serialize)]
struct ClipReport {
    source: String,
    frames: usize,
    rows: Vec<RowReport>,
}

/// One choice of options; times are medians over the rounds.
#[derive(Serialize)]
struct RowReport {
    whole_frame_interval: u32,
    region_size: u32,
    region_margin: f64,
    /// Of whole frames and followed ones, milliseconds a frame.
    processor_ms: Both<f64>,
    wall_ms: Both<f64>,
    /// Median of the rounds' own ratios: whole over followed.
    times_processor: f64,
    times_wall: f64,
    faces: Both<usize>,
    deviation: Deviation,
    whole_frames: u64,
    regions: u64,
    losses: u64,
}

/// A number of whole frames and one of followed ones.
#[derive(Clone, Copy, Serialize)]
struct Both<T> {
    whole: T,
    followed: T,
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
    /// Milliseconds a frame, an entry a round.
    processor: Vec<Both<f64>>,
    wall: Vec<Both<f64>>,
    last: Option<Last>,
}

/// What was found in the last round.
struct Last {
    deviation: Deviation,
    faces: Both<usize>,
    counts: FollowCounts,
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
    let mut reports = Vec::new();
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
        let rows: Vec<RowReport> = rows.iter().filter_map(Row::report).collect();
        print(&rows, clip.len());
        reports.push(ClipReport {
            source: clip.source.clone(),
            frames: clip.len(),
            rows,
        });
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec(&reports)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
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
                    processor: Vec::new(),
                    wall: Vec::new(),
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
                let both = |time: fn(&Pass) -> Duration| {
                    let frame = |pass: &Pass| 1e3 * time(pass).as_secs_f64() / clip.len() as f64;
                    Both {
                        whole: frame(&whole),
                        followed: frame(&followed),
                    }
                };
                row.processor.push(both(|pass| pass.processor));
                row.wall.push(both(|pass| pass.elapsed));
            }
            let number = |pass: &Pass| pass.faces.iter().map(Vec::len).sum();
            row.last = Some(Last {
                deviation: compare(&whole.faces, &followed.faces),
                faces: Both {
                    whole: number(&whole),
                    followed: number(&followed),
                },
                counts: followed.counts,
            });
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

impl Row {
    /// `None` before the first round.
    fn report(&self) -> Option<RowReport> {
        let last = self.last.as_ref()?;
        let median_of = |values: &[Both<f64>], which: fn(&Both<f64>) -> f64| {
            median(&values.iter().map(which).collect::<Vec<_>>())
        };
        let medians = |values: &[Both<f64>]| Both {
            whole: median_of(values, |both| both.whole),
            followed: median_of(values, |both| both.followed),
        };
        let ratio = |both: &Both<f64>| both.whole / both.followed;
        Some(RowReport {
            whole_frame_interval: self.options.whole_frame_interval,
            region_size: self.options.region_size,
            region_margin: self.options.region_margin,
            processor_ms: medians(&self.processor),
            wall_ms: medians(&self.wall),
            times_processor: median_of(&self.processor, ratio),
            times_wall: median_of(&self.wall, ratio),
            faces: last.faces,
            deviation: last.deviation.clone(),
            whole_frames: last.counts.whole_frames,
            regions: last.counts.regions,
            losses: last.counts.losses,
        })
    }
}

fn print(rows: &[RowReport], frames: usize) {
    println!(
        "| interval | size | margin | found of whole | false | angle median | p95 | box px median | ms/frame whole | followed \
         | times | wall | whole frames | regions | losses |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let deviation = &row.deviation;
        let share = deviation.matched as f64 / (deviation.expected.max(1)) as f64;
        println!(
            "| {} | {} | {} | {share:.3} of {} | {} | {:.2} | {:.2} | {:.1} | {:.2} | {:.2} | {:.1} | {:.1} | {} of {frames} | {} | {} |",
            row.whole_frame_interval,
            row.region_size,
            row.region_margin,
            deviation.expected,
            deviation.extra,
            deviation.angle.median,
            deviation.angle.p95,
            deviation.bbox.median,
            row.processor_ms.whole,
            row.processor_ms.followed,
            row.times_processor,
            row.times_wall,
            row.whole_frames,
            row.regions,
            row.losses,
        );
    }
}
