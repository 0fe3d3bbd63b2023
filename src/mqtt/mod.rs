//! The element `img2posemqtt`: JSON lines to an MQTT broker. Needs the cargo feature `mqtt`.
//!
//! ```text
//! gst-launch-1.0 rtspsrc location=rtsp://camera ! decodebin ! videoconvert ! img2posedetect ! \
//!     img2posejson source=gate-2 time=arrival ! img2posemqtt uri=mqtts://broker.example topic=cameras/{source}/faces
//! ```
//!
//! Each line of [`img2posejson`](crate::json) is published as a message of its own: MQTT 3.1.1, the line without its newline as
//! payload. `{source}` in the topic stands for the line's `source`.
//!
//! # What becomes of a line
//! The pipeline never waits for the broker, and an outage never ends it. Lines wait in a queue of `max-queued-lines`; when it is full, the
//! oldest that was not sent is dropped and counted. With `qos=1`, the default, a line leaves the queue when the broker has
//! acknowledged it: after an outage the unacknowledged ones are sent again, in their order, so each arrives at least
//! once. With `qos=2` each arrives once as long as the connection lasts, with `qos=0` a line counts as published when it was written
//! to the connection. The element connects anew for ever, at growing intervals of up to 30 seconds; it posts one warning for an outage and an
//! info message when it is over. `stats` counts.
//!
//! At the end of the stream it waits up to `eos-timeout` for what is in the queue. What is still there when the element stops counts as
//! dropped.
//!
//! # Who is there
//! With a `status-topic`, the element publishes the retained message `online` there when it has connected, and `offline` when it stops;
//! should it vanish, the broker publishes `offline` in its name.
//!
//! # Security
//! `mqtts://` verifies the broker's certificate, against the system's authorities or those in `ca-file`; there is no way to leave that out.
//! `user` and `password`, or a client's certificate, say who connects. The password is never logged and cannot be read back.

mod imp;
mod publisher;
mod queue;
mod session;
mod settings;
mod tls;
mod topic;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element `img2posemqtt`, see the [module](self).
    pub struct Img2PoseMqtt(ObjectSubclass<imp::Img2PoseMqtt>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer under the name `img2posemqtt`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2posemqtt",
        gst::Rank::NONE,
        Img2PoseMqtt::static_type(),
    )
}
