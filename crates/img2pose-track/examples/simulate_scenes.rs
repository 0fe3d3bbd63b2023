//! Writes simulated scenes, so many of each kind, into a folder, for `scripts/compare-trackers.sh`: who is where (`NAME-truth.txt`), what a detector found
//! (`NAME-found.txt`) and what the tracker made of it (`NAME-ours.txt`: faces that were found; `NAME-predicted.txt`: and those that it
//! expected), in the format of MOTChallenge: frame, id, left, top, width, height, confidence; frames count from 1. `NAME-times.txt` has the
//! time of each frame in seconds.
//!
//! ```sh
//! cargo run --release -p img2pose-track --example simulate_scenes -- FOLDER NUMBER
//! ```

mod simulation;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use img2pose_track::{Tracker, TrackerOptions};
use simulation::FRAME;
use simulation::scenes::{Scene, scenes};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(Ok(seeds))) = (arguments.next(), arguments.next().map(|seeds| seeds.parse()))
    else {
        eprintln!("usage: simulate_scenes FOLDER NUMBER");
        return ExitCode::FAILURE;
    };
    for scene in scenes(seeds) {
        if let Err(error) = write(Path::new(&folder), &scene) {
            eprintln!("simulate_scenes: {folder}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(folder: &Path, scene: &Scene) -> std::io::Result<()> {
    let name = format!("{}-{}", scene.name.replace(' ', "-"), scene.seed);
    let [mut truth, mut found, mut ours, mut predicted, mut times] = [const { String::new() }; 5];
    let mut tracker = Tracker::new(TrackerOptions::default());
    let mut faces = Vec::new();
    let mut took = Duration::ZERO;
    for (frame, number) in scene.frames.iter().zip(1..) {
        for (person, sighting) in &frame.truth {
            line(&mut truth, number, *person as i64 + 1, &sighting.bbox, 1.0);
        }
        for sighting in &frame.found {
            line(&mut found, number, -1, &sighting.bbox, sighting.confidence);
        }
        let begin = Instant::now();
        tracker.see(
            Duration::from_secs_f64(frame.time),
            FRAME,
            &frame.found,
            &mut faces,
        );
        took += begin.elapsed();
        for face in &faces {
            let id = face.id as i64;
            if let Some(index) = face.sighting {
                // The box as it was found, as the others give it.
                line(&mut ours, number, id, &frame.found[index].bbox, face.confidence);
            }
            line(&mut predicted, number, id, &face.bbox, face.confidence);
        }
        let _ = writeln!(times, "{:.6}", frame.time);
    }
    println!("{name} {:.6}", took.as_secs_f64() / scene.frames.len() as f64);
    for (what, text) in [
        ("truth", truth),
        ("found", found),
        ("ours", ours),
        ("predicted", predicted),
        ("times", times),
    ] {
        std::fs::write(folder.join(format!("{name}-{what}.txt")), text)?;
    }
    Ok(())
}

fn line(text: &mut String, frame: u32, id: i64, [left, top, right, bottom]: &[f32; 4], confidence: f32) {
    // Writing into a string does not fail.
    let _ = writeln!(
        text,
        "{frame},{id},{left:.3},{top:.3},{:.3},{:.3},{confidence:.4},-1,-1,-1",
        right - left,
        bottom - top
    );
}
