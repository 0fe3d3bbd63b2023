//! Messages about the ONNX Runtime library: which file, what was found, what is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use img2pose::runtime;

fn refusal(library: &Path) -> String {
    let text = runtime::load(Some(library), None)
        .expect_err("the library is refused")
        .to_string();
    assert!(
        text.contains(&library.display().to_string()),
        "names the library: {text}"
    );
    text
}

/// A shared library made from C text, in the folder that cargo gives to tests; `None` without a compiler.
fn library(name: &str, source: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (c, so) = (
        folder.join(format!("{name}.c")),
        folder.join(format!("{name}.so")),
    );
    std::fs::write(&c, source).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&so)
        .arg(&c)
        .status();
    match made {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            test_support::skip(name, &format!("no C compiler: {error}"));
            return None;
        }
    }
    Some(so)
}

/// What is said of a stand-in for ONNX Runtime that is made from C text; `None` without a compiler.
fn refusal_of(name: &str, functions: &str) -> Option<String> {
    let base = "struct Base { const void *(*get_api)(unsigned); const char *(*version)(void); };";
    Some(refusal(&library(name, &format!("{base}{functions}"))?))
}

/// The ONNX Runtime that tests use.
fn real_library(test: &str) -> Option<Vec<u8>> {
    let path = std::env::var_os(runtime::LIBRARY_VARIABLE);
    let bytes = path.and_then(|path| std::fs::read(path).ok());
    if bytes.is_none() {
        test_support::skip(test, "ORT_DYLIB_PATH names no library");
    }
    bytes
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
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
fn files_of_other_kinds() {
    let script = file("script.so", &b"#!/bin/sh\n".repeat(50));
    assert!(refusal(&script).contains("invalid ELF header"));
    assert!(refusal(&file("empty.so", b"")).contains("0 bytes"));
    assert!(refusal(Path::new("/dev/null")).contains("a device"));
    let circle = Path::new(env!("CARGO_TARGET_TMPDIR")).join("circle.so");
    let _ = std::fs::remove_file(&circle);
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    assert!(refusal(&circle).contains("cannot be read"));
}

/// The loader maps what the headers speak of; reading behind the end of the file was a SIGBUS.
#[test]
fn a_truncated_library() {
    let Some(whole) = real_library("a_truncated_library") else {
        return;
    };
    for len in [
        64,
        5000,
        1 << 20,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        let text = refusal(&file("truncated.so", &whole[..len]));
        assert!(
            text.contains(&format!("truncated: {len} bytes")) && text.contains("again"),
            "{text}"
        );
    }
}

#[test]
fn a_library_for_another_processor() {
    let Some(mut bytes) = real_library("a_library_for_another_processor") else {
        return;
    };
    bytes[18..20].copy_from_slice(&22_u16.to_le_bytes());
    let text = refusal(&file("s390x.so", &bytes));
    assert!(text.contains("another kind of processor, s390x"), "{text}");
    bytes[4] = 1;
    assert!(refusal(&file("narrow.so", &bytes)).contains("in 32 bits"));
}

/// Each of these was a panic, or a call of a null pointer.
#[test]
fn a_library_whose_functions_are_absent() {
    let good = "static const char *version(void) { return \"1.21.0\"; }
        static const void *get_api(unsigned v) { return 0; }";
    for (name, functions, expected) in [
        (
            "no_base",
            "const struct Base *OrtGetApiBase(void) { return 0; }",
            "OrtGetApiBase gives nothing",
        ),
        (
            "no_functions",
            "static const struct Base base; const struct Base *OrtGetApiBase(void) { return &base; }",
            "cannot tell its version",
        ),
        (
            "no_get_api",
            "static const struct Base base = { 0, version }; const struct Base *OrtGetApiBase(void) { return &base; }",
            "has no functions",
        ),
        (
            "null_api",
            "static const struct Base base = { get_api, version }; const struct Base *OrtGetApiBase(void) { return &base; }",
            "says that it is version 1.21.0, and lacks the functions of 1.20",
        ),
    ] {
        let Some(text) = refusal_of(name, &format!("{good}{functions}")) else {
            return;
        };
        assert!(text.contains(expected), "{text}");
    }
    for (name, version, expected) in [
        ("null_version", "0", "does not tell its version"),
        (
            "odd_version",
            "\"1.twenty\\033[2J\\n\"",
            "version 1.twenty\\u{1b}[2J\\n,",
        ),
        ("ancient_version", "\"0.99.0\"", "version 0.99.0"),
    ] {
        let functions = format!(
            "static const char *version(void) {{ return {version}; }}
             static const void *get_api(unsigned v) {{ return 0; }}
             static const struct Base base = {{ get_api, version }};
             const struct Base *OrtGetApiBase(void) {{ return &base; }}"
        );
        let text = refusal_of(name, &functions).expect("there was a compiler before");
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
    }
}

/// It ended the process with the text of a panic, or by the call of a null pointer.
#[test]
fn a_library_with_gaps_in_its_table_of_functions() {
    for (name, version, tables) in [
        ("no_entries", "1.32.0", "static const void *const early[600], *const late[600];"),
        (
            "a_gap",
            "1.20.1",
            "static void f(void) {} static const void *const early[600] = { [0 ... 200] = f, [202 ... 599] = f };
             static const void *const late[600];",
        ),
        (
            "a_gap_later",
            "1.32.0",
            "static void f(void) {} static const void *const early[600] = { [0 ... 599] = f };
             static const void *const late[600] = { [0 ... 350] = f };",
        ),
    ] {
        let functions = format!(
            "{tables}
             static const char *version(void) {{ return \"{version}\"; }}
             static const void *get_api(unsigned v) {{ return v == 20 ? early : late; }}
             static const struct Base base = {{ get_api, version }};
             const struct Base *OrtGetApiBase(void) {{ return &base; }}"
        );
        let Some(text) = refusal_of(name, &functions) else {
            return;
        };
        let expected = format!("version {version}, and some of its functions are missing; install it again");
        assert!(text.contains(&expected), "{name}: {text}");
    }
}

#[test]
fn a_library_of_something_else() {
    if let Some(other) = library("other", "int answer(void) { return 42; }") {
        assert!(refusal(&other).contains("not ONNX Runtime"));
    }
}

#[test]
fn a_library_that_is_too_old() {
    let text = refusal_of(
        "old",
        "static const void *get_api(unsigned v) { return 0; }
         static const char *version(void) { return \"1.9.1\"; }
         static const struct Base base = { get_api, version };
         const struct Base *OrtGetApiBase(void) { return &base; }",
    );
    let Some(text) = text else { return };
    assert!(
        text.contains("version 1.9.1") && text.contains("at least 1.20"),
        "{text}"
    );
}
