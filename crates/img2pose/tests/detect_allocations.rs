//! What a batch costs in allocations, once the detector is warm.

mod class_head;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, DetectorOptions, FollowOptions, Follower, Selection, StreamFrame};

/// The system's allocator, counting the calls of all threads. ONNX Runtime has its own and is not counted.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// One test at a time: the calls of all threads are counted.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 160;
const HEIGHT: usize = 96;

/// Allocations of `ort` for a run: two for each output, one for each input, and a handful when there are many outputs.
/// They do not grow with the size of the batch or of its frames.
const DENSE_RUN: usize = 36;
const HEAD_RUN: usize = 3;

/// A drawn pattern, NV12.
fn pixels() -> Vec<u8> {
    (0..WIDTH * HEIGHT * 3 / 2)
        .map(|i| ((i % WIDTH / 7 * 31) ^ (i / WIDTH / 5 * 57)) as u8)
        .collect()
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    let plane = |start| Plane {
        data: &pixels[start..],
        stride: WIDTH,
    };
    Frame {
        layout: FrameLayout {
            format: PixelFormat::Nv12,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
            view: View::PLAIN,
        },
        planes: [plane(0), plane(WIDTH * HEIGHT), plane(WIDTH * HEIGHT)],
    }
}

/// As many frames and crops as there are, in two runs: memory of the networks, of the crops and of the frames is used again.
#[test]
fn a_warm_pair_of_networks_allocates_only_what_ort_does_for_each_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pixels = pixels();
    let frame = frame(&pixels);
    let selection = Selection::default().with_score_threshold(0.3);
    // Few enough crops for one run of the close look.
    let options = DetectorOptions::default()
        .with_selection(selection.with_max_faces(8))
        .with_num_threads(1);
    let mut detector = Detector::open(test_support::small_pair_model(), options).unwrap();
    let mut batch = detector.new_batch(frame.layout, 2).unwrap();
    let mut faces = Vec::new();
    let mut counts: Vec<usize> = (0..25)
        .map(|_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            batch.clear();
            for _ in 0..2 {
                batch.push(&frame).unwrap();
            }
            detector.detect_batch_into(&batch, &mut faces).unwrap();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        })
        .collect();
    assert!(faces.iter().all(|faces| !faces.is_empty()));
    counts.sort_unstable();
    let bound = 4 * HEAD_RUN;
    assert!(
        counts[12] > 0 && counts[12] <= bound,
        "{counts:?} allocations a batch, at most {bound} expected"
    );
}

#[test]
fn a_warm_detector_allocates_only_what_ort_does_for_each_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pixels = pixels();
    let frame = frame(&pixels);
    // Takes nearly everything for a face: with the head that ships, whether a drawn pattern has candidates would hang on the
    // training.
    let model = class_head::model_with_class_bias([-4.0, 4.0]);
    // With every candidate above the model's floor, and with none: the pose head does not run then.
    for (score_threshold, heads) in [(0.0, 2), (1.0, 1)] {
        let options = DetectorOptions::default()
            .with_min_size(HEIGHT as u32)
            .with_selection(Selection::default().with_score_threshold(score_threshold));
        let mut detector = Detector::load(&model, options).unwrap();
        for size in [1, 2, 4] {
            let mut batch = detector.new_batch(frame.layout, size).unwrap();
            let mut faces = Vec::new();
            let mut counts: Vec<usize> = (0..25)
                .map(|_| {
                    let before = ALLOCATIONS.load(Ordering::Relaxed);
                    batch.clear();
                    for _ in 0..size {
                        batch.push(&frame).unwrap();
                    }
                    detector.detect_batch_into(&batch, &mut faces).unwrap();
                    ALLOCATIONS.load(Ordering::Relaxed) - before
                })
                .collect();
            assert_eq!(faces.iter().any(|faces| !faces.is_empty()), heads == 2);
            // The median: the first batches reserve memory, and rayon's queue takes a new block now and then.
            counts.sort_unstable();
            let bound = DENSE_RUN + size * heads * HEAD_RUN;
            assert!(
                counts[12] > 0 && counts[12] <= bound,
                "{size} frames, threshold {score_threshold}: {counts:?} allocations a batch, at most {bound} expected"
            );
        }
    }
}

/// Following costs the run of the regions, and nothing for each frame.
#[test]
fn a_warm_detector_follows_without_allocating() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pixels = pixels();
    let frame = frame(&pixels);
    let model = class_head::model_with_class_bias([-4.0, 4.0]);
    let selection = Selection::default().with_score_threshold(0.0).with_max_faces(1);
    let options = DetectorOptions::default()
        .with_min_size(HEIGHT as u32)
        .with_selection(selection);
    let mut detector = Detector::load(&model, options).unwrap();
    let options = FollowOptions::default()
        .with_whole_frame_interval(1000)
        .with_region_size(32);
    let mut followers = [Follower::default()];
    let mut faces = Vec::new();
    // How far above what the runs need, of calls with no other run than that of the regions.
    let mut over = Vec::new();
    for _ in 0..60 {
        let (before, counts) = (ALLOCATIONS.load(Ordering::Relaxed), followers[0].counts());
        let frames = [StreamFrame { frame, stream: 0 }; 4];
        detector
            .detect_following(&frames, &mut followers, &options, &mut faces)
            .unwrap();
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let now = followers[0].counts();
        let regions = (now.regions - counts.regions) as usize;
        if now.whole_frames == counts.whole_frames && regions > 0 {
            over.push(count as i64 - (DENSE_RUN + 2 * regions * HEAD_RUN) as i64);
        }
    }
    assert!(over.len() > 20, "{:?}", followers[0].counts());
    over.sort_unstable();
    assert!(
        over[over.len() / 2] <= 0,
        "allocations above those of the runs: {over:?}"
    );
}
