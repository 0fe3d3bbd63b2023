#!/usr/bin/env python3
"""Prints the faces that img2posedetect puts on the frames of a video, or of a pipeline.

    read_faces.py in.mp4
    read_faces.py 'v4l2src ! videoconvert ! img2posedetect ! img2posetrack'

Needs PyGObject and the introspection data of GStreamer 1.20 or later (Debian: python3-gi gir1.2-gst-plugins-base-1.0),
nothing of this project but the plugin.
"""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402

LAYOUT_VERSION = 1
FILE = "filesrc name=file ! decodebin ! videoconvert ! img2posedetect"


def number(structure, name):
    found, value = structure.get_double(name)
    if not found:
        raise ValueError(f"{structure.get_name()} has no number '{name}'")
    return value


def numbers(structure, *names):
    return [number(structure, name) for name in names]


def read_record(buffer):
    """Size of the frame that was looked at, whether its faces are those of an earlier frame, and the faces.

    None if nobody has looked at it and it was given no faces.
    """
    meta = buffer.get_custom_meta("Img2PoseFacesMeta")
    if meta is None:
        return None
    record = meta.get_structure()
    version = record.get_uint("version").value
    if version != LAYOUT_VERSION:
        raise ValueError(f"faces have layout version {version}, this program reads {LAYOUT_VERSION}")
    width = record.get_int("frame-width").value
    height = record.get_int("frame-height").value
    # Copies: PyGObject hands out a structure inside another by reference, and it dies with the outer one.
    faces = [record.get_value(f"face-{i}").copy() for i in range(record.get_uint("n-faces").value)]
    # Only there on frames that nobody looked at: their faces are those of an earlier one (reuse-faces, img2posetrack).
    reused = record.get_boolean("reused").value
    return width, height, reused, faces


def read_region(buffer, face):
    """Where the region of a face is now, and its pose; None if an element has dropped it.

    A region of another detector can have the same id, but hardly the parent -1 too; if it comes first, it hides ours.
    """
    region = GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, face)
    if region is None or region.parent_id != -1 or GLib.quark_to_string(region.roi_type) != "face":
        return None
    return (region.x, region.y, region.w, region.h), region.get_param("face-pose")


def track(face):
    """Who the face is through time, and how that is known in this frame; empty if img2posetrack does not follow it."""
    found, track_id = face.get_uint64("track-id")
    return f", track {track_id} {face.get_string('track-state')}" if found else ""


def print_frame(index, buffer):
    record = read_record(buffer)
    if record is None:
        print(f"frame {index}: not looked at")
        return
    width, height, reused, faces = record
    print(f"frame {index}: {len(faces)} faces in {width}x{height}{', reused' if reused else ''}")
    for i, face in enumerate(faces):
        x_min, x_max, y_min, y_max = numbers(face, "x_min", "x_max", "y_min", "y_max")
        box = x_min * width, y_min * height, x_max * width, y_max * height
        print(f"  face {i}: confidence {number(face, 'confidence'):.3f}, box {show(box, 1)}{track(face)}")
        print(f"    rotation {show(numbers(face, 'rx', 'ry', 'rz'), 3)}", end="")
        print(f", translation {show(numbers(face, 'tx', 'ty', 'tz'), 3)}")
        print(f"    yaw, pitch, roll {show(numbers(face, 'yaw', 'pitch', 'roll'), 1)}", end="")
        print(f", nose {show(numbers(face, 'nose-x', 'nose-y'), 1)}")
        region = read_region(buffer, i)
        if region is None:
            print("    no region")
        else:
            (x, y, w, h), pose = region
            print(f"    region {x} {y} {w} {h}", end="")
            print(f", yaw {number(pose, 'yaw'):.1f}" if pose else ", no parameters")


def show(values, digits):
    return " ".join(f"{value:.{digits}f}" for value in values)


def main():
    arguments = Gst.init(sys.argv)
    if len(arguments) != 2:
        sys.exit(f"usage: {arguments[0]} FILE or {arguments[0]} 'PIPELINE', which ends with img2posedetect; a sink is added")
    is_file = os.path.isfile(arguments[1])
    try:
        pipeline = Gst.parse_launch(f"{FILE if is_file else arguments[1]} ! fakesink name=end")
        if is_file:
            # Not in the text, where spaces and quotes in it would count.
            pipeline.get_by_name("file").set_property("location", arguments[1])
    except GLib.Error as error:
        sys.exit(f"{arguments[0]}: {error.message}{'' if '!' in arguments[1] else ', and no file has that name'}")

    frames = 0

    def on_buffer(_pad, info):
        nonlocal frames
        try:
            print_frame(frames, info.get_buffer())
        except ValueError as error:  # PyGObject would print it and go on.
            failure = GLib.Error.new_literal(Gst.stream_error_quark(), str(error), Gst.StreamError.FORMAT)
            pipeline.post_message(Gst.Message.new_error(pipeline, failure, ""))
        frames += 1
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
    pipeline.set_state(Gst.State.PLAYING)
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        error, debug = message.parse_error()
        sys.exit(f"{arguments[0]}: {message.src.get_name()}: {error.message}\n{debug or ''}".rstrip())


if __name__ == "__main__":
    main()
