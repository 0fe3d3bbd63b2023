"""Runs a model of `img2pose serve-model` in NVIDIA Triton's Python backend, where Triton has no ONNX Runtime backend.

Put it beside `model.onnx` in the folder of the version, and write `backend: "python"` in `config.pbtxt`. It needs the packages numpy (below 2: Triton 2.51 sends arrays of newer ones as empty tensors) and onnxruntime, of the
Python that Triton's Python backend was built for; IMG2POSE_SITE_PACKAGES names a folder with them, where Triton does not find them by itself.
"""

import json
import os
import pathlib
import sys

if "IMG2POSE_SITE_PACKAGES" in os.environ:
    sys.path.append(os.environ["IMG2POSE_SITE_PACKAGES"])

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What the backend calls."""

    def initialize(self, args):
        """Loads the model that lies beside this file."""
        folder = pathlib.Path(args["model_repository"]) / args["model_version"]
        options = onnxruntime.SessionOptions()
        # Instances of a model run side by side; Triton's instance_group says how many.
        options.intra_op_num_threads = int(os.environ.get("IMG2POSE_THREADS", "0"))
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        config = json.loads(args["model_config"])
        self.outputs = [output["name"] for output in config["output"]]
        self.inputs = [value["name"] for value in config["input"]]

    def execute(self, requests):
        """Answers requests, one after the other: each is a batch already."""
        return [self.answer(request) for request in requests]

    def answer(self, request):
        """The answer to a batch."""
        feed = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            found = self.session.run(self.outputs, feed)
        except Exception as error:  # Whatever ONNX Runtime says belongs to this request only.
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self.outputs, found)]
        return pb_utils.InferenceResponse(output_tensors=tensors)
