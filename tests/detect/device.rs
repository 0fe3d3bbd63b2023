//! The element on a device: that of the provider which the environment variable [`DEVICE`] names (`scripts/test-gpu-software.sh` sets
//! it); without it on the processor.

use std::time::{Duration, Instant};

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, Face, Selection};
use test_support::{golden, read_collages, read_png, shipped_model};

use super::support::*;
use gst::prelude::*;

/// Names the provider.
const DEVICE: &str = "IMG2POSE_TEST_DEVICE";

/// Short side of the network image of the shipped model: a device that is made of software is slow.
const MIN_SIZE: u32 = 128;
/// Faces of the shipped model with a lower confidence are left out.
const THRESHOLD: f32 = 0.3;

fn device() -> String {
    std::env::var(DEVICE).unwrap_or_else(|_| "cpu".to_owned())
}

/// The small model of the other tests, on the device.
fn on_device() -> gst::Element {
    let element = detector();
    element.set_property_from_str("execution-provider", &device());
    element
}

/// The next buffer that leaves. The harness itself waits for a minute; the first batch of a size compiles shaders, which takes longer
/// on a machine that is busy.
fn pull(harness: &mut gst_check::Harness) -> gst::Buffer {
    let deadline = Instant::now() + 10 * TIME_LIMIT;
    while harness.buffers_in_queue() == 0 {
        assert!(Instant::now() < deadline, "no buffer has left");
        std::thread::sleep(Duration::from_millis(1));
    }
    harness.pull().unwrap()
}

/// Asserts that the faces are those expected, as far as the order of sums allows.
fn assert_near(found: &[Face], expected: &[Face], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for face in expected {
        let distance = |other: &Face| {
            let sides = face.bbox.iter().zip(&other.bbox).map(|(a, b)| (a - b).abs());
            sides.fold(0.0, f32::max)
        };
        let nearest = found
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap();
        let (pixels, score) = (distance(nearest), (nearest.confidence - face.confidence).abs());
        assert!(
            pixels <= 1e-3 && score <= 1e-4,
            "{what}: {pixels} pixels, {score} in confidence from {face:?}"
        );
        let angle = img2pose::pose::angle_between(&face.pose, &nearest.pose);
        assert!(angle <= 0.01, "{what}: {angle} degrees from {face:?}");
    }
}

/// Asserts that the buffer is frame `index` and carries that frame's own faces.
fn assert_near_frame(buffer: &gst::BufferRef, index: u64) {
    assert_eq!(buffer.offset(), index);
    let expected = faces_alone(index);
    assert!(!expected.is_empty(), "a frame without faces proves nothing");
    assert_near(&faces_on(buffer).unwrap(), &expected, &format!("frame {index}"));
}

/// Whether the driver of the device that is made of software is part of this process.
fn has_software_device() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains("libvulkan_lvp")
}

/// A picture of 640x480, R, G, B.
fn pictures() -> Option<Vec<Vec<u8>>> {
    let golden = golden("the_shipped_model_finds_the_faces_that_it_finds_on_the_processor")?;
    let names = read_collages(&golden).into_keys().take(5);
    let picture = |name| read_png(&golden.join("collages").join(name));
    Some(
        names
            .map(picture)
            .map(|image| {
                assert_eq!((image.width, image.height), (640, 480));
                image.pixels
            })
            .collect(),
    )
}

/// Batches of one to four, the last of which are not full.
#[test]
fn the_shipped_model_finds_the_faces_that_it_finds_on_the_processor() {
    let Some(pictures) = pictures() else { return };
    init();
    let options = DetectorOptions::default()
        .with_min_size(MIN_SIZE)
        .with_execution_provider(img2pose::ExecutionProvider::Cpu)
        .with_selection(Selection::default().with_score_threshold(THRESHOLD));
    let mut processor = Detector::open(&shipped_model(), options).unwrap();
    let alone = |pixels: &Vec<u8>| {
        processor
            .detect(&[Frame::rgb(pixels, 640, 480)])
            .unwrap()
            .remove(0)
    };
    let expected: Vec<Vec<Face>> = pictures.iter().map(alone).collect();
    assert!(expected.iter().flatten().count() > 5, "pictures with faces");
    for batch_size in 1u32..=4 {
        let element = gst::ElementFactory::make("img2posedetect")
            .property("model", shipped_model().to_str().unwrap())
            .property("min-size", MIN_SIZE)
            .property("score-threshold", THRESHOLD)
            .property("batch-size", batch_size)
            .property_from_str("execution-provider", &device())
            .build()
            .unwrap();
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_live(true);
        harness.set_src_caps_str("video/x-raw,format=RGB,width=640,height=480,framerate=25/1");
        for (index, pixels) in (0..).zip(&pictures) {
            let mut buffer = gst::Buffer::from_slice(pixels.clone());
            let inner = buffer.get_mut().unwrap();
            inner.set_pts(FRAME * index);
            inner.set_duration(FRAME);
            harness.push(buffer).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        for (index, expected) in expected.iter().enumerate() {
            let found = faces_on(&pull(&mut harness)).unwrap();
            assert_near(&found, expected, &format!("batch of {batch_size}, frame {index}"));
        }
        let batches = (pictures.len() as u64).div_ceil(batch_size.into());
        assert_eq!(stat(&element, "batches"), batches);
        assert_eq!(element.property::<String>("active-provider"), device());
    }
    if device() == "webgpu"
        && std::env::var_os("VK_DRIVER_FILES").is_some_and(|files| files.to_string_lossy().contains("lvp"))
    {
        assert!(has_software_device());
    }
}

#[test]
fn batches_of_every_size_on_a_device() {
    for batch_size in 1u32..=4 {
        let element = on_device();
        element.set_property("batch-size", batch_size);
        let mut harness = harness(&element, true);
        for index in 0..7 {
            harness.push(frame(index)).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        for index in 0..7 {
            assert_near_frame(&pull(&mut harness), index);
        }
        assert_eq!(stat(&element, "batches"), 7u64.div_ceil(batch_size.into()));
        assert_eq!(element.property::<String>("active-provider"), device());
    }
}

#[test]
fn a_flush_in_mid_batch_on_a_device() {
    let element = on_device();
    let mut harness = harness(&element, true);
    for round in 0..3 {
        // A batch that is running, and one that is not full, are given up.
        for index in 0..6 {
            harness.push(frame(100 * round + index)).unwrap();
        }
        flush(&mut harness);
        while harness.try_pull().is_some() {}
        for index in 10..14 {
            harness.push(frame(100 * round + index)).unwrap();
        }
        for index in 10..14 {
            assert_near_frame(&pull(&mut harness), 100 * round + index);
        }
    }
    assert_eq!(stat(&element, "queue-level"), 0);
    assert_eq!(element.property::<String>("active-provider"), device());
}

/// ONNX Runtime's WebGPU fails, or stands still, when two of its sessions are at work at one time.
#[test]
fn two_elements_at_once_on_a_device() {
    const FRAMES: u64 = 24;
    let elements = [on_device(), on_device()];
    std::thread::scope(|scope| {
        for (first, element) in (0..).step_by(1000).zip(&elements) {
            scope.spawn(move || {
                let mut harness = harness(element, true);
                for index in first..first + FRAMES {
                    harness.push(frame(index)).unwrap();
                }
                harness.push_event(gst::event::Eos::new());
                for index in first..first + FRAMES {
                    assert_near_frame(&pull(&mut harness), index);
                }
                assert_eq!(element.property::<String>("active-provider"), device());
            });
        }
    });
    for element in &elements {
        assert_eq!(stat(element, "inferred"), FRAMES);
    }
}
