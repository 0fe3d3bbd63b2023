//! A checkpoint file of any content is read or refused.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use img2pose_export::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

/// In memory where the system has such a folder. One for each process, since several may run at once.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    folder.join(format!("img2pose-fuzz-{}", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(checkpoint) = Checkpoint::open(&FILE) else {
        return;
    };
    let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().take(8) {
        let len = checkpoint.info(name).unwrap().len();
        if let Ok(numbers) = checkpoint.read(name) {
            assert_eq!(numbers.len(), len);
        }
    }
});
