//! Opening files whose path comes from a user or from another program.
//!
//! A path may lead to a device that has no end or to a pipe that nobody writes to; what is no file of a disk is refused
//! before it is opened, and no more is read than a limit says.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens a regular file, and says how many bytes it has. Those that the kernel makes up (`/proc`) have none.
///
/// # Errors
/// What the system says, or that it is a folder, a pipe, a socket or a device.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened: opening a pipe waits for a writer, and opening a device may do anything.
    refuse_other_kinds(fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    refuse_other_kinds(metadata.file_type())?;
    Ok((file, metadata.len()))
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and when the file is larger or there is no memory for it.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open(path)?;
    let too_large = || io::Error::other(format!("it has {length} bytes, expected at most {most}"));
    if length > most {
        return Err(too_large());
    }
    let capacity = usize::try_from(length).map_err(|_| too_large())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(capacity).map_err(|_| {
        io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("not enough memory for its {length} bytes"),
        )
    })?;
    // What was added meanwhile is left out.
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refuse_other_kinds(kind: FileType) -> io::Result<()> {
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::other(format!("it is {what}, expected a file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str) -> String {
        read(Path::new(path), 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert_eq!(said("/dev/zero"), "it is a device, expected a file");
        assert_eq!(said("/"), "it is a folder, expected a file");
        assert!(said("/nowhere").contains("No such file"));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let path = std::env::temp_dir().join(format!("img2pose-files-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(said(path.to_str().unwrap()).contains("1099511627776 bytes, expected at most 1048576"));
        file.set_len(3).unwrap();
        assert_eq!(read(&path, 3).unwrap(), [0; 3]);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_the_kernel_makes_up_is_empty() {
        assert_eq!(read(Path::new("/proc/self/status"), 100).unwrap(), b"");
    }
}
