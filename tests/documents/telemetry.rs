//! ONNX Runtime leaves nothing in the user's home: its builds on PyPI keep a device id and a database of events there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use test_support::shipped_model;

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Runs a program that finds the plugin, with an empty home, and returns what is below the home then but for GStreamer's
/// registry.
fn left_behind(test: &str, program: &str, arguments: &[&str]) -> Vec<PathBuf> {
    let executable = std::env::current_exe().unwrap();
    let plugin = executable.parent().unwrap().join("libgstimg2pose.so");
    assert!(plugin.exists(), "{} is built beside the tests", plugin.display());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    let (home, plugins) = (folder.join("home"), folder.join("plugins"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::create_dir_all(&plugins).unwrap();
    std::os::unix::fs::symlink(plugin, plugins.join("libgstimg2pose.so")).unwrap();
    let output = Command::new("timeout")
        .arg("120")
        .arg(program)
        .args(arguments)
        .env("HOME", &home)
        .env("GST_PLUGIN_PATH", &plugins)
        .env("GST_REGISTRY", plugins.join("registry.bin"))
        // What keeps it quiet otherwise: the tests' own environment, and that of CI.
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("CI")
        .env_remove("GITHUB_ACTIONS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {error}");
    let mut left = files(&home);
    // Python's compiled modules and the like are no concern here.
    left.retain(|path| {
        path.to_string_lossy().contains("Microsoft") || path.to_string_lossy().contains("onnx")
    });
    left
}

/// A pipeline with a model that runs.
fn pipeline() -> String {
    format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 ! img2posedetect min-size=64 max-size=64 \
         model={} ! fakesink",
        shipped_model().canonicalize().unwrap().display()
    )
}

#[test]
fn no_device_id_is_left_by_a_pipeline() {
    let pipeline = pipeline();
    let arguments: Vec<_> = pipeline.split_whitespace().collect();
    assert_eq!(
        left_behind("telemetry-launch", "gst-launch-1.0", &arguments),
        [""; 0].map(PathBuf::from)
    );
}

#[test]
fn no_device_id_is_left_by_a_python_program() {
    let python = "/usr/bin/python3";
    let can = Command::new(python)
        .args(["-c", "import gi; gi.require_version('Gst', '1.0')"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        test_support::skip(
            "no_device_id_is_left_by_a_python_program",
            "no python3 with PyGObject (Debian: python3-gi gir1.2-gst-plugins-base-1.0)",
        );
        return;
    }
    let program = format!(
        "import gi\ngi.require_version('Gst', '1.0')\nfrom gi.repository import Gst\nGst.init(None)\n\
         pipeline = Gst.parse_launch('{}')\npipeline.set_state(Gst.State.PLAYING)\n\
         ends = Gst.MessageType.EOS | Gst.MessageType.ERROR\n\
         end = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, ends)\npipeline.set_state(Gst.State.NULL)\n\
         assert end and end.type == Gst.MessageType.EOS, end and end.parse_error()\n",
        pipeline()
    );
    assert_eq!(
        left_behind("telemetry-python", python, &["-c", &program]),
        [""; 0].map(PathBuf::from)
    );
}
