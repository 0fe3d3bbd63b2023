//! What is read: a file, a camera, an address, a folder.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Endings of the files of a folder that are looked at.
const PICTURES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];
const VIDEOS: [&str; 11] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "wmv", "flv",
];
/// Schemes of sources that wait for nobody.
const LIVE: [&str; 7] = ["rtsp", "rtsps", "rtp", "srt", "udp", "rtmp", "rtmps"];

/// Which kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with one picture.
    Picture,
    /// Any other file.
    Video,
    /// A device.
    Camera,
    /// An address; `live`: what comes from there waits for nobody.
    Address {
        /// Whether it does not wait.
        live: bool,
    },
    /// A folder.
    Folder,
}

/// A source that is there.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is.
    pub kind: Kind,
    /// Its path or address.
    pub name: String,
}

impl Source {
    /// Finds out what `text` names.
    ///
    /// # Errors
    /// There is no such file or camera, or it can be neither.
    pub fn new(text: &str) -> Result<Self> {
        if let Some((scheme, _)) = text.split_once("://") {
            let live = LIVE.contains(&scheme.to_ascii_lowercase().as_str());
            return Ok(Self {
                kind: Kind::Address { live },
                name: text.to_owned(),
            });
        }
        // A file that is called 0 comes first.
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let name = match is_number && !Path::new(text).exists() {
            true => format!("/dev/video{text}"),
            false => text.to_owned(),
        };
        let metadata = fs::metadata(&name).map_err(|source| match is_number {
            true => Error::Usage(format!("no camera {name}; {}", cameras())),
            false => Error::File {
                path: PathBuf::from(&name),
                source,
            },
        })?;
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_char_device() => Kind::Camera,
            kind if kind.is_file() && has_ending(Path::new(&name), &PICTURES) => Kind::Picture,
            kind if kind.is_file() => Kind::Video,
            _ => {
                return Err(Error::Usage(format!(
                    "{name} is neither a file nor a folder nor a camera"
                )));
            }
        };
        Ok(Self { kind, name })
    }

    /// The pictures and videos of a folder, by name.
    ///
    /// # Errors
    /// It cannot be read, or has none.
    pub fn files(&self) -> Result<Vec<Self>> {
        let failed = |source| Error::File {
            path: PathBuf::from(&self.name),
            source,
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.name).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_file() && (has_ending(&path, &PICTURES) || has_ending(&path, &VIDEOS)) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(Error::Usage(format!(
                "{} has no pictures and no videos ({}, {})",
                self.name,
                PICTURES.join(", "),
                VIDEOS.join(", ")
            )));
        }
        let of = |path: PathBuf| match path.into_os_string().into_string() {
            Ok(name) => Self::new(&name),
            Err(name) => Err(Error::Usage(format!(
                "{} has a name that is not UTF-8",
                Path::new(&name).display()
            ))),
        };
        paths.into_iter().map(of).collect()
    }

    /// Whether frames come when they come: what there is no time for is left out.
    pub fn is_live(&self) -> bool {
        matches!(self.kind, Kind::Camera | Kind::Address { live: true })
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| endings.contains(&ending.to_ascii_lowercase().as_str()))
}

/// The cameras of this machine, in words.
fn cameras() -> String {
    let mut found: Vec<_> = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .filter(|name| name.starts_with("/dev/video"))
        .collect();
    found.sort();
    match found.is_empty() {
        true => "this machine has none".to_owned(),
        false => format!("this machine has {}", found.join(", ")),
    }
}
