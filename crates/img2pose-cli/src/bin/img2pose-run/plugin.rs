//! Where the plugin is, for a program that was installed with the Python package or that lies beside it in a build.

use std::env;
use std::path::{Path, PathBuf};

/// Adds the plugin's folder to where GStreamer looks. To be called while there is one thread, before GStreamer is initialised. A
/// plugin that the user has named comes first.
pub fn find() {
    let Some(folder) = folder() else { return };
    // GStreamer ignores the short one where the long one is set.
    let name = match env::var_os("GST_PLUGIN_PATH_1_0") {
        Some(_) => "GST_PLUGIN_PATH_1_0",
        None => "GST_PLUGIN_PATH",
    };
    let present = env::var_os(name).unwrap_or_default();
    let folders = env::split_paths(&present).filter(|path| !path.as_os_str().is_empty());
    let Ok(joined) = env::join_paths(folders.chain([folder])) else {
        return; // A folder with a colon in its name cannot be named there.
    };
    // SAFETY: changing the environment is unsound while another thread may read it. `main` calls this first, and this thread is the
    // only one until GStreamer is initialised.
    unsafe { env::set_var(name, joined) };
}

/// Beside this program, or in the Python package in the same prefix.
fn folder() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let beside = own.parent()?;
    let pythons = std::fs::read_dir(beside.parent()?.join("lib"));
    let packages = pythons.into_iter().flatten().flatten();
    let packages = packages.map(|entry| entry.path().join("site-packages/img2pose/plugin"));
    let has_plugin = |folder: &Path| folder.join("libgstimg2pose.so").is_file();
    [beside.to_owned()]
        .into_iter()
        .chain(packages)
        .find(|folder| has_plugin(folder))
}
