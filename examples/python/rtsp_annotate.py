#!/usr/bin/env python3
"""Takes a camera and serves it again over RTSP, with the faces drawn into it.

    rtsp_annotate.py rtsp://192.168.1.20/stream --port 8555
    gst-launch-1.0 playbin uri=rtsp://127.0.0.1:8555/annotated

The camera is a URI, or a part of a pipeline that ends in raw video, such as 'v4l2src ! videoconvert'. It is opened when
the first client comes and closed when the last one goes. Port 0 takes a free one; the address is printed.

Needs PyGObject and GStreamer's RTSP server (Debian: python3-gi gir1.2-gst-rtsp-server-1.0), and an H.264 encoder: x264enc
(gstreamer1.0-plugins-ugly) or openh264enc (gstreamer1.0-plugins-bad).
"""

import argparse
import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

# ONNX Runtime's builds on PyPI report their use unless this is set. The plugin does so where a program has no second thread
# when it is loaded; this one is loaded by a client, in the server's thread.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

ENCODERS = {
    "x264enc": "x264enc tune=zerolatency speed-preset=veryfast key-int-max=60",
    "openh264enc": "openh264enc bitrate=4000000 gop-size=60",
}


def encoder():
    for name, description in ENCODERS.items():
        if Gst.ElementFactory.find(name):
            return description
    sys.exit(f"no H.264 encoder: install one of {', '.join(ENCODERS)}")


def pipeline(camera):
    source = f"uridecodebin uri={camera} ! videoconvert" if "://" in camera.split(" ", 1)[0] else camera
    # What the model has no time for is dropped before it, so that the picture stays live.
    return (
        f"( {source} ! queue leaky=downstream max-size-buffers=2 max-size-bytes=0 max-size-time=0"
        " ! img2posedetect batch-size=1 ! img2poseoverlay label=score+angles ! videoconvert"
        f" ! {encoder()} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )


def report_errors(_factory, media):
    """Prints what goes wrong in the pipeline: all that a client is told is 'Service Unavailable'."""

    def on_error(_bus, message):
        error, debug = message.parse_error()
        print(f"{message.src.get_name()}: {error.message}\n{debug or ''}".rstrip(), file=sys.stderr, flush=True)

    top = media.get_element()
    while top.get_parent():
        top = top.get_parent()
    bus = top.get_bus()
    bus.enable_sync_message_emission()
    bus.connect("sync-message::error", on_error)


def main():
    arguments = Gst.init(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camera", help="URI, or a part of a pipeline that ends in raw video")
    parser.add_argument("--port", type=int, default=8555, help="where to listen (default: 8555; 0: a free one)")
    parser.add_argument("--address", default="127.0.0.1", help="on which address (default: this machine only)")
    parser.add_argument("--path", default="/annotated", help="under which path (default: /annotated)")
    options = parser.parse_args(arguments[1:])

    launch = pipeline(options.camera)
    try:
        Gst.parse_launch(launch)  # The factory would fail with the first client, and say nothing.
    except GLib.Error as error:
        sys.exit(f"{arguments[0]}: {error.message}")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    # One pipeline for all clients: the camera is opened once, each frame is looked at once.
    factory.set_shared(True)
    factory.connect("media-configure", report_errors)

    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    server.get_mount_points().add_factory(options.path, factory)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on {options.address}:{options.port}: is it in use?")
    print(f"rtsp://{options.address}:{server.get_bound_port()}{options.path}", flush=True)
    try:
        GLib.MainLoop().run()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
