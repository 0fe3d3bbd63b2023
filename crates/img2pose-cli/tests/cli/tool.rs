//! Running the command-line tool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Result of a run of the tool.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_img2pose"));
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Ran {
    ran(command(arguments))
}

/// Runs what [`command`] made.
pub fn ran(mut command: Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Ran {
        code: status.code().expect("the tool was killed"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Ran {
    /// Asserts that the tool failed with one line that has all of `parts`.
    #[track_caller]
    pub fn refused(&self, parts: &[&str]) {
        let errors: Vec<_> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(
            (self.code, errors.len(), self.stdout.as_str()),
            (1, 1, ""),
            "{}",
            self.stderr
        );
        assert!(
            self.stderr.ends_with(&format!("{}\n", errors[0])),
            "more after the error: {}",
            self.stderr
        );
        for part in parts {
            assert!(errors[0].contains(part), "no '{part}' in: {}", errors[0]);
        }
    }

    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

/// A folder that goes away with the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Names of what is in it, hidden files too.
    pub fn names(&self) -> Vec<String> {
        let entries = self.0.path().read_dir().unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
