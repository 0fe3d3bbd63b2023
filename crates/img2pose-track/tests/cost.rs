//! What following faces costs: time, and memory, which neither frames nor hours add to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use img2pose_track::{Sighting, Tracker, TrackerOptions};

const FRAME: [u32; 2] = [1280, 720];

/// The system's allocator, which counts.
struct Counting;

thread_local! {
    /// Of this thread: the test program has others, which print.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}
static LIVE: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system's allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests of one program run beside each other, and what is counted is the program's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Person `person` at `time` seconds, who sways about a place of their own.
fn sighting(person: u32, time: f64) -> Sighting {
    let phase = time * (0.7 + 0.1 * f64::from(person)) + f64::from(person);
    let x = 120.0 + 240.0 * f64::from(person % 5) + 40.0 * phase.sin();
    let y = 120.0 + 170.0 * f64::from(person / 5) + 15.0 * phase.cos();
    Sighting {
        bbox: [x - 40.0, y - 50.0, x + 40.0, y + 50.0].map(|side| side as f32),
        confidence: 0.95,
        pose: [
            0.1,
            0.5 * phase.sin(),
            0.0,
            (x - 640.0) / 100.0,
            (y - 360.0) / 100.0,
            20.0,
        ]
        .map(|number| number as f32),
    }
}

fn at(frame: u32) -> (f64, Duration) {
    let time = f64::from(frame) / 30.0;
    (time, Duration::from_secs_f64(time))
}

#[test]
fn five_faces_take_less_than_fifty_microseconds_and_no_memory() {
    let _alone = alone();
    let mut tracker = Tracker::new(TrackerOptions::default());
    let (mut faces, mut sightings) = (Vec::new(), Vec::with_capacity(5));
    let mut fastest = Duration::MAX;
    let mut allocations = 0;
    for round in 0..20u32 {
        let (before, begin) = (ALLOCATIONS.get(), Instant::now());
        for frame in 100 * round..100 * (round + 1) {
            let (time, duration) = at(frame);
            sightings.clear();
            // One is missed now and then, and every third frame is not looked at.
            sightings.extend(
                (0..5)
                    .filter(|person| (frame + person) % 17 > 1)
                    .map(|person| sighting(person, time)),
            );
            match frame % 3 {
                2 => tracker.predict(duration, FRAME, &mut faces),
                _ => tracker.see(duration, FRAME, &sightings, &mut faces),
            }
            assert!(round == 0 || faces.len() == 5, "frame {frame}");
        }
        // Others may use the processor, too: the fastest round is the one that tells.
        fastest = fastest.min(begin.elapsed() / 100);
        if round > 0 {
            allocations += ALLOCATIONS.get() - before;
        }
    }
    println!("{fastest:?} a frame with five faces");
    assert!(fastest < Duration::from_micros(50), "{fastest:?}");
    assert_eq!(allocations, 0);
}

#[test]
fn hours_of_faces_that_come_and_go_take_no_more_memory_than_minutes() {
    let _alone = alone();
    let mut tracker = Tracker::new(TrackerOptions::default());
    let (mut faces, mut sightings) = (Vec::new(), Vec::new());
    let (mut most, mut ids) = (0, 0);
    let mut after_minutes = 0;
    // Four hours. Each person is there for some seconds of every 40 or so, and seen in nine of ten frames.
    for frame in 0..4 * 3600 * 30 {
        let (time, duration) = at(frame);
        sightings.clear();
        sightings.extend(
            (0..20)
                .filter(|person| {
                    (time / (37.0 + f64::from(*person))).fract() < 0.5 && (frame + 7 * person) % 10 > 0
                })
                .map(|person| sighting(person, time)),
        );
        tracker.see(duration, FRAME, &sightings, &mut faces);
        most = most.max(tracker.remembered());
        ids = faces.iter().map(|face| face.id).fold(ids, u64::max);
        if frame == 10 * 60 * 30 {
            after_minutes = LIVE.load(Ordering::Relaxed);
        }
    }
    let after_hours = LIVE.load(Ordering::Relaxed);
    assert!(ids > 2000, "only {ids} ids were given");
    assert!(most <= 30, "{most} faces are remembered");
    assert!(
        after_hours <= after_minutes + 4096,
        "{after_minutes} bytes after ten minutes, {after_hours} after four hours"
    );
}
