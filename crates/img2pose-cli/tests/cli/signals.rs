//! Signals while a model is written.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::synthetic::{self, Style, entries, write_pth};
use crate::tool::{Folder, text};

/// What runs the tests may be in the background, where shells let two of the signals be ignored.
const DEFAULTS: &str = "ulimit -c 0; exec env --default-signal=INT,TERM,HUP,QUIT";

/// A checkpoint that takes a while, in a folder of its own.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut architecture = synthetic::tiny();
    architecture.fpn = 64;
    architecture.class_head = [1024, 1024];
    architecture.pose_head = [1024, 1024];
    let names = entries(&architecture, &Style::default());
    write_pth(&folder.path("a.pth"), &names, &Style::default());
    folder
}

/// Starts a conversion through `sh -c`, and waits until it has begun to write.
fn started(folder: &Folder, shell: &str) -> Child {
    let child = Command::new("sh")
        .args(["-c", &format!("{shell} \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_img2pose"))
        .args(["convert", text(&folder.path("a.pth")), "--pose-stats", "wider"])
        .args(["-o", text(&folder.path("a.onnx"))])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let files = format!("/proc/{}/fd", child.id());
    let began = Instant::now();
    while !writes(Path::new(&files), folder) {
        assert!(began.elapsed() < Duration::from_secs(60), "it never wrote");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Whether one of the open files is a new one in the folder.
fn writes(files: &Path, folder: &Folder) -> bool {
    let inside = folder.path("");
    let Ok(files) = fs::read_dir(files) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|file| file.starts_with(&inside) && file.file_name().is_some_and(|name| name != "a.pth"))
}

fn ends(child: &mut Child, signal: Signal) -> ExitStatus {
    kill_process(Pid::from_child(child), signal).unwrap();
    child.wait().unwrap()
}

#[test]
fn a_signal_leaves_nothing_and_ends_as_signals_do() {
    let folder = folder();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::KILL] {
        let status = ends(&mut started(&folder, DEFAULTS), signal);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert_eq!(folder.names(), ["a.pth"], "{signal:?}");
    }
    // What was there stays.
    fs::write(folder.path("a.onnx"), "the old model").unwrap();
    ends(&mut started(&folder, DEFAULTS), Signal::TERM);
    assert_eq!(
        fs::read_to_string(folder.path("a.onnx")).unwrap(),
        "the old model"
    );
    assert_eq!(folder.names(), ["a.onnx", "a.pth"]);
}

/// As under `nohup`.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let folder = folder();
    let status = ends(&mut started(&folder, "trap '' HUP; exec"), Signal::HUP);
    assert!(status.success(), "{status}");
    assert_eq!(folder.names(), ["a.onnx", "a.pth"]);
}

#[test]
fn a_limit_of_the_shell_is_an_error_like_a_full_disk() {
    let folder = folder();
    let output = started(&folder, "ulimit -c 0; ulimit -f 100; exec")
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{} {said}", output.status);
    assert!(
        said.contains("cannot write") && said.contains("too large"),
        "{said}"
    );
    assert_eq!(folder.names(), ["a.pth"]);
}
