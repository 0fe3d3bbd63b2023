//! Messages about the ONNX Runtime library: which file, what was found, what is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use img2pose::runtime;

fn refusal(library: &Path) -> String {
    let text = runtime::load(Some(library), None)
        .err()
        .expect("the library is refused")
        .to_string();
    assert!(
        text.contains(&library.display().to_string()),
        "names the library: {text}"
    );
    text
}

/// A shared library made from C text, in the folder that cargo gives to tests.
fn library(name: &str, source: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (c, so) = (
        folder.join(format!("{name}.c")),
        folder.join(format!("{name}.so")),
    );
    std::fs::write(&c, source).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&so)
        .arg(&c)
        .status()
        .expect("cc runs");
    assert!(status.success());
    so
}

#[test]
fn a_missing_library() {
    assert!(refusal(Path::new("/no/such/libonnxruntime.so")).contains("no such file"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(refusal(folder).contains("it is a folder"));
}

#[test]
fn a_file_that_is_no_library() {
    let text = Path::new(env!("CARGO_TARGET_TMPDIR")).join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    // It used to say no more than "dlopen failed".
    let text = refusal(&text);
    assert!(
        text.contains("cannot be loaded") && text.contains("file too short"),
        "{text}"
    );
}

#[test]
fn a_library_of_something_else() {
    let other = library("other", "int answer(void) { return 42; }");
    assert!(refusal(&other).contains("not ONNX Runtime"));
}

#[test]
fn a_library_that_is_too_old() {
    let old = library(
        "old",
        "struct Base { const void *(*get_api)(unsigned); const char *(*version)(void); };
         static const void *get_api(unsigned v) { return 0; }
         static const char *version(void) { return \"1.9.1\"; }
         static const struct Base base = { get_api, version };
         const struct Base *OrtGetApiBase(void) { return &base; }",
    );
    let text = refusal(&old);
    assert!(
        text.contains("version 1.9.1") && text.contains("at least 1.20"),
        "{text}"
    );
}
