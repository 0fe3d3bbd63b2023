//! The element `img2posedetect`: finds the faces of every frame and attaches them to it.
//!
//! Frames leave as the buffers that came in, in order, pixels and timestamps untouched; each carries what
//! [`crate::meta`] reads. Frames are collected into batches and each batch goes through the network in one run.
//!
//! ```text
//! gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! img2posedetect batch-size=8 ! \
//!     img2posejson ! filesink location=faces.jsonl
//! ```
//!
//! # Threads
//! The thread that delivers a frame converts it into the open batch and queues the buffer. A worker thread runs the
//! batches, two threads for a model on a GPU. A task on the source pad waits for the results and pushes. When
//! `max-queued-batches` batches wait, the delivering thread is blocked, as in `queue`; so the element needs no `queue`
//! around it.
//!
//! # When a batch closes
//! When it holds `batch-size` frames; before CAPS, SEGMENT, EOS, GAP, STREAM_START, SEGMENT_DONE, STREAM_GROUP_DONE
//! and before a serialized query; or when `batch-timeout` has passed since its first frame. Tags and custom events
//! keep their place between the frames and close nothing. The automatic timeout is one fill at the framerate in a live
//! pipeline. In others there is none, but a batch runs when the model is free and nothing has come for three frame
//! durations (at least 50 ms and at most 250, 100 where the framerate is unknown): a source that goes on fills its batches,
//! and one that pauses, or that waits for its frames to leave, gets them. Where it waits, as an application that pushes one frame
//! and pulls its faces does, batches of that size do not wait for more, except now and then for a test. Before PLAYING, and
//! with the automatic timeout for the first frame after a flush, batches do not wait to fill, so that a preroll never hangs.
//!
//! `batch-timeout` counts on the pipeline's clock, what has not come on the system's: a source that is not live follows
//! no clock, and one that stands still must not make frames stand still.
//!
//! # Latency
//! In a live pipeline the element adds the time to fill a batch and the time of a run to the latency. The time of a run
//! is measured with a blank frame when the pipeline first asks. When runs outgrow what was promised, the element posts
//! a LATENCY message; the application has to react to it with `gst_bin_recalculate_latency`, as `gst-launch-1.0` does.
//!
//! # Too slow
//! When the model cannot keep up, the queue fills and upstream is blocked; no frame is dropped here. To keep a display
//! running, `qos` lets frames pass without inference that the sink has reported to be too late, and
//! `inference-interval` looks at every n-th frame only. `reuse-faces` gives frames that were not looked at the faces of the last one
//! that was, marked as reused. The interval then begins anew, with a frame that is looked at even when it is late, where the
//! picture may be another: at a SEGMENT or GAP, and when the size, the shape of the pixels or the format changes, as it always does at the
//! start of a stream and after a flush. So no frame is without faces.
//!
//! # Following faces
//! With `whole-frame-interval=n` every n-th inferred frame is looked at as a whole. In those between, the surroundings of each
//! known face are cut from the frame and go through the network, those of all frames of a batch in one run. Where a face is not
//! found again, that frame is looked at as a whole at once, and what comes after it follows what was found there. So is a frame
//! with so many faces that their regions would take longer than itself. A SEGMENT, a flush, a GAP, other caps and another orientation begin anew. Frames are copied when they come, because what of them
//! is looked at is known only when their batch runs; one batch runs at a time, on a GPU, too. At 1 none of that
//! is in use.
//!
//! # Two kinds of models
//! `model` is the file of an img2pose network, or of two small networks of which one finds faces and the other looks at each in the
//! original frame. With the second kind frames are copied when they come, and faces are not followed (`whole-frame-interval` is 1);
//! each face also says how sure its rotation is (`sigma`).
//!
//! # Which way up
//! Frames are looked at as they are meant to be seen: pixels that are not square (`pixel-aspect-ratio` in the caps) as square
//! ones, and pictures that have to be turned as the `image-orientation` tag or the property `orientation` says. The
//! buffers stay as they are, and boxes, keypoints and poses are those of their own pixels: a head in a video that is to be
//! turned clockwise by 90 degrees has a roll of about -90. Put `videoflip video-direction=auto` before the element to have
//! the pixels turned instead.
//!
//! # The end of the program
//! A program may end while the element plays. The run under way is stopped, nothing more is looked at, and the stream ends with
//! EOS: frames that were not looked at do not pass.
//!
//! # Sharing a model
//! Elements with the same `model-instance-id` share one loaded model and its worker. Frames of one size and format from
//! any of them go through the network together; each element gets its own results in its own order, and one that is
//! flushed, paused, blocked or removed does not hold up the others. Their settings of model and faces must agree.

mod batcher;
mod imp;
#[cfg(test)]
mod in_flight_tests;
mod instance;
mod latency;
mod model;
mod network;
mod orientation;
mod portion;
mod probe;
mod queue;
mod settings;
mod sink;
mod sink_events;
mod src;
mod stats;
mod stream;
mod submit;
mod task;
mod watcher;
mod worker;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

pub use orientation::Orientation;
pub use settings::ExecutionProvider;

/// Debug category of the element: every decision is traced in it.
static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2posedetect",
        gst::DebugColorFlags::empty(),
        Some("img2pose face detector"),
    )
});

glib::wrapper! {
    /// The element `img2posedetect`, see the [module](self).
    pub struct Img2PoseDetect(ObjectSubclass<imp::Img2PoseDetect>)
        @extends gst::Element, gst::Object;
}

/// Makes the element known to GStreamer under the name `img2posedetect`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "img2posedetect",
        gst::Rank::NONE,
        Img2PoseDetect::static_type(),
    )
}
