"""The model that `img2pose serve-model` has written, for MLServer, in ONNX Runtime.

Put this file, `model-settings.json` and `settings.json` beside `model.onnx` and start `mlserver start FOLDER`, with onnxruntime installed beside MLServer.
IMG2POSE_THREADS limits the threads of a batch.
"""

import os

import onnxruntime
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec
from mlserver.utils import get_model_uri


class Img2Pose(MLModel):
    """What MLServer calls."""

    async def load(self):
        """Loads the model that the settings name."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("IMG2POSE_THREADS", "0"))
        self.session = onnxruntime.InferenceSession(await get_model_uri(self._settings), options)
        return True

    async def predict(self, payload):
        """The answer to a batch: a request is one already."""
        inputs = {value.name: value.type for value in self.session.get_inputs()}
        kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(int64)": "int64"}
        feed = {}
        for value in payload.inputs:
            array = NumpyCodec.decode_input(value).astype(kinds[inputs[value.name]], copy=False)
            # MLServer makes columns of lists.
            feed[value.name] = array.reshape(value.shape)
        names = [output.name for output in self.session.get_outputs()]
        found = self.session.run(names, feed)
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(names, found)]
        return types.InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
