//! Frames in the memory of a GPU of NVIDIA's, on machines without one: a stand-in takes the place of the driver
//! (`crates/test-support/cuda/libcuda.c`), and the processor that of the GPU that computes. What it shows is what meets no hardware: caps,
//! pitches, contexts, the order of copies, lifetimes.

use std::process::Command;
use std::sync::{Arc, Mutex};

use super::memories::behind_detector;
use super::support::*;
use gst::prelude::*;
use test_support::{skip, stand_in_for_nvidia};

/// Set in the process that has the stand-in, to a name of [`Way`].
const INSIDE: &str = "IMG2POSE_TEST_CUDA";
/// Has the network on the processor read what the stand-in takes for the memory of its GPU.
const MEMORY: &str = "IMG2POSE_TEST_CUDA_MEMORY";
/// Has the stand-in refuse to copy from there to there.
const REFUSES: &str = "IMG2POSE_STAND_IN_REFUSES";

/// How frames come to the network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// The network is elsewhere.
    Mapped,
    /// It is on the GPU, and so are they.
    Copied,
    /// As before, but the driver does not copy.
    Refused,
}

#[test]
fn frames_in_cuda_memory_give_the_lines_of_host_frames() {
    inside("frames_in_cuda_memory_give_the_lines_of_host_frames", Way::Mapped);
}

#[test]
fn frames_that_are_copied_on_the_gpu_give_the_lines_of_host_frames() {
    inside(
        "frames_that_are_copied_on_the_gpu_give_the_lines_of_host_frames",
        Way::Copied,
    );
}

#[test]
fn frames_that_the_gpu_does_not_copy_take_the_way_over_the_processor() {
    inside(
        "frames_that_the_gpu_does_not_copy_take_the_way_over_the_processor",
        Way::Refused,
    );
}

/// Libraries are looked for where the process was told when it started, so the test `name` runs itself again.
fn inside(name: &str, way: Way) {
    if std::env::var_os(INSIDE).is_some() {
        return compare(name, way);
    }
    // Each has its own: they run side by side.
    let folder = scratch().join(format!("cuda-{way:?}"));
    for library in ["libcuda", "libnvcuvid"] {
        if stand_in_for_nvidia(library, &folder).is_none() {
            return skip(name, "there is no C compiler (cc)");
        }
    }
    let mut folders = vec![folder.clone()];
    let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&others));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&format!("cuda::{name}"), "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap())
        .env("GST_DEBUG", "img2posedetect:3")
        .env("GST_DEBUG_NO_COLOR", "1")
        // The usual one may know that there is no GPU.
        .env("GST_REGISTRY", folder.join("registry.bin"));
    if way != Way::Mapped {
        command.env(MEMORY, "yes");
    }
    if way == Way::Refused {
        command.env(REFUSES, "yes");
    }
    let output = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}{err}");
    if !out.contains("skipped") {
        // The process that looks for plugins may have written a line of its own.
        let left = |line: &str| {
            let (left, of) = line.split_once(" of ")?;
            let taken = of.strip_suffix(" pieces of device memory are left")?;
            Some((left.parse::<u32>().ok()?, taken.parse::<u32>().ok()?))
        };
        let left: Vec<(u32, u32)> = err.lines().filter_map(left).collect();
        assert!(left.iter().any(|(_, taken)| *taken > 0), "{err}");
        assert!(left.iter().all(|(left, _)| *left == 0), "{err}");
        assert!(!err.contains("were not waited for"), "{err}");
        // One line for each detector, of which there is one for each format.
        let warnings = err
            .matches("cannot be copied on the GPU: cuMemcpy2DAsync")
            .count();
        assert_eq!(
            warnings,
            if way == Way::Refused { FRAMES.len() } else { 0 },
            "{err}"
        );
    }
    print!("{out}");
}

/// Sides whose rows do not fill the pitch, and odd ones.
const FRAMES: [(&str, u32, u32); 5] = [
    ("NV12", WIDTH, HEIGHT),
    ("NV12", 198, 130),
    ("I420", 198, 130),
    ("RGBA", 199, 131),
    ("BGRx", WIDTH, HEIGHT),
];

fn compare(name: &str, way: Way) {
    init();
    if gst::ElementFactory::find("cudaupload").is_none() {
        let (major, minor, ..) = gst::version();
        let plugin = gst::Registry::get().find_plugin("nvcodec");
        assert!(
            plugin.is_none() || (major, minor) != (1, 22),
            "GStreamer 1.22 has not taken the stand-in for CUDA"
        );
        return skip(
            name,
            "GStreamer has no nvcodec, or not that of 1.22, which the stand-in for CUDA is for (Debian 12: gstreamer1.0-plugins-bad)",
        );
    }
    for (format, width, height) in FRAMES {
        // So large that the network images have more bytes: a GPU is given such frames as they are.
        let detector = || {
            let element = detector();
            element.set_property("min-size", 160u32);
            element
        };
        let caps = format!("format={format},width={width},height={height}");
        let host = behind_detector(&detector(), &caps, "", "", |_| ());
        let memories = Arc::new(Mutex::new(Vec::new()));
        let seen = memories.clone();
        let device = behind_detector(
            &detector(),
            &caps,
            "! cudaupload ! video/x-raw(memory:CUDAMemory)",
            "! cudadownload ! video/x-raw ! identity",
            move |buffer| {
                let memory = buffer.peek_memory(0);
                seen.lock()
                    .unwrap()
                    .push(memory.allocator().unwrap().name().to_string());
            },
        );
        device.assert_like(&host, "memory:CUDAMemory");
        let copied = if way == Way::Copied {
            host.lines.len() as u64
        } else {
            0
        };
        assert_eq!((host.device_copies, device.device_copies), (0, copied), "{caps}");
        let memories = memories.lock().unwrap();
        assert!(memories.len() == host.lines.len(), "{memories:?}");
        assert!(
            memories.iter().all(|name| name.to_lowercase().contains("cuda")),
            "{memories:?}"
        );
    }
}
