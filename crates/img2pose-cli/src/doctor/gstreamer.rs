//! GStreamer and the plugin, as `gst-inspect-1.0` sees them.
//!
//! A program of its own, because this tool runs without GStreamer, and survives a plugin that does not load.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::report::Report;

const INSPECT: &str = "gst-inspect-1.0";
const PLUGIN: &str = "img2pose";
const PLUGIN_FILE: &str = "libgstimg2pose.so";
/// Parts of the messages that say why a file was not loaded.
const TELLING: [&str; 6] = [
    "undefined symbol",
    "cannot open",
    "Could not load",
    "not a GStreamer",
    "invalid ELF",
    "too short",
];
/// What the plugin is not of use without.
const ELEMENTS: [&str; 2] = ["img2posedetect", "img2posejson"];
/// Oldest GStreamer that the plugin loads in.
const MINIMUM: [u32; 2] = [1, 20];

/// Checks both, and returns the file that GStreamer loads the plugin from.
pub fn check(report: &mut Report) -> Option<PathBuf> {
    let Some(version) = inspect(&["--version"]) else {
        report.fault(
            "GStreamer",
            format!("{INSPECT} was not found, or does not run"),
            "install GStreamer and its tools (Debian, Ubuntu: gstreamer1.0-tools gstreamer1.0-plugins-base)",
        );
        return None;
    };
    let version = version
        .text
        .lines()
        .find_map(|line| line.strip_prefix("GStreamer "))
        .unwrap_or("of unknown version")
        .to_owned();
    let numbers: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    if numbers[..] < MINIMUM[..] {
        let [major, minor] = MINIMUM;
        report.fault(
            "GStreamer",
            format!("{version}; the plugin needs {major}.{minor} or newer"),
            "use a newer release of the system (Debian 12, Ubuntu 22.04 or later)",
        );
    } else {
        report.good("GStreamer", version);
    }
    plugin(report)
}

fn plugin(report: &mut Report) -> Option<PathBuf> {
    let found = inspect(&[PLUGIN]).filter(|inspected| inspected.success);
    let Some(found) = found else {
        missing(report);
        return None;
    };
    let file = field(&found.text, "Filename").map(PathBuf::from);
    let version = field(&found.text, "Version").unwrap_or("unknown");
    let missing: Vec<_> = ELEMENTS
        .into_iter()
        .filter(|element| {
            !found
                .text
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{element}:")))
        })
        .collect();
    let name = file
        .as_deref()
        .map_or(PLUGIN.to_owned(), |file| file.display().to_string());
    if missing.is_empty() {
        report.good("plugin", format!("{name}, version {version}"));
    } else {
        report.fault(
            "plugin",
            format!("{name} has no element {}", missing.join(", ")),
            format!(
                "another plugin has the name {PLUGIN}; remove it or put this one first in GST_PLUGIN_PATH"
            ),
        );
    }
    // The commit follows the version, as in 0.1.0-8fb21c3.
    let own = env!("CARGO_PKG_VERSION");
    if version.split('-').next() != Some(own) {
        report.note("plugin", format!("it is {version} and this tool is {own}"));
    }
    file
}

/// GStreamer does not know the plugin: finds out why.
fn missing(report: &mut Report) {
    let listed = inspect(&["-b"])
        .map(|inspected| inspected.text)
        .unwrap_or_default();
    let refused = listed.lines().any(|line| line.trim() == PLUGIN_FILE);
    let Some(file) = candidates().into_iter().find(|file| file.is_file()) else {
        report.fault(
            "plugin",
            format!("GStreamer has no plugin {PLUGIN}"),
            format!(
                "install it, or set GST_PLUGIN_PATH to the folder of {PLUGIN_FILE} (after cargo build --release: target/release)"
            ),
        );
        return;
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let alone = inspect(&[&file.to_string_lossy()]);
    match alone {
        Some(alone) if !alone.success => {
            let reason = reason(&alone.text);
            let cure = if reason.contains("undefined symbol") || reason.contains("cannot open shared object") {
                "the plugin was built for another version of GStreamer, or a library that it needs is not installed; \
                 build it on this system, without the features v1_24 to v1_28 where GStreamer is older"
            } else {
                "build or install the plugin again on this system"
            };
            report.fault("plugin", format!("{} does not load: {reason}", file.display()), cure);
        }
        _ if refused => report.fault(
            "plugin",
            format!(
                "GStreamer remembers that {} failed to load once, and does not try again",
                file.display()
            ),
            "delete GStreamer's registry: rm ~/.cache/gstreamer-1.0/registry.*.bin (or the file in GST_REGISTRY)",
        ),
        _ => report.fault(
            "plugin",
            format!("GStreamer does not look into {}", folder.display()),
            format!("export GST_PLUGIN_PATH={}", folder.display()),
        ),
    }
}

/// Where the plugin may be: where GStreamer is told to look, beside this tool, in the prefix of this tool.
fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [
        "GST_PLUGIN_PATH_1_0",
        "GST_PLUGIN_PATH",
        "GST_PLUGIN_SYSTEM_PATH_1_0",
    ]
    .into_iter()
    .filter_map(env::var_os)
    .flat_map(|paths| env::split_paths(&paths).collect::<Vec<_>>())
    .collect();
    if let Some(home) = env::var_os("HOME") {
        folders.push(Path::new(&home).join(".local/share/gstreamer-1.0/plugins"));
    }
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    folders.extend(beside.map(Path::to_owned));
    let triplet = format!("lib/{}-linux-gnu", env::consts::ARCH);
    let prefixes = beside
        .and_then(Path::parent)
        .into_iter()
        .chain([Path::new("/usr"), Path::new("/usr/local")]);
    for prefix in prefixes {
        for lib in [&triplet, "lib64", "lib"] {
            folders.push(prefix.join(lib).join("gstreamer-1.0"));
        }
    }
    folders.extend(
        beside
            .and_then(Path::parent)
            .into_iter()
            .flat_map(python_packages),
    );
    folders
        .into_iter()
        .map(|folder| folder.join(PLUGIN_FILE))
        .collect()
}

/// Where the Python package of this project has its plugin, if this tool was installed with it: in each Python of the prefix.
fn python_packages(prefix: &Path) -> Vec<PathBuf> {
    let pythons = std::fs::read_dir(prefix.join("lib"))
        .into_iter()
        .flatten()
        .flatten();
    pythons
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages/img2pose/plugin"))
        .collect()
}

struct Inspected {
    success: bool,
    text: String,
}

/// Runs `gst-inspect-1.0`; `None` when there is none. The text is what it printed, errors last.
fn inspect(arguments: &[&str]) -> Option<Inspected> {
    let output = Command::new(INSPECT)
        .args(arguments)
        // Its words are looked for.
        .env("LC_ALL", "C")
        .env("GST_INSPECT_NO_COLORS", "1")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(Inspected {
        success: output.status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

/// The value of a line such as `  Filename                 /usr/lib/libgstimg2pose.so`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix("  "))
        .map(str::trim)
}

/// Why a plugin file was not loaded, in the loader's words.
fn reason(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.retain(|line| !line.is_empty());
    let telling = lines
        .iter()
        .rfind(|line| TELLING.iter().any(|words| line.contains(words)));
    telling
        .or(lines.last())
        .copied()
        .unwrap_or("gst-inspect-1.0 says nothing, it may have crashed")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Plugin Details:
  Name                     img2pose
  Description              Finds faces
  Filename                 /usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstimg2pose.so
  Version                  0.1.0-8fb21c3

  img2posedetect: Face and head pose detector
";

    #[test]
    fn fields_of_what_is_printed() {
        assert_eq!(
            field(PRINTED, "Filename"),
            Some("/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstimg2pose.so")
        );
        assert_eq!(field(PRINTED, "Version"), Some("0.1.0-8fb21c3"));
        assert_eq!(field(PRINTED, "Origin"), None);
    }

    #[test]
    fn the_reason_is_the_loaders() {
        let printed = "Could not load plugin file: Opening module failed: /a/libgstimg2pose.so: undefined symbol: gst_x\n";
        assert!(reason(printed).contains("undefined symbol: gst_x"));
        assert_eq!(reason("what is this\n"), "what is this");
        assert!(reason("").contains("says nothing"));
    }
}
