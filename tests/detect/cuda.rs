//! Frames in the memory of a GPU of NVIDIA's, on machines without one: a stand-in for CUDA takes the place of the driver
//! (`cuda/libcuda.c`). What it shows is what meets no hardware: caps, pitches, contexts, lifetimes.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::memories::behind;
use super::support::*;
use gst::prelude::*;
use test_support::skip;

/// Set in the process that has the stand-in.
const INSIDE: &str = "IMG2POSE_TEST_CUDA";
const NAME: &str = "frames_in_cuda_memory_give_the_lines_of_host_frames";

/// Makes the library of `source`.
fn compile(source: &Path, library: &Path) {
    let output = Command::new("cc")
        .args([
            "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-o",
        ])
        .args([library, source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Libraries are looked for where the process was told when it started, so this runs itself again.
#[test]
fn frames_in_cuda_memory_give_the_lines_of_host_frames() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if Command::new("cc").arg("--version").output().is_err() {
        return skip(NAME, "there is no C compiler (cc)");
    }
    let folder = scratch().join("cuda");
    std::fs::create_dir_all(&folder).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/detect/cuda");
    for library in ["libcuda", "libnvcuvid"] {
        compile(
            &sources.join(format!("{library}.c")),
            &folder.join(format!("{library}.so.1")),
        );
    }
    let mut folders = vec![folder.clone()];
    let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&others));
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("cuda::{NAME}"), "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap())
        // The usual one may know that there is no GPU.
        .env("GST_REGISTRY", folder.join("registry.bin"))
        .output()
        .unwrap();
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
    }
    print!("{out}");
}

fn inside() {
    init();
    if gst::ElementFactory::find("cudaupload").is_none() {
        let (major, minor, ..) = gst::version();
        let plugin = gst::Registry::get().find_plugin("nvcodec");
        assert!(
            plugin.is_none() || (major, minor) != (1, 22),
            "GStreamer 1.22 has not taken the stand-in for CUDA"
        );
        return skip(
            NAME,
            "GStreamer has no nvcodec, or not that of 1.22, which the stand-in for CUDA is for (Debian 12: gstreamer1.0-plugins-bad)",
        );
    }
    // Sides whose rows do not fill the pitch, and odd ones.
    for (format, width, height) in [
        ("NV12", WIDTH, HEIGHT),
        ("NV12", 198, 130),
        ("I420", 198, 130),
        ("RGBA", 199, 131),
        ("BGRx", WIDTH, HEIGHT),
    ] {
        let caps = format!("format={format},width={width},height={height}");
        let host = behind(&caps, "", "", |_| ());
        let memories = Arc::new(Mutex::new(Vec::new()));
        let seen = memories.clone();
        let device = behind(
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
        let memories = memories.lock().unwrap();
        assert!(memories.len() == host.lines.len(), "{memories:?}");
        assert!(
            memories.iter().all(|name| name.to_lowercase().contains("cuda")),
            "{memories:?}"
        );
    }
}
