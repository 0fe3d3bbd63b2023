"""Teacher models that label photos: files the user fetches, see the README. Nothing of them is in this project."""

import json

import cv2
import numpy as np
import onnxruntime

from .geometry import MIRRORED_68


class YuNet:
    """Faces of a BGR photo with OpenCV's YuNet: dictionaries with box and score."""

    def __init__(self, path, threshold=0.6, longest_side=896):
        self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), threshold)
        self.longest_side = longest_side

    def __call__(self, image):
        scale = min(1.0, self.longest_side / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.network.setInputSize(small.shape[1::-1])
        found = self.network.detect(small)[1]
        if found is None:
            return []
        return [
            {"box": [*(f[:2] / scale), *((f[:2] + f[2:4]) / scale)], "score": float(f[14])} for f in found
        ]


class LandmarkTeacher:
    """68 landmarks of a face with an ONNX network in the manner of 3DDFA_V2.

    Input [1, 3, S, S], BGR, (value - 127.5) / 128; the output of 136 values is x of the 68 points and
    then y, in [-1, 1] of the crop. Two passes: the second one crops around the points of the first,
    and how far they move says how sure they are.
    """

    POINTS = 68

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.side = self.input.shape[-1]
        outputs = [o.name for o in self.session.get_outputs() if o.shape[-1] == 2 * self.POINTS]
        if not outputs or not isinstance(self.side, int):
            raise ValueError(f"{path}: expected an input of fixed size and an output of {2 * self.POINTS} values")
        self.output = outputs[0]

    def __call__(self, image, box):
        """Landmarks [68, 2] in pixels of the photo, and the mean shift between the passes in parts of the face's size."""
        first = self._pass(image, self._region_of_box(box))
        second = self._pass(image, self._region_of_points(first))
        size = np.sqrt(max(1e-6, (second.max(0) - second.min(0)).prod()))
        return second, float(np.linalg.norm(second - first, axis=1).mean() / size)

    @staticmethod
    def _region_of_box(box):
        """Square (centre, side) of 1.58 times the box's mean side, moved down by 0.14 of it."""
        side = (box[2:] - box[:2]).mean()
        return (box[:2] + box[2:]) / 2 + [0, 0.14 * side], max(8.0, 1.58 * side)

    @staticmethod
    def _region_of_points(points):
        """Square whose side is the diagonal of the smallest square around the points."""
        low, high = points.min(0), points.max(0)
        return (low + high) / 2, np.sqrt(2) * max(4.0, (high - low).max())

    def _pass(self, image, region, mirrored=False):
        centre, side = region
        scale = self.side / side
        matrix = np.array([[scale, 0, 0], [0, scale, 0.0]])
        matrix[:, 2] = self.side / 2 - scale * centre
        crop = cv2.warpAffine(image, matrix, (self.side, self.side), flags=cv2.INTER_LINEAR)
        if mirrored:
            crop = crop[:, ::-1]
        x = (crop.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 128
        points = self._decode(self.session.run([self.output], {self.input.name: x})[0])
        if mirrored:
            # Pixel i of the crop is pixel side - 1 - i of the mirrored one.
            points = points[MIRRORED_68] * [-1, 1] - [2 / self.side, 0]
        return centre + points * side / 2

    def _decode(self, answer):
        """Points [68, 2] in parts of half the crop's side from its middle."""
        return answer.reshape(2, self.POINTS).T


class MorphableTeacher(LandmarkTeacher):
    """68 landmarks with an ONNX network that answers the 62 parameters of 3DDFA_V2 (a 3 x 4 matrix, 40 of shape, 10 of
    expression), and the bases of the 68 points in a JSON file: `mean` and `std` [62] of the parameters, `u_base` [204, 1],
    `w_shp_base` [204, 40], `w_exp_base` [204, 10].
    """

    PARAMETERS = 62

    def __init__(self, path, bases):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.side = self.input.shape[-1]
        answer = self.session.get_outputs()[0]
        if answer.shape[-1] != self.PARAMETERS or not isinstance(self.side, int):
            raise ValueError(f"{path}: expected an input of fixed size and an output of {self.PARAMETERS} values")
        self.output = answer.name
        with open(bases) as file:
            values = {name: np.array(value, np.float64) for name, value in json.load(file).items()}
        self.mean, self.std = values["mean"], values["std"]
        self.base = values["u_base"].reshape(-1)
        self.directions = np.concatenate([values["w_shp_base"], values["w_exp_base"]], 1)

    def _decode(self, answer):
        """Points [68, 2] in parts of half the crop's side from its middle."""
        p = answer.reshape(-1).astype(np.float64) * self.std + self.mean
        affine = p[:12].reshape(3, 4)
        shape = (self.base + self.directions @ p[12:]).reshape(-1, 3)
        points = shape @ affine[:2, :3].T + affine[:2, 3]
        # The network's frame has its origin at the lower left, one pixel outside.
        points = np.stack([points[:, 0] - 1, self.side - points[:, 1]], 1)
        return (points - self.side / 2) / (self.side / 2)

    def several(self, image, box, looks):
        """Landmarks [looks, 68, 2] of a face from as many crops around what the first two passes found, every second one
        mirrored: their mean is a steadier label than one answer, their spread says how sure it is. Determined by the box."""
        points = self(image, box)[0]
        centre, side = self._region_of_points(points)
        random, found = np.random.default_rng(0), []
        for k in range(looks):
            region = centre + random.normal(0, 0.03, 2) * side, side * np.exp(random.normal(0, 0.05))
            found.append(self._pass(image, region, mirrored=k % 2 == 1))
        return np.array(found)
