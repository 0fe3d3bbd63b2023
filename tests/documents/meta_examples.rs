//! The C and the Python example read the faces without this crate, from the stand-in detector `attachfaces`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Two frames of the stand-in: nothing found, then two faces.
const FRAMES: &str =
    "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=320,height=240 ! attachfaces";

/// What an example prints of them, with the lines about the regions of the two faces filled in.
fn expected(first_region: &str, second_region: &str) -> String {
    format!(
        "frame 0: 0 faces in 320x240
frame 1: 2 faces in 320x240
  face 0: confidence 0.938, box 40.0 60.0 120.0 180.0
    rotation 0.150 -0.400 0.050, translation -3.000 0.500 20.000
    yaw, pitch, roll -22.6 -9.7 4.8, nose 78.4 124.8
    {first_region}
  face 1: confidence 0.812, box 160.0 30.0 240.0 150.0
    rotation 0.150 -0.400 0.050, translation -3.000 0.500 20.000
    yaw, pitch, roll -22.6 -9.7 4.8, nose 198.4 94.8
    {second_region}
"
    )
}

/// The plugin with `attachfaces`, which cargo builds beside the tests.
fn stand_in(test: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let plugin = program.parent()?.parent()?.join("examples/libattach_faces.so");
    if plugin.exists() {
        return Some(plugin);
    }
    let plugin = plugin.display();
    test_support::skip(
        test,
        &format!("{plugin} is not built, run `cargo build --example attach_faces`"),
    );
    None
}

/// Runs an example on a pipeline; its output, or its error and exit code.
fn run(command: &[&Path], pipeline: &str) -> Result<String, (String, Option<i32>)> {
    let plugin = stand_in("an example").expect("checked by the caller");
    // The plugin itself, which cargo puts beside the tests.
    let own = std::env::current_exe()
        .unwrap()
        .with_file_name("libgstimg2pose.so");
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(format!(
            "--gst-plugin-load={},{}",
            plugin.display(),
            own.display()
        ))
        .arg(pipeline)
        .env("LC_ALL", "C") // C writes numbers as the locale has them.
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err((String::from_utf8(output.stderr).unwrap(), output.status.code()))
    }
}

fn reads_faces(command: &[&Path]) {
    let untouched = expected(
        "region 40 60 80 120, yaw -22.6",
        "region 160 30 80 120, yaw -22.6",
    );
    assert_eq!(run(command, FRAMES), Ok(untouched));

    let scaled = format!("{FRAMES} ! videoscale ! video/x-raw,width=160,height=120");
    let half = expected(
        "region 20 30 40 60, no parameters",
        "region 80 15 40 60, no parameters",
    );
    assert_eq!(run(command, &scaled), Ok(half));

    let followed = expected(
        "region 40 60 80 120, yaw -22.6",
        "region 160 30 80 120, yaw -22.6",
    )
    .replace("120.0 180.0\n", "120.0 180.0, track 1 new\n")
    .replace("240.0 150.0\n", "240.0 150.0, track 2 new\n");
    assert_eq!(run(command, &format!("{FRAMES} ! img2posetrack")), Ok(followed));

    assert_eq!(
        run(command, "videotestsrc num-buffers=1"),
        Ok("frame 0: not looked at\n".to_owned())
    );

    let (error, code) = run(command, "nosuchelement").unwrap_err();
    assert!(
        code == Some(1) && error.contains("no element \"nosuchelement\""),
        "{code:?}: {error}"
    );
    let (error, code) = run(command, "filesrc location=/nonexistent").unwrap_err();
    assert!(
        code == Some(1) && error.contains("filesrc0: Resource not found.") && error.contains("/nonexistent"),
        "{code:?}: {error}"
    );
}

#[test]
fn in_c() {
    if stand_in("the C example").is_none() {
        return;
    }
    let flags = match Command::new("pkg-config")
        .args(["--cflags", "--libs", "gstreamer-video-1.0"])
        .output()
    {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => return test_support::skip("the C example", "pkg-config does not find gstreamer-video-1.0"),
    };
    if Command::new("cc").arg("--version").output().is_err() {
        return test_support::skip("the C example", "no C compiler");
    }
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("read_faces");
    let compiled = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "examples/c/read_faces.c",
            "-o",
        ])
        .arg(&program)
        .args(flags.split_whitespace())
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    reads_faces(&[&program]);
}

/// A Python that can run the examples; `None` after saying that the test is skipped.
fn python(test: &str) -> Option<&'static str> {
    let check = "import gi; gi.require_version('GstVideo', '1.0'); from gi.repository import GstVideo";
    // A Python of the user's own, first in the path, often lacks what the system's has.
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", check])
            .output()
            .is_ok_and(|o| o.status.success())
    });
    if python.is_none() {
        let why = "no python3 with PyGObject and GstVideo (Debian: python3-gi gir1.2-gst-plugins-base-1.0)";
        test_support::skip(test, why);
    }
    python
}

#[test]
fn in_python() {
    let test = "the Python example";
    let Some((_, python)) = stand_in(test).zip(python(test)) else {
        return;
    };
    let command = [Path::new(python), Path::new("examples/python/read_faces.py")];
    reads_faces(&command);
    // The name of a file does as well.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a folder with 'quotes'");
    std::fs::create_dir_all(&folder).unwrap();
    let clip = folder.join("clip.mkv");
    let made = Command::new("gst-launch-1.0")
        .args(["-q", "videotestsrc", "num-buffers=2", "!"])
        .args([
            "video/x-raw,format=I420,width=160,height=120",
            "!",
            "jpegenc",
            "!",
        ])
        .args(["matroskamux", "!", "filesink"])
        .arg(format!("location={}", clip.display()))
        .status();
    assert!(made.unwrap().success());
    assert_eq!(
        run(&command, clip.to_str().unwrap()).unwrap(),
        "frame 0: 0 faces in 160x120\nframe 1: 0 faces in 160x120\n"
    );
    let (error, code) = run(&command, "nowhere.mp4").unwrap_err();
    assert_eq!(code, Some(1));
    assert!(error.contains("and no file has that name"), "{error}");
}

#[test]
fn in_python_as_the_guide_has_it() {
    let test = "the guide's Python";
    let Some((plugin, python)) = stand_in(test).zip(python(test)) else {
        return;
    };
    // Alone in a folder: beside it lie builds of other times.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&plugin, folder.join("libattach_faces.so")).unwrap();
    let guide = std::fs::read_to_string("docs/guide.md").unwrap();
    let (_, program) = guide.split_once("```python\n").expect("a program in Python");
    let (program, _) = program.split_once("```").expect("its end");
    let run = |frames: &str| {
        let detector = "filesrc location=video.mp4 ! decodebin ! videoconvert ! img2posedetect";
        assert_eq!(program.matches(detector).count(), 1, "{program}");
        Command::new("timeout")
            .args(["120", python, "-c", &program.replace(detector, frames)])
            .env("GST_PLUGIN_PATH", &folder)
            .env("GST_REGISTRY", folder.join("registry.bin"))
            .output()
            .unwrap()
    };
    let output = run(FRAMES);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "-22.6 -9.7 4.8\n".repeat(2)
    );
    let output = run("filesrc location=/nonexistent");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Resource not found.\n");
}
