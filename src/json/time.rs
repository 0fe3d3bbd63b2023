//! The wall-clock time of a frame.

use gst::glib;

use super::settings::Time;

/// Seconds from the beginning of 1900, where NTP begins, to that of 1970, where Unix does.
const NTP_TO_UNIX: i64 = 2_208_988_800;

/// When the frame was taken, in RFC 3339 with microseconds, UTC; `None` where nobody says.
pub fn of(buffer: &gst::BufferRef, time: Time) -> Option<String> {
    match time {
        Time::None => None,
        Time::Reference => reference(buffer),
        Time::Arrival => reference(buffer).or_else(now),
    }
}

fn reference(buffer: &gst::BufferRef) -> Option<String> {
    buffer
        .iter_meta::<gst::ReferenceTimestampMeta>()
        .find_map(|meta| {
            let since = match meta.reference().structure(0)?.name().as_str() {
                "timestamp/x-unix" => 0,
                "timestamp/x-ntp" => NTP_TO_UNIX,
                _ => return None,
            };
            let time = meta.timestamp();
            let seconds = i64::try_from(time.seconds()).ok()? - since;
            written(seconds, time.useconds() % 1_000_000)
        })
}

fn now() -> Option<String> {
    let microseconds = glib::real_time();
    let (seconds, rest) = (
        microseconds.div_euclid(1_000_000),
        microseconds.rem_euclid(1_000_000),
    );
    written(seconds, rest as u64)
}

fn written(seconds: i64, microseconds: u64) -> Option<String> {
    // Times outside of the years that it knows are nobody's.
    let time = glib::DateTime::from_unix_utc(seconds).ok()?;
    Some(format!(
        "{}.{microseconds:06}Z",
        time.format("%Y-%m-%dT%H:%M:%S").ok()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(caps: &str, time: gst::ClockTime) -> gst::Buffer {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let reference = gst::Caps::new_empty_simple(caps);
        gst::ReferenceTimestampMeta::add(buffer.get_mut().unwrap(), &reference, time, None);
        buffer
    }

    #[test]
    fn clocks_that_are_known() {
        let time = gst::ClockTime::from_nseconds(1_700_000_000_123_456_789);
        let expected = Some("2023-11-14T22:13:20.123456Z".to_owned());
        let unix = stamped("timestamp/x-unix", time);
        assert_eq!(of(&unix, Time::Reference), expected);
        assert_eq!(of(&unix, Time::None), None);
        let ntp = stamped(
            "timestamp/x-ntp",
            time + gst::ClockTime::from_seconds(NTP_TO_UNIX as u64),
        );
        assert_eq!(of(&ntp, Time::Arrival), expected);
        let other = stamped("timestamp/x-drone", time);
        assert_eq!(of(&other, Time::Reference), None);
        let arrival = of(&other, Time::Arrival).unwrap();
        assert!(arrival.starts_with("20") && arrival.len() == 27, "{arrival}");
        // Before NTP's beginning of an era there is no Unix time.
        let early = stamped("timestamp/x-ntp", gst::ClockTime::from_mseconds(1500));
        assert_eq!(
            of(&early, Time::Reference).as_deref(),
            Some("1900-01-01T00:00:01.500000Z")
        );
    }
}
