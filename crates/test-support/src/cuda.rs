//! A stand-in for NVIDIA's driver: `cuda/libcuda.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the stand-in for NVIDIA's driver, or for its decoder, in `folder`: `name` is `libcuda` or `libnvcuvid`. `None`: there is no C
/// compiler.
pub fn stand_in_for_nvidia(name: &str, folder: &Path) -> Option<PathBuf> {
    if Command::new("cc").arg("--version").output().is_err() {
        return None;
    }
    std::fs::create_dir_all(folder).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cuda/{name}.c"));
    let library = folder.join(format!("{name}.so.1"));
    // Several tests may make it at a time.
    let new = folder.join(format!("{name}.{}", std::process::id()));
    let output = Command::new("cc")
        .args([
            "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-o",
        ])
        .args([&new, &source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&new, &library).unwrap();
    Some(library)
}
