//! Paths that lead to no file of a disk, or to one without end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::hostile::limited;
use crate::synthetic::{self, Style, entries, write_pth};
use crate::tool::{Folder, text};

#[test]
fn what_is_no_file_is_refused_by_every_command() {
    let folder = Folder::new();
    let (good, to, pipe, socket, empty) = (
        folder.path("good.pth"),
        folder.path("out.onnx"),
        folder.path("pipe"),
        folder.path("socket"),
        folder.path("empty"),
    );
    write_pth(
        &good,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::write(&empty, "").unwrap();
    let before = folder.names();
    let inside = folder.path(".");
    for (path, said) in [
        ("/dev/zero", "a device"),
        ("/dev/urandom", "a device"),
        ("/dev/null", "a device"),
        (text(&pipe), "a pipe"),
        (text(&socket), "a socket"),
        (text(&inside), "a folder"),
        (text(&empty), "empty"),
        ("/proc/cpuinfo", "empty"),
        ("/proc/self/mem", "empty"),
    ] {
        limited(&["inspect", path]).refused(&[path, said]);
        limited(&["check", path]).refused(&[path, said]);
        limited(&["convert", path, "--pose-stats", "wider", "-o", text(&to)]).refused(&[path, said]);
        // Where the system answers for an empty file, the statistics are what is missing.
        let convert = ["convert", text(&good), "-o", text(&to)];
        let statistics = ["--pose-stats", path, path];
        limited(&[&convert[..], &statistics].concat()).refused(&[path]);
        let licence = ["--pose-stats", "wider", "--licence", path];
        limited(&[&convert[..], &licence].concat()).refused(&["licence: ", path]);
        assert_eq!(folder.names(), before, "{path}");
    }
}

/// Files with holes: a terabyte that takes no room.
#[test]
fn files_without_end() {
    let folder = Folder::new();
    let (from, to) = (folder.path("large"), folder.path("out.onnx"));
    for start in [
        &b"PK\x03\x04"[..],
        b"\x08\x08\x12\x00",
        b"\x10\0\0\0\0\0\0\0{",
        b"\x93NUMPY\x01\0",
        b"",
    ] {
        let mut file = File::create(&from).unwrap();
        file.write_all(start).unwrap();
        file.set_len(1 << 40).unwrap();
        drop(file);
        limited(&["inspect", text(&from)]).refused(&["large", "1099511627776 bytes"]);
        limited(&["check", text(&from)]).refused(&["large"]);
        let convert = ["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)];
        limited(&convert).refused(&["large", "1099511627776 bytes"]);
    }
    let good = folder.path("good.pth");
    write_pth(
        &good,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let convert = ["convert", text(&good), "-o", text(&to)];
    let statistics = ["--pose-stats", text(&from), text(&from)];
    limited(&[&convert[..], &statistics].concat()).refused(&["large", "1099511627776 bytes"]);
    let licence = ["--pose-stats", "wider", "--licence", text(&from)];
    limited(&[&convert[..], &licence].concat()).refused(&["licence", "at most 1 MiB"]);
    // One of a size that could be a checkpoint's, with nothing in it.
    for length in [3 << 30, 1 << 20] {
        File::create(&from).unwrap().set_len(length).unwrap();
        limited(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)])
            .refused(&["large", "neither"]);
    }
    assert_eq!(folder.names(), ["good.pth", "large"]);
}
