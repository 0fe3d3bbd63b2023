//! `img2pose-export`, as the program was called before its first release.

use std::fs;
use std::process::Command;

use crate::tool::{Folder, ran, run};

#[test]
fn the_old_name_still_works_and_names_the_new_one() {
    for arguments in [&["--version"][..], &["inspect", "/no/such/file"], &["convert"]] {
        let mut old = Command::new(env!("CARGO_BIN_EXE_img2pose-export"));
        old.args(arguments);
        let (old, new) = (ran(old), run(arguments));
        assert_eq!((old.code, old.stdout), (new.code, new.stdout), "{arguments:?}");
        let (note, rest) = old.stderr.split_once('\n').unwrap();
        assert_eq!(note, "note: img2pose-export is called img2pose now");
        assert_eq!(rest, new.stderr, "{arguments:?}");
    }
}

#[test]
fn the_old_name_without_the_new_program_beside_it_is_an_error() {
    let folder = Folder::new();
    let alone = folder.path("img2pose-export");
    fs::copy(env!("CARGO_BIN_EXE_img2pose-export"), &alone).unwrap();
    let missing = folder.path("img2pose");
    ran(Command::new(alone)).refused(&[missing.to_str().unwrap(), "No such file"]);
}
