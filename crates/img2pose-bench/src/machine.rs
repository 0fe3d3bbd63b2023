//! What the figures were measured on.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Machine and library versions.
#[derive(Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub load_before: String,
    pub gstreamer: String,
    pub onnxruntime: String,
    pub version: &'static str,
}

impl Machine {
    pub fn read() -> anyhow::Result<Self> {
        let runtime = img2pose::runtime::load(None, None)?;
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            load_before: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split(' ').next().map(str::to_owned))
                .unwrap_or_default(),
            gstreamer: gst::version_string().to_string(),
            onnxruntime: library_name(runtime.path()),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// The library's file name, which carries the version; ONNX Runtime's own words do not.
fn library_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Most memory that this process ever held, in MiB.
pub fn peak_memory_mib() -> Option<u64> {
    let text = field("/proc/self/status", "VmHWM")?;
    Some(text.trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
}

/// The value of the first line `name : value` of a file in /proc.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
