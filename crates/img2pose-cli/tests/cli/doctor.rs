//! `img2pose doctor` on installations that are well and on broken ones.
//!
//! GStreamer is played by a script, so that its version and its complaints can be chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::tool::{Folder, Ran, command, ran, text};

/// A folder with a `gst-inspect-1.0` of which the doctor knows nothing else.
struct Clinic {
    folder: Folder,
    version: &'static str,
    /// What it says of the plugin; empty: it knows none.
    plugin: String,
    /// What it says of a plugin file that it cannot load.
    complaint: &'static str,
    blacklist: &'static str,
    environment: Vec<(&'static str, PathBuf)>,
    arguments: Vec<String>,
}

impl Clinic {
    fn new() -> Self {
        // In a source tree the model lies above the plugin.
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .unwrap();
        let file = root.join("target/debug/libgstimg2pose.so");
        Self {
            folder: Folder::new(),
            version: "1.22.0",
            plugin: plugin(&file, "img2posedetect img2posejson img2poseoverlay"),
            complaint: "",
            blacklist: "",
            environment: Vec::new(),
            arguments: Vec::new(),
        }
    }

    fn examine(&self) -> Ran {
        let script = format!(
            "#!/bin/sh\ncase $1 in\n--version) printf '%s\\n' 'gst-inspect-1.0 version {0}' 'GStreamer {0}' ;;\n\
             -b) printf '%s\\n' 'Blacklisted files:' '  {1}' ;;\n\
             img2pose) printf '%s' '{2}'; [ -n '{2}' ] ;;\n\
             *) printf '%s\\n' '{3}' >&2; [ -z '{3}' ] ;;\nesac\n",
            self.version, self.blacklist, self.plugin, self.complaint
        );
        let inspect = self.folder.path("gst-inspect-1.0");
        fs::write(&inspect, script).unwrap();
        fs::set_permissions(&inspect, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = command(&["doctor"]);
        command.args(&self.arguments).env("PATH", self.folder.path(""));
        for name in [
            "GST_PLUGIN_PATH",
            "GST_PLUGIN_PATH_1_0",
            "GST_PLUGIN_SYSTEM_PATH_1_0",
            "HOME",
        ] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        ran(command)
    }
}

/// What `gst-inspect-1.0 img2pose` prints.
fn plugin(file: &Path, elements: &str) -> String {
    let elements: String = elements
        .split(' ')
        .map(|name| format!("  {name}: It\n"))
        .collect();
    format!(
        "Plugin Details:\n  Filename                 {}\n  Version                  {}-1a2b3c4\n\n{elements}",
        file.display(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Asserts that exactly the named things are at fault, each with a fix that has its words.
#[track_caller]
fn diagnosed(ran: &Ran, faults: &[(&str, &str, &str)]) {
    let lines: Vec<_> = ran.stdout.lines().collect();
    let found = lines.iter().filter(|line| line.starts_with("FAULT")).count();
    assert_eq!(
        (ran.code, found),
        (1, faults.len()),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let last = if found == 1 {
        "1 fault".to_owned()
    } else {
        format!("{found} faults")
    };
    assert_eq!(ran.stderr, format!("error: {last}, see above\n"));
    for (what, reason, cure) in faults {
        let at = lines
            .iter()
            .position(|line| line.starts_with(&format!("FAULT  {what} ")))
            .unwrap_or_else(|| panic!("no fault of {what}: {}", ran.stdout));
        assert!(lines[at].contains(reason), "{}", lines[at]);
        assert!(
            lines[at + 1].trim_start().starts_with("fix ") && lines[at + 1].contains(cure),
            "{}",
            lines[at + 1]
        );
    }
}

#[test]
fn all_is_well() {
    let seen = Clinic::new().examine();
    seen.succeeded();
    for expected in [
        "ok     GStreamer     1.22.0",
        "target/debug/libgstimg2pose.so, version ",
        "models/img2pose-slim.onnx: ",
        "ok     ONNX Runtime  ",
        "ok     cpu           works: ",
        "ok     int8          works: ",
        "ok     auto          takes ",
    ] {
        assert!(seen.stdout.contains(expected), "no '{expected}': {}", seen.stdout);
    }
    assert!(seen.stdout.ends_with("all is well\n") && !seen.stdout.contains("FAULT"));
}

#[test]
fn no_gstreamer_and_an_old_one() {
    let clinic = Clinic::new();
    let mut command = command(&["doctor"]);
    command.env("PATH", clinic.folder.path(""));
    let seen = ran(command);
    assert_eq!(seen.code, 1);
    assert!(
        seen.stdout
            .starts_with("FAULT  GStreamer     gst-inspect-1.0 was not found"),
        "{}",
        seen.stdout
    );
    assert!(seen.stdout.contains("gstreamer1.0-tools"));

    let clinic = Clinic {
        version: "1.18.4",
        ..Clinic::new()
    };
    diagnosed(
        &clinic.examine(),
        &[("GStreamer", "1.18.4; the plugin needs 1.20", "Debian 12")],
    );
}

#[test]
fn a_plugin_that_is_not_found() {
    let clinic = Clinic {
        plugin: String::new(),
        ..Clinic::new()
    };
    // Nowhere: the test runs where no plugin is installed, or finds the one that is.
    let seen = clinic.examine();
    assert_eq!(seen.code, 1);
    assert!(seen.stdout.contains("FAULT  plugin "), "{}", seen.stdout);

    // Somewhere else.
    let file = clinic.folder.path("libgstimg2pose.so");
    fs::write(&file, "").unwrap();
    let there = vec![("GST_PLUGIN_PATH", clinic.folder.path(""))];
    let clinic = Clinic {
        environment: there.clone(),
        ..clinic
    };
    diagnosed(
        &clinic.examine(),
        &[("plugin", "does not look into", "export GST_PLUGIN_PATH=")],
    );

    // It was built for a newer GStreamer.
    let clinic = Clinic {
        complaint: "Could not load plugin file: Opening module failed: undefined symbol: gst_analytics_x",
        ..clinic
    };
    diagnosed(
        &clinic.examine(),
        &[(
            "plugin",
            "undefined symbol: gst_analytics_x",
            "another version of GStreamer",
        )],
    );

    let clinic = Clinic {
        complaint: "",
        blacklist: "libgstimg2pose.so",
        ..clinic
    };
    diagnosed(
        &clinic.examine(),
        &[("plugin", "failed to load once", "registry")],
    );
}

#[test]
fn another_plugin_of_that_name() {
    let clinic = Clinic::new();
    let clinic = Clinic {
        plugin: clinic.plugin.replace("  img2posedetect: It\n", ""),
        ..clinic
    };
    diagnosed(
        &clinic.examine(),
        &[("plugin", "no element img2posedetect", "GST_PLUGIN_PATH")],
    );
}

#[test]
fn a_library_that_is_none() {
    let clinic = Clinic::new();
    let library = clinic.folder.path("libonnxruntime.so");
    fs::write(&library, "hello").unwrap();
    let expected = [("ONNX Runtime", "cannot be loaded", "1.20 or newer")];
    let clinic = Clinic {
        environment: vec![("ORT_DYLIB_PATH", library.clone())],
        ..clinic
    };
    let seen = clinic.examine();
    diagnosed(&seen, &expected);
    assert!(seen.stdout.contains("ORT_DYLIB_PATH"));
    // The model is looked at all the same.
    assert!(seen.stdout.contains("ok     model"), "{}", seen.stdout);

    let clinic = Clinic {
        environment: Vec::new(),
        arguments: vec!["--onnxruntime-library".into(), text(&library).into()],
        ..clinic
    };
    diagnosed(&clinic.examine(), &expected);
}

/// The tool used to die of SIGBUS.
#[test]
fn a_library_that_is_truncated() {
    let Some(whole) = std::env::var_os("ORT_DYLIB_PATH").and_then(|path| fs::read(path).ok()) else {
        test_support::skip("a_library_that_is_truncated", "ORT_DYLIB_PATH names no library");
        return;
    };
    let mut clinic = Clinic::new();
    let library = clinic.folder.path("libonnxruntime.so");
    fs::write(&library, &whole[..whole.len() / 2]).unwrap();
    clinic.environment = vec![("ORT_DYLIB_PATH", library.clone())];
    let seen = clinic.examine();
    diagnosed(&seen, &[("ONNX Runtime", "is truncated", "1.20 or newer")]);
    assert!(seen.stdout.contains(text(&library)), "{}", seen.stdout);
}

#[test]
fn a_model_that_is_none() {
    let mut clinic = Clinic::new();
    let model = clinic.folder.path("model.onnx");
    clinic.arguments = vec!["--model".into(), text(&model).into()];
    diagnosed(&clinic.examine(), &[("model", "model.onnx", "img2pose convert")]);
    fs::write(&model, "hello").unwrap();
    diagnosed(&clinic.examine(), &[("model", "model.onnx", "img2pose convert")]);

    // A plugin without its model.
    let elsewhere = clinic.folder.path("a/b/c/d/e/libgstimg2pose.so");
    let clinic = Clinic {
        plugin: plugin(&elsewhere, "img2posedetect img2posejson"),
        arguments: Vec::new(),
        ..clinic
    };
    diagnosed(
        &clinic.examine(),
        &[("model", "a/b/c/d/e/img2pose/img2pose-slim.onnx", "--model")],
    );
}
