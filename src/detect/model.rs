//! Loading the model, with error messages for whoever wrote the pipeline.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use img2pose::runtime::{self, Runtime};
use img2pose::{Detector, Error, Model, Precision, locate, telemetry};

use super::CAT;
use super::instance::{self, Instance};
use super::settings::{LoadSettings, Settings};
use super::watcher::Watcher;
use super::worker::{Client, Waker, Worker};

/// A model that is ready for frames.
pub struct LoadedModel {
    /// This element's place at the worker. Dropped before the instance, which may stop the worker.
    pub client: Arc<Client<Watcher>>,
    /// The model, maybe shared with other elements.
    pub instance: Arc<Instance>,
    /// What it was loaded with.
    pub settings: LoadSettings,
}

/// Why a model could not be loaded: the kind of error for the bus, and the message.
#[derive(Debug)]
pub struct LoadError {
    /// The kind.
    pub kind: LoadErrorKind,
    /// What, which file, what was found, what to do.
    pub message: String,
}

/// Kinds of [`LoadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadErrorKind {
    /// There is no such file, or it cannot be read.
    NotFound,
    /// The file is no usable model.
    WrongFormat,
    /// A library, a provider or the system refuses.
    Library,
    /// A property has an impossible value, or one that another element contradicts.
    Settings,
}

impl From<String> for LoadError {
    /// Settings that do not agree.
    fn from(message: String) -> Self {
        Self {
            kind: LoadErrorKind::Settings,
            message,
        }
    }
}

/// The file that the plugin was loaded from; the program itself when the plugin is linked into it. What comes with the
/// plugin is looked for from there.
pub fn plugin_file(element: &gst::Element) -> Option<PathBuf> {
    use gst::prelude::*;
    element
        .factory()
        .and_then(|factory| factory.plugin())
        .and_then(|plugin| plugin.filename())
        .or_else(|| std::env::current_exe().ok())
}

/// Gets `element` the model that its settings name: a new one with a worker, or the one that elements with the same
/// `model-instance-id` share.
pub fn load(
    settings: &Settings,
    element: &str,
    plugin_file: Option<&Path>,
    waker: Waker,
) -> Result<LoadedModel, LoadError> {
    let open = || open(settings, element, plugin_file);
    let instance = match &settings.load.model_instance_id {
        Some(name) => instance::get(name, element, settings, open)?,
        None => Arc::new(open()?),
    };
    Ok(LoadedModel {
        client: Arc::new(instance.worker.client(waker)),
        instance,
        settings: settings.load.clone(),
    })
}

fn open(settings: &Settings, element: &str, plugin_file: Option<&Path>) -> Result<Instance, LoadError> {
    check_sizes(&settings.load)?;
    let model = model_path(&settings.load, plugin_file)?;
    let options = settings.detector_options().with_plugin(settings.plugin()?);
    #[cfg(feature = "remote")]
    let options = options.with_server(server_options(&settings.load)?);
    let runtime = match is_remote(&settings.load) {
        // A machine beside cameras need not have one.
        true => None,
        false => Some(load_runtime(settings, element, plugin_file)?),
    };
    let model = Model::open_in(&model, options.precision).map_err(load_error)?;
    check_following(&model, &settings.load)?;
    if model.precision(options.precision).map_err(load_error)? == Precision::Int8
        && let Some(warning) = runtime.and_then(Runtime::int8_warning)
    {
        gst::warning!(CAT, "{element}: {warning}");
    }
    let detector = Detector::load(&model, options).map_err(load_error)?;
    let active_provider = detector.active_provider().to_owned();
    for reason in detector.passed_over() {
        gst::warning!(CAT, "{element}: runs on '{active_provider}', because {reason}");
    }
    // The same time for every batch, or about so much for each frame.
    let following = settings.follow_options();
    let whole_frames = match &following {
        // Regions are a fraction of what one frame of the batch takes.
        Some(options) => 1 + settings.load.batch_size.div_ceil(options.whole_frame_interval),
        None => settings.load.batch_size,
    };
    let probes_in_a_run = match detector.fills_batches() {
        true => 1,
        false => whole_frames.min(settings.load.batch_size),
    };
    // What a batch shows of known faces decides where they are looked for in the next.
    let wanted = match &following {
        Some(_) => 1,
        None => detector.batches_in_flight(),
    };
    let detectors = with_twins(detector, wanted, element, |first| first.twin(&model));
    let networks = detectors
        .into_iter()
        .map(|detector| Watcher::new(detector, following))
        .collect();
    let worker = Worker::start(networks, settings.load.batch_size as usize).map_err(|error| LoadError {
        kind: LoadErrorKind::Library,
        message: format!("cannot start a thread for the model: {error}"),
    })?;
    Ok(Instance::new(
        worker,
        active_provider,
        probes_in_a_run,
        element,
        settings.clone(),
    ))
}

/// Loads ONNX Runtime, and warns of what is wrong with it.
fn load_runtime(
    settings: &Settings,
    element: &str,
    plugin_file: Option<&Path>,
) -> Result<&'static Runtime, LoadError> {
    let beside = plugin_file.and_then(Path::parent);
    let runtime = runtime::load(settings.load.onnxruntime_library.as_deref(), beside)
        .map_err(|error| load_error(Error::from(error)))?;
    if runtime.is_replaced() {
        gst::warning!(
            CAT,
            "{element}: {} has been replaced or removed since this process loaded it; version {} stays in use until the \
             process starts anew",
            runtime.path().display(),
            runtime.version()
        );
    }
    if let Some(warning) = telemetry::warning(runtime.version()) {
        gst::warning!(CAT, "{element}: {warning}");
    }
    Ok(runtime)
}

/// Whether an inference server runs the network.
fn is_remote(settings: &LoadSettings) -> bool {
    #[cfg(feature = "remote")]
    let is_remote = settings.server.is_set();
    #[cfg(not(feature = "remote"))]
    let is_remote = {
        // There is nothing in them about servers.
        let _ = settings;
        false
    };
    is_remote
}

/// The inference server that runs the network, where there is one.
#[cfg(feature = "remote")]
fn server_options(settings: &LoadSettings) -> Result<Option<img2pose::ServerOptions>, LoadError> {
    use super::settings::ExecutionProvider;

    let Some(options) = settings.server.options()? else {
        return Ok(None);
    };
    let refused = |what: String, cure| Err(LoadError::from(format!("server-url is set, and {what}: {cure}")));
    if settings.execution_provider != ExecutionProvider::Auto {
        let provider = img2pose::ExecutionProvider::from(settings.execution_provider).name();
        return refused(
            format!("execution-provider is {provider}"),
            "the server has providers of its own; leave it at auto, or leave server-url out",
        );
    }
    if settings.whole_frame_interval > 1 {
        return refused(
            format!("whole-frame-interval is {}", settings.whole_frame_interval),
            "a server is sent whole frames; set it to 1, and inference-interval to look at fewer frames",
        );
    }
    Ok(Some(options))
}

/// The network and its twins, `wanted` in all. A twin needs memory of the device once more; where that is not there, fewer
/// batches run at a time.
fn with_twins<N, E: Display>(
    first: N,
    wanted: usize,
    element: &str,
    twin: impl Fn(&N) -> Result<N, E>,
) -> Vec<N> {
    let mut networks = vec![first];
    while networks.len() < wanted {
        match twin(&networks[0]) {
            Ok(twin) => networks.push(twin),
            Err(error) => {
                let running = networks.len();
                gst::warning!(
                    CAT,
                    "{element}: {running} of {wanted} batches run at a time, because the model cannot be loaded once \
                     more: {error}"
                );
                break;
            }
        }
    }
    networks
}

/// The detector checks this too, but under its own names.
fn check_sizes(settings: &LoadSettings) -> Result<(), LoadError> {
    let LoadSettings {
        min_size, max_size, ..
    } = *settings;
    if max_size == 0 || min_size <= max_size {
        return Ok(());
    }
    Err(LoadError {
        kind: LoadErrorKind::Settings,
        message: format!(
            "min-size is {min_size} and max-size {max_size}: the long side of a frame cannot be shorter than its \
             short side; raise max-size, or set it to 0"
        ),
    })
}

/// The surroundings of known faces are looked at with img2pose networks.
fn check_following(model: &Model, settings: &LoadSettings) -> Result<(), LoadError> {
    let interval = settings.whole_frame_interval;
    if interval <= 1 || model.contract().is_some() {
        return Ok(());
    }
    Err(LoadError::from(format!(
        "whole-frame-interval is {interval}, and model {} is of architecture '{}', with which every frame is looked at as a \
         whole; set whole-frame-interval to 1, or take an img2pose network",
        model.path().display(),
        model.facts().architecture()
    )))
}

fn model_path(settings: &LoadSettings, plugin_file: Option<&Path>) -> Result<PathBuf, LoadError> {
    let not_found = |message| LoadError {
        kind: LoadErrorKind::NotFound,
        message,
    };
    match &settings.model {
        Some(model) if model.is_file() => Ok(model.clone()),
        Some(model) => {
            let found = match std::fs::metadata(model) {
                Ok(metadata) if metadata.is_dir() => "a folder".to_owned(),
                Ok(_) => "neither a file nor a folder".to_owned(),
                // What gst-launch-1.0 makes of `model= !`.
                Err(_) if model.as_os_str() == "!" => {
                    "the value was empty, so that the next word was taken; leave 'model' out to have the plugin's own".to_owned()
                }
                Err(error) => error.to_string(),
            };
            Err(not_found(format!(
                "model {}: {found}, expected an ONNX file made by img2pose convert",
                model.display()
            )))
        }
        None => locate::default_model(plugin_file).map_err(|tried| {
            let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            not_found(format!(
                "the plugin's own model {} was not found; set the property 'model' to an ONNX file made by \
                 img2pose convert. Looked for: {}",
                locate::DEFAULT_MODEL,
                tried.join(", ")
            ))
        }),
    }
}

fn load_error(error: Error) -> LoadError {
    let kind = match &error {
        Error::ReadModel { .. } => LoadErrorKind::NotFound,
        Error::NotOnnx { .. }
        | Error::Contract { .. }
        | Error::OutputShape { .. }
        | Error::NotFinite { .. } => LoadErrorKind::WrongFormat,
        Error::Option { .. } | Error::Precision { .. } => LoadErrorKind::Settings,
        _ => LoadErrorKind::Library,
    };
    LoadError {
        kind,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_device_without_room_for_a_twin_runs_fewer_batches_at_a_time() {
        gst::init().unwrap();
        let room = Cell::new(0);
        let load = |first: &u32| match room.replace(room.get() - 1) {
            0 => Err("out of memory"),
            left => Ok(first + left as u32),
        };
        for (free, wanted, loaded) in [(5, 1, 1), (5, 2, 2), (0, 2, 1), (1, 3, 2)] {
            room.set(free);
            assert_eq!(with_twins(7, wanted, "detect", load).len(), loaded);
        }
    }
}
