//! The properties.

use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use img2pose_track::{OneEuro, Smoothing as Smooth, TrackerOptions};

use crate::properties::value_of;

/// What makes boxes and poses calm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseTrackSmoothing")]
#[non_exhaustive]
pub enum Smoothing {
    /// Nothing.
    #[enum_value(name = "Faces are as they were found", nick = "none")]
    None,
    /// The one-euro filter.
    #[default]
    #[enum_value(
        name = "One-euro filter: calm at rest, little behind in motion",
        nick = "one-euro"
    )]
    OneEuro,
}

/// The values of all properties.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    /// What is in force where faces are smoothed.
    pub filter: OneEuro,
    /// Whether they are.
    pub smoothing: Smoothing,
    /// Everything else that the tracker is told; its smoothing is that of the two above.
    options: TrackerOptions,
    /// Most frames that wait for a later look.
    pub look_ahead: u32,
}

impl Settings {
    /// What the tracker is to do.
    pub fn options(&self) -> TrackerOptions {
        self.options.with_smoothing(match self.smoothing {
            Smoothing::None => Smooth::None,
            Smoothing::OneEuro => Smooth::OneEuro(self.filter),
        })
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "smoothing" => self.smoothing = value_of(value),
            "min-cutoff" => self.filter.min_cutoff = value_of(value),
            "beta" => self.filter.beta = value_of(value),
            "speed-cutoff" => self.filter.speed_cutoff = value_of(value),
            "max-lost" => self.options.max_lost = Duration::from_nanos(value_of(value)),
            "max-predicted" => self.options.max_predicted = Duration::from_nanos(value_of(value)),
            "start-score" => self.options.start_score = value_of(value),
            "look-ahead" => self.look_ahead = value_of(value),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "smoothing" => self.smoothing.to_value(),
            "min-cutoff" => self.filter.min_cutoff.to_value(),
            "beta" => self.filter.beta.to_value(),
            "speed-cutoff" => self.filter.speed_cutoff.to_value(),
            "max-lost" => nanoseconds(self.options.max_lost).to_value(),
            "max-predicted" => nanoseconds(self.options.max_predicted).to_value(),
            "start-score" => self.options.start_score.to_value(),
            "look-ahead" => self.look_ahead.to_value(),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(param_specs);
        &SPECS
    }
}

/// GObject's bounds keep it in 64 bits.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn param_specs() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let number = |name, nick, blurb, (minimum, maximum), default| {
        glib::ParamSpecDouble::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let time = |name, nick, blurb, default| {
        glib::ParamSpecUInt64::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(u64::MAX - 1)
            .default_value(nanoseconds(default))
            .mutable_playing()
            .build()
    };
    vec![
        time(
            "max-lost",
            "Maximum loss",
            "How long in nanoseconds a face may be unseen and still keep its id when it reappears where it is \
             expected. Until then, frames that are not looked at show it where it is expected",
            defaults.options.max_lost,
        ),
        time(
            "max-predicted",
            "Maximum prediction",
            "How long in nanoseconds a face is still shown where it is expected after a detector looked and did \
             not find it; 0: not at all",
            defaults.options.max_predicted,
        ),
        glib::ParamSpecFloat::builder("start-score")
            .nick("Start score")
            .blurb(
                "Lowest confidence of a face that gets a new id. A face with less can only continue one that is \
                 already followed; for that, set the detector's score-threshold lower than this",
            )
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.options.start_score)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("smoothing", defaults.smoothing)
            .nick("Smoothing")
            .blurb("How boxes and poses are smoothed; the metadata on the frame also keeps them as they were found")
            .mutable_playing()
            .build(),
        number(
            "min-cutoff",
            "Cut-off at rest",
            "Cut-off frequency in hertz of the smoothing for a head at rest; lower is steadier",
            (0.001, 1000.0),
            defaults.filter.min_cutoff,
        ),
        number(
            "beta",
            "Cut-off in motion",
            "Higher follows motion faster, lower is calmer: by how many hertz the cut-off frequency rises with each \
             degree per second that a head turns, and with each hundredth of its own size per second that a face moves",
            (0.0, 1000.0),
            defaults.filter.beta,
        ),
        number(
            "speed-cutoff",
            "Cut-off of the speed",
            "Cut-off frequency in hertz of the smoothing of the measured speed, on which beta and predicted \
             positions depend",
            (0.001, 1000.0),
            defaults.filter.speed_cutoff,
        ),
        glib::ParamSpecUInt::builder("look-ahead")
            .nick("Look ahead")
            .blurb(
                "Hold back up to this many frames until their faces are seen again: faces are then interpolated \
                 between the frames before and after instead of predicted. With inference-interval=n, set n-1. \
                 Live streams are delayed by as many frames; 0: no frame is held back",
            )
            .maximum(250)
            .default_value(defaults.look_ahead)
            .mutable_playing()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_reads_its_default_and_what_was_set() {
        let defaults = Settings::default();
        for spec in Settings::param_specs() {
            let mut settings = defaults;
            settings.set(spec.name(), spec.default_value());
            assert_eq!(settings, defaults, "{}", spec.name());
            assert_eq!(settings.get(spec.name()).type_(), spec.value_type());
        }
        assert_eq!(defaults.options(), TrackerOptions::default());
    }

    #[test]
    fn the_tracker_is_told_what_was_set() {
        let mut settings = Settings::default();
        settings.set("min-cutoff", &3.0.to_value());
        settings.set("max-lost", &5_000_000_000_u64.to_value());
        let options = settings.options();
        assert_eq!(options.max_lost, Duration::from_secs(5));
        assert!(matches!(options.smoothing, Smooth::OneEuro(filter) if filter.min_cutoff == 3.0));
        settings.set("smoothing", &Smoothing::None.to_value());
        assert_eq!(settings.options().smoothing, Smooth::None);
    }

    #[test]
    fn the_longest_times_are_within_what_the_tracker_takes() {
        let mut settings = Settings::default();
        settings.set("max-lost", &(u64::MAX - 1).to_value());
        assert_eq!(settings.get("max-lost").get::<u64>().unwrap(), u64::MAX - 1);
        assert_eq!(settings.options().validate(), Ok(()));
    }
}
