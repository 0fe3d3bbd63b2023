//! `img2pose doctor`.

mod gstreamer;
mod inference;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use report::Report;

use crate::error::{Error, Result};
use crate::output;

/// Check an installation: GStreamer, the plugin, ONNX Runtime, the model; say what to do about what is wrong
#[derive(Args)]
pub struct Doctor {
    /// Model to check [default: the one that comes with the plugin]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// The libonnxruntime.so to check, as the element's property onnxruntime-library [default: where the element looks]
    #[arg(long, value_name = "FILE")]
    onnxruntime_library: Option<PathBuf>,

    /// A library with an execution provider of its own, as the element's property provider-library: its devices are listed, and
    /// the first is tried
    #[arg(long, value_name = "FILE")]
    provider_library: Option<PathBuf>,

    /// Try TensorRT too, which builds an engine for minutes
    #[arg(long)]
    tensorrt: bool,
}

impl Doctor {
    pub fn run(self) -> Result<()> {
        let mut report = Report::default();
        let plugin = gstreamer::check(&mut report);
        // Where the plugin is decides which library and which model the element takes.
        let beside = plugin.as_deref().and_then(Path::parent);
        let runtime = inference::runtime(&mut report, self.onnxruntime_library.as_deref(), beside);
        let model = inference::model(&mut report, self.model.as_deref(), plugin.as_deref());
        if let (Some(runtime), Some(model)) = (runtime, model) {
            inference::providers(&mut report, runtime, &model, self.tensorrt);
            if let Some(library) = &self.provider_library {
                inference::plugin(&mut report, runtime, &model, library);
            }
        }
        match report.faults() {
            0 => {
                output::line(format_args!("all is well"));
                Ok(())
            }
            count => Err(Error::Faults { count }),
        }
    }
}
