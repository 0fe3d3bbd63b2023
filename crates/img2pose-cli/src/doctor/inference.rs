//! ONNX Runtime, the model, and which execution providers run it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::locate::{self, DEFAULT_MODEL};
use img2pose::runtime::{self, MINIMUM_VERSION, Runtime};
use img2pose::{Detector, DetectorOptions, ExecutionProvider, PluginProvider, Precision, plugin_devices};
use img2pose_export::Model;

use super::report::Report;

/// The frame that is run.
const LAYOUT: FrameLayout = FrameLayout {
    format: PixelFormat::Gray8,
    width: 640,
    height: 480,
    matrix: ColorMatrix::Bt601,
    range: ColorRange::Full,
    view: View::PLAIN,
};

/// Loads the library that the element would load.
pub fn runtime(
    report: &mut Report,
    explicit: Option<&Path>,
    beside: Option<&Path>,
) -> Option<&'static Runtime> {
    match runtime::load(explicit, beside) {
        Ok(runtime) => {
            report.good(
                "ONNX Runtime",
                format!(
                    "{}, version {}, {}",
                    runtime.path().display(),
                    runtime.version(),
                    runtime.origin()
                ),
            );
            Some(runtime)
        }
        Err(error) => {
            let cure = if explicit.is_some() || matches!(error, runtime::RuntimeError::Unusable { .. }) {
                format!(
                    "name a libonnxruntime.so of version {MINIMUM_VERSION} or newer for this kind of processor, or unset it to \
                     take the system's"
                )
            } else {
                "Debian 13: apt install libonnxruntime1.21; elsewhere: pip install onnxruntime, and set ORT_DYLIB_PATH to the \
                 libonnxruntime.so in its folder onnxruntime/capi"
                    .to_owned()
            };
            report.fault("ONNX Runtime", error, cure);
            None
        }
    }
}

/// Reads the model that the element would take, and returns its path.
pub fn model(report: &mut Report, explicit: Option<&Path>, plugin: Option<&Path>) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let found = match explicit {
        Some(path) => Ok(path.to_owned()),
        // Without a plugin the place of this tool is the best guess.
        None => locate::default_model(plugin.or(own.as_deref())),
    };
    let path = match found {
        Ok(path) => path,
        Err(tried) => {
            let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            report.fault(
                "model",
                format!("{DEFAULT_MODEL} was not found; looked for: {}", tried.join(", ")),
                "install the plugin with its model again, or give the element another with its property 'model' (here: --model)",
            );
            return None;
        }
    };
    match Model::open(&path) {
        Ok(model) => {
            let facts = model.facts();
            report.good(
                "model",
                format!(
                    "{}: {}, contract version {}, short side {}",
                    path.display(),
                    facts.architecture(),
                    facts.contract_version(),
                    facts.images().min_size
                ),
            );
            report.note("licence", facts.licence());
            Some(path)
        }
        Err(error) => {
            report.fault(
                "model",
                error,
                "make one with img2pose convert, or take the one that comes with the plugin",
            );
            None
        }
    }
}

/// Runs a blank frame with each provider that the library has.
pub fn providers(report: &mut Report, runtime: &'static Runtime, model: &Path, tensorrt: bool) {
    use ExecutionProvider::{Auto, Cpu, Plugin};
    // Plugins are tried where their library is named.
    for provider in ExecutionProvider::all().filter(|provider| *provider != Plugin) {
        let name = provider.name();
        match provider.is_built_in(runtime) {
            Ok(true) => {}
            Ok(false) => {
                let package = provider.package();
                report.note(
                    name,
                    format!("not in this build of ONNX Runtime; it is in the PyPI package {package}"),
                );
                continue;
            }
            Err(error) => {
                report.fault(name, error, "take another build of ONNX Runtime");
                continue;
            }
        }
        if provider.builds_engines() && !tensorrt {
            report.note(
                name,
                "not tried, because it builds an engine for minutes: --tensorrt",
            );
            continue;
        }
        match run(model, options(provider, Precision::Auto)) {
            Ok((_, time)) => report.good(name, works(time)),
            // Every model runs on the processor; what else the library has may lack its hardware.
            Err(reason) if provider == Cpu => report.fault(
                name,
                reason,
                "try img2pose check MODEL; take another build of ONNX Runtime",
            ),
            Err(reason) => report.note(name, format!("does not work here: {reason}")),
        }
    }
    match run(model, options(Cpu, Precision::Int8)) {
        Ok((_, time)) => match runtime.int8_warning() {
            Some(warning) => report.note("int8", format!("{}, on cpu; but {warning}", works(time))),
            None => report.good("int8", format!("{}, on cpu", works(time))),
        },
        Err(reason) => report.note("int8", reason),
    }
    match run(model, options(Auto, Precision::Auto)) {
        Ok((provider, _)) => report.good("auto", format!("takes {provider}")),
        Err(reason) => report.fault("auto", reason, "see above"),
    }
}

/// Lists the devices that a library with an execution provider offers, and runs a blank frame on the first of each provider.
pub fn plugin(report: &mut Report, runtime: &'static Runtime, model: &Path, library: &Path) {
    let devices = match plugin_devices(runtime, library) {
        Ok(devices) => devices,
        Err(error) => {
            report.fault(
                "plugin",
                error,
                "name a library that fits this ONNX Runtime in --provider-library",
            );
            return;
        }
    };
    if devices.is_empty() {
        report.note(
            "plugin",
            format!("{} offers no device on this machine", library.display()),
        );
    }
    for device in devices {
        let (name, number) = (&device.provider, device.number);
        let about = format!("{name}, device {number}: {} of {}", device.kind, device.vendor);
        if number > 0 {
            report.note("plugin", about);
            continue;
        }
        let plugin = PluginProvider::new(library).with_name(name.clone());
        let options = options(ExecutionProvider::Plugin, Precision::Auto).with_plugin(plugin);
        match run(model, options) {
            Ok((_, time)) => report.good("plugin", format!("{about}: {}", works(time))),
            Err(reason) => report.note("plugin", format!("{about}: does not work here: {reason}")),
        }
    }
}

fn options(provider: ExecutionProvider, precision: Precision) -> DetectorOptions {
    DetectorOptions::default()
        .with_execution_provider(provider)
        .with_precision(precision)
}

fn works(time: Duration) -> String {
    format!(
        "works: {} ms for a blank frame of {}x{}",
        time.as_millis(),
        LAYOUT.width,
        LAYOUT.height
    )
}

/// The provider that ran, and the time of the second run: the first one of a shape sets up memory.
fn run(model: &Path, options: DetectorOptions) -> Result<(&'static str, Duration), String> {
    let mut detector = Detector::open(model, options).map_err(|error| error.to_string())?;
    let stride = LAYOUT.width as usize;
    let blank = vec![128; stride * LAYOUT.height as usize];
    let plane = Plane { data: &blank, stride };
    let frame = Frame {
        layout: LAYOUT,
        planes: [plane; 3],
    };
    let mut time = Duration::ZERO;
    for _ in 0..2 {
        let started = Instant::now();
        detector
            .detect(std::slice::from_ref(&frame))
            .map_err(|error| error.to_string())?;
        time = started.elapsed();
    }
    Ok((detector.active_provider(), time))
}
