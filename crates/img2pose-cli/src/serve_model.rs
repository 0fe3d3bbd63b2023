//! `img2pose serve-model`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use img2pose::{Model, ServerModel, ServerTensor};

use crate::error::{Error, Result};
use crate::output;

/// Write a model repository for an inference server (Open Inference Protocol: NVIDIA Triton, OpenVINO Model Server, ...)
///
/// The model in it takes frames as they are and gives what a detector ends with: the property `server-url` of img2posedetect, or the
/// crate img2pose with its feature `remote`, sends batches there.
#[derive(Args)]
pub struct ServeModel {
    /// Model (.onnx) of an img2pose network
    model: PathBuf,
    /// Folder of the repository; it may hold other models
    repository: PathBuf,
    /// Name of the model at the server: letters, digits, - _ .
    #[arg(long, default_value = "img2pose")]
    name: String,
    /// Version of the model; a server takes the highest
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,
}

impl ServeModel {
    pub fn run(self) -> Result<()> {
        let name = &self.name;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(Error::Usage(format!(
                "--name '{name}' does not do: letters, digits, - _ and . are allowed, not . at the start"
            )));
        }
        let served = Model::open(&self.model)?.for_server()?;
        let folder = self.repository.join(name);
        let version = folder.join(self.version.to_string());
        if fs::symlink_metadata(&version).is_ok() {
            return Err(Error::Repository(format!(
                "{} is there already; give another --version, or remove it",
                version.display()
            )));
        }
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        // First the version: a server that looks in between finds a model without a configuration, which it leaves alone.
        write_version(&version, &served.onnx)?;
        let config = folder.join("config.pbtxt");
        let text = config_text(name, &served);
        let is_kept = write_config(&config, &text)?;

        output::line(format_args!("model      {}/model.onnx", version.display()));
        output::line(format_args!("config     {}", config.display()));
        output::line(format_args!("contract   {}", served.contract));
        if is_kept {
            output::note(format_args!(
                "{} was there and is kept as it is; the contract in it may be that of another version",
                config.display()
            ));
        }
        self.say_how_to_start();
        Ok(())
    }

    /// Says how servers are started with the repository.
    fn say_how_to_start(&self) {
        let name = &self.name;
        let repository = fs::canonicalize(&self.repository);
        let repository = repository.as_deref().unwrap_or(&self.repository).display();
        let version = format!("{repository}/{name}/{}", self.version);
        for line in [
            String::new(),
            "NVIDIA Triton, which has ONNX Runtime as a backend (gRPC on port 8001):".to_owned(),
            format!("    docker run --rm --gpus all -p 8001:8001 -v {repository}:/models:ro \\"),
            "        nvcr.io/nvidia/tritonserver:25.06-py3 tritonserver --model-repository=/models".to_owned(),
            "OpenVINO Model Server (in f32: its own choice turns heads by degrees on some processors):".to_owned(),
            format!("    docker run --rm -p 8001:8001 -v {repository}/{name}:/model:ro openvino/model_server:latest \\"),
            format!(
                "        --model_name {name} --model_path /model --port 8001 --plugin_config '{{\"INFERENCE_PRECISION_HINT\":\"f32\"}}'"
            ),
            "MLServer (pip install mlserver onnxruntime); settings.json says at which address, model-settings.json the name:".to_owned(),
            format!("    cp examples/servers/mlserver/*.py examples/servers/mlserver/*.json {version}/"),
            format!("    MLSERVER_GRPC_PORT=8001 mlserver start {version}"),
            "KServe (pip install kserve onnxruntime); it listens on all addresses:".to_owned(),
            format!(
                "    python3 examples/servers/kserve_model.py {version}/model.onnx --model_name {name} --grpc_port 8001"
            ),
            String::new(),
            "Cameras:".to_owned(),
            format!("    ... ! img2posedetect server-url=grpc://HOST:8001 server-model={name} ! ..."),
        ] {
            output::line(format_args!("{line}"));
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Repository(format!("cannot {what} {}: {error}", path.display()))
}

/// Writes the folder of a version, which appears when it is complete.
fn write_version(version: &Path, onnx: &[u8]) -> Result<()> {
    let unfinished = beside(version);
    let written = fs::create_dir(&unfinished)
        .and_then(|()| write_file(&unfinished.join("model.onnx"), onnx))
        .and_then(|()| fs::rename(&unfinished, version));
    written.map_err(|error| {
        // What cannot be removed is named so that no server takes it for a version.
        let _ = fs::remove_dir_all(&unfinished);
        failed("write", version)(error)
    })
}

/// Writes the configuration unless there is one. Says whether another one was there, which is kept: somebody may have tuned it.
fn write_config(config: &Path, text: &str) -> Result<bool> {
    match fs::read_to_string(config) {
        Ok(found) => return Ok(found != text),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("read", config)(error)),
        Err(_) => {}
    }
    let unfinished = beside(config);
    let written = write_file(&unfinished, text.as_bytes()).and_then(|()| fs::rename(&unfinished, config));
    written.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        failed("write", config)(error)
    })?;
    Ok(false)
}

/// A hidden name in the same folder, which no server reads.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}-{}", std::process::id()))
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Triton's configuration. Batches are made by the detector: lists of proposals cannot be put together by a server.
fn config_text(name: &str, served: &ServerModel) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{line}");
    };
    line(&format!("name: \"{name}\""));
    line("backend: \"onnxruntime\"");
    line("# 0: the first side of each tensor is its own; batches are made where the frames are.");
    line("max_batch_size: 0");
    for (what, tensors) in [("input", &served.inputs), ("output", &served.outputs)] {
        line(&format!("{what} ["));
        let tensors: Vec<String> = tensors.iter().map(tensor_text).collect();
        line(&tensors.join(",\n"));
        line("]");
    }
    line("parameters {");
    line("  key: \"img2pose_contract\"");
    line(&format!("  value: {{ string_value: \"{}\" }}", served.contract));
    line("}");
    text
}

fn tensor_text(tensor: &ServerTensor) -> String {
    let sides: Vec<String> = tensor.shape.iter().map(i64::to_string).collect();
    format!(
        "  {{ name: \"{}\" data_type: TYPE_{} dims: [ {} ] }}",
        tensor.name,
        tensor.elements,
        sides.join(", ")
    )
}
