//! The JSON lines: written where they are wanted, and counted.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Result};

/// What of a line is counted.
#[derive(Deserialize)]
struct Line {
    orientation: Option<String>,
    faces: Vec<IgnoredAny>,
}

/// Where the lines go, and what was in them.
pub struct Lines {
    path: PathBuf,
    writer: Option<Box<dyn Write>>,
    /// Lines so far.
    pub frames: u64,
    /// Of them, those with a face.
    pub with_face: u64,
    /// Faces in all of them.
    pub faces: u64,
}

impl Lines {
    /// `-` is standard output, `None` nowhere.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let writer: Option<Box<dyn Write>> = match path {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Box::new(BufWriter::new(io::stdout()))),
            Some(path) => {
                let file = File::create(path).map_err(|source| Error::File {
                    path: path.to_owned(),
                    source,
                })?;
                Some(Box::new(BufWriter::new(file)))
            }
        };
        Ok(Self {
            path: path.map(Path::to_owned).unwrap_or_default(),
            writer,
            frames: 0,
            with_face: 0,
            faces: 0,
        })
    }

    /// Takes a line of `img2posejson`, newline included; `name` is the file of a folder that it is about. Gives how players are to turn the
    /// frame, where they are.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn take(&mut self, line: &[u8], name: Option<&str>) -> Result<Option<String>> {
        let read: Line = serde_json::from_slice(line)
            .map_err(|error| Error::Usage(format!("img2posejson wrote a line that is not JSON: {error}")))?;
        self.frames += 1;
        self.with_face += u64::from(!read.faces.is_empty());
        self.faces += read.faces.len() as u64;
        let Some(writer) = &mut self.writer else {
            return Ok(read.orientation);
        };
        let written = match name {
            // The first member of the object.
            Some(name) => serde_json::to_string(name)
                .map_err(io::Error::from)
                .and_then(|name| write!(writer, "{{\"file\":{name},"))
                .and_then(|()| writer.write_all(&line[1..])),
            None => writer.write_all(line),
        };
        // Whoever reads along sees whole lines soon.
        let flushed = written.and_then(|()| self.flush());
        self.ended(flushed)?;
        Ok(read.orientation)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.flush())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        let flushed = self.flush();
        self.ended(flushed)
    }

    fn ended(&self, written: io::Result<()>) -> Result<()> {
        written.map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe => Error::Usage("nobody reads the lines any more".to_owned()),
            _ => Error::File {
                path: self.path.clone(),
                source,
            },
        })
    }
}
