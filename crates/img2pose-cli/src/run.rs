//! `img2pose run`: hands over to the program `img2pose-run`.
//!
//! That one links GStreamer. This one does not, so that `img2pose doctor` can say that GStreamer is missing, and everything else works
//! without.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::error::{Error, Result};
use crate::run_arguments::RunArguments;

const PROGRAM: &str = "img2pose-run";
/// What the system's loader ends a program with that it cannot load.
const NOT_LOADED: i32 = 127;

/// Find the faces in a video, a camera, an address or a folder of pictures
// The arguments are read here, too: what is wrong is said in the same words, whether GStreamer is there or not.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    _arguments: RunArguments,
}

impl Run {
    /// Comes back only when there is nobody to hand over to.
    pub fn run(self) -> Result<()> {
        let program = find().ok_or_else(|| {
            Error::Run(format!(
                "{PROGRAM} is neither beside this program nor in PATH; in a checkout of the project, \
                 cargo build --release -p img2pose-cli --features view builds it"
            ))
        })?;
        let tried = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output();
        if let Ok(tried) = tried
            && tried.status.code() == Some(NOT_LOADED)
        {
            let said = String::from_utf8_lossy(&tried.stderr).into_owned();
            return Err(Error::Run(format!(
                "{} does not start: {}. Install GStreamer 1.20 or newer (Debian, Ubuntu: gstreamer1.0-plugins-base \
                 gstreamer1.0-plugins-good gstreamer1.0-libav)",
                program.display(),
                said.trim()
            )));
        }
        // `img2pose run ARGUMENTS`
        let failed = Command::new(&program).args(env::args_os().skip(2)).exec();
        Err(Error::Run(format!(
            "{} does not start: {failed}",
            program.display()
        )))
    }
}

fn find() -> Option<PathBuf> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}
