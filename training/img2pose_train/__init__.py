"""Training of img2pose networks: photos in, checkpoints in the official key layout out."""

import os

# ONNX Runtime's builds on PyPI report their use and leave a device id in the user's cache unless this is set before they start.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
