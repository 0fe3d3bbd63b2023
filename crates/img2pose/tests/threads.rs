//! How many threads a detector has, and how many of them work at a time.
//!
//! In a program of its own, because it looks at the whole process.

use std::time::{Duration, Instant};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, DetectorOptions, ExecutionProvider, Selection};
use test_support::shipped_model;

const SIDE: usize = 128;

/// The names of all threads of this process.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // One may end between the listing and the reading.
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(|task| name(task.unwrap())).collect()
}

/// Threads of the detector's pool for RoIAlign.
fn in_pool(threads: &[String]) -> usize {
    threads
        .iter()
        .filter(|name| name.starts_with("img2pose-"))
        .count()
}

/// Waits until all pools together have `count` threads: dropping one does not wait for its threads, and a new thread has
/// its name when it first runs.
fn wait_for_pool(count: usize) {
    let began = Instant::now();
    while in_pool(&threads()) != count {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{count} threads for RoIAlign expected: {:?}",
            threads()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processor time of all threads of this process so far.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let used = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

fn open(num_threads: usize) -> Detector {
    let options = DetectorOptions::default()
        .with_min_size(SIDE as u32)
        .with_num_threads(num_threads)
        .with_execution_provider(ExecutionProvider::Cpu)
        // Everything above the floor, so that the pose head works too.
        .with_selection(Selection::default().with_score_threshold(0.0));
    Detector::open(&shipped_model(), options).unwrap()
}

#[test]
fn a_detector_has_and_uses_the_threads_that_it_was_given() {
    let pixels: Vec<u8> = (0..SIDE * SIDE)
        .map(|i| ((i % SIDE / 5 * 37) ^ (i / SIDE / 9 * 61)) as u8)
        .collect();
    let frame = Frame {
        layout: FrameLayout {
            format: PixelFormat::Gray8,
            width: SIDE as u32,
            height: SIDE as u32,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view: View::PLAIN,
        },
        planes: [Plane {
            data: &pixels,
            stride: SIDE,
        }; 3],
    };
    // ONNX Runtime has threads of its own once for the process.
    drop(open(1));
    for count in [1, 2, 3] {
        wait_for_pool(0);
        let before = threads().len();
        let mut detector = open(count);
        assert!(!detector.detect(&[frame]).unwrap()[0].is_empty());
        wait_for_pool(count);
        let all = threads();
        // In each of the three parts of the network the caller works too.
        let others = all.len().saturating_sub(before + count);
        assert!(
            others <= 3 * (count - 1),
            "{others} threads of ONNX Runtime, of {all:?}"
        );
    }

    // The parts and the pool take turns: with one thread, no two work at a time. On a busy machine the time of the
    // processor is less than the time that passes, so load cannot make this fail.
    let mut detector = open(1);
    wait_for_pool(1);
    let (began, used) = (Instant::now(), processor_time());
    while began.elapsed() < Duration::from_millis(500) {
        detector.detect(&[frame]).unwrap();
    }
    let (passed, used) = (began.elapsed(), processor_time() - used);
    // What threads have used since the scheduler last looked is not in their figures.
    assert!(
        used <= passed + Duration::from_millis(50),
        "{used:?} of processor time in {passed:?}"
    );
}
