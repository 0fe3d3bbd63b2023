//! The examples run, and do what they say. Those that read faces in C and Python are in `meta_examples.rs`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use test_support::skip;

/// Where cargo puts what it builds for tests.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

/// An example program, which cargo builds beside the tests; `None` after saying that the test is skipped.
pub fn example(name: &str, test: &str) -> Option<PathBuf> {
    let program = target().join("examples").join(name);
    if !program.exists() {
        skip(
            test,
            &format!("{} is not built, run `cargo build --examples`", program.display()),
        );
        return None;
    }
    Some(program)
}

/// A folder of its own with links to plugins, for `GST_PLUGIN_PATH`.
pub fn plugins(name: &str, files: &[PathBuf]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for file in files {
        let link = folder.join(file.file_name().unwrap());
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(file, link).unwrap();
    }
    folder
}

/// A command that finds the plugins in the folder, and remembers them apart from other installations.
pub fn command(program: impl AsRef<std::ffi::OsStr>, plugins: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("GST_PLUGIN_PATH", plugins)
        .env("GST_REGISTRY", plugins.join("registry.bin"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// The command for two minutes at most: an example that waits for a camera waits for ever.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited
        .arg("120")
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    limited.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    limited
}

/// Output of a command that must end well.
fn run(command: &mut Command) -> String {
    let output = limited(command).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn print_poses() {
    let test = "print_poses";
    let Some((program, _)) = example("print_poses", test).zip(example("libattach_faces.so", test)) else {
        return;
    };
    let plugins = plugins("print_poses", &[target().join("examples/libattach_faces.so")]);
    let frames = "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=320,height=240";
    let face = |confidence: u32| {
        format!("  {confidence} %: yaw -22.6, pitch -9.7, roll 4.8 degrees, at -3.00 0.50 20.00\n")
    };
    assert_eq!(
        run(command(&program, &plugins).arg(format!("{frames} ! attachfaces"))),
        format!("frame 0: 0 faces\nframe 1: 2 faces\n{}{}", face(94), face(81))
    );
    assert_eq!(
        run(command(&program, &plugins).arg(format!("{frames} ! attachfaces ! img2posetrack"))),
        format!(
            "frame 0: 0 faces\nframe 1: 2 faces\n{}{}",
            face(94).replace("  94", "  1 new 94"),
            face(81).replace("  81", "  2 new 81")
        )
    );
    assert_eq!(
        run(command(&program, &plugins).arg(frames)),
        "frame 0: not looked at\nframe 1: not looked at\n"
    );
    for (pipeline, expected) in [
        ("filesrc location=/nonexistent", "Resource not found"),
        ("nosuchelement", "nosuchelement"),
    ] {
        let output = command(&program, &plugins).arg(pipeline).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expected), "{error}");
    }
}

/// A clip of six frames of the given number, made by GStreamer.
pub fn clip(plugins: &Path, number: u32) -> PathBuf {
    let file = plugins.join(format!("clip-{number}.mkv"));
    run(command("gst-launch-1.0", plugins).args([
        "-q",
        "videotestsrc",
        "num-buffers=6",
        &format!("pattern={number}"),
        "!",
        "video/x-raw,format=I420,width=160,height=120,framerate=25/1",
        "!",
        "jpegenc",
        "!",
        "matroskamux",
        "!",
        "filesink",
        &format!("location={}", file.display()),
    ]));
    file
}

#[test]
fn many_cameras() {
    let Some(program) = example("many_cameras", "many_cameras") else {
        return;
    };
    let plugins = plugins("many_cameras", &[]);
    let uris = [0, 1].map(|number| format!("file://{}", clip(&plugins, number).display()));
    let mut lines: Vec<_> = run(command(&program, &plugins).args(&uris))
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    // The test pictures show no face.
    let expected = [
        "camera 0: 6 frames",
        "camera 0: ended",
        "camera 1: 6 frames",
        "camera 1: ended",
    ];
    assert_eq!(lines, expected);
}

/// A program that is ended with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn many_cameras_try_a_lost_one_again() {
    let Some(program) = example("many_cameras", "many_cameras_try_a_lost_one_again") else {
        return;
    };
    let plugins = plugins("lost_camera", &[]);
    let mut child = command(&program, &plugins)
        .arg("file:///nonexistent.mkv")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    let _running = Running(child);
    let line = errors
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("camera 0, file:///nonexistent.mkv:"))
        .expect("a line about the camera");
    assert!(line.contains("next try in"), "{line}");
}

/// What a command that must fail says.
fn complaint(command: &mut Command) -> String {
    let output = limited(command).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn print_poses_says_what_is_wrong() {
    let Some(program) = example("print_poses", "print_poses_says_what_is_wrong") else {
        return;
    };
    let plugins = plugins("complaints", &[]);
    // Nothing ever came to the appsink then, not even the end, and the example waited for ever.
    let no_video = concat!(
        "filesrc location=",
        env!("CARGO_MANIFEST_DIR"),
        "/README.md ! decodebin"
    );
    let cases = [
        ("nosuchelement", "no element \"nosuchelement\""),
        ("filesrc location=/nonexistent", "No such file \"/nonexistent\""),
        (no_video, "GstDecodeBin"),
    ];
    for (pipeline, expected) in cases {
        let said = complaint(command(&program, &plugins).arg(pipeline));
        assert!(
            said.starts_with("print_poses: ") && said.contains(expected),
            "{said}"
        );
    }
}

/// A Python with PyGObject and GStreamer's RTSP server.
fn rtsp_python() -> Option<&'static str> {
    let check =
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer";
    // A Python of the user's own, first in the path, often lacks what the system's has.
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let tried = Command::new(python).args(["-c", check]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// Starts the example on a camera; the program and the address that it prints.
fn serve(python: &str, plugins: &Path, camera: &str) -> (Running, String) {
    let mut child = command(python, plugins)
        .args(["examples/python/rtsp_annotate.py", camera, "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let running = Running(child);
    assert!(address.starts_with("rtsp://127.0.0.1:"), "{address}");
    // Over TCP: a refused UDP port would cost five seconds.
    (running, address.trim().replace("rtsp://", "rtspt://"))
}

#[test]
fn rtsp_annotate() {
    let Some(python) = rtsp_python() else {
        skip(
            "rtsp_annotate",
            "no python3 with GstRtspServer (Debian: python3-gi gir1.2-gst-rtsp-server-1.0)",
        );
        return;
    };
    let plugin = target().join("deps/libgstimg2pose.so");
    if !plugin.exists() {
        skip("rtsp_annotate", &format!("{} is not built", plugin.display()));
        return;
    }
    let plugins = plugins("rtsp_annotate", &[plugin]);
    // The registry is written once, not by both servers at the same time.
    run(command("gst-inspect-1.0", &plugins).arg("img2posedetect"));
    let test_picture =
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=5/1";
    let said =
        complaint(command(python, &plugins).args(["examples/python/rtsp_annotate.py", "nosuchelement"]));
    assert!(said.contains("no element \"nosuchelement\""), "{said}");
    let (_camera, address) = serve(python, &plugins, test_picture);
    let (_annotated, address) = serve(python, &plugins, &address);
    let client = [
        "-q",
        "uridecodebin",
        &format!("uri={address}"),
        "!",
        "fakesink",
        "sync=false",
        "num-buffers=5",
    ];
    run(command("timeout", &plugins)
        .arg("600")
        .arg("gst-launch-1.0")
        .args(client));
}
