"""The model that `img2pose serve-model` has written, for KServe, in ONNX Runtime.

    python kserve_model.py MODEL.onnx [--grpc_port PORT] [--http_port PORT]

It needs kserve and onnxruntime. KServe listens on all addresses of the machine. IMG2POSE_THREADS limits the threads of a batch.
"""

import argparse
import os

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server


class Img2Pose(Model):
    """What KServe calls."""

    def __init__(self, name, path):
        super().__init__(name)
        self.path = path
        self.session = None

    def load(self):
        """Loads the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("IMG2POSE_THREADS", "0"))
        self.session = onnxruntime.InferenceSession(self.path, options)
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        """The answer to a batch: a request is one already."""
        feed = {value.name: value.as_numpy() for value in payload.inputs}
        outputs = []
        for output, array in zip(self.session.get_outputs(), self.session.run(None, feed)):
            kinds = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64"}
            tensor = InferOutput(output.name, list(array.shape), kinds[array.dtype.name])
            tensor.set_data_from_numpy(array, binary_data=False)
            outputs.append(tensor)
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("model")
    arguments = parser.parse_args()
    model = Img2Pose(arguments.model_name, arguments.model)
    model.load()
    ModelServer(workers=1).start([model])
