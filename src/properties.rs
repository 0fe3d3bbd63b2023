//! Properties and their values.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;

/// The value that GObject hands over for a property, whose name, type and range it has checked.
pub fn value_of<'v, T: glib::value::FromValue<'v>>(value: &'v glib::Value) -> T {
    value
        .get::<T>()
        .unwrap_or_else(|_| unreachable!("GObject has checked the type"))
}

/// The text that GObject hands over for a property. An empty one is unset, as scripts write it for "none".
pub fn text_of(value: &glib::Value) -> Option<String> {
    value_of::<Option<String>>(value).filter(|text| !text.is_empty())
}

/// The same for the name of a file: `model=""` is no model.
pub fn path_of(value: &glib::Value) -> Option<PathBuf> {
    value_of::<Option<PathBuf>>(value).filter(|path| !path.as_os_str().is_empty())
}

/// A text that can be set until the element is in READY.
pub fn text_spec(
    name: &str,
    nick: &'static str,
    blurb: &'static str,
    default: Option<&str>,
) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_ready()
        .build()
}
