//! Where a file is put that a reader wants by its path.

use std::path::PathBuf;
use std::sync::LazyLock;

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

/// Writes `bytes` to the file and gives its path.
pub fn with(bytes: &[u8]) -> &'static PathBuf {
    std::fs::write(&*FILE, bytes).unwrap();
    &FILE
}

/// Reads a checkpoint as the exporter does, and some of its tensors.
pub fn read_checkpoint(bytes: &[u8]) {
    use img2pose_export::architecture::Architecture;
    use img2pose_export::checkpoint::Checkpoint;

    let Ok(checkpoint) = Checkpoint::open(with(bytes)) else {
        return;
    };
    let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().take(8) {
        let len = checkpoint.info(name).unwrap().len();
        if let Ok(numbers) = checkpoint.read(name) {
            assert_eq!(numbers.len(), len);
        }
    }
    if let Ok(architecture) = Architecture::of(&checkpoint) {
        assert!(architecture.usage(&checkpoint).0 > 0);
    }
}
