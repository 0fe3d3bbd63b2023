//! Loading a library file, and asking it whether it is an ONNX Runtime that can be used.

use std::ffi::{CStr, c_char, c_void};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libloading::Library;
use ort::sys::{ORT_API_VERSION, OrtApi};

use super::later::{self, LaterApi};
use super::{MINIMUM_VERSION, elf};

/// A loaded ONNX Runtime of a version that can be used.
pub(super) struct Loaded {
    /// The file, as the system says; the name that it was asked for where the system does not say.
    pub path: PathBuf,
    /// What it was asked for by; links are not resolved.
    asked: PathBuf,
    /// Its version, in its own words.
    pub version: String,
    /// Its functions, of the version that `ort` calls.
    pub api: OrtApi,
    /// The same with those of a later version, where it has them.
    pub later: Option<&'static LaterApi>,
    /// What the file was when it was loaded.
    identity: Option<Identity>,
    /// Never closed: threads of the library may run until the process ends.
    _library: std::mem::ManuallyDrop<Library>,
}

/// What tells a file from others, whatever its name: device and number.
type Identity = (u64, u64);

/// Gives the table of the functions of an API version, or null.
type GetApi = unsafe extern "C" fn(u32) -> *const c_void;

/// `OrtApiBase` of ONNX Runtime's C header, whose functions a damaged library may lack.
#[repr(C)]
struct ApiBase {
    get_api: Option<GetApi>,
    version: Option<unsafe extern "C" fn() -> *const c_char>,
}

impl Loaded {
    /// Loads the library `path`, a file, or a name without a folder that the system's loader looks for.
    ///
    /// # Errors
    /// What was found and what was expected, without the path.
    pub fn open(path: &Path) -> Result<Self, String> {
        // `ort` would look beside the program first.
        let path = match is_name(path) {
            true => path.to_owned(),
            false => std::path::absolute(path).map_err(|error| format!("it cannot be found: {error}"))?,
        };
        match is_name(&path) {
            true => in_loader_folders(&path).try_for_each(|file| {
                elf::check(&file).map_err(|reason| format!("{}: {reason}", file.display()))
            })?,
            false => elf::check(&path)?,
        }
        let identity = identity_of(&path);
        // SAFETY: the file is a whole shared library. What runs when it is loaded is the choice of whoever named it.
        let library = unsafe { Library::new(&path) }.map_err(|error| {
            // What the system says is one level down; the error itself only says "dlopen failed".
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("it cannot be loaded: {cause}")
        })?;
        let library = std::mem::ManuallyDrop::new(library);
        // SAFETY: the signature of ONNX Runtime's C header, where the function has no conditions.
        let get_base = unsafe { library.get::<unsafe extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase\0") };
        let Ok(get_base) = get_base else {
            drop(std::mem::ManuallyDrop::into_inner(library));
            return Err("it is not ONNX Runtime (no OrtGetApiBase)".to_owned());
        };
        let mapped = Mapped::at(*get_base as *const c_void);
        // SAFETY: as above; what it gives is null or a constant of the library.
        let base = unsafe { get_base().as_ref() };
        let (version, api, later) = usable(base)?;
        let asked = path.clone();
        let (path, identity) = match mapped {
            // The system gave a library that was loaded before from a file of this name, which is another one now.
            Some(mapped) if mapped.is_deleted => (mapped.path, None),
            Some(mapped) => {
                let identity = identity.or_else(|| identity_of(&mapped.path));
                (mapped.path, identity)
            }
            None => (path, identity),
        };
        Ok(Self {
            path,
            asked,
            version,
            api,
            later,
            identity,
            _library: library,
        })
    }

    /// Whether `wanted` is this library: the same file under whatever name, or the path that it was loaded by. An upgrade
    /// under a process that runs for months must not stop what starts anew in it, see [`is_replaced`](Self::is_replaced).
    pub fn is(&self, wanted: &Path) -> bool {
        if is_name(wanted) {
            let beside = self.path.with_file_name(wanted);
            return beside == self.path || beside.canonicalize().is_ok_and(|real| real == self.path);
        }
        let is_file = self.identity.is_some() && identity_of(wanted) == self.identity;
        let absolute = std::path::absolute(wanted).is_ok_and(|path| path == self.path || path == self.asked);
        is_file || absolute || wanted.canonicalize().is_ok_and(|real| real == self.path)
    }

    /// Whether the file has been replaced or removed since it was loaded, or a link that led to it leads elsewhere.
    pub fn is_replaced(&self) -> bool {
        let is_other = |path: &Path| identity_of(path) != self.identity;
        self.identity.is_none() || is_other(&self.path) || (!is_name(&self.asked) && is_other(&self.asked))
    }
}

/// Version and functions of the library that gave `base`.
fn usable(base: Option<&ApiBase>) -> Result<(String, OrtApi, Option<&'static LaterApi>), String> {
    let broken = |what: &str| format!("it is not a usable ONNX Runtime: {what}; install it again");
    let base = base.ok_or_else(|| broken("its OrtGetApiBase gives nothing"))?;
    let version = base.version.ok_or_else(|| broken("it cannot tell its version"))?;
    let get_api = base.get_api.ok_or_else(|| broken("it has no functions"))?;
    // SAFETY: the function has no conditions.
    let version = unsafe { version() };
    if version.is_null() {
        return Err(broken("it does not tell its version"));
    }
    // SAFETY: a constant text of the library.
    let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
    let version: String = version.chars().take(40).flat_map(char::escape_debug).collect();
    if !is_at_least(&version, ORT_API_VERSION) {
        return Err(format!(
            "it is version {version}, at least {MINIMUM_VERSION} is needed"
        ));
    }
    let gap = |_| {
        broken(&format!(
            "it says that it is version {version}, and some of its functions are missing"
        ))
    };
    // SAFETY: `OrtApi` is the table of that version, and holds pointers to functions only.
    let api = unsafe { functions::<OrtApi>(get_api, ORT_API_VERSION) }.map_err(gap)?;
    let api = api.ok_or_else(|| {
        broken(&format!(
            "it says that it is version {version}, and lacks the functions of {MINIMUM_VERSION}"
        ))
    })?;
    let later = match is_at_least(&version, later::VERSION) {
        // SAFETY: as above for `LaterApi`.
        true => unsafe { functions::<LaterApi>(get_api, later::VERSION) }.map_err(gap)?,
        // An older one would write to stderr that it has no such version.
        false => None,
    };
    Ok((version, api.clone(), later))
}

/// A function is missing.
struct Gap;

/// The functions of ONNX Runtime's API `version`; `None`: the library does not have that version.
///
/// # Errors
/// One of them is missing. It must not be called, and a `T` must not even hold it.
///
/// # Safety
/// `get_api` must be ONNX Runtime's `GetApi` of a library that is never closed, and `T` the beginning of the table of that version, of
/// nothing but pointers to functions.
unsafe fn functions<T>(get_api: GetApi, version: u32) -> Result<Option<&'static T>, Gap> {
    type Function = Option<unsafe extern "system" fn()>;
    // SAFETY: any number may be asked for.
    let table = unsafe { get_api(version) };
    if table.is_null() {
        return Ok(None);
    }
    // One after the other, so that a table that ends with its first gap is not read beyond it.
    let is_there = |index| {
        // SAFETY: as the caller says, the table is a constant with so many pointers, each of which may be null here.
        unsafe { table.cast::<Function>().add(index).read() }.is_some()
    };
    match (0..size_of::<T>() / size_of::<Function>()).all(is_there) {
        // SAFETY: as the caller says, and no pointer in it is null.
        true => Ok(Some(unsafe { &*table.cast::<T>() })),
        false => Err(Gap),
    }
}

/// Whether `version` is 1.`minimum` or newer.
fn is_at_least(version: &str, minimum: u32) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    (major, minor) >= (1, minimum)
}

/// Whether the system's loader looks for it in its folders.
fn is_name(path: &Path) -> bool {
    path.components().count() == 1 && !path.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// The first file of that name in the folders of `LD_LIBRARY_PATH`, where the loader looks first.
fn in_loader_folders(name: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let files: Vec<PathBuf> = std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .collect();
    files.into_iter().filter(|file| file.is_file()).take(1)
}

fn identity_of(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// A file in this process's memory.
#[derive(Debug, PartialEq)]
struct Mapped {
    path: PathBuf,
    /// Its name is gone, or is another file's now.
    is_deleted: bool,
}

impl Mapped {
    /// What is mapped at `address`; `None` when the system does not say.
    fn at(address: *const c_void) -> Option<Self> {
        Self::find(&std::fs::read("/proc/self/maps").ok()?, address as u64)
    }

    /// `maps` is what proc(5) describes: `start-end permissions offset device inode path`, a line for each piece.
    fn find(maps: &[u8], address: u64) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt;
        const DELETED: &[u8] = b" (deleted)";
        let line = maps.split(|&byte| byte == b'\n').find(|line| {
            let range = line.split(|&byte| byte == b' ').next().unwrap_or_default();
            let range = std::str::from_utf8(range).unwrap_or_default();
            let Some((start, end)) = range.split_once('-') else {
                return false;
            };
            let number = |text| u64::from_str_radix(text, 16).ok();
            number(start).is_some_and(|start| start <= address)
                && number(end).is_some_and(|end| address < end)
        })?;
        // Paths may have spaces; nothing before them has a slash.
        let path = &line[line.iter().position(|&byte| byte == b'/')?..];
        let live = path.strip_suffix(DELETED);
        Some(Self {
            path: PathBuf::from(std::ffi::OsStr::from_bytes(live.unwrap_or(path))),
            is_deleted: live.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for version in ["1.20.0", "1.20", "1.100.1", "2.0.0", "1.21.0-dev"] {
            assert!(is_at_least(version, ORT_API_VERSION), "{version}");
        }
        for version in ["1.9.1", "1.19.2", "0.99.0", "1", "", "one.two", "1.x"] {
            assert!(!is_at_least(version, ORT_API_VERSION), "{version}");
        }
        assert!(is_at_least("1.23.0", 23) && !is_at_least("1.22.1", 23));
    }

    #[test]
    fn the_file_at_an_address_is_found() {
        let maps = b"55d0a000-55d0b000 r-xp 00000000 08:01 12 /usr/bin/cat\n\
            7f10a0000000-7f10a0021000 rw-p 00000000 00:00 0 \n\
            7f10b0000000-7f10b0001000 r--p 00000000 08:01 99 /opt/with space/libonnxruntime.so.1\n\
            7f10b0001000-7f10b0002000 r-xp 00001000 08:01 98 /opt/old/libonnxruntime.so (deleted)\n";
        let found = |address| Mapped::find(maps, address);
        let file = |path: &str, is_deleted| {
            Some(Mapped {
                path: path.into(),
                is_deleted,
            })
        };
        assert_eq!(found(0x55d0_a000), file("/usr/bin/cat", false));
        assert_eq!(found(0x55d0_b000), None);
        assert_eq!(found(0x7f10_a000_0000), None, "no file");
        assert_eq!(
            found(0x7f10_b000_0fff),
            file("/opt/with space/libonnxruntime.so.1", false)
        );
        assert_eq!(found(0x7f10_b000_1000), file("/opt/old/libonnxruntime.so", true));
        let own = Mapped::at(Mapped::at as *const c_void).unwrap();
        assert_eq!(own.path, std::env::current_exe().unwrap().canonicalize().unwrap());
    }
}
