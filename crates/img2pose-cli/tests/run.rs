//! `img2pose run`, on videos made here. Needs the cargo feature `run`, and the plugin that the build of the workspace leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the plugin; `None`, and said, where it is not built.
fn plugin(test: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_img2pose-run"));
    let folder = program.parent().unwrap().to_owned();
    if folder.join("libgstimg2pose.so").is_file() {
        return Some(folder);
    }
    test_support::skip(test, "libgstimg2pose.so is not built beside img2pose-run");
    None
}

/// A folder of its own for a test, with a video of six frames without faces in it.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let made = Command::new("gst-launch-1.0")
        .args(["-q", "videotestsrc", "num-buffers=6", "!"])
        .args(["video/x-raw,format=I420,width=160,height=120,framerate=25/1", "!"])
        .args(["jpegenc", "!", "matroskamux", "!", "filesink"])
        .arg(format!("location={}", folder.join("clip.mkv").display()))
        .status();
    assert!(made.unwrap().success());
    folder
}

fn run(folder: &Path, plugin: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_img2pose"))
        .arg("run")
        .args(arguments)
        .current_dir(folder)
        .env("GST_PLUGIN_PATH", plugin)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_video_gives_a_line_for_each_frame_and_a_video_of_all_of_them() {
    let name = "a_video_gives_a_line_for_each_frame_and_a_video_of_all_of_them";
    let Some(plugin) = plugin(name) else { return };
    let folder = folder(name);
    let ran = run(
        &folder,
        &plugin,
        &[
            "clip.mkv",
            "--json",
            "faces.jsonl",
            "--annotated",
            "faces.mkv",
            "--batch-size",
            "4",
        ],
    );
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(
        text(&ran.stderr).contains("6 frames, 0 with a face"),
        "{}",
        text(&ran.stderr)
    );
    let lines = std::fs::read_to_string(folder.join("faces.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 6);
    assert!(lines.lines().all(|line| line.ends_with("\"faces\":[]}")));
    assert!(std::fs::metadata(folder.join("faces.mkv")).unwrap().len() > 1000);
    assert!(!folder.join("faces.mkv.part").exists());
    // Lines to standard output are nothing but lines.
    let ran = run(&folder, &plugin, &["clip.mkv", "--json", "-", "--quiet"]);
    assert_eq!(text(&ran.stdout), lines);
    assert_eq!(text(&ran.stderr), "");
}

#[test]
fn one_damaged_file_of_a_folder_does_not_end_the_others() {
    let name = "one_damaged_file_of_a_folder_does_not_end_the_others";
    let Some(plugin) = plugin(name) else { return };
    let folder = folder(name);
    let many = folder.join("many");
    std::fs::create_dir(&many).unwrap();
    std::fs::write(many.join("a.jpg"), "no picture").unwrap();
    std::fs::copy(folder.join("clip.mkv"), many.join("b.mkv")).unwrap();
    let ran = run(&folder, &plugin, &["many", "--json", "-"]);
    let (lines, said) = (text(&ran.stdout), text(&ran.stderr));
    assert!(!ran.status.success());
    assert_eq!(lines.lines().count(), 6);
    assert!(lines.starts_with("{\"file\":\"many/b.mkv\","), "{lines}");
    assert!(
        said.contains("many/a.jpg") && said.contains("1 of 2 files failed"),
        "{said}"
    );
}

#[test]
fn what_does_not_do_is_said_before_anything_is_written() {
    let name = "what_does_not_do_is_said_before_anything_is_written";
    let Some(plugin) = plugin(name) else { return };
    let folder = folder(name);
    for (arguments, word) in [
        (&["nowhere.mp4"][..], "nowhere.mp4"),
        (&["clip.mkv", "--annotated", "faces.avi"], ".mp4 or .mkv"),
        (&["clip.mkv", "--precision", "fp12"], "auto, fp32"),
        (
            &["clip.mkv", "--json", "nowhere/faces.jsonl"],
            "nowhere/faces.jsonl",
        ),
        (&["clip.mkv", "--model", "nowhere.onnx"], "nowhere.onnx"),
    ] {
        let ran = run(&folder, &plugin, arguments);
        let said = text(&ran.stderr);
        assert!(
            !ran.status.success() && said.contains(word),
            "{arguments:?}: {said}"
        );
        assert!(!folder.join("faces.avi").exists());
    }
}
