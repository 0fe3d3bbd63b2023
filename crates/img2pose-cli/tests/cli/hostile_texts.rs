//! Texts of others on a terminal: file names, names of tensors, licences, metadata.

use std::fs;
use std::process::Command;

use img2pose_onnx::ModelProto;
use prost::Message;

use crate::synthetic::{self, Pickle, Style, TorchZip, entries, write_pth, write_safetensors};
use crate::tool::{Folder, Ran, ran, run, text};

/// Clears the screen, sets the title, and turns the direction of writing.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r\u{8}";

#[track_caller]
fn harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let obeyed = text
            .chars()
            .find(|&c| c.is_control() && c != '\n' || c == '\u{202e}');
        assert_eq!(obeyed, None, "{text:?}");
    }
}

#[test]
fn names_of_files_are_not_obeyed() {
    let folder = Folder::new();
    let from = folder.path(&format!("a{EVIL}.pth"));
    let to = folder.path(&format!("a{EVIL}.onnx"));
    for command in ["inspect", "check"] {
        let refused = run(&[command, text(&from)]);
        refused.refused(&["\\u{1b}[2J"]);
        harmless(&refused);
    }
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    for command in [
        &["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)][..],
        &["inspect", text(&from)],
        &["inspect", text(&to)],
        &["check", text(&to)],
    ] {
        let ran = run(command);
        ran.succeeded();
        harmless(&ran);
        assert!(ran.stdout.contains("\\u{1b}[2J"), "{}", ran.stdout);
    }
    // Names that pass for options, as of `convert *`, and those of statistics.
    let option = run(&["convert", &format!("--{EVIL}")]);
    assert_eq!(option.code, 2, "{}", option.stderr);
    harmless(&option);
    let statistics = folder.path(&format!("pose_mean{EVIL}.npy"));
    fs::write(&statistics, "").unwrap();
    harmless(&run(&["inspect", text(&from)]));
    harmless(&run(&["convert", text(&from), "-o", text(&to)]));
    harmless(&run(&[
        "convert",
        text(&from),
        "--licence",
        &format!("{EVIL}.txt"),
        "-o",
        text(&to),
    ]));
    harmless(&ran({
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_img2pose"));
        doctor.args(["doctor", "--model", text(&statistics)]);
        doctor.env("PATH", folder.path(EVIL));
        doctor
    }));
}

#[test]
fn names_in_checkpoints_are_not_obeyed() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    let mut names = entries(&synthetic::tiny(), &Style::default());
    names.push((format!("extra{EVIL}"), vec![1]));
    for write in [write_pth, write_safetensors] {
        write(&from, &names, &Style::default());
        let converted = run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
        converted.succeeded();
        assert!(
            converted.stderr.contains("extra\\u{1b}[2J"),
            "{}",
            converted.stderr
        );
        harmless(&converted);
        let inspected = run(&["inspect", text(&from)]);
        assert!(
            inspected.stdout.contains("extra\\u{1b}[2J"),
            "{}",
            inspected.stdout
        );
        harmless(&inspected);
    }
    // Texts in errors.
    let mut pickle = Pickle::default();
    pickle.text("os").text(&format!("system{EVIL}")).op(b"\x93.");
    TorchZip::create(&from, &pickle.0).finish();
    harmless(&run(&["inspect", text(&from)]));
    let mut pickle = Pickle::default();
    pickle.op(b"}").text(EVIL).op(b"K\x01s.");
    TorchZip::create(&from, &pickle.0).finish();
    harmless(&run(&["inspect", text(&from)]));
    fs::write(&from, [b"PK\x03\x04".as_slice(), EVIL.as_bytes()].concat()).unwrap();
    harmless(&run(&["inspect", text(&from)]));
    let header =
        serde_json::json!({ "a": { "dtype": EVIL, "shape": [], "data_offsets": [0, 0] } }).to_string();
    fs::write(
        &from,
        [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
    )
    .unwrap();
    harmless(&run(&["inspect", text(&from)]));
}

#[test]
fn texts_in_models_are_not_obeyed() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let licence = format!("free\nSHA-256            0000\n{EVIL}");
    let convert = ["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)];
    run(&[&convert[..], &["--licence", &licence]].concat()).succeeded();
    let inspected = run(&["inspect", text(&to)]);
    harmless(inspected.succeeded());
    // A line of the licence is no line of ours.
    assert!(!inspected.stdout.contains("\nSHA-256"), "{}", inspected.stdout);
    assert!(inspected.stdout.contains("\\u{1b}[2J"), "{}", inspected.stdout);
    harmless(&run(&["check", text(&to)]));

    let mut model = ModelProto::decode(&fs::read(&to).unwrap()[..]).unwrap();
    model.producer_name = Some(EVIL.to_owned());
    model.opset_import[0].domain = Some(EVIL.to_owned());
    let graph = model.graph.as_mut().unwrap();
    graph.output[0].name = Some(EVIL.to_owned());
    for node in &mut graph.node {
        node.name = Some(format!("{}{EVIL}", node.name()));
        node.op_type = Some(EVIL.to_owned());
    }
    fs::write(&to, model.encode_to_vec()).unwrap();
    for command in ["inspect", "check"] {
        let ran = run(&[command, text(&to)]);
        harmless(&ran);
    }
    model.metadata_props[0].value = Some(format!("{{\"contract_version\": \"{EVIL}\"}}"));
    fs::write(&to, model.encode_to_vec()).unwrap();
    for command in ["inspect", "check"] {
        harmless(&run(&[command, text(&to)]));
    }
}
