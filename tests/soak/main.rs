//! Many pipelines for a long time, with seeks, changes of caps and state, elements that come and go; nothing may grow,
//! stall or fail. Started by `scripts/soak.sh`; the minutes come in `IMG2POSE_SOAK_MINUTES`.

#[path = "../detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;

mod growth;
mod lines;

use std::time::{Duration, Instant};

use growth::{Sample, Samples};

/// A line that passes no frame for so long has stalled, also on a busy machine.
const STALL: Duration = Duration::from_secs(20);
/// Pools, caches and the heap's arenas fill up in this share of the time, but in no less than this.
const WARM_UP_SHARE: u32 = 4;
const LEAST_WARM_UP: Duration = Duration::from_secs(15);

#[test]
#[ignore = "takes long: scripts/soak.sh"]
fn soak() {
    let minutes: f64 = std::env::var("IMG2POSE_SOAK_MINUTES")
        .expect("IMG2POSE_SOAK_MINUTES is not set; use scripts/soak.sh")
        .parse()
        .expect("IMG2POSE_SOAK_MINUTES is a number");
    support::init();
    let file = lines::make_file();
    let mut lines = lines::all(&file);
    let length = Duration::from_secs_f64(minutes * 60.0);
    let warm_up = (length / WARM_UP_SHARE).max(LEAST_WARM_UP);

    let names: Vec<_> = lines.iter().map(|line| line.name).collect();
    println!("second  RSS KiB  threads  files  frames of {}", names.join(", "));
    let began = Instant::now();
    let mut samples = Samples::default();
    let mut moved: Vec<(u64, Instant)> = lines.iter().map(|_| (0, began)).collect();
    for second in 1.. {
        std::thread::sleep((began + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        for (line, moved) in lines.iter_mut().zip(&mut moved) {
            line.disturb(second);
            let frames = line.frames();
            if frames != moved.0 {
                *moved = (frames, Instant::now());
            }
            assert!(
                moved.1.elapsed() < STALL,
                "'{}' has passed no frame for {:?}",
                line.name,
                moved.1.elapsed()
            );
        }
        let sample = Sample::now();
        let frames: Vec<String> = lines.iter().map(|line| line.frames().to_string()).collect();
        println!(
            "{second:6}  {:7}  {:7}  {:5}  {}",
            sample.memory,
            sample.threads,
            sample.files,
            frames.join(" ")
        );
        if began.elapsed() > warm_up {
            samples.add(second as f64, sample);
        }
        if began.elapsed() > length {
            break;
        }
    }
    drop(lines);
    let verdict = samples.growth();
    println!("{verdict}");
    assert!(verdict.is_fine(), "{verdict}");
}
