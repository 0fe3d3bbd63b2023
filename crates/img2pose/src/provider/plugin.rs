//! An execution provider that comes as a library of its own, which ONNX Runtime loads beside itself (from version 1.23 on).

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::AsPointer;
use ort::session::builder::SessionBuilder;

use super::{Provider, refusal, webgpu};
use crate::Error;
use crate::memory::Memory;
use crate::options::{DetectorOptions, ExecutionProvider, PluginProvider, Precision};
use crate::runtime::{EpDevice, Runtime};
use crate::shapes::Shapes;
use crate::text::one_line;

pub(super) static PROVIDER: Provider = Provider {
    id: ExecutionProvider::Plugin,
    name: "plugin",
    description: "What a library with an execution provider brings",
    package: "onnxruntime",
    companions: &[],
    precisions: &[Precision::Fp32, Precision::Fp16],
    memory: |placement| {
        let plugin = placement.plugin?;
        plugin.has_memory.then_some(Memory::OF_SESSION)
    },
    turns: |placement| placement.plugin?.is_webgpu().then_some(&webgpu::TURNS),
    shapes: Shapes::Few,
    heads_at: None,
    // Not known, so nothing is taken for granted.
    pools_regions: false,
    sums_features: true,
    takes_half_graph: true,
    builds_engines: false,
    // The library is named; whether it can be loaded is seen when it is.
    is_built_in: || Ok(true),
    refuses: |_| None,
    cure: webgpu::cure,
    dispatch: |_, _| None,
};

/// A device of a library's provider, with what its sessions are told. Kept for ever: sessions and libraries outlive detectors.
#[derive(Debug)]
pub(crate) struct Plugin {
    options: PluginProvider,
    device_id: u32,
    /// Name of the provider, as the library says.
    provider: String,
    device: EpDevice,
    /// Whether the device has memory that the processor cannot read.
    has_memory: bool,
}

/// A device that a library with an execution provider offers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginDevice {
    /// Name of the provider, such as `WebGpuExecutionProvider`.
    pub provider: String,
    /// What kind of device: `CPU`, `GPU` or `NPU`.
    pub kind: &'static str,
    /// Who made it, as far as is known.
    pub vendor: String,
    /// The number to give as [`DetectorOptions::device_id`], counted for each provider.
    pub number: u32,
}

/// Libraries that this process has loaded, with their devices: one cannot be loaded twice.
static LIBRARIES: Mutex<Vec<(PathBuf, Vec<EpDevice>)>> = Mutex::new(Vec::new());
/// What has been chosen so far.
static CHOSEN: Mutex<Vec<&'static Plugin>> = Mutex::new(Vec::new());

/// The devices that the library `path` offers here. It is loaded, and stays so.
///
/// # Errors
/// [`Error::Provider`] when it is none, or is for another version of ONNX Runtime.
pub fn plugin_devices(runtime: &Runtime, path: &Path) -> Result<Vec<PluginDevice>, Error> {
    let devices = devices(runtime, path)?;
    Ok(described(&devices))
}

fn described(devices: &[EpDevice]) -> Vec<PluginDevice> {
    let mut found: Vec<PluginDevice> = Vec::new();
    for device in devices {
        let provider = device.provider();
        let number = found.iter().filter(|known| known.provider == provider).count();
        found.push(PluginDevice {
            provider,
            kind: device.kind(),
            vendor: device.vendor(),
            number: number as u32,
        });
    }
    found
}

/// The library's devices; loads it when it has not been.
fn devices(runtime: &Runtime, path: &Path) -> Result<Vec<EpDevice>, Error> {
    let refused = |reason: String| refusal(PROVIDER.name, reason);
    let shown = path.display();
    let later = runtime.later().ok_or_else(|| {
        refused(format!(
            "ONNX Runtime {} is version {}; providers in libraries of their own need 1.23 or newer",
            runtime.path().display(),
            runtime.version()
        ))
    })?;
    // ONNX Runtime takes absolute paths only.
    let path = std::path::absolute(path).map_err(|error| refused(format!("{shown}: {error}")))?;
    if !path.is_file() {
        return Err(refused(format!(
            "the library {shown} is no file; correct provider-library"
        )));
    }
    runtime
        .check_library(&path)
        .map_err(|reason| refused(format!("the library {shown}: {reason}")))?;
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, devices)) = libraries.iter().find(|(known, _)| *known == path) {
        return Ok(devices.clone());
    }
    let failed = |error: ort::Error| {
        refused(format!(
            "ONNX Runtime {} cannot load the library {shown}: {}",
            runtime.version(),
            one_line(error.message())
        ))
    };
    let before = later.devices(runtime.environment()).map_err(failed)?;
    let name = CString::new(format!("img2pose-{}", libraries.len())).expect("no NUL in it");
    let file = CString::new(OsStr::as_bytes(path.as_os_str()))
        .map_err(|error| refused(format!("{shown}: {error}")))?;
    later
        .register_library(runtime.environment(), &name, &file)
        .map_err(failed)?;
    let mut devices = later.devices(runtime.environment()).map_err(failed)?;
    devices.retain(|device| !before.contains(device));
    libraries.push((path, devices.clone()));
    Ok(devices)
}

/// The device that `options` name.
///
/// # Errors
/// [`Error::Provider`], which says what the library offers, or what the device lacks.
pub(super) fn choose(options: &DetectorOptions, runtime: &Runtime) -> Result<&'static Plugin, Error> {
    let plugin = find(options, runtime)?;
    // Its library may offer a device that has no driver for it.
    match plugin.is_webgpu().then(webgpu::lacks_gpu).flatten() {
        Some(reason) => Err(refusal(PROVIDER.name, reason)),
        None => Ok(plugin),
    }
}

/// The device, whether it works or not.
fn find(options: &DetectorOptions, runtime: &Runtime) -> Result<&'static Plugin, Error> {
    let refused = |reason: String| refusal(PROVIDER.name, reason);
    let wanted = options.plugin.as_ref().ok_or_else(|| {
        refused("no library is named; set provider-library to the provider's library".to_owned())
    })?;
    let device_id = options.device_id;
    let is_known = |known: &&&'static Plugin| known.options == *wanted && known.device_id == device_id;
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = chosen.iter().find(is_known) {
        return Ok(known);
    }
    let shown = wanted.library.display();
    let devices = devices(runtime, &wanted.library)?;
    let all = described(&devices);
    if all.is_empty() {
        return Err(refused(format!(
            "the library {shown} offers no device on this machine: it found no hardware that it is for, or not its driver"
        )));
    }
    let offers = || {
        let lines = all
            .iter()
            .map(|device| format!("{} ({} {})", device.provider, device.vendor, device.kind));
        lines.collect::<Vec<_>>().join(", ")
    };
    let name = match &wanted.name {
        Some(name) => name,
        None if all.iter().all(|device| device.provider == all[0].provider) => &all[0].provider,
        None => {
            return Err(refused(format!(
                "the library {shown} has several providers, name one in provider-name: {}",
                offers()
            )));
        }
    };
    let index = all
        .iter()
        .position(|device| device.provider == *name && device.number == device_id);
    let Some(index) = index else {
        return Err(refused(format!(
            "the library {shown} has no device {device_id} of a provider '{name}'; it offers {}",
            offers()
        )));
    };
    let plugin: &'static Plugin = Box::leak(Box::new(Plugin {
        options: wanted.clone(),
        device_id,
        provider: name.clone(),
        device: devices[index],
        has_memory: devices[index].has_memory(),
    }));
    chosen.push(plugin);
    Ok(plugin)
}

impl Plugin {
    /// Whether it is the same code as the provider that is built into other libraries, with its faults.
    fn is_webgpu(&self) -> bool {
        self.provider == "WebGpuExecutionProvider"
    }

    /// Adds the provider to a session that is being built.
    pub fn register(&self, builder: &mut SessionBuilder, runtime: &Runtime) -> ort::Result<()> {
        let later = runtime
            .later()
            .ok_or_else(|| ort::Error::new("version 1.23 or newer is needed"))?;
        let text = |text: &String| CString::new(text.as_str()).map_err(ort::Error::from);
        let keys = self
            .options
            .options
            .iter()
            .map(|(key, _)| text(key))
            .collect::<Result<Vec<_>, _>>()?;
        let values = self
            .options
            .options
            .iter()
            .map(|(_, value)| text(value))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        later.append(
            builder.ptr().cast_mut(),
            runtime.environment(),
            self.device,
            &pointers(&keys),
            &pointers(&values),
        )
    }
}
