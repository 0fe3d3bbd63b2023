//! Finding and loading the ONNX Runtime library, once per process.

mod elf;
mod later;
mod library;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::session::Session;

use crate::failure::OnnxRuntimeFailure;
use crate::{ending, telemetry};
pub(crate) use later::{EpDevice, LaterApi, SessionMemory};
use library::Loaded;

/// Oldest ONNX Runtime that has every call this crate makes.
pub const MINIMUM_VERSION: &str = "1.20";

/// Environment variable that names the library to load.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// The loaded library. There is one per process, because ONNX Runtime allows only one environment.
pub struct Runtime {
    library: Loaded,
    origin: &'static str,
    pub(crate) environment: Environment,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("path", &self.path())
            .field("version", &self.version())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Why ONNX Runtime could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The library that was asked for cannot be used.
    #[error(
        "cannot use ONNX Runtime {} ({origin}): {reason}. Name a libonnxruntime.so of version {MINIMUM_VERSION} or newer \
         there, or none", path.display()
    )]
    Unusable {
        /// The library.
        path: PathBuf,
        /// Who asked for it.
        origin: &'static str,
        /// What was found and what is needed.
        reason: String,
    },
    /// No library was found.
    #[error(
        "ONNX Runtime {MINIMUM_VERSION} or newer was not found. Install it, or set onnxruntime-library or \
         {LIBRARY_VARIABLE} to libonnxruntime.so. Tried: {tried}"
    )]
    NotFound {
        /// Every place that was tried, with what was wrong there.
        tried: String,
    },
    /// Another library than the one asked for is loaded already.
    #[error(
        "ONNX Runtime {} was asked for, but this process has already loaded {}; all detectors of a process \
         share one library", wanted.display(), loaded.display()
    )]
    AlreadyLoaded {
        /// The library asked for.
        wanted: PathBuf,
        /// The library in use.
        loaded: PathBuf,
    },
    /// The process [ends](crate::process_is_ending), and nothing is loaded any more.
    #[error("ONNX Runtime is not loaded: the process ends")]
    ProcessEnds,
    /// The library was loaded but would not start.
    #[error("ONNX Runtime {} did not start: {source}", path.display())]
    Environment {
        /// The library.
        path: PathBuf,
        /// Its message.
        source: OnnxRuntimeFailure,
    },
}

impl Runtime {
    /// The file that was loaded, as the system says: links are resolved. It may have been
    /// [replaced](Self::is_replaced) since.
    pub fn path(&self) -> &Path {
        &self.library.path
    }

    /// Whether the file at [`path`](Self::path) is no longer the one that was loaded: an upgrade, say, has put another one
    /// there or removed it. This process goes on with the one that it has.
    pub fn is_replaced(&self) -> bool {
        self.library.is_replaced()
    }

    /// Why this library and no other, to put in brackets behind its path.
    pub fn origin(&self) -> &'static str {
        self.origin
    }

    /// Version of the loaded library in its own words, such as `1.21.0`.
    pub fn version(&self) -> &str {
        &self.library.version
    }

    /// What to tell whoever has this library compute in 8-bit integers, if it does so worse than others.
    pub fn int8_warning(&self) -> Option<String> {
        int8_warning(self.version())
    }

    /// Checks the library `name` beside this one, which this one loads by itself. One that is not there passes: it says so
    /// when it misses it.
    ///
    /// # Errors
    /// The path, what was found and what was expected.
    pub(crate) fn check_companion(&self, name: &str) -> Result<(), String> {
        let path = self.library.path.with_file_name(name);
        match path.exists() {
            true => elf::check(&path).map_err(|reason| format!("{}: {reason}", path.display())),
            false => Ok(()),
        }
    }

    /// Checks a library that this one is to load.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub(crate) fn check_library(&self, path: &Path) -> Result<(), String> {
        elf::check(path)
    }

    /// The functions that came with 1.23 and before; `None`: the library is older.
    pub(crate) fn later(&self) -> Option<&'static LaterApi> {
        self.library.later
    }

    /// ONNX Runtime's environment, for further sessions in this process.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Version and build of the library, in its own words.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

/// Loads ONNX Runtime, or returns the one that this process has loaded.
///
/// Looks at `explicit`, then at the environment variable [`LIBRARY_VARIABLE`], then for `libonnxruntime.so*` in
/// the folder `beside`, then in the Python package `onnxruntime` where `beside` is a part of a Python package installed next
/// to it, then in the system's library folders. The first two are orders: when such a library cannot be used that is an error,
/// and nothing else is tried.
pub fn load(explicit: Option<&Path>, beside: Option<&Path>) -> Result<&'static Runtime, RuntimeError> {
    // OnceCell would let two threads try different libraries one after the other; the first one wins instead.
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());

    if let Some(runtime) = RUNTIME.get() {
        return match explicit {
            Some(wanted) if !runtime.library.is(wanted) => Err(RuntimeError::AlreadyLoaded {
                wanted: wanted.to_owned(),
                loaded: runtime.path().to_owned(),
            }),
            _ => Ok(runtime),
        };
    }

    // Before a library is at hand that reads it.
    telemetry::refuse();
    ending::arm_while(|| {
        // From here on: loading a library makes its statics, and those of one that another thread is still making must not be
        // destroyed either.
        let Some(_inside) = ending::enter(None) else {
            return Err(RuntimeError::ProcessEnds);
        };
        find_and_start(explicit, beside)
    })
}

/// Where `session` leaves its outputs when nobody says where to, in their order.
///
/// # Errors
/// When the library is older than 1.23, and what ONNX Runtime says.
pub(crate) fn output_memory(session: &Session) -> ort::Result<Vec<SessionMemory>> {
    let later = RUNTIME.get().and_then(Runtime::later);
    later
        .ok_or_else(|| {
            ort::Error::new("version 1.23 or newer is needed to learn where tensors lie on this device")
        })?
        .output_memory(session)
}

fn find_and_start(explicit: Option<&Path>, beside: Option<&Path>) -> Result<&'static Runtime, RuntimeError> {
    let ordered = explicit
        .map(|path| (path.to_owned(), "the library that was asked for"))
        .or_else(|| {
            std::env::var_os(LIBRARY_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(|value| {
                    (
                        PathBuf::from(value),
                        "from the environment variable ORT_DYLIB_PATH",
                    )
                })
        });
    if let Some((path, origin)) = ordered {
        let reason = match Loaded::open(&path) {
            Ok(library) => return start(library, origin),
            Err(reason) => reason,
        };
        return Err(RuntimeError::Unusable { path, origin, reason });
    }

    let mut tried = Vec::new();
    let in_folder =
        |folder: PathBuf, origin| libraries_in(&folder).into_iter().map(move |path| (path, origin));
    let python = beside.into_iter().flat_map(python_packages);
    let python = python.flat_map(|folder| in_folder(folder, "of the Python package onnxruntime"));
    let beside = beside
        .into_iter()
        .flat_map(|folder| in_folder(folder.to_owned(), "beside the plugin"));
    let system = system_folders()
        .into_iter()
        .flat_map(|folder| in_folder(folder, "the system's"));
    let named = ["libonnxruntime.so", "libonnxruntime.so.1"]
        .map(|name| (PathBuf::from(name), "from where the system's loader looks"));
    for (path, origin) in beside.chain(python).chain(system).chain(named) {
        match Loaded::open(&path) {
            Ok(library) => return start(library, origin),
            Err(reason) => tried.push(format!("{} ({reason})", path.display())),
        }
    }
    Err(RuntimeError::NotFound {
        tried: tried.join(", "),
    })
}

/// 1.21 rounds more than the versions before and after it: seen with its builds on PyPI on a processor with AVX-512 VNNI, where 1.20.1 and
/// 1.22.1 to 1.32 agree to the last bit (`scripts/test-onnxruntime.sh`).
fn int8_warning(version: &str) -> Option<String> {
    version.starts_with("1.21.").then(|| {
        format!(
            "ONNX Runtime {version} computes 8-bit integers less exactly than other versions: boxes may be some pixels off, rotations a \
             degree; take 1.22 or newer, or fp32"
        )
    })
}

fn start(library: Loaded, origin: &'static str) -> Result<&'static Runtime, RuntimeError> {
    // The statics that loading the library has made.
    ending::arm();
    let own = library.api.GetBuildInfoString;
    if !ort::set_api(library.api.clone()) && !std::ptr::fn_addr_eq(ort::api().GetBuildInfoString, own) {
        return Err(RuntimeError::Unusable {
            path: library.path,
            origin,
            reason: "the program has given the crate `ort` another library".to_owned(),
        });
    }
    // Frames and models of our users are nobody else's business. Some builds have begun to report by then, see `telemetry`.
    match ort::init().with_name("img2pose").with_telemetry(false).build() {
        Ok(environment) => Ok(RUNTIME.get_or_init(|| Runtime {
            library,
            origin,
            environment,
        })),
        Err(error) => Err(RuntimeError::Environment {
            path: library.path,
            source: OnnxRuntimeFailure::new(error),
        }),
    }
}

/// Where the Python package `onnxruntime` has its library, if one is installed where the plugin is: as in
/// `site-packages/img2pose/plugin`, or in a package's own folder.
fn python_packages(folder: &Path) -> Vec<PathBuf> {
    let above = folder.ancestors().skip(1).take(2);
    above.map(|above| above.join("onnxruntime/capi")).collect()
}

fn system_folders() -> Vec<PathBuf> {
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    ["/usr/local/lib", &triplet, "/usr/lib64", "/usr/lib"]
        .map(PathBuf::from)
        .to_vec()
}

/// `libonnxruntime.so*` in `folder`, newest version first.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("libonnxruntime.so")?;
            let numbers = version.split('.').filter_map(|part| part.parse().ok()).collect();
            Some((numbers, entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_rounds_more_is_warned_of() {
        let warned = ["1.20.1", "1.21.0", "1.21.1", "1.22.1", "1.210.0"]
            .map(|version| int8_warning(version).is_some());
        assert_eq!(warned, [false, true, true, false, false]);
    }

    #[test]
    fn a_python_package_beside_that_of_the_plugin() {
        let found = python_packages(Path::new("/venv/lib/python3.11/site-packages/img2pose/plugin"));
        let wanted = "/venv/lib/python3.11/site-packages/onnxruntime/capi";
        assert!(found.contains(&PathBuf::from(wanted)), "{found:?}");
        assert_eq!(python_packages(Path::new("/")), Vec::<PathBuf>::new());
    }

    #[test]
    fn newest_library_of_a_folder_comes_first() {
        let folder = std::env::temp_dir().join(format!("img2pose-runtime-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.21.0",
            "libonnxruntime_providers_shared.so",
            "libother.so",
        ] {
            std::fs::write(folder.join(name), b"").unwrap();
        }
        let names: Vec<_> = libraries_in(&folder)
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(names, ["libonnxruntime.so.1.21.0", "libonnxruntime.so.1.9.0"]);
    }
}
