//! The properties as GObject and `gst-inspect-1.0` know them: names, ranges, defaults, descriptions.

use gst::glib;
use gst::prelude::*;
use img2pose::FollowOptions;

use super::{ExecutionProvider, LARGEST_SIDE, Orientation, Precision, Settings};
use crate::properties::text_spec;

/// All properties of the element, in the order of importance.
pub(super) fn param_specs() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let path = |name, nick, blurb| text_spec(name, nick, blurb, None);
    let uint = |name, nick, blurb, (minimum, maximum), default| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(default)
            .mutable_ready()
            .build()
    };
    let factor = |name, nick, blurb, (minimum, maximum), default| {
        glib::ParamSpecDouble::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        path(
            "model",
            "Model file",
            "The img2pose ONNX model (make one with img2pose convert); unset: the model that comes with the plugin",
        ),
        path(
            "model-instance-id",
            "Shared model",
            "Elements of one process with the same name here share one loaded model, and their frames share \
             batches; unset: not shared",
        ),
        path(
            "onnxruntime-library",
            "ONNX Runtime library",
            "The ONNX Runtime library (libonnxruntime.so) to load; unset: the one in the environment variable \
             ORT_DYLIB_PATH, then one beside the plugin or in the Python package onnxruntime there, then the system's. \
             The first element that starts decides for the whole process",
        ),
        uint(
            "batch-size",
            "Batch size",
            "Number of frames that go through the network in one run. A live stream is delayed by the time that \
             it takes to fill a batch",
            (1, 64),
            defaults.load.batch_size,
        ),
        glib::ParamSpecUInt64::builder("batch-timeout")
            .nick("Batch timeout")
            .blurb(
                "Longest time in nanoseconds that a batch waits to fill up. 0: it runs as soon as the model is \
                 free. -1 (shown as 18446744073709551615): automatic; in a live stream the time to fill a batch at its framerate, otherwise until \
                 the model is free and no frame has arrived for three frame durations (50 to 250 ms)",
            )
            .default_value(u64::MAX)
            .mutable_playing()
            .build(),
        uint(
            "max-queued-batches",
            "Queued batches",
            "Number of batches that may wait while another one runs; when they are full, upstream is blocked",
            (1, 64),
            defaults.max_queued_batches,
        ),
        uint(
            "min-size",
            "Short side",
            "Frames are resized until their short side has this many pixels, unless max-size allows less; 0: the \
             model's value. Smaller is faster, but misses small faces",
            (0, LARGEST_SIDE),
            0,
        ),
        uint(
            "max-size",
            "Longest side",
            "The long side of a resized frame has at most this many pixels; 0: the model's value",
            (0, LARGEST_SIDE),
            0,
        ),
        glib::ParamSpecFloat::builder("score-threshold")
            .nick("Score threshold")
            .blurb("Leave out faces with a confidence below this (0 to 1). An img2pose network itself leaves out \
                 those below 0.05")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.score_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecInt::builder("max-faces")
            .nick("Maximum faces")
            .blurb("Report at most this many faces of a frame, the most confident ones; -1: all")
            .minimum(-1)
            .maximum(i32::MAX)
            .default_value(-1)
            .mutable_playing()
            .build(),
        factor(
            "bbox-x-factor",
            "Box width",
            "Width of a face box as a multiple of the width of the head model's 68 points in the picture",
            (0.01, 10.0),
            defaults.bbox_x_factor,
        ),
        factor(
            "bbox-y-factor",
            "Box height",
            "Height of a face box as a multiple of the height of the head model's 68 points in the picture",
            (0.01, 10.0),
            defaults.bbox_y_factor,
        ),
        factor(
            "expand-forehead",
            "Forehead",
            "Height added to a face box above the forehead, as a multiple of the height of the projected \
             landmarks",
            (0.0, 10.0),
            defaults.expand_forehead,
        ),
        uint(
            "num-threads",
            "Threads",
            "Threads for inference on the processor; 0: one for each core",
            (0, 1024),
            0,
        ),
        glib::ParamSpecEnum::builder_with_default("execution-provider", ExecutionProvider::default())
            .nick("Execution provider")
            .blurb(
                "What runs the network. auto: CUDA, else OpenVINO, else the processor, the first that works. A \
                 provider that is named here and does not work is an error at start; it is never replaced by \
                 another",
            )
            .mutable_ready()
            .build(),
        path(
            "provider-library",
            "Provider library",
            "With execution-provider=plugin: the library with the provider, such as libonnxruntime_providers_webgpu.so; needs \
             ONNX Runtime 1.23 or newer. img2pose doctor --provider-library lists what it offers",
        ),
        path(
            "provider-name",
            "Provider name",
            "With provider-library: which of its providers; unset: the only one",
        ),
        path(
            "provider-options",
            "Provider options",
            "With provider-library: what the provider is told, NAME=VALUE, with commas between several; its maker says which \
             there are",
        ),
        glib::ParamSpecEnum::builder_with_default("precision", Precision::default())
            .nick("Precision")
            .blurb(
                "The number format in which the network computes. Smaller formats than fp32 are faster and change \
                 boxes and poses a little. int8 needs the file NAME-int8.onnx beside the model NAME.onnx",
            )
            .mutable_ready()
            .build(),
        uint(
            "device-id",
            "Device",
            "Number of the GPU that runs the network, counted from 0 (cuda, tensorrt, plugin)",
            (0, 255),
            0,
        ),
        uint(
            "whole-frame-interval",
            "Whole frame interval",
            "Look at every n-th frame as a whole, and in those between only around the faces that are known, which \
             takes a small part of the time; 1: at every frame. A face that comes into the picture is seen with the next \
             whole frame; one that is lost makes its frame a whole one. With img2pose networks only",
            (1, 10_000),
            defaults.load.whole_frame_interval,
        ),
        uint(
            "region-size",
            "Region size",
            "With whole-frame-interval: width and height in pixels that the surroundings of a face are resized to, a \
             multiple of 32; others are rounded up, with a warning",
            (*FollowOptions::REGION_SIZES.start(), *FollowOptions::REGION_SIZES.end()),
            defaults.load.region_size,
        ),
        glib::ParamSpecDouble::builder("region-margin")
            .nick("Region margin")
            .blurb(
                "With whole-frame-interval: side of the surroundings of a face as a multiple of the longer side of its box; \
                 faces that move fast need more",
            )
            .minimum(*FollowOptions::REGION_MARGINS.start())
            .maximum(*FollowOptions::REGION_MARGINS.end())
            .default_value(defaults.load.region_margin)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("inference-interval")
            .nick("Inference interval")
            .blurb(
                "Look for faces in every n-th frame only. The other frames pass in order, without faces unless \
                 reuse-faces is set. Batches are smaller than batch-size if the queue (see max-queued-batches) is \
                 too short to fill them with every n-th frame",
            )
            .minimum(1)
            .maximum(10_000)
            .default_value(defaults.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("reuse-faces")
            .nick("Reuse faces")
            .blurb(
                "Give each frame that is not looked at (inference-interval, qos) the faces of the last frame that \
                 was, marked as reused; otherwise it carries none. The first frame after a seek, a gap or a \
                 change of size is always looked at. The reused faces are wrong for heads that have moved or \
                 appeared since",
            )
            .default_value(defaults.reuse_faces)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("qos")
            .nick("Quality of service")
            .blurb(
                "Let frames pass without inference if the sink reports that they would arrive too late. Frames \
                 are never dropped",
            )
            .default_value(defaults.qos)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("orientation", Orientation::default())
            .nick("Orientation")
            .blurb(
                "How to turn frames for the network; values as in videoflip's video-direction. auto: as the \
                 stream's image-orientation tag says, which players follow too. Buffers are not changed: boxes, \
                 keypoints and poses refer to their pixels as they are stored",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("active-provider")
            .nick("Active provider")
            .blurb("The execution provider in use; unset before the model is loaded")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("stats-interval")
            .nick("Statistics interval")
            .blurb(
                "Post the statistics as an element message each time this many nanoseconds have passed and a \
                 frame leaves; 0: never",
            )
            .maximum(u64::MAX - 1)
            .default_value(0)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "Since the element went to PAUSED: frames-in, frames-out, inferred (looked at), skipped (by \
                 inference-interval), late (by qos), device-copies (frames that were copied from CUDA memory to the network on the \
                 GPU), faces, batches, quiet-batches (run before they were full, because no frame arrived), whole-frames, \
                 regions and losses (with whole-frame-interval: frames that were looked at as a whole, regions that \
                 were looked at, and faces that were not found again there), mean-fill (frames in a batch), queue-level (frames in the element now), and count, mean, p50, p95, max in \
                 nanoseconds of convert (a frame), infer (a batch), post (attaching the faces), push (downstream)",
            )
            .read_only()
            .build(),
    ]
}
