//! Reading a model file.

use std::path::Path;

use img2pose_onnx::MOST_BYTES;
use prost::bytes::Bytes;

use crate::Error;
use crate::files;

/// The bytes of the file at `path`.
///
/// # Errors
/// [`Error::ReadModel`] when it cannot be read or is no regular file, which may have no end, and [`Error::NotOnnx`] when it
/// is longer than any model.
pub(super) fn read(path: &Path) -> Result<Bytes, Error> {
    let failed = |source| Error::ReadModel {
        path: path.to_owned(),
        source,
    };
    let (_, length) = files::open(path).map_err(failed)?;
    if length > MOST_BYTES {
        return Err(Error::NotOnnx {
            path: path.to_owned(),
            reason: format!("it has {length} bytes, an ONNX file at most {MOST_BYTES}"),
        });
    }
    files::read(path, MOST_BYTES).map(Bytes::from).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_read() {
        for (path, what) in [("/dev/zero", "a device"), ("/tmp", "a folder")] {
            let text = read(Path::new(path)).unwrap_err().to_string();
            assert!(text.contains(path) && text.contains(what), "{text}");
        }
    }

    #[test]
    fn a_file_longer_than_any_model_is_not_read() {
        let path = std::env::temp_dir().join(format!("img2pose-long-{}.onnx", std::process::id()));
        // It takes no room on the disk.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(MOST_BYTES + 1)
            .unwrap();
        let text = read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("2147483648 bytes"), "{text}");
    }
}
