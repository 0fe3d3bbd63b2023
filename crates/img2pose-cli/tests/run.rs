//! `img2pose run`, on videos made here. Needs the cargo feature `run`, and the plugin that the build of the workspace leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../src/bin/img2pose-run/mp4.rs"]
mod mp4;

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
    make(
        "videotestsrc num-buffers=6 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! jpegenc ! matroskamux",
        &folder.join("clip.mkv"),
    );
    folder
}

fn run(folder: &Path, plugin: &Path, arguments: &[&str]) -> Output {
    command(folder, plugin, arguments).output().unwrap()
}

fn command(folder: &Path, plugin: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_img2pose"));
    command
        .arg("run")
        .args(arguments)
        .current_dir(folder)
        .env("GST_PLUGIN_PATH", plugin)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        // They let GL do without a display, as other tests want it to: a window could be opened everywhere.
        .env_remove("GST_GL_PLATFORM")
        .env_remove("GST_GL_WINDOW");
    command
}

/// Makes a file with `gst-launch-1.0`.
fn make(pipeline: &str, file: &Path) {
    let made = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split(' '))
        .args(["!", "filesink"])
        .arg(format!("location={}", file.display()))
        .status();
    assert!(made.unwrap().success());
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
    let complaints = ["rror", "CRITICAL", "WARN"];
    assert!(
        !complaints.iter().any(|word| text(&ran.stderr).contains(word)),
        "{}",
        text(&ran.stderr)
    );
    // Every frame is in it.
    let ran = run(&folder, &plugin, &["faces.mkv", "--json", "-", "--quiet"]);
    assert_eq!(text(&ran.stdout).lines().count(), 6);
    // Lines to standard output are nothing but lines.
    let ran = run(&folder, &plugin, &["clip.mkv", "--json", "-", "--quiet"]);
    assert_eq!(text(&ran.stdout), lines);
    assert_eq!(text(&ran.stderr), "");
}

/// As phones write them: the pixels lie on their side, and players are told how to turn them.
#[test]
fn a_video_that_players_turn_stays_one() {
    let name = "a_video_that_players_turn_stays_one";
    let Some(plugin) = plugin(name) else { return };
    let folder = folder(name);
    make(
        "videotestsrc num-buffers=6 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! jpegenc ! qtmux",
        &folder.join("turned.mov"),
    );
    mp4::mark(&folder.join("turned.mov"), "90r").unwrap();
    let lines = |arguments: &[&str]| {
        let ran = run(
            &folder,
            &plugin,
            &[arguments, &["--json", "-", "--quiet"]].concat(),
        );
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        text(&ran.stdout)
    };
    let marked = "\"width\":160,\"height\":120,\"orientation\":\"90r\"";
    // With the tag where the file has a place for it, with turned pixels where it has none.
    for (annotated, expected) in [
        ("a.mp4", marked),
        ("a.mkv", "\"width\":120,\"height\":160,\"faces\""),
    ] {
        let found = lines(&["turned.mov", "--annotated", annotated]);
        assert_eq!(found.matches(marked).count(), 6, "{found}");
        let again = lines(&[annotated]);
        assert_eq!(again.matches(expected).count(), 6, "{annotated}: {again}");
    }
}

#[test]
fn frames_in_between_are_left_out_where_that_is_wanted() {
    let name = "frames_in_between_are_left_out_where_that_is_wanted";
    let Some(plugin) = plugin(name) else { return };
    let folder = folder(name);
    let arguments = [
        "clip.mkv",
        "--inference-interval",
        "3",
        "--track",
        "--look-ahead",
        "2",
        "--json",
        "-",
    ];
    let ran = run(&folder, &plugin, &arguments);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    // Nobody is expected in the others.
    let lines = text(&ran.stdout);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines.contains("\"frame\":0,") && lines.contains("\"frame\":3,"),
        "{lines}"
    );
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
    std::fs::write(folder.join("notes.mp4"), "no video at all ".repeat(99)).unwrap();
    make("audiotestsrc num-buffers=9 ! wavenc", &folder.join("sound.wav"));
    for (arguments, word) in [
        (&["nowhere.mp4"][..], "nowhere.mp4"),
        (&["clip.mkv", "--annotated", "faces.avi"], ".mp4 or .mkv"),
        (&["clip.mkv", "--precision", "fp12"], "auto, fp32"),
        (
            &["clip.mkv", "--json", "nowhere/faces.jsonl"],
            "nowhere/faces.jsonl",
        ),
        (&["clip.mkv", "--model", "nowhere.onnx"], "nowhere.onnx"),
        (&["clip.mkv", "--look-ahead", "2"], "add --track"),
        (
            &["notes.mp4"],
            "notes.mp4 holds no video that GStreamer can decode",
        ),
        (
            &["sound.wav"],
            "sound.wav holds no video that GStreamer can decode",
        ),
        (
            &["clip.mkv", "--show"],
            "neither DISPLAY nor WAYLAND_DISPLAY is set",
        ),
    ] {
        let ran = command(&folder, &plugin, arguments)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .output()
            .unwrap();
        let said = text(&ran.stderr);
        assert!(
            !ran.status.success() && said.contains(word),
            "{arguments:?}: {said}"
        );
        assert!(!folder.join("faces.avi").exists());
    }
    let ran = command(&folder, &plugin, &["clip.mkv", "--show"])
        .env("DISPLAY", "nowhere:99")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    let said = text(&ran.stderr);
    assert!(
        !ran.status.success() && said.contains("no window can be opened"),
        "{said}"
    );
}

#[cfg(feature = "view")]
mod view {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_page_that_others_could_reach_is_not_made_by_mistake() {
        let name = "a_page_that_others_could_reach_is_not_made_by_mistake";
        let Some(plugin) = plugin(name) else { return };
        let folder = folder(name);
        for (arguments, word) in [
            (
                &["clip.mkv", "--json", "faces.jsonl", "--view", "0.0.0.0:0"][..],
                "--view-remote",
            ),
            (&["--view", "clip.mkv"], "the source stands before --view"),
            (&["clip.mkv", "--view-remote"], "--view"),
            (
                &["clip.mkv", "--view", "192.0.2.1:0", "--view-remote"],
                "192.0.2.1:0",
            ),
        ] {
            let ran = run(&folder, &plugin, arguments);
            let said = text(&ran.stderr);
            assert!(
                !ran.status.success() && said.contains(word),
                "{arguments:?}: {said}"
            );
            assert!(!folder.join("faces.jsonl").exists());
        }
    }

    /// A GET; the answer up to and without `end`.
    fn get(url: &str, path: &str, end: &str) -> String {
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let (mut stream, mut answer) = (BufReader::new(stream), String::new());
        while !answer.contains(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(char::from(byte[0]));
        }
        answer
    }

    #[test]
    fn the_page_has_the_lines_and_the_last_picture_and_stays_until_it_is_told_to_end() {
        let name = "the_page_has_the_lines_and_the_last_picture_and_stays_until_it_is_told_to_end";
        let Some(plugin) = plugin(name) else { return };
        let folder = folder(name);
        let mut running = Command::new(env!("CARGO_BIN_EXE_img2pose"))
            .args([
                "run",
                "clip.mkv",
                "--quiet",
                "--json",
                "faces.jsonl",
                "--view",
                "0",
            ])
            .current_dir(&folder)
            .env("GST_PLUGIN_PATH", plugin)
            .env("GST_REGISTRY", folder.join("registry.bin"))
            .env("IMG2POSE_VIEW_TOKEN", "a-token-of-mine")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(running.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let url = line.strip_prefix("page: ").unwrap().trim_end();
        assert!(url.ends_with("/?token=a-token-of-mine"), "{url}");
        assert!(get(url, "/events", "\r\n\r\n").starts_with("HTTP/1.1 401"));
        let token = url.split_once('?').unwrap().1;
        let ended = "\"state\":\"ended\"";
        get(url, &format!("/events?{token}"), ended);
        // Who comes now has all lines behind the state, those of the file.
        let lines = std::fs::read_to_string(folder.join("faces.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 6);
        let last = format!("data: {}\n", lines.lines().last().unwrap());
        let events = get(url, &format!("/events?{token}"), &last);
        for line in lines.lines() {
            assert_eq!(events.matches(line).count(), 1, "{line}");
        }
        // Colour bars, as large as they are.
        let picture = get(url, &format!("/picture.jpg?{token}"), "JFIF");
        assert!(picture.contains("content-type: image/jpeg"), "{picture}");
        let pid = rustix::process::Pid::from_child(&running);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("CRITICAL"), "{rest}");
        assert!(running.wait().unwrap().success());
    }
}
