//! What `inspect` and `check` say of good files.

use std::path::Path;

use test_support::shipped_model_in_8_bits;

use crate::synthetic::{self, Style, entries, write_pth};
use crate::tool::{Folder, run, text};

#[test]
fn inspect_says_what_a_file_is() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let sizes = ["--min-size", "480", "--licence", "CC0"];
    let convert = ["convert", text(&from), "-o", text(&to), "--pose-stats", "wider"];
    run(&[&convert[..], &sizes].concat()).succeeded();
    let parts: &[(&Path, &[&str])] = &[
        (
            &from,
            &[
                "img2pose checkpoint, torch zip",
                "resnet18-fpn",
                "body 8, 12, 16, 24; pyramid 8",
                "in 140 tensors",
                "none beside",
            ],
        ),
        (
            &to,
            &[
                "ONNX model",
                "opset              17",
                "resnet18-fpn",
                "version 1",
                "images f32 [batch, 3, height, width]",
                "short side 480",
                "CC0",
                "3.4813",
            ],
        ),
        // Scales and zero points of a quantized model are no weights.
        (
            &shipped_model_in_8_bits(),
            &["4785239 in 78 tensors, 0 of them stored as f16 and 31 as int8"],
        ),
    ];
    for (file, parts) in parts {
        let ran = run(&["inspect", text(file)]);
        for part in *parts {
            assert!(
                ran.succeeded().stdout.contains(part),
                "no '{part}' in\n{}",
                ran.stdout
            );
        }
    }
}

#[test]
fn models_of_two_networks_are_looked_into_and_checked() {
    let model = test_support::small_pair_model();
    let inspected = run(&["inspect", text(model)]);
    for part in [
        "version 2",
        "find-and-look",
        "short side 64",
        "32x32, margin 1.3",
        "made up (finder)",
        "made up for tests",
    ] {
        assert!(
            inspected.succeeded().stdout.contains(part),
            "no '{part}' in\n{}",
            inspected.stdout
        );
    }
    let checked = run(&["check", text(model)]);
    for part in [
        "find-and-look, contract 2",
        "noise: ",
        "blank: ",
        "batch of 3: ",
        "bit for bit",
    ] {
        assert!(
            checked.succeeded().stdout.contains(part),
            "no '{part}' in\n{}",
            checked.stdout
        );
    }
}

#[test]
fn check_tells_what_it_saw_of_the_shipped_model() {
    let ran = run(&["check", text(&test_support::shipped_model())]);
    for part in [
        "resnet18-fpn, contract 1",
        "blank: images [1, 3, 480, 640]",
        "single: ",
        "batch of 3: ",
        "bit for bit",
    ] {
        assert!(
            ran.succeeded().stdout.contains(part),
            "no '{part}' in\n{}",
            ran.stdout
        );
    }
}
