//! A file that appears when it is complete, and of which nothing is left when it never is.
//!
//! On Linux it has no name until then: the system takes it away with the process, however that ends. Where a file system
//! knows no such files (NFS, some FUSE ones), it lies beside its place as `.img2pose-export-XXXXXX` and is removed when the
//! conversion fails; a program that is to end at a signal calls [`abandon`] first.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

/// Before the name of a file that is not complete.
const PREFIX: &str = ".img2pose-export-";

/// As for any new file; the system takes the user's mask off.
const PERMISSIONS: u32 = 0o666;

/// Files that have a name already and are not complete.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every file of this process that is not complete, and holds back those that are about to be, until the guard is
/// dropped. For a program that is about to end; not to be called in a signal handler itself.
pub fn abandon() -> Abandoned {
    let mut files = unfinished();
    for file in files.drain(..) {
        // Whoever removed it before us did what is wanted.
        let _ = fs::remove_file(file);
    }
    Abandoned(files)
}

/// While it lives, no file appears.
#[derive(Debug)]
pub struct Abandoned(#[allow(dead_code)] MutexGuard<'static, Vec<PathBuf>>);

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file in the making.
pub(crate) struct OutputFile {
    target: PathBuf,
    content: Content,
}

enum Content {
    Nameless(File),
    Named(NamedTempFile),
}

impl OutputFile {
    /// Begins the file that is to appear at `target`, in the same folder.
    pub fn create(target: &Path) -> io::Result<Self> {
        let content = match nameless(folder_of(target)) {
            Ok(file) => Content::Nameless(file),
            Err(
                Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::PERM,
            ) => Content::Named(named(target)?),
            Err(other) => return Err(other.into()),
        };
        Ok(Self {
            target: target.to_owned(),
            content,
        })
    }

    /// Where the content is written to.
    pub fn as_file(&mut self) -> &mut File {
        match &mut self.content {
            Content::Nameless(file) => file,
            Content::Named(file) => file.as_file_mut(),
        }
    }

    /// Lets the file appear, in the place of what was there. Gives its size in bytes.
    pub fn finish(mut self) -> io::Result<u64> {
        let file = self.as_file();
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        match self.content {
            Content::Nameless(mut file) => match link(&file, &self.target) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    // A link does not replace a file, a renaming does.
                    let guard = unfinished();
                    let linked = tempfile::Builder::new()
                        .prefix(PREFIX)
                        .make_in(folder_of(&self.target), |path| Ok(link(&file, path)?))?;
                    linked.into_temp_path().persist(&self.target)?;
                    drop(guard);
                }
                // Files without a name, but none that could get one.
                Err(_) => {
                    let mut copy = named(&self.target)?;
                    file.rewind()?;
                    io::copy(&mut file, copy.as_file_mut())?;
                    copy.as_file().sync_all()?;
                    persist(copy.into_temp_path(), &self.target)?;
                }
            },
            Content::Named(file) => persist(file.into_temp_path(), &self.target)?,
        }
        Ok(bytes)
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn nameless(folder: &Path) -> Result<File, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(open(folder, flags, Mode::from_raw_mode(PERMISSIONS))?);
    // Where /proc is not mounted it could never get a name.
    match fs::metadata(link_of(&file)) {
        Ok(_) => Ok(file),
        Err(_) => Err(Errno::NOSYS),
    }
}

fn link_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn link(file: &File, target: &Path) -> Result<(), Errno> {
    linkat(CWD, link_of(file), CWD, target, AtFlags::SYMLINK_FOLLOW)
}

fn named(target: &Path) -> io::Result<NamedTempFile> {
    let mut files = unfinished();
    let file = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(fs::Permissions::from_mode(PERMISSIONS))
        .tempfile_in(folder_of(target))?;
    files.push(file.path().to_owned());
    Ok(file)
}

fn persist(file: TempPath, target: &Path) -> io::Result<()> {
    let mut files = unfinished();
    let name = file.to_path_buf();
    file.persist(target)?;
    files.retain(|file| *file != name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// As on a file system that knows no files without a name.
    fn with_name(target: &Path) -> OutputFile {
        OutputFile {
            target: target.to_owned(),
            content: Content::Named(named(target).unwrap()),
        }
    }

    #[test]
    fn a_file_appears_whole_and_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        for (make, text) in [
            (with_name as fn(&Path) -> OutputFile, "first"),
            (with_name, "second"),
            (|target| OutputFile::create(target).unwrap(), "third"),
        ] {
            let mut file = make(&target);
            file.as_file().write_all(text.as_bytes()).unwrap();
            assert_ne!(fs::read_to_string(&target).unwrap_or_default(), text);
            assert_eq!(file.finish().unwrap(), text.len() as u64);
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(names(folder.path()), ["model"]);
        }
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let nameless = OutputFile::create(&target).unwrap();
        if matches!(nameless.content, Content::Nameless(_)) {
            assert_eq!(names(folder.path()), [""; 0]);
        }
        drop(nameless);
        drop(with_name(&target));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn abandoned_files_are_removed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = with_name(&folder.path().join("model"));
        let name = names(folder.path()).remove(0);
        assert!(name.starts_with(PREFIX), "{name}");
        drop(abandon());
        assert_eq!(names(folder.path()), [""; 0]);
        drop(file);
    }
}
