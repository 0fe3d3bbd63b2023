"""Pictures without a face as crops for the finder: those that `finder.mine` kept, backs of heads, whatever lies in a folder."""

import cv2
import numpy as np

from ..clutter import PHOTO_SUFFIXES, files
from ..compose import Composer
from ..photometric import vary

SHOWN = 0.35, 1.6
"""Sides of what is shown of a picture, in units of its shorter one."""


class Negatives:
    """Crops of the pictures below some folders. What a crop shows depends on the state of `random` alone."""

    def __init__(self, folders):
        self.paths = files(folders, PHOTO_SUFFIXES)

    def crop(self, side, random):
        """`compose.Crop` of `side` pixels without a face: a detail, mirrored or not, one in three turned by any angle."""
        image = cv2.imread(str(random.choice(self.paths)))
        if image is None:
            raise ValueError("a picture without faces cannot be read")
        height, width = image.shape[:2]
        shown = min(height, width) * np.exp(random.uniform(*np.log(SHOWN)))
        scale = side / shown
        angle = random.uniform(-180, 180) if random.random() < 0.33 else random.gauss(0, 6)
        middle = [low + (high - low) * random.random() for low, high in ((0.25 * width, 0.75 * width), (0.25 * height, 0.75 * height))]
        if scale < 0.5:
            factor = int(1 / scale)
            image = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
            middle, scale = [m / factor for m in middle], scale * factor
        matrix = cv2.getRotationMatrix2D(middle, angle, scale)
        matrix[:, 2] += side / 2 - np.array(middle)
        border = random.choice((cv2.BORDER_REFLECT, cv2.BORDER_CONSTANT))
        image = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)[:, :, ::-1]
        if random.random() < 0.5:
            image = image[:, ::-1]
        return Composer._label(vary(np.ascontiguousarray(image), random), [], side)
