//! `scripts/gpu-check.sh` on machines that lack something, and how it judges.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gpu-check-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the script where the driver shows `proc`; returns its exit code and what it said.
fn check(proc: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(root().join("scripts/gpu-check.sh"))
        .arg("--check-only")
        .args(arguments)
        .env("IMG2POSE_NVIDIA_PROC", proc)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap().trim().to_owned(),
    )
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_is_missing_is_named() {
    let folder = scratch("missing");
    let (code, text) = check(&folder, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with("error: no NVIDIA driver") && text.lines().count() == 1,
        "{text}"
    );

    let version = |driver: &str| {
        let text =
            format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue\nGCC version: 12.2.0\n");
        std::fs::write(folder.join("version"), text).unwrap();
    };
    version("535.183.01");
    let (code, text) = check(&folder, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("sees no GPU") && text.lines().count() == 1,
        "{text}"
    );

    let gpu = folder.join("gpus/0000:01:00.0");
    std::fs::create_dir_all(&gpu).unwrap();
    std::fs::write(gpu.join("information"), "Model: NVIDIA A10G\n").unwrap();
    version("470.256.02");
    let (code, text) = check(&folder, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("driver is 470.256.02") && text.contains("525 or newer") && text.lines().count() == 1,
        "{text}"
    );
}

/// Where Vulkan has no driver, whatever the machine has.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_missing_vulkan_device_is_named() {
    let output = Command::new(root().join("scripts/gpu-check.sh"))
        .args(["--check-only", "--provider", "webgpu"])
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let is_named = text.contains("Vulkan has no GPU") || text.contains("vulkan-tools");
    assert!(is_named && text.starts_with("error: "), "{text}");
}

#[test]
fn bad_arguments_are_refused() {
    let folder = scratch("arguments");
    for (arguments, part) in [
        (&["--provider", "cpu"][..], "expected cuda, tensorrt or webgpu"),
        (&["--model", "/nowhere.onnx"], "no such model"),
        (&["--nonsense"], "unknown argument"),
        (&["--video"], "needs a value"),
    ] {
        let (code, text) = check(&folder, arguments);
        assert!(code == Some(1) && text.contains(part), "{arguments:?}: {text}");
    }
}

/// Judges one comparison of `matched` of 200 faces.
fn judge(provider: &str, matched: usize, extra: usize, pixels: f64) -> Option<(bool, String)> {
    let file = scratch(&format!(
        "judge-{matched}-{extra}-{pixels}-{}",
        provider.replace(':', "-")
    ))
    .join("report.json");
    let deviation = format!(
        r#"{{"expected":200,"matched":{matched},"extra":{extra},"bbox":{{"max":{pixels}}},"confidence":{{"max":0.0001}}}}"#
    );
    let subject =
        format!(r#"{{"provider":"{provider}","subject":"detector","batch_size":8,"deviation":{deviation}}}"#);
    verdict(&file, &subject)
}

/// What the judge says of a report with these subjects, and whether all is well.
fn verdict(file: &Path, subjects: &str) -> Option<(bool, String)> {
    std::fs::write(file, format!(r#"{{"subjects":[{subjects}]}}"#)).unwrap();
    let output = Command::new("python3")
        .arg(root().join("scripts/lib/gpu_check.py"))
        .arg(file)
        .output();
    let Ok(output) = output else {
        test_support::skip("the_judgement_follows_the_limits", "there is no python3");
        return None;
    };
    Some((output.status.success(), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn the_judgement_follows_the_limits() {
    for (provider, matched, extra, pixels, good) in [
        ("cuda:fp32", 200, 0, 1.0, true),
        ("cuda:fp32", 199, 0, 0.0, false),
        ("cuda:fp32", 200, 1, 0.0, false),
        ("cuda:fp32", 200, 0, 2.0, false),
        ("cuda:fp16", 198, 0, 3.0, true),
        ("cuda:fp16", 197, 0, 0.0, false),
        ("tensorrt:fp16", 198, 2, 9.0, true),
        ("tensorrt:fp16", 197, 0, 0.0, false),
        ("tensorrt:fp16", 200, 3, 0.0, false),
    ] {
        let Some((passed, text)) = judge(provider, matched, extra, pixels) else {
            return;
        };
        assert_eq!(passed, good, "{provider} {matched} {extra} {pixels}: {text}");
        assert_eq!(text.contains("FAILED"), !good);
    }
}

#[test]
fn a_gpu_that_is_not_faster_was_not_used() {
    let good = r#"{"expected":9,"matched":9,"extra":0,"bbox":{"max":0},"confidence":{"max":0}}"#;
    let subject = |provider: &str, deviation: &str, dense: f64| {
        format!(
            r#"{{"provider":"{provider}","subject":"detector","batch_size":8,"deviation":{deviation},"stages":{{"dense":{dense}}}}}"#
        )
    };
    for (dense, used) in [(4.0, true), (60.0, false)] {
        let file = scratch(&format!("speed-{dense}")).join("report.json");
        let subjects = [
            subject("cpu:fp32", "null", 70.0),
            subject("cuda:fp32", good, dense),
        ]
        .join(",");
        let Some((passed, text)) = verdict(&file, &subjects) else {
            return;
        };
        assert_eq!(passed, used, "{text}");
        assert_eq!(text.contains("the GPU was not used"), !used, "{text}");
    }
}
