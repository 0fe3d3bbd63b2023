//! Where TensorRT keeps the engines that it has built: minutes of work, good for one model, GPU and set of versions.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// What an engine depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts<'a> {
    /// The network, as it is given to ONNX Runtime.
    pub part: &'a [u8],
    /// Version of the ONNX Runtime library.
    pub library: &'a str,
    /// Number format, as a user writes it.
    pub precision: &'static str,
    /// What tells the GPU from others.
    pub gpu: String,
    /// Version of its driver.
    pub driver: String,
}

impl Facts<'_> {
    /// A folder name: another one whenever a fact differs.
    pub fn key(&self) -> String {
        let mut hash = Fnv::new();
        hash.write(self.part);
        let model = hash.0;
        // The readable parts may be alike after cleaning, so what they were goes into a hash too.
        let mut hash = Fnv::new();
        for text in [self.library, self.precision, &self.gpu, &self.driver] {
            hash.write(&(text.len() as u64).to_le_bytes());
            hash.write(text.as_bytes());
        }
        format!(
            "{model:016x}-{}-{}-{:016x}",
            clean(&self.gpu),
            self.precision,
            hash.0
        )
    }
}

/// The folder of this project in the user's cache, after the XDG base directory specification: `cache_home` is
/// `XDG_CACHE_HOME`, which counts when it is absolute, `home` is `HOME`. `None` when neither is set.
pub(crate) fn root(cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: &&OsStr| Path::new(path).is_absolute();
    let base = match cache_home.filter(absolute) {
        Some(cache) => PathBuf::from(cache),
        None => Path::new(home.filter(absolute)?).join(".cache"),
    };
    Some(base.join("gst-plugin-img2pose").join("tensorrt"))
}

/// Makes the folder for engines of these facts. `None` when the user has no cache or it cannot be written: engines are
/// built anew at each start then.
pub(crate) fn folder(facts: &Facts<'_>) -> Option<PathBuf> {
    let home = |name| std::env::var_os(name);
    let root = root(home("XDG_CACHE_HOME").as_deref(), home("HOME").as_deref())?;
    let folder = root.join(facts.key());
    fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// What tells GPU number `device` from others, and the version of the driver, as far as Linux knows them.
pub(crate) fn gpu(device: u32) -> (String, String) {
    let models: BTreeSet<String> = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| fs::read_to_string(entry.path().join("information")).unwrap_or_default())
        .map(|information| model_of(&information))
        .collect();
    let order = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"]
        .map(|name| std::env::var(name).unwrap_or_default())
        .join(" ");
    let version = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    (
        name_of(&models, device, &order),
        version.lines().next().unwrap_or_default().to_owned(),
    )
}

/// The model, where all GPUs are of one. Where they are not, only CUDA knows which one has which number: it counts the
/// fastest first, unless its environment variables, `order`, say something else.
fn name_of(models: &BTreeSet<String>, device: u32, order: &str) -> String {
    let all = models
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" and ");
    match models.len() {
        0 => "unknown".to_owned(),
        1 => all,
        _ => format!("{device} of {all}, {order}"),
    }
}

/// The line `Model: NAME` of a GPU's information.
fn model_of(information: &str) -> String {
    let model = information.lines().find_map(|line| line.strip_prefix("Model:"));
    model.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

fn clean(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    text.chars().map(plain).take(40).collect()
}

/// FNV-1a, 64 bits: the same on every machine, unlike the standard library's.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts<'static> {
        Facts {
            part: b"dense",
            library: "1.32.0",
            precision: "fp16",
            gpu: "NVIDIA H100 80GB HBM3".to_owned(),
            driver: "NVRM version: 570.1".to_owned(),
        }
    }

    #[test]
    fn every_fact_changes_the_key() {
        let key = facts().key();
        assert!(
            key.contains("NVIDIA_H100_80GB_HBM3-fp16") && !key.contains(['/', ' ', ':']),
            "{key}"
        );
        assert_eq!(key, facts().key());
        let others = [
            Facts {
                part: b"densex",
                ..facts()
            },
            Facts {
                library: "1.33.0",
                ..facts()
            },
            Facts {
                precision: "fp32",
                ..facts()
            },
            Facts {
                gpu: "NVIDIA H100_80GB HBM3".to_owned(),
                ..facts()
            },
            Facts {
                driver: "NVRM version: 575.1".to_owned(),
                ..facts()
            },
        ];
        for other in others {
            assert_ne!(other.key(), key, "{other:?}");
        }
    }

    #[test]
    fn the_cache_is_where_xdg_says() {
        let root =
            |cache: Option<&str>, home: Option<&str>| root(cache.map(OsStr::new), home.map(OsStr::new));
        let end = "gst-plugin-img2pose/tensorrt";
        assert_eq!(root(Some("/c"), Some("/h")), Some(format!("/c/{end}").into()));
        assert_eq!(root(None, Some("/h")), Some(format!("/h/.cache/{end}").into()));
        // Relative and empty values are to be ignored, says the specification.
        assert_eq!(
            root(Some("c"), Some("/h")),
            Some(format!("/h/.cache/{end}").into())
        );
        assert_eq!(
            root(Some(""), Some("/h")),
            Some(format!("/h/.cache/{end}").into())
        );
        assert_eq!(root(None, None), None);
    }

    #[test]
    fn the_name_of_a_gpu_is_found_in_its_information() {
        let text = "Model: \t\t NVIDIA A10G\nIRQ:   \t\t 57\n";
        assert_eq!(model_of(text), "NVIDIA A10G");
        assert_eq!(model_of(""), "unknown");
    }

    #[test]
    fn a_number_means_nothing_where_gpus_differ() {
        let name = |models: &[&str], device, order| {
            name_of(&models.iter().map(|m| (*m).to_owned()).collect(), device, order)
        };
        assert_eq!(name(&["A10G", "A10G"], 1, ""), "A10G");
        assert_eq!(name(&[], 0, ""), "unknown");
        let mixed = name(&["A10G", "H100"], 0, "");
        assert!(mixed.contains("A10G") && mixed.contains("H100"), "{mixed}");
        assert_ne!(mixed, name(&["A10G", "H100"], 1, ""));
        assert_ne!(mixed, name(&["A10G", "H100"], 0, "1 PCI_BUS_ID"));
    }
}
