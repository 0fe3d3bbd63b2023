//! The properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use crate::properties::{text_of, value_of};

/// Stands for the id of the stream in the property `source`.
const STREAM_ID: &str = "{stream-id}";

/// Where the wall-clock time of a line comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseJsonTime")]
#[non_exhaustive]
pub enum Time {
    /// Nowhere: lines have none.
    #[enum_value(name = "No wall-clock time", nick = "none")]
    None,
    /// The camera, where it says.
    #[default]
    #[enum_value(
        name = "When the camera took the frame, where the source says (GstReferenceTimestampMeta)",
        nick = "reference"
    )]
    Reference,
    /// The camera, or else this machine.
    #[enum_value(
        name = "As reference; else when the frame arrived here, by this machine's clock",
        nick = "arrival"
    )]
    Arrival,
}

/// The values of all properties.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether frames without faces have a line.
    pub include_empty: bool,
    /// Which camera this is, perhaps with [`STREAM_ID`] in it.
    source: Option<String>,
    /// Where the wall-clock time comes from.
    pub time: Time,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            include_empty: true,
            source: None,
            time: Time::default(),
        }
    }
}

impl Settings {
    /// What lines are to say of where they come from; `stream_id`, asked for where it matters, gives the id of their stream.
    pub fn source(&self, stream_id: impl FnOnce() -> Option<glib::GString>) -> Option<String> {
        let source = self.source.as_ref()?;
        if !source.contains(STREAM_ID) {
            return Some(source.clone());
        }
        Some(source.replace(STREAM_ID, &stream_id().unwrap_or_default()))
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "include-empty" => self.include_empty = value_of(value),
            "source" => self.source = text_of(value),
            "time" => self.time = value_of(value),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "include-empty" => self.include_empty.to_value(),
            "source" => self.source.to_value(),
            "time" => self.time.to_value(),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecBoolean::builder("include-empty")
                    .nick("Include empty frames")
                    .blurb(
                        "Write a line for frames without faces too, with an empty list. A frame that was not \
                         looked at has a line only if the detector's reuse-faces is set, or if img2posetrack \
                         expects faces in it",
                    )
                    .default_value(defaults.include_empty)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("source")
                    .nick("Source")
                    .blurb(
                        "Say in every line, as source, which camera or file it comes from; {stream-id} in it stands \
                         for the id of the stream. Unset or empty: lines say nothing of it",
                    )
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("time", defaults.time)
                    .nick("Wall-clock time")
                    .blurb(
                        "Where the wall-clock time of a line comes from; frames without one have lines without time. \
                         Cameras say it through rtspsrc with add-reference-timestamp-meta=true",
                    )
                    .mutable_playing()
                    .build(),
            ]
        });
        &SPECS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_reads_its_default_and_what_was_set() {
        gst::init().unwrap();
        let defaults = Settings::default();
        for spec in Settings::param_specs() {
            let mut settings = defaults.clone();
            settings.set(spec.name(), spec.default_value());
            assert_eq!(settings, defaults, "{}", spec.name());
            assert_eq!(settings.get(spec.name()).type_(), spec.value_type());
        }
    }

    #[test]
    fn a_source_may_name_the_stream() {
        let source = |text: &str, id: Option<&str>| {
            let mut settings = Settings::default();
            settings.set("source", &text.to_value());
            settings.source(|| id.map(Into::into))
        };
        assert_eq!(source("", Some("abc")), None);
        assert_eq!(source("door", Some("abc")).as_deref(), Some("door"));
        assert_eq!(
            source("door-{stream-id}", Some("abc")).as_deref(),
            Some("door-abc")
        );
        assert_eq!(source("{stream-id}", None).as_deref(), Some(""));
    }
}
