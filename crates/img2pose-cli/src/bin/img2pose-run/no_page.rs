//! In the place of the page where it is not built (cargo feature `view`): there is none.

use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result};
use crate::run_arguments::RunArguments;

/// Nothing is one.
pub enum Page {}

/// Nothing is one.
pub enum Branch {}

impl Page {
    /// # Errors
    /// It is asked for.
    pub fn open(arguments: &RunArguments) -> Result<Option<Self>> {
        match arguments.view {
            None => Ok(None),
            Some(_) => Err(Error::Usage(
                "this img2pose-run was built without the page of --view; in a checkout of the project, cargo build --release -p img2pose-cli --features view builds it with".to_owned(),
            )),
        }
    }

    pub fn source(&self, _: &str) {
        match *self {}
    }

    pub fn branch(&self, _: bool) -> Result<Branch> {
        match *self {}
    }

    pub fn watch(&self, _: &gst::Element) {
        match *self {}
    }

    pub fn line(&self, _: &[u8], _: Option<gst::ClockTime>, _: &gst::Element) {
        match *self {}
    }

    pub fn ended(&self, _: Option<&Error>) {
        match *self {}
    }

    pub fn stay(&self, _: &AtomicBool) {
        match *self {}
    }
}

impl Branch {
    pub fn add_to(&self, _: &gst::Pipeline, _: &gst::Element) -> Result<()> {
        match *self {}
    }

    pub fn is_complete(&self) -> bool {
        match *self {}
    }
}
