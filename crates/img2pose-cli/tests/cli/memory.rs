//! What a large conversion takes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use img2pose_export::Model;

use crate::synthetic::{self, Style, entries, write_pth};
use crate::tool::{Folder, command, text};

/// The published network's size: 41 M numbers, 165 MB. Prints what it took, so that the figure can be read off
/// `cargo test -p img2pose-cli official -- --nocapture`.
#[test]
fn an_official_size_checkpoint_converts_in_little_memory() {
    let folder = Folder::new();
    let (from, to) = (folder.path("official.pth"), folder.path("official.onnx"));
    let entries = entries(&synthetic::official(), &Style::default());
    assert_eq!(entries.len(), 141);
    write_pth(&from, &entries, &Style::default());
    let started = Instant::now();
    let arguments = ["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)];
    let mut child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0u64;
    let code = loop {
        // The peak only rises, so the last reading is the peak but for the last few milliseconds.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(code.success());
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "official size: {} MB written in {seconds:.1} s, peak memory {} MiB",
        std::fs::metadata(&to).unwrap().len() / 1_000_000,
        peak_kib / 1024
    );
    assert!(peak_kib > 10 * 1024, "the peak was not read");
    assert!(peak_kib < 1024 * 1024, "{peak_kib} KiB");
    assert!(seconds < 60.0, "{seconds} s");
    Model::open(&to).unwrap();
}
