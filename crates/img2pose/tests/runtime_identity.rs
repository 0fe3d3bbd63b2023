//! Which library is in use, when files move under its feet. One test: there is one library in a process.

use std::path::Path;

use img2pose::runtime::{self, LIBRARY_VARIABLE, RuntimeError};

#[test]
fn the_loaded_library_is_told_from_what_lies_at_its_path() {
    let name = "the_loaded_library_is_told_from_what_lies_at_its_path";
    let Some(original) = std::env::var_os(LIBRARY_VARIABLE) else {
        test_support::skip(name, "ORT_DYLIB_PATH names no library");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("identity");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("libonnxruntime.so.1");
    std::fs::copy(&original, &file).unwrap();
    let link = folder.join("libonnxruntime.so");
    std::os::unix::fs::symlink("libonnxruntime.so.1", &link).unwrap();

    // Links are resolved: what is said is the file itself.
    let loaded = runtime::load(Some(&link), None).unwrap();
    assert_eq!(loaded.path(), file.canonicalize().unwrap());
    assert!(loaded.version().starts_with("1."), "{}", loaded.version());
    assert!(!loaded.is_replaced());
    // The same file under other names.
    let hard_link = folder.join("another.so");
    std::fs::hard_link(&file, &hard_link).unwrap();
    let roundabout = folder.join("../identity/./libonnxruntime.so");
    for same in [&file, &link, &hard_link, &roundabout] {
        assert!(
            std::ptr::eq(loaded, runtime::load(Some(same), None).unwrap()),
            "{}",
            same.display()
        );
    }
    // The same bytes in another file are another library.
    let other = Path::new(&original);
    let error = runtime::load(Some(other), None).expect_err("another file");
    assert!(matches!(error, RuntimeError::AlreadyLoaded { .. }), "{error}");
    assert!(
        error.to_string().contains(&loaded.path().display().to_string()),
        "{error}"
    );

    // An upgrade: another file takes the name. The process has what it has, and says so.
    let version = loaded.version().to_owned();
    let upgrade = folder.join("upgrade");
    std::fs::write(&upgrade, "another version").unwrap();
    std::fs::rename(&upgrade, &file).unwrap();
    assert!(loaded.is_replaced());
    assert_eq!(loaded.version(), version);
    assert!(std::ptr::eq(loaded, runtime::load(Some(&file), None).unwrap()));
    std::fs::remove_file(&file).unwrap();
    assert!(loaded.is_replaced());
    // So does the link that it was loaded by, which leads nowhere now.
    assert!(std::ptr::eq(loaded, runtime::load(Some(&link), None).unwrap()));
    // The old file is still known by its other name.
    assert!(runtime::load(Some(&hard_link), None).is_ok());
}
