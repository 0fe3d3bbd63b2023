//! How calm heads are at rest, and how late in motion: the detector's own numbers, exponential means, and the tracker's filter.
//!
//! ```sh
//! cargo run --release -p img2pose-track --example jitter_and_lag
//! ```

mod simulation;

use img2pose_track::{Smoothing, TrackerOptions};
use simulation::steadiness::{Filter, jitter, lag};

/// What the default model's yaw moves by, in 8 bits, on a still picture with the noise of a sensor: standard deviation in degrees.
const NOISE: f64 = 0.25;

fn main() {
    let raw = TrackerOptions::default().with_smoothing(Smoothing::None);
    let mut filters = vec![("as found".to_owned(), Filter::Tracker(raw))];
    for share in [0.5, 0.3, 0.2, 0.1] {
        filters.push((
            format!("exponential mean, {share} of the new"),
            Filter::Exponential(share),
        ));
    }
    filters.push((
        "one-euro, defaults".to_owned(),
        Filter::Tracker(TrackerOptions::default()),
    ));
    println!("| filter | jitter at rest, degrees | lag at 15 degrees/s, ms | at 30 | at 60 | at 120 |");
    println!("|---|---|---|---|---|---|");
    for (name, filter) in filters {
        let lags =
            [15.0, 30.0, 60.0, 120.0].map(|speed| format!("{:.0}", 1000.0 * lag(&filter, NOISE, speed)));
        println!(
            "| {name} | {:.3} | {} |",
            jitter(&filter, NOISE),
            lags.join(" | ")
        );
    }
}
